/*
title = "Deletion protection switched off"
description = """
Calls of UpdateTable that switched a table's deletion protection off and succeeded. It is what must come before
DeleteTable on a protected table. The call is listed even if the protection was off already, which the log doesn't tell.

Where the table was deleted later, the columns say when and by whom. Expected pipelines are left out.
"""
level = "medium"
attack = ["T1562", "T1485"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html"]
false_positives = ["Operators who retire a table."]
needs = ["control"]
identity = ["recipient_account_id", "event_id"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
deleted_at = "When the table was deleted afterwards, UTC; empty if the lake does not show it"
deleted_by = "Who deleted it then"
principal = "Who switched the protection off"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
invoked_by = "The AWS service that called for the principal, if one did"
event_id = "The event"
*/
WITH switched AS (
  SELECT
    event_time,
    event_time_ms,
    recipient_account_id,
    aws_region,
    table_name,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    invoked_by,
    event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name = 'UpdateTable'
    AND outcome = 'ok'
    AND json_extract_scalar(request_parameters, '$.deletionProtectionEnabled') = 'false'
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
),
deleted AS (
  SELECT
    s.recipient_account_id,
    s.event_id,
    d.event_time AS deleted_at,
    d.principal AS deleted_by,
    row_number() OVER (PARTITION BY s.recipient_account_id, s.event_id ORDER BY d.event_time_ms, d.event_id NULLS LAST) AS place
  FROM switched s
  JOIN events d
    ON s.recipient_account_id = d.recipient_account_id
    AND s.aws_region = d.aws_region
    AND s.table_name = d.table_name
    AND d.event_time_ms >= s.event_time_ms
  WHERE d.dt >= /*:since*/ '2000-01-01'
    AND d.event_source = 'dynamodb.amazonaws.com'
    AND d.event_name = 'DeleteTable'
    AND d.outcome = 'ok'
)
SELECT
  s.event_time,
  s.recipient_account_id,
  s.aws_region,
  s.table_name,
  d.deleted_at,
  d.deleted_by,
  s.principal,
  s.session_name,
  s.access_key_id,
  s.source_ip_address,
  s.user_agent,
  s.invoked_by,
  s.event_id
FROM switched s
LEFT JOIN deleted d
  ON s.recipient_account_id = d.recipient_account_id
  AND s.event_id = d.event_id
  AND d.place = 1
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
