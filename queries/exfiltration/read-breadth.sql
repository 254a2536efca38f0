/*
title = "Many tables read in short time"
description = """
A principal that read at least min_tables tables within some minutes, by any path: items by key, queries and scans, batches,
transactions, PartiQL, streams, exports, restores. Services read their own few tables all day long, so only tables that the
principal had never read before count. That needs a history: item reads of the account recorded on at least history_days
days before. With only_new switched off, all tables count and no history is asked for.

One row for each table of the widest span of a principal's day (UTC). All sessions of a role are one principal. Only
reads that succeeded count, checks of conditions do not. Calls that AWS services made are left out, and so are pipelines.
"""
level = "medium"
attack = ["T1530", "T1119"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = ["The first start of a new service.", "Tools that copy or check all tables: name their roles in site.pipeline_roles."]
needs = ["data.read"]
identity = ["day", "recipient_account_id", "principal", "aws_region", "table_name"]
optional = ["control", "streams"]
baseline_days = "history_days"
recorded_days = { parameter = "history_days", of = "account" }

[parameters.min_tables]
type = "integer"
default = 3
about = "Fewest tables worth a row"

[parameters.minutes]
type = "integer"
default = 15
about = "Span within which the first reads of the tables lie, in minutes"

[parameters.only_new]
type = "boolean"
default = true
about = "Whether only tables count that the principal had not read before"

[parameters.history_days]
type = "integer"
default = 7
about = "Fewest recorded days before, where only new tables count"

[columns]
day = "The day, UTC"
span_start = "When the span begins: its first read, UTC"
tables = "Tables counted in the span"
recipient_account_id = "The account whose trail recorded the reads"
principal = "Who read"
aws_region = "The region of the table"
table_name = "The table"
reads = "Reads of this table in the span"
scans = "Of these, scan and query pages"
first_seen = "The first read of this table in the span, UTC"
last_seen = "The last, UTC"
event_id = "One of the events"
*/
WITH reads AS (
  SELECT
    recipient_account_id,
    aws_region,
    principal,
    table_arn,
    table_name,
    dt,
    count(*) AS reads,
    count(*) FILTER (WHERE operation IN ('Scan', 'Query')) AS scans,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    min(event_time_ms) AS first_ms,
    min(event_id) AS event_id
  FROM operations
  WHERE dt <= /*:until*/ '2999-12-31'
    AND access = 'read'
    AND operation <> 'ConditionCheckItem'
    AND outcome = 'ok'
    AND table_arn IS NOT NULL
    AND is_service_made = false
    AND principal IS NOT NULL
    AND principal NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:principal*/ '' IN ('', principal)
  -- a minute at a time
  GROUP BY recipient_account_id, aws_region, principal, table_arn, table_name, dt, event_time_ms - event_time_ms % 60000
),
firsts AS (
  SELECT recipient_account_id, principal, table_arn, min(first_ms) AS table_first_ms
  FROM reads
  GROUP BY recipient_account_id, principal, table_arn
),
marked AS (
  SELECT
    r.*,
    f.table_first_ms
  FROM firsts f
  JOIN reads r
    ON f.recipient_account_id = r.recipient_account_id
    AND f.principal = r.principal
    AND f.table_arn = r.table_arn
),
recorded AS (
  SELECT
    recipient_account_id,
    dt,
    row_number() OVER (PARTITION BY recipient_account_id ORDER BY dt NULLS LAST) - 1 AS days_before
  FROM operations
  WHERE dt <= /*:until*/ '2999-12-31'
    AND plane = 'data'
    AND access = 'read'
    AND /*:account*/ '' IN ('', recipient_account_id)
  GROUP BY recipient_account_id, dt
),
counted AS (
  SELECT m.*
  FROM marked m
  LEFT JOIN recorded d
    ON m.recipient_account_id = d.recipient_account_id
    AND m.dt = d.dt
  WHERE m.dt >= /*:since*/ '2000-01-01'
    AND (
      /*:only_new*/ true = false
      OR (m.first_ms = m.table_first_ms AND coalesce(d.days_before, 0) >= /*:history_days*/ 7)
    )
),
-- only principals with enough tables at all are worth the search for a span
broad AS (
  SELECT recipient_account_id, principal
  FROM counted
  GROUP BY recipient_account_id, principal
  HAVING count(DISTINCT table_arn) >= /*:min_tables*/ 3
),
spans AS (
  SELECT
    a.recipient_account_id,
    a.principal,
    a.dt,
    a.first_ms,
    min(a.first_seen) AS span_start,
    count(DISTINCT b.table_arn) AS tables
  FROM counted a
  JOIN broad p
    ON a.recipient_account_id = p.recipient_account_id
    AND a.principal = p.principal
  JOIN counted b
    ON a.recipient_account_id = b.recipient_account_id
    AND a.principal = b.principal
    AND b.first_ms BETWEEN a.first_ms AND a.first_ms + /*:minutes*/ 15 * CAST(60000 AS bigint)
  GROUP BY a.recipient_account_id, a.principal, a.dt, a.first_ms
  HAVING count(DISTINCT b.table_arn) >= /*:min_tables*/ 3
),
ranked AS (
  SELECT
    s.*,
    row_number() OVER (PARTITION BY recipient_account_id, principal, dt ORDER BY tables DESC NULLS LAST, first_ms NULLS LAST) AS place
  FROM spans s
)
SELECT
  w.dt AS day,
  w.span_start,
  w.tables,
  w.recipient_account_id,
  w.principal,
  m.aws_region,
  m.table_name,
  CAST(sum(m.reads) AS bigint) AS reads,
  CAST(sum(m.scans) AS bigint) AS scans,
  min(m.first_seen) AS first_seen,
  max(m.last_seen) AS last_seen,
  min(m.event_id) AS event_id
FROM ranked w
JOIN marked m
  ON w.recipient_account_id = m.recipient_account_id
  AND w.principal = m.principal
  AND m.first_ms BETWEEN w.first_ms AND w.first_ms + /*:minutes*/ 15 * CAST(60000 AS bigint)
WHERE w.place = 1
  AND (/*:only_new*/ true = false OR m.table_first_ms >= w.first_ms)
  AND /*:region*/ '' IN ('', m.aws_region)
  AND /*:table*/ '' IN ('', m.table_name)
GROUP BY w.dt, w.span_start, w.tables, w.recipient_account_id, w.principal, m.aws_region, m.table_name, m.table_arn
ORDER BY span_start NULLS LAST, recipient_account_id NULLS LAST, principal NULLS LAST, first_seen NULLS LAST, table_name NULLS LAST, aws_region NULLS LAST, event_id NULLS LAST
