/*
title = "Tables in a region new to them"
description = """
Regions in which a table's name was met for the first time in the asked window, after the same account had used a table
of that name elsewhere: a replica, a restored or imported copy, or someone who looks for the table in other regions.
Refused and failed calls count too.

The lake itself must hold the history: at least history_days days, before the day of the first sight, on which it has
events of the table. Where the first sight is an access to items or to the stream, only days with recorded accesses of
that kind count, so that nothing is new merely because data events have just been switched on. So a table that is itself
new gives no rows. The trail of the table's owner is read. Calls that AWS services made are left out.
"""
level = "medium"
attack = ["T1535", "T1537"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = ["A replica or a move that was planned: name the region in site.allowed_regions, which leaves it out."]
needs = ["any"]
identity = ["recipient_account_id", "table_name", "aws_region", "principal"]
optional = ["control", "data.read", "data.write", "streams"]
baseline_days = "history_days"
recorded_days = { parameter = "history_days", of = "table_name" }

[parameters.history_days]
type = "integer"
default = 7
about = "Fewest recorded days of the table before the day of the first sight"

[columns]
first_seen = "When the principal's first call in the region completed, UTC"
last_seen = "When its last call there in the asked window completed, UTC"
recipient_account_id = "The account that owns the table"
table_name = "The table"
aws_region = "The region that is new"
principal = "Who used it there"
operations = "Accesses since, to items or to the table itself"
succeeded = "Of these, those that succeeded"
refused = "Of these, those denied"
item_reads = "Succeeded reads: items by key, queries and scans, exports, stream records"
item_writes = "Items put or changed"
item_deletes = "Items deleted, and the table itself"
changes = "Succeeded control-plane changes"
history_days = "Recorded days of the table's name, in any region, before the day of the first sight"
event_id = "One of the events"
*/
WITH seen AS (
  SELECT
    recipient_account_id,
    table_name,
    aws_region,
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
  WHERE kind = 'principal'
    AND dt <= /*:until*/ '2999-12-31'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:table*/ '' IN ('', table_name)
),
table_days AS (
  SELECT
    recipient_account_id,
    table_name,
    dt,
    CASE WHEN sum(on_data) > 0 THEN 1 ELSE 0 END AS has_data,
    CASE WHEN sum(on_streams) > 0 THEN 1 ELSE 0 END AS has_streams
  FROM seen
  GROUP BY recipient_account_id, table_name, dt
),
-- for each day of a table: how many recorded days lie before it
history AS (
  SELECT
    recipient_account_id,
    table_name,
    dt,
    row_number() OVER (PARTITION BY recipient_account_id, table_name ORDER BY dt NULLS LAST) - 1 AS days_before,
    sum(has_data) OVER (PARTITION BY recipient_account_id, table_name ORDER BY dt NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) - has_data AS data_days_before,
    sum(has_streams) OVER (PARTITION BY recipient_account_id, table_name ORDER BY dt NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) - has_streams AS stream_days_before
  FROM table_days
),
marked AS (
  SELECT
    s.*,
    min(s.dt) OVER (PARTITION BY s.recipient_account_id, s.table_name, s.aws_region) AS first_dt
  FROM seen s
  WHERE s.is_service_made = false
    AND s.aws_region IS NOT NULL
),
-- the first day decides which kinds of history count
arrivals AS (
  SELECT
    m.recipient_account_id,
    m.table_name,
    m.aws_region,
    m.first_dt,
    CAST(CASE
      WHEN sum(m.on_control) > 0 THEN max(h.days_before)
      WHEN sum(m.on_streams) > 0 AND (sum(m.on_data) = 0 OR max(h.stream_days_before) > max(h.data_days_before)) THEN max(h.stream_days_before)
      ELSE max(h.data_days_before)
    END AS bigint) AS history_days
  FROM marked m
  JOIN history h
    ON m.recipient_account_id = h.recipient_account_id
    AND m.table_name = h.table_name
    AND m.dt = h.dt
  WHERE m.dt = m.first_dt
    AND m.first_dt >= /*:since*/ '2000-01-01'
  GROUP BY m.recipient_account_id, m.table_name, m.aws_region, m.first_dt
)
SELECT
  min(m.first_seen) AS first_seen,
  max(m.last_seen) AS last_seen,
  m.recipient_account_id,
  m.table_name,
  m.aws_region,
  m.principal,
  CAST(sum(m.operations) AS bigint) AS operations,
  CAST(sum(m.succeeded) AS bigint) AS succeeded,
  CAST(sum(m.refused) AS bigint) AS refused,
  CAST(sum(m.item_reads) AS bigint) AS item_reads,
  CAST(sum(m.item_writes) AS bigint) AS item_writes,
  CAST(sum(m.item_deletes) AS bigint) AS item_deletes,
  CAST(sum(m.changes) AS bigint) AS changes,
  a.history_days,
  min(m.event_id) AS event_id
FROM marked m
JOIN arrivals a
  ON m.recipient_account_id = a.recipient_account_id
  AND m.table_name = a.table_name
  AND m.aws_region = a.aws_region
WHERE a.history_days >= /*:history_days*/ 7
  AND m.aws_region NOT IN (/*:allowed_regions*/ '')
  AND /*:region*/ '' IN ('', m.aws_region)
  AND coalesce(m.principal, '-') NOT IN (/*:pipeline_roles*/ '')
  AND /*:principal*/ '' IN ('', m.principal)
GROUP BY m.recipient_account_id, m.table_name, m.aws_region, m.principal, a.history_days
ORDER BY first_seen NULLS LAST, recipient_account_id NULLS LAST, table_name NULLS LAST, aws_region NULLS LAST, principal NULLS LAST
