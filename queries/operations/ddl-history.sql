/*
title = "History of tables and their settings"
description = """
Every change of a table that succeeded, one row a setting: created, deleted and restored tables, keys, capacity, billing, class,
encryption, streams, indexes, replicas, protection, recovery, time to live, tags, policies and change capture.

value_after is what the call asked for. value_before is known only where DynamoDB's answer tells: it describes a table
that is still updating with its former capacity and billing mode, and a deleted table with its item count, which is up to
six hours old. Of lists (index updates, replicas, tags) the first entry is shown; the event has the others.
A call whose settings are not known here has one row, with the setting 'other'. Auto scaling's changes are included.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html", "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html"]
false_positives = []
needs = ["control"]

[parameters.include_failed]
type = "boolean"
default = false
about = "Whether changes that failed or were denied are listed too"

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table; the new one where a table is restored"
event_name = "The call"
outcome = "ok; else why it failed"
setting = "What was changed"
value_before = "Its value before, where the answer tells"
value_after = "Its value after"
principal = "Who changed it"
session_name = "The role session's name"
mfa_authenticated = "Whether the session used multi-factor authentication"
is_service_made = "Whether an AWS service made the call, such as auto scaling"
source_ip_address = "From where"
user_agent = "With what"
event_id = "The event"
*/
WITH calls AS (
  SELECT
    event_time,
    event_time_ms,
    recipient_account_id,
    aws_region,
    coalesce(
      json_extract_scalar(request_parameters, '$.targetTableName'),
      table_name,
      json_extract_scalar(request_parameters, '$.globalTableName')
    ) AS table_name,
    event_name,
    outcome,
    principal,
    session_name,
    mfa_authenticated,
    is_service_made,
    source_ip_address,
    user_agent,
    event_id,
    source,
    source_position,
    request_parameters,
    response_elements,
    CASE
      WHEN event_name = 'UpdateTable'
        AND json_extract_scalar(response_elements, '$.tableDescription.tableStatus') = 'UPDATING'
        THEN response_elements
    END AS former
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name IN (
      'CreateTable',
      'UpdateTable',
      'DeleteTable',
      'ImportTable',
      'RestoreTableFromBackup',
      'RestoreTableToPointInTime',
      'RestoreTableFromAwsBackup',
      'UpdateTimeToLive',
      'UpdateContinuousBackups',
      'TagResource',
      'UntagResource',
      'PutResourcePolicy',
      'DeleteResourcePolicy',
      'EnableKinesisStreamingDestination',
      'DisableKinesisStreamingDestination',
      'UpdateKinesisStreamingDestination',
      'UpdateContributorInsights',
      'UpdateTableReplicaAutoScaling',
      'CreateGlobalTable',
      'UpdateGlobalTable',
      'UpdateGlobalTableSettings',
      'UpdateGlobalTableVersion',
      'CreateTableReplica',
      'DeleteTableReplica',
      'CreateGlobalTableWitness',
      'DeleteGlobalTableWitness',
      'UpdateAbacStatus'
    )
    AND (outcome = 'ok' OR /*:include_failed*/ false)
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
),
settings AS (
  SELECT
    setting
  FROM (
    VALUES
      ('table'),
      ('partition key'),
      ('sort key'),
      ('billing mode'),
      ('read capacity'),
      ('write capacity'),
      ('on-demand read limit'),
      ('on-demand write limit'),
      ('table class'),
      ('deletion protection'),
      ('encryption key'),
      ('stream'),
      ('index'),
      ('replica'),
      ('time to live'),
      ('point-in-time recovery'),
      ('tag'),
      ('resource policy'),
      ('Kinesis destination'),
      ('contributor insights'),
      ('other')
  ) AS s (setting)
),
spelled AS (
  SELECT
    c.*,
    s.setting,
    CASE s.setting
      WHEN 'table' THEN
        CASE
          WHEN c.event_name = 'CreateTable' THEN 'created'
          WHEN c.event_name = 'DeleteTable' THEN 'deleted'
          WHEN c.event_name = 'ImportTable' THEN 'imported'
          WHEN c.event_name LIKE 'RestoreTable%' THEN 'restored'
        END
      WHEN 'partition key' THEN json_extract_scalar(c.request_parameters, '$.keySchema[0].attributeName')
      WHEN 'sort key' THEN json_extract_scalar(c.request_parameters, '$.keySchema[1].attributeName')
      WHEN 'billing mode' THEN coalesce(
        json_extract_scalar(c.request_parameters, '$.billingMode'),
        json_extract_scalar(c.request_parameters, '$.billingModeOverride')
      )
      WHEN 'read capacity' THEN json_extract_scalar(c.request_parameters, '$.provisionedThroughput.readCapacityUnits')
      WHEN 'write capacity' THEN json_extract_scalar(c.request_parameters, '$.provisionedThroughput.writeCapacityUnits')
      WHEN 'on-demand read limit' THEN json_extract_scalar(c.request_parameters, '$.onDemandThroughput.maxReadRequestUnits')
      WHEN 'on-demand write limit' THEN json_extract_scalar(c.request_parameters, '$.onDemandThroughput.maxWriteRequestUnits')
      WHEN 'table class' THEN json_extract_scalar(c.request_parameters, '$.tableClass')
      WHEN 'deletion protection' THEN
        CASE json_extract_scalar(c.request_parameters, '$.deletionProtectionEnabled')
          WHEN 'true' THEN 'on'
          WHEN 'false' THEN 'off'
        END
      WHEN 'encryption key' THEN
        CASE
          WHEN json_extract_scalar(c.request_parameters, '$.sSESpecification.enabled') = 'false' THEN 'owned by AWS'
          WHEN json_extract_scalar(c.request_parameters, '$.sSESpecification.kMSMasterKeyId') IS NOT NULL
            THEN json_extract_scalar(c.request_parameters, '$.sSESpecification.kMSMasterKeyId')
          WHEN json_extract_scalar(c.request_parameters, '$.sSESpecification.enabled') = 'true' THEN 'managed by AWS'
        END
      WHEN 'stream' THEN
        CASE json_extract_scalar(c.request_parameters, '$.streamSpecification.streamEnabled')
          WHEN 'true' THEN coalesce(json_extract_scalar(c.request_parameters, '$.streamSpecification.streamViewType'), 'on')
          WHEN 'false' THEN 'off'
        END
      WHEN 'index' THEN coalesce(
        'created ' || json_extract_scalar(c.request_parameters, '$.globalSecondaryIndexUpdates[0].create.indexName'),
        'deleted ' || json_extract_scalar(c.request_parameters, '$.globalSecondaryIndexUpdates[0].delete.indexName'),
        'updated ' || json_extract_scalar(c.request_parameters, '$.globalSecondaryIndexUpdates[0].update.indexName'),
        'created ' || json_extract_scalar(c.request_parameters, '$.globalSecondaryIndexes[0].indexName')
      )
      WHEN 'replica' THEN coalesce(
        'added ' || json_extract_scalar(c.request_parameters, '$.replicaUpdates[0].create.regionName'),
        'removed ' || json_extract_scalar(c.request_parameters, '$.replicaUpdates[0].delete.regionName'),
        'updated ' || json_extract_scalar(c.request_parameters, '$.replicaUpdates[0].update.regionName'),
        'added ' || json_extract_scalar(c.request_parameters, '$.replicationGroup[0].regionName')
      )
      WHEN 'time to live' THEN
        CASE json_extract_scalar(c.request_parameters, '$.timeToLiveSpecification.enabled')
          WHEN 'true' THEN 'on, by ' || coalesce(json_extract_scalar(c.request_parameters, '$.timeToLiveSpecification.attributeName'), '?')
          WHEN 'false' THEN 'off'
        END
      WHEN 'point-in-time recovery' THEN
        CASE json_extract_scalar(c.request_parameters, '$.pointInTimeRecoverySpecification.pointInTimeRecoveryEnabled')
          WHEN 'true' THEN 'on' || coalesce(
            ', ' || json_extract_scalar(c.request_parameters, '$.pointInTimeRecoverySpecification.recoveryPeriodInDays') || ' days',
            ''
          )
          WHEN 'false' THEN 'off'
        END
      WHEN 'tag' THEN coalesce(
        json_extract_scalar(c.request_parameters, '$.tags[0].key') || ' = '
          || coalesce(json_extract_scalar(c.request_parameters, '$.tags[0].value'), ''),
        'removed ' || json_extract_scalar(c.request_parameters, '$.tagKeys[0]')
      )
      WHEN 'resource policy' THEN
        CASE
          WHEN c.event_name = 'PutResourcePolicy' THEN 'put'
          WHEN c.event_name = 'DeleteResourcePolicy' THEN 'deleted'
          WHEN json_extract_scalar(c.request_parameters, '$.resourcePolicy') IS NOT NULL THEN 'put'
        END
      WHEN 'Kinesis destination' THEN
        CASE c.event_name
          WHEN 'EnableKinesisStreamingDestination'
            THEN 'on, ' || coalesce(json_extract_scalar(c.request_parameters, '$.streamArn'), '?')
          WHEN 'DisableKinesisStreamingDestination'
            THEN 'off, ' || coalesce(json_extract_scalar(c.request_parameters, '$.streamArn'), '?')
          WHEN 'UpdateKinesisStreamingDestination'
            THEN 'changed, ' || coalesce(json_extract_scalar(c.request_parameters, '$.streamArn'), '?')
        END
      WHEN 'contributor insights' THEN
        CASE json_extract_scalar(c.request_parameters, '$.contributorInsightsAction')
          WHEN 'ENABLE' THEN 'on'
          WHEN 'DISABLE' THEN 'off'
        END
    END AS value_after,
    CASE s.setting
      WHEN 'table' THEN
        CASE
          WHEN c.event_name = 'DeleteTable'
            THEN json_extract_scalar(c.response_elements, '$.tableDescription.itemCount') || ' items'
        END
      WHEN 'billing mode' THEN json_extract_scalar(c.former, '$.tableDescription.billingModeSummary.billingMode')
      WHEN 'read capacity' THEN json_extract_scalar(c.former, '$.tableDescription.provisionedThroughput.readCapacityUnits')
      WHEN 'write capacity' THEN json_extract_scalar(c.former, '$.tableDescription.provisionedThroughput.writeCapacityUnits')
      WHEN 'on-demand read limit' THEN json_extract_scalar(c.former, '$.tableDescription.onDemandThroughput.maxReadRequestUnits')
      WHEN 'on-demand write limit' THEN json_extract_scalar(c.former, '$.tableDescription.onDemandThroughput.maxWriteRequestUnits')
      WHEN 'table class' THEN json_extract_scalar(c.former, '$.tableDescription.tableClassSummary.tableClass')
      WHEN 'encryption key' THEN json_extract_scalar(c.former, '$.tableDescription.sSEDescription.kMSMasterKeyArn')
    END AS described
  FROM calls c
  CROSS JOIN settings s
  WHERE /*:table*/ '' IN ('', c.table_name)
),
counted AS (
  SELECT
    p.*,
    -- all rows of a partition are peers in this order, so the frame is the whole partition
    count(value_after) OVER (PARTITION BY source, source_position ORDER BY source NULLS LAST) AS settings_known
  FROM spelled p
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  event_name,
  outcome,
  setting,
  -- an answer that repeats the new value doesn't tell the former one
  nullif(described, value_after) AS value_before,
  value_after,
  principal,
  session_name,
  mfa_authenticated,
  is_service_made,
  source_ip_address,
  user_agent,
  event_id
FROM counted
WHERE value_after IS NOT NULL
  OR (setting = 'other' AND settings_known = 0)
ORDER BY
  event_time NULLS LAST,
  recipient_account_id NULLS LAST,
  event_id NULLS LAST,
  setting NULLS LAST,
  value_after NULLS LAST
