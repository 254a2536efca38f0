/*
title = "Table settings tampered with"
description = """
Changes of tables that cover tracks or take control: a stream or a Kinesis destination switched off, so that changes of
items are no longer captured; the encryption key changed; or many UpdateTable calls by one principal in a short time.

A burst is one row: from the first call in it to the last, however long it goes on. When a region or a table is asked
for, a burst is shown whole if any of its calls fits. Only calls that succeeded count. Auto
scaling, other AWS services and expected pipelines are left out. Deletion protection, recovery and time to live have reports of their own.
"""
level = "medium"
attack = ["T1562.008", "T1486"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html", "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DisableKinesisStreamingDestination.html"]
false_positives = ["A stream is switched off and on again to change what it shows.", "Infrastructure code that changes many tables at once: name its role in site.pipeline_roles."]
needs = ["control"]
identity = ["what", "recipient_account_id", "event_id"]

[parameters.min_updates]
type = "integer"
default = 5
about = "Fewest UpdateTable calls of one principal that make a burst"

[parameters.minutes]
type = "integer"
default = 10
about = "Within how many minutes they must lie"

[columns]
what = "stream off, Kinesis destination off, encryption changed or many updates"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region; of a burst, one of them"
table_name = "The table; of a burst, one of them"
tables = "How many tables"
calls = "How many calls"
value_before = "The encryption key before, where the answer tells"
value_after = "The encryption key asked for, or the Kinesis stream that is cut off"
first_seen = "When the call, or the first of the burst, completed, UTC"
last_seen = "When the last of the burst completed, UTC"
principal = "Who called"
session_name = "The role session's name (one of them)"
access_key_id = "The access key used (one of them)"
source_ip_address = "From where (one of the addresses)"
event_id = "The event; of a burst, its first"
*/
WITH calls AS (
  SELECT
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
    event_id,
    json_extract_scalar(request_parameters, '$.streamSpecification.streamEnabled') AS stream_enabled,
    json_extract_scalar(request_parameters, '$.streamArn') AS stream_arn,
    json_extract_scalar(request_parameters, '$.sSESpecification.enabled') AS encryption_enabled,
    json_extract_scalar(request_parameters, '$.sSESpecification.kMSMasterKeyId') AS encryption_key,
    json_extract_scalar(response_elements, '$.tableDescription.sSEDescription.kMSMasterKeyArn') AS key_described,
    dt >= /*:since*/ '2000-01-01'
      AND /*:region*/ '' IN ('', aws_region)
      AND /*:table*/ '' IN ('', coalesce(table_name, '-')) AS is_asked
  FROM events
  -- a burst may begin before the first day asked for
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name IN ('UpdateTable', 'DisableKinesisStreamingDestination')
    AND outcome = 'ok'
    AND is_service_made = false
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:principal*/ '' IN ('', principal)
),
updates AS (
  SELECT
    *
  FROM calls
  WHERE event_name = 'UpdateTable'
    AND event_time_ms IS NOT NULL
),
-- the updates that have enough others of their principal shortly before them
reached AS (
  SELECT
    a.recipient_account_id,
    a.principal,
    a.event_id,
    a.event_time_ms
  FROM updates a
  JOIN updates b
    ON a.recipient_account_id = b.recipient_account_id
    AND a.principal = b.principal
    AND b.event_time_ms BETWEEN a.event_time_ms - /*:minutes*/ 10 * CAST(60000 AS bigint) AND a.event_time_ms
  GROUP BY a.recipient_account_id, a.principal, a.event_id, a.event_time_ms
  HAVING count(*) >= /*:min_updates*/ 5
),
steps AS (
  SELECT
    r.*,
    CASE
      WHEN event_time_ms - lag(event_time_ms) OVER (
        PARTITION BY recipient_account_id, principal ORDER BY event_time_ms NULLS LAST, event_id NULLS LAST
      ) <= /*:minutes*/ 10 * CAST(60000 AS bigint) THEN 0
      ELSE 1
    END AS begins
  FROM reached r
),
numbered AS (
  SELECT
    s.*,
    sum(begins) OVER (
      PARTITION BY recipient_account_id, principal
      ORDER BY event_time_ms NULLS LAST, event_id NULLS LAST
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS burst
  FROM steps s
),
spans AS (
  SELECT
    recipient_account_id,
    principal,
    burst,
    min(event_time_ms) - /*:minutes*/ 10 * CAST(60000 AS bigint) AS from_ms,
    max(event_time_ms) AS to_ms
  FROM numbered
  GROUP BY recipient_account_id, principal, burst
),
members AS (
  SELECT
    s.burst,
    u.*,
    -- all rows of a partition are peers in this order, so the frame is the whole partition
    min(u.event_time_ms) OVER (
      PARTITION BY s.recipient_account_id, s.principal, s.burst
      ORDER BY s.burst NULLS LAST
    ) AS begin_ms
  FROM spans s
  JOIN updates u
    ON s.recipient_account_id = u.recipient_account_id
    AND s.principal = u.principal
    AND u.event_time_ms BETWEEN s.from_ms AND s.to_ms
),
bursts AS (
  SELECT
    recipient_account_id,
    principal,
    burst,
    min(aws_region) AS aws_region,
    min(table_name) AS table_name,
    count(DISTINCT table_name) AS tables,
    count(*) AS calls,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    min(session_name) AS session_name,
    min(access_key_id) AS access_key_id,
    min(source_ip_address) AS source_ip_address,
    -- the first, which stays when the burst goes on
    min(CASE WHEN event_time_ms = begin_ms THEN event_id END) AS event_id
  FROM members
  GROUP BY recipient_account_id, principal, burst
  HAVING bool_or(is_asked)
),
kinds AS (
  SELECT
    what
  FROM (
    VALUES
      ('stream off'),
      ('Kinesis destination off'),
      ('encryption changed')
  ) AS k (what)
),
found AS (
  SELECT
    k.what,
    c.recipient_account_id,
    c.aws_region,
    c.table_name,
    CAST(1 AS bigint) AS tables,
    CAST(1 AS bigint) AS calls,
    CASE WHEN k.what = 'encryption changed' THEN nullif(c.key_described, c.encryption_key) END AS value_before,
    CASE
      WHEN k.what = 'Kinesis destination off' THEN c.stream_arn
      WHEN k.what = 'stream off' THEN NULL
      WHEN c.encryption_enabled = 'false' THEN 'owned by AWS'
      ELSE coalesce(c.encryption_key, 'managed by AWS')
    END AS value_after,
    c.event_time AS first_seen,
    c.event_time AS last_seen,
    c.principal,
    c.session_name,
    c.access_key_id,
    c.source_ip_address,
    c.event_id
  FROM calls c
  CROSS JOIN kinds k
  WHERE c.is_asked
    AND CASE k.what
      WHEN 'stream off' THEN c.event_name = 'UpdateTable' AND coalesce(c.stream_enabled, '-') = 'false'
      WHEN 'Kinesis destination off' THEN c.event_name = 'DisableKinesisStreamingDestination'
      ELSE c.event_name = 'UpdateTable' AND (c.encryption_enabled IS NOT NULL OR c.encryption_key IS NOT NULL)
    END
  UNION ALL
  SELECT
    CASE WHEN calls > 0 THEN 'many updates' END AS what,
    recipient_account_id,
    aws_region,
    table_name,
    tables,
    calls,
    NULL AS value_before,
    NULL AS value_after,
    first_seen,
    last_seen,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    event_id
  FROM bursts
)
SELECT
  what,
  recipient_account_id,
  aws_region,
  table_name,
  tables,
  calls,
  value_before,
  value_after,
  first_seen,
  last_seen,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  event_id
FROM found
ORDER BY first_seen NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST, what NULLS LAST, last_seen NULLS LAST
