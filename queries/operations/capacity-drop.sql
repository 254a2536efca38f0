/*
title = "Capacity cut or billing mode changed"
description = """
UpdateTable calls that cut a table's provisioned capacity or its on-demand limits sharply, or changed its billing mode. Too little
capacity makes the table's users fail with throttling; the other billing mode changes what load costs.

The value before is taken from DynamoDB's answer, which describes a table that is still updating with its former
values; else it is what the last CreateTable or UpdateTable in the lake asked for, however long ago. Where neither tells, there is no
row. A limit of -1 means none. The capacity of indexes is not looked at. Auto scaling, other AWS services and expected pipelines are
left out, but what they set counts as a value before.
"""
level = "medium"
attack = ["T1499"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html", "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/provisioned-capacity-mode.html"]
false_positives = ["Capacity given back by hand after a planned peak."]
needs = ["control"]
identity = ["recipient_account_id", "event_id", "setting"]

[parameters.min_drop_percent]
type = "integer"
default = 50
about = "Smallest cut worth a row, percent of the value before"

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
setting = "read capacity, write capacity, on-demand read limit, on-demand write limit or billing mode"
value_before = "The value before; units per second for capacity"
value_after = "The value asked for"
drop_percent = "How much less, percent of the value before; absent where there was no limit and for the billing mode"
known_from = "Where the value before is from: answer (DynamoDB's) or history (an earlier call)"
principal = "Who changed it"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
event_id = "The event"
*/
WITH changes AS (
  SELECT
    dt,
    event_time,
    event_time_ms,
    recipient_account_id,
    aws_region,
    table_name,
    event_name,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    is_service_made,
    event_id,
    request_parameters,
    CASE
      WHEN event_name = 'UpdateTable'
        AND json_extract_scalar(response_elements, '$.tableDescription.tableStatus') = 'UPDATING'
        THEN response_elements
    END AS former
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name IN ('CreateTable', 'UpdateTable')
    AND outcome = 'ok'
    AND table_name IS NOT NULL
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
),
settings AS (
  SELECT
    setting
  FROM (
    VALUES
      ('read capacity'),
      ('write capacity'),
      ('on-demand read limit'),
      ('on-demand write limit'),
      ('billing mode')
  ) AS s (setting)
),
asked AS (
  SELECT
    c.*,
    s.setting,
    CASE s.setting
      WHEN 'read capacity' THEN json_extract_scalar(c.request_parameters, '$.provisionedThroughput.readCapacityUnits')
      WHEN 'write capacity' THEN json_extract_scalar(c.request_parameters, '$.provisionedThroughput.writeCapacityUnits')
      WHEN 'on-demand read limit' THEN coalesce(
        json_extract_scalar(c.request_parameters, '$.onDemandThroughput.maxReadRequestUnits'),
        CASE WHEN c.event_name = 'CreateTable' THEN '-1' END
      )
      WHEN 'on-demand write limit' THEN coalesce(
        json_extract_scalar(c.request_parameters, '$.onDemandThroughput.maxWriteRequestUnits'),
        CASE WHEN c.event_name = 'CreateTable' THEN '-1' END
      )
      WHEN 'billing mode' THEN coalesce(
        json_extract_scalar(c.request_parameters, '$.billingMode'),
        CASE WHEN c.event_name = 'CreateTable' THEN 'PROVISIONED' END
      )
    END AS value_after,
    CASE
      WHEN c.former IS NULL THEN NULL
      WHEN s.setting = 'read capacity' THEN json_extract_scalar(c.former, '$.tableDescription.provisionedThroughput.readCapacityUnits')
      WHEN s.setting = 'write capacity' THEN json_extract_scalar(c.former, '$.tableDescription.provisionedThroughput.writeCapacityUnits')
      -- a description without a limit is of a table without one
      WHEN s.setting = 'on-demand read limit'
        THEN coalesce(json_extract_scalar(c.former, '$.tableDescription.onDemandThroughput.maxReadRequestUnits'), '-1')
      WHEN s.setting = 'on-demand write limit'
        THEN coalesce(json_extract_scalar(c.former, '$.tableDescription.onDemandThroughput.maxWriteRequestUnits'), '-1')
      -- a table that was always provisioned has no summary
      WHEN s.setting = 'billing mode'
        THEN coalesce(json_extract_scalar(c.former, '$.tableDescription.billingModeSummary.billingMode'), 'PROVISIONED')
    END AS described
  FROM changes c
  CROSS JOIN settings s
),
ordered AS (
  SELECT
    a.*,
    lag(value_after) OVER (
      PARTITION BY recipient_account_id, aws_region, table_name, setting
      ORDER BY event_time_ms NULLS LAST, event_id NULLS LAST
    ) AS asked_before
  FROM asked a
  -- a table created anew forgets what was set before, so its rows stay though nothing was asked for
  WHERE value_after IS NOT NULL
    OR event_name = 'CreateTable'
),
compared AS (
  SELECT
    o.*,
    CASE WHEN described <> value_after THEN described ELSE asked_before END AS value_before,
    CASE WHEN described <> value_after THEN 'answer' ELSE 'history' END AS known_from
  FROM ordered o
),
numbered AS (
  SELECT
    c.*,
    CASE WHEN setting <> 'billing mode' THEN TRY_CAST(value_before AS bigint) END AS number_before,
    CASE WHEN setting <> 'billing mode' THEN TRY_CAST(value_after AS bigint) END AS number_after
  FROM compared c
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  setting,
  value_before,
  value_after,
  CASE
    WHEN number_before > 0
      THEN round(100.0e0 * CAST(number_before - number_after AS double) / CAST(number_before AS double), 2)
  END AS drop_percent,
  known_from,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  event_id
FROM numbered
WHERE dt >= /*:since*/ '2000-01-01'
  AND event_name = 'UpdateTable'
  AND is_service_made = false
  AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
  AND /*:principal*/ '' IN ('', principal)
  AND (
    (setting = 'billing mode' AND value_before <> value_after)
    OR (number_before = -1 AND number_after > 0)
    OR (
      number_before > 0
      AND number_after >= 0
      AND number_before > number_after
      AND (number_before - number_after) * 100 >= /*:min_drop_percent*/ 50 * number_before
    )
  )
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST, setting NULLS LAST
