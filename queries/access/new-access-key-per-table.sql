/*
title = "Access keys new to a table"
description = """
Access keys with which a table was reached for the first time in the asked window, with whose they are: item accesses,
streams and the control plane, refused calls too. A second key of a known user counts: that is how access is kept after a
password has been changed.

Only long-lived keys of users and of the root user (AKIA…) are looked at. Those of sessions (ASIA…) are new all the time;
include_temporary = true has them too, less the callers that had come to the table with more than max_known_keys keys
before.

The lake itself must hold the history: at least history_days days, before the day of the first sight, on which it has
events of the table. Where the first sight is an access to items or to the stream, only days with recorded accesses of
that kind count, so that nothing is new merely because data events have just been switched on. So a table that is itself
new gives no rows. The trail of the table's owner is read. Calls that AWS services made are left out, and so are
pipelines.
"""
level = "medium"
attack = ["T1078.004", "T1098.001", "T1530"]
references = ["https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html", "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = ["A user whose key was rotated."]
needs = ["any"]
identity = ["recipient_account_id", "aws_region", "table_name", "access_key_id", "principal"]
optional = ["control", "data.read", "data.write", "streams"]
baseline_days = "history_days"
recorded_days = { parameter = "history_days", of = "table" }

[parameters.history_days]
type = "integer"
default = 7
about = "Fewest recorded days of the table before the day of the first sight"

[parameters.include_temporary]
type = "boolean"
default = false
about = "Whether the keys of sessions count too"

[parameters.max_known_keys]
type = "integer"
default = 20
about = "Most keys with which the principal may have come to the table before"

[columns]
first_seen = "When the first call with the key completed, UTC"
last_seen = "When its last call in the asked window completed, UTC"
recipient_account_id = "The account that owns the table"
aws_region = "The region"
table_name = "The table"
access_key_id = "The key that is new"
principal = "Whose it is"
operations = "Accesses since, to items or to the table itself"
succeeded = "Of these, those that succeeded"
refused = "Of these, those denied"
item_reads = "Succeeded reads: items by key, queries and scans, exports, stream records"
item_writes = "Items put or changed"
item_deletes = "Items deleted, and the table itself"
changes = "Succeeded control-plane changes"
known_keys = "With how many keys the principal had come to the table before"
history_days = "Recorded days of the table before the day of the first sight"
event_id = "One of the events"
*/
WITH seen AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    value AS access_key_id,
    principal,
    is_service_made,
    dt,
    operations,
    succeeded,
    refused,
    item_reads,
    item_writes,
    item_deletes,
    changes,
    on_control,
    on_data,
    on_streams,
    first_seen,
    last_seen,
    event_id
  FROM sightings
  WHERE kind = 'access_key'
    AND dt <= /*:until*/ '2999-12-31'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
),
table_days AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    dt,
    CASE WHEN sum(on_data) > 0 THEN 1 ELSE 0 END AS has_data,
    CASE WHEN sum(on_streams) > 0 THEN 1 ELSE 0 END AS has_streams
  FROM seen
  GROUP BY recipient_account_id, aws_region, table_name, dt
),
-- for each day of a table: how many recorded days lie before it
history AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    dt,
    row_number() OVER (PARTITION BY recipient_account_id, aws_region, table_name ORDER BY dt NULLS LAST) - 1 AS days_before,
    sum(has_data) OVER (PARTITION BY recipient_account_id, aws_region, table_name ORDER BY dt NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) - has_data AS data_days_before,
    sum(has_streams) OVER (PARTITION BY recipient_account_id, aws_region, table_name ORDER BY dt NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) - has_streams AS stream_days_before
  FROM table_days
),
marked AS (
  SELECT
    s.*,
    min(s.dt) OVER (PARTITION BY s.recipient_account_id, s.aws_region, s.table_name, s.access_key_id) AS first_dt
  FROM seen s
  WHERE s.is_service_made = false
    AND (s.access_key_id LIKE 'AKIA%' OR /*:include_temporary*/ false AND s.access_key_id LIKE 'ASIA%')
),
-- a caller whose keys change all the time says nothing with one more
usual AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    access_key_id,
    coalesce(principal, '-') AS caller,
    rank() OVER (PARTITION BY recipient_account_id, aws_region, table_name, coalesce(principal, '-') ORDER BY min(dt) NULLS LAST) - 1 AS known_keys
  FROM marked
  GROUP BY recipient_account_id, aws_region, table_name, access_key_id, coalesce(principal, '-')
),
-- the first day decides which kinds of history count
arrivals AS (
  SELECT
    m.recipient_account_id,
    m.aws_region,
    m.table_name,
    m.access_key_id,
    m.first_dt,
    CAST(CASE
      WHEN sum(m.on_control) > 0 THEN max(h.days_before)
      WHEN sum(m.on_streams) > 0 AND (sum(m.on_data) = 0 OR max(h.stream_days_before) > max(h.data_days_before)) THEN max(h.stream_days_before)
      ELSE max(h.data_days_before)
    END AS bigint) AS history_days
  FROM marked m
  JOIN history h
    ON m.recipient_account_id = h.recipient_account_id
    AND m.aws_region = h.aws_region
    AND m.table_name = h.table_name
    AND m.dt = h.dt
  WHERE m.dt = m.first_dt
    AND m.first_dt >= /*:since*/ '2000-01-01'
  GROUP BY m.recipient_account_id, m.aws_region, m.table_name, m.access_key_id, m.first_dt
)
SELECT
  min(m.first_seen) AS first_seen,
  max(m.last_seen) AS last_seen,
  m.recipient_account_id,
  m.aws_region,
  m.table_name,
  m.access_key_id,
  m.principal,
  CAST(sum(m.operations) AS bigint) AS operations,
  CAST(sum(m.succeeded) AS bigint) AS succeeded,
  CAST(sum(m.refused) AS bigint) AS refused,
  CAST(sum(m.item_reads) AS bigint) AS item_reads,
  CAST(sum(m.item_writes) AS bigint) AS item_writes,
  CAST(sum(m.item_deletes) AS bigint) AS item_deletes,
  CAST(sum(m.changes) AS bigint) AS changes,
  CAST(u.known_keys AS bigint) AS known_keys,
  a.history_days,
  min(m.event_id) AS event_id
FROM marked m
JOIN arrivals a
  ON m.recipient_account_id = a.recipient_account_id
  AND m.aws_region = a.aws_region
  AND m.table_name = a.table_name
  AND m.access_key_id = a.access_key_id
JOIN usual u
  ON m.recipient_account_id = u.recipient_account_id
  AND m.aws_region = u.aws_region
  AND m.table_name = u.table_name
  AND m.access_key_id = u.access_key_id
  AND coalesce(m.principal, '-') = u.caller
WHERE a.history_days >= /*:history_days*/ 7
  AND u.known_keys <= /*:max_known_keys*/ 20
  AND coalesce(m.principal, '-') NOT IN (/*:pipeline_roles*/ '')
  AND /*:principal*/ '' IN ('', m.principal)
GROUP BY m.recipient_account_id, m.aws_region, m.table_name, m.access_key_id, m.principal, u.known_keys, a.history_days
ORDER BY first_seen NULLS LAST, recipient_account_id NULLS LAST, aws_region NULLS LAST, table_name NULLS LAST, access_key_id NULLS LAST, principal NULLS LAST
