/*
title = "Point-in-time recovery switched off or shortened"
description = """
Calls of UpdateContinuousBackups that switched a table's point-in-time recovery off, or left it on with fewer than
min_days days to go back to. Switching it on again later begins a new window: what lay before is lost.

A short window is left out where the lake shows that nothing was lost by it: the window was no longer before, or recovery
was off. Switching off is always listed. Expected pipelines are left out.
"""
level = "high"
attack = ["T1490"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateContinuousBackups.html"]
false_positives = ["Tables whose data need not be recovered, where an operator saves the cost."]
needs = ["control"]
identity = ["recipient_account_id", "event_id"]

[parameters.min_days]
type = "integer"
default = 35
about = "Days of recovery below which a window counts as short; 35 is the longest there is"

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
what = "off or shortened"
days_before = "Days of recovery that the last call before in the lake had asked for, 0 for off; empty if the lake has none"
days_after = "Days of recovery from now on, 0 for off"
principal = "Who called"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
invoked_by = "The AWS service that called for the principal, if one did"
event_id = "The event"
*/
WITH calls AS (
  SELECT
    event_time,
    event_time_ms,
    dt,
    recipient_account_id,
    aws_region,
    table_name,
    CASE
      WHEN json_extract_scalar(request_parameters, '$.pointInTimeRecoverySpecification.pointInTimeRecoveryEnabled') = 'false' THEN 0
      WHEN json_extract_scalar(request_parameters, '$.pointInTimeRecoverySpecification.pointInTimeRecoveryEnabled') = 'true' THEN coalesce(
        TRY_CAST(json_extract_scalar(request_parameters, '$.pointInTimeRecoverySpecification.recoveryPeriodInDays') AS bigint),
        TRY_CAST(json_extract_scalar(response_elements, '$.continuousBackupsDescription.pointInTimeRecoveryDescription.recoveryPeriodInDays') AS bigint),
        35
      )
    END AS days_after,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    invoked_by,
    event_id
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name = 'UpdateContinuousBackups'
    AND outcome = 'ok'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
),
history AS (
  SELECT
    c.*,
    lag(days_after) OVER (PARTITION BY recipient_account_id, aws_region, table_name ORDER BY event_time_ms, event_id NULLS LAST) AS days_before
  FROM calls c
  WHERE days_after IS NOT NULL
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  CASE WHEN days_after = 0 THEN 'off' ELSE 'shortened' END AS what,
  days_before,
  days_after,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  invoked_by,
  event_id
FROM history
WHERE dt >= /*:since*/ '2000-01-01'
  AND (
    days_after = 0
    OR (days_after < /*:min_days*/ 35 AND (days_before IS NULL OR days_before > days_after))
  )
  AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
  AND /*:principal*/ '' IN ('', principal)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
