/*
title = "Auto scaling of tables changed"
description = """
Changes of how tables and their indexes scale, failed ones too: targets registered and removed, policies and scheduled actions put
and deleted, scaling suspended, and the same for all replicas of a global table. Without its auto scaling a table keeps the capacity
it happens to have: its users are throttled at the next peak, or it costs more than it should.

Application Auto Scaling writes its calls under the name of EC2 Auto Scaling, autoscaling.amazonaws.com; application-autoscaling.amazonaws.com
is read too. What auto scaling itself then does to a table is not shown. Calls whose request is not in the log, as it may be
where they were denied, do not tell that they were about DynamoDB and are missed. AWS services and expected pipelines are left
out, CloudFormation too.
"""
level = "low"
attack = ["T1499"]
references = ["https://docs.aws.amazon.com/autoscaling/application/userguide/logging-using-cloudtrail.html", "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/AutoScaling.html"]
false_positives = ["Tables that are made or deleted together with their auto scaling."]
needs = ["autoscaling.amazonaws.com"]
identity = ["recipient_account_id", "event_id"]
optional = ["control", "application-autoscaling.amazonaws.com"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
index_name = "The index"
dimension = "What scales, such as dynamodb:table:ReadCapacityUnits"
event_name = "The call"
change = "What it asks for: set, suspended or removed"
min_capacity = "Smallest capacity units asked for"
max_capacity = "Largest capacity units asked for"
name = "The policy's or the scheduled action's name"
target_percent = "The share of capacity in use that the policy steers to, percent"
schedule = "When the scheduled action runs"
outcome = "How it ended: ok, denied or failed"
error_code = "The error"
principal = "Who called"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
event_id = "The event"
*/
WITH calls AS (
  SELECT
    event_time,
    recipient_account_id,
    aws_region,
    coalesce(
      table_name,
      json_extract_scalar(request_parameters, '$.globalTableName'),
      nullif(split_part(json_extract_scalar(request_parameters, '$.resourceId'), '/', 2), '')
    ) AS table_name,
    nullif(split_part(json_extract_scalar(request_parameters, '$.resourceId'), '/', 4), '') AS index_name,
    event_name,
    request_parameters,
    outcome,
    error_code,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    event_id,
    coalesce(
      json_extract_scalar(request_parameters, '$.suspendedState.dynamicScalingInSuspended'),
      'false'
    ) = 'true'
    OR coalesce(
      json_extract_scalar(request_parameters, '$.suspendedState.dynamicScalingOutSuspended'),
      'false'
    ) = 'true'
    OR coalesce(
      json_extract_scalar(request_parameters, '$.suspendedState.scheduledScalingSuspended'),
      'false'
    ) = 'true' AS is_suspended,
    -- of global tables: the settings of all replicas, and those of the first replica named
    coalesce(
      json_extract_scalar(request_parameters, '$.provisionedWriteCapacityAutoScalingUpdate.autoScalingDisabled'),
      json_extract_scalar(
        request_parameters,
        '$.globalTableProvisionedWriteCapacityAutoScalingSettingsUpdate.autoScalingDisabled'
      ),
      'false'
    ) = 'true'
    OR coalesce(
      json_extract_scalar(
        request_parameters,
        '$.replicaUpdates[0].replicaProvisionedReadCapacityAutoScalingUpdate.autoScalingDisabled'
      ),
      json_extract_scalar(
        request_parameters,
        '$.replicaSettingsUpdate[0].replicaProvisionedReadCapacityAutoScalingSettingsUpdate.autoScalingDisabled'
      ),
      'false'
    ) = 'true' AS is_disabled
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND (
      (
        event_source IN ('autoscaling.amazonaws.com', 'application-autoscaling.amazonaws.com')
        AND event_name IN (
          'RegisterScalableTarget',
          'DeregisterScalableTarget',
          'PutScalingPolicy',
          'DeleteScalingPolicy',
          'PutScheduledAction',
          'DeleteScheduledAction'
        )
        -- other services scale too
        AND json_extract_scalar(request_parameters, '$.serviceNamespace') = 'dynamodb'
      )
      OR (
        event_source = 'dynamodb.amazonaws.com'
        AND event_name IN ('UpdateTableReplicaAutoScaling', 'UpdateGlobalTableSettings')
      )
    )
    AND is_service_made = false
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  index_name,
  json_extract_scalar(request_parameters, '$.scalableDimension') AS dimension,
  event_name,
  CASE
    WHEN is_disabled
      OR event_name IN ('DeregisterScalableTarget', 'DeleteScalingPolicy', 'DeleteScheduledAction')
      THEN 'removed'
    WHEN is_suspended THEN 'suspended'
    ELSE 'set'
  END AS change,
  TRY_CAST(
    coalesce(
      json_extract_scalar(request_parameters, '$.minCapacity'),
      json_extract_scalar(request_parameters, '$.scalableTargetAction.minCapacity'),
      json_extract_scalar(request_parameters, '$.provisionedWriteCapacityAutoScalingUpdate.minimumUnits'),
      json_extract_scalar(
        request_parameters,
        '$.globalTableProvisionedWriteCapacityAutoScalingSettingsUpdate.minimumUnits'
      )
    ) AS bigint
  ) AS min_capacity,
  TRY_CAST(
    coalesce(
      json_extract_scalar(request_parameters, '$.maxCapacity'),
      json_extract_scalar(request_parameters, '$.scalableTargetAction.maxCapacity'),
      json_extract_scalar(request_parameters, '$.provisionedWriteCapacityAutoScalingUpdate.maximumUnits'),
      json_extract_scalar(
        request_parameters,
        '$.globalTableProvisionedWriteCapacityAutoScalingSettingsUpdate.maximumUnits'
      )
    ) AS bigint
  ) AS max_capacity,
  coalesce(
    json_extract_scalar(request_parameters, '$.policyName'),
    json_extract_scalar(request_parameters, '$.scheduledActionName')
  ) AS name,
  TRY_CAST(
    json_extract_scalar(request_parameters, '$.targetTrackingScalingPolicyConfiguration.targetValue') AS double
  ) AS target_percent,
  json_extract_scalar(request_parameters, '$.schedule') AS schedule,
  CASE
    WHEN error_code IS NULL THEN 'ok'
    -- other services than DynamoDB have no outcome
    WHEN outcome = 'denied' OR error_code IN ('AccessDenied', 'AccessDeniedException') THEN 'denied'
    ELSE 'failed'
  END AS outcome,
  error_code,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  event_id
FROM calls
WHERE /*:table*/ '' IN ('', table_name)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
