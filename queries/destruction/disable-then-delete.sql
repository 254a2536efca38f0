/*
title = "Deletion protection switched off, then the table deleted"
description = """
Tables that were deleted within the given hours after their deletion protection had been switched off, by whomever.
Both calls succeeded. Where the protection was switched off more than once, the last time before the delete is shown.

A deletion by an expected pipeline is left out. A table that never was protected is no row here: see table-deleted.
"""
level = "high"
attack = ["T1485", "T1562"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html", "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteTable.html"]
false_positives = ["Operators who retire a table: both calls then come from the same person within minutes."]
needs = ["control"]
identity = ["recipient_account_id", "event_id"]

[parameters.hours]
type = "integer"
default = 24
about = "Hours within which the deletion must follow"

[columns]
event_time = "When the deletion completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
item_count = "Items that DynamoDB last counted in the table"
protection_off_at = "When the protection had been switched off, UTC"
minutes_between = "Minutes between the two"
protection_off_by = "Who switched it off"
principal = "Who deleted the table"
is_same_principal = "Whether it was the same principal"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
protection_off_event_id = "The event that switched the protection off"
event_id = "The deletion's event"
*/
WITH deleted AS (
  SELECT
    event_time,
    event_time_ms,
    recipient_account_id,
    aws_region,
    table_name,
    TRY_CAST(json_extract_scalar(response_elements, '$.tableDescription.itemCount') AS bigint) AS item_count,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name = 'DeleteTable'
    AND outcome = 'ok'
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
),
pairs AS (
  SELECT
    d.*,
    s.event_time AS protection_off_at,
    s.event_time_ms AS protection_off_ms,
    s.principal AS protection_off_by,
    s.event_id AS protection_off_event_id,
    row_number() OVER (PARTITION BY d.recipient_account_id, d.event_id ORDER BY s.event_time_ms DESC, s.event_id NULLS LAST) AS place
  FROM deleted d
  JOIN events s
    ON d.recipient_account_id = s.recipient_account_id
    AND d.aws_region = s.aws_region
    AND d.table_name = s.table_name
    AND s.event_time_ms BETWEEN d.event_time_ms - /*:hours*/ 24 * CAST(3600000 AS bigint) AND d.event_time_ms
  WHERE s.dt <= /*:until*/ '2999-12-31'
    AND s.event_source = 'dynamodb.amazonaws.com'
    AND s.event_name = 'UpdateTable'
    AND s.outcome = 'ok'
    AND json_extract_scalar(s.request_parameters, '$.deletionProtectionEnabled') = 'false'
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  item_count,
  protection_off_at,
  round(CAST(event_time_ms - protection_off_ms AS double) / 60000e0, 2) AS minutes_between,
  protection_off_by,
  principal,
  coalesce(principal = protection_off_by, false) AS is_same_principal,
  session_name,
  access_key_id,
  source_ip_address,
  protection_off_event_id,
  event_id
FROM pairs
WHERE place = 1
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
