/*
title = "Tables listed, then read"
description = """
A principal that listed the tables of a region and, within some minutes, began to read tables that it had not been reading
before: what someone does who has found credentials and looks what is there. A row needs at least min_operations reads, or
reads of at least min_tables tables. A table counts only if the principal did not read it in as many minutes before the
listing, so that services which list tables while they work give no rows.

A listing is a ListTables that succeeded; with_describe lets DescribeTable count as one. Reads are accesses to items that
succeeded, without checks of conditions. One row a listing: the last one before the reads. All sessions of a role are one
principal. Calls that AWS services made are left out, and so are pipelines.
"""
level = "medium"
attack = ["T1619", "T1530"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ListTables.html"]
false_positives = ["A person at work in the console: raise min_operations.", "Services that list tables when they start."]
needs = ["control", "data.read"]
identity = ["listed_at", "recipient_account_id", "aws_region", "principal"]

[parameters.minutes]
type = "integer"
default = 60
about = "Within how many minutes after the listing reads count; as long must the table have been left alone before"

[parameters.min_operations]
type = "integer"
default = 20
about = "Fewest reads worth a row"

[parameters.min_tables]
type = "integer"
default = 3
about = "Fewest tables that are worth a row with fewer reads"

[parameters.with_describe]
type = "boolean"
default = false
about = "Whether DescribeTable counts as a listing too"

[columns]
listed_at = "When the listing completed, UTC"
first_seen = "The first read after it, UTC"
last_seen = "The last read within the minutes, UTC"
recipient_account_id = "The account whose trail recorded the calls"
aws_region = "The region"
principal = "Who listed and read"
tables = "Tables read"
table_name = "The table read most"
reads = "Reads of items: by key, entries of batches, pages of queries and scans"
scans = "Of these, pages of scans and queries"
table_reads = "Reads of the table read most"
access_key_id = "One of the access keys used for the reads"
source_ip_address = "One of the addresses they came from"
event_id = "One of the reads' events"
*/
WITH listings AS (
  SELECT
    recipient_account_id,
    aws_region,
    principal,
    event_time,
    event_time_ms
  FROM operations
  WHERE dt <= /*:until*/ '2999-12-31'
    AND plane = 'control'
    AND outcome = 'ok'
    AND (operation = 'ListTables' OR (/*:with_describe*/ false AND operation = 'DescribeTable'))
    AND is_service_made = false
    AND principal IS NOT NULL
    AND principal NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
),
listers AS (
  SELECT recipient_account_id, aws_region, principal
  FROM listings
  GROUP BY recipient_account_id, aws_region, principal
),
reads AS (
  SELECT
    o.recipient_account_id,
    o.aws_region,
    o.principal,
    o.table_name,
    o.table_arn,
    o.event_time,
    o.event_time_ms,
    o.dt,
    o.operation,
    o.access_key_id,
    o.source_ip_address,
    o.event_id
  FROM operations o
  JOIN listers l
    ON o.recipient_account_id = l.recipient_account_id
    AND o.aws_region = l.aws_region
    AND o.principal = l.principal
  WHERE o.dt <= /*:until*/ '2999-12-31'
    AND o.plane = 'data'
    AND o.access = 'read'
    AND o.operation <> 'ConditionCheckItem'
    AND o.outcome = 'ok'
    AND o.is_service_made = false
    AND o.table_arn IS NOT NULL
),
steps AS (
  SELECT recipient_account_id, aws_region, principal, nullif(principal, principal) AS table_arn, event_time, event_time_ms, event_time AS listed_at, event_time_ms AS listed_ms, 0 AS is_read
  FROM listings
  UNION ALL
  -- one row a table and moment
  SELECT recipient_account_id, aws_region, principal, table_arn, min(event_time) AS event_time, event_time_ms, CASE WHEN 1 = 0 THEN min(event_time) END AS listed_at, CASE WHEN 1 = 0 THEN event_time_ms END AS listed_ms, 1 AS is_read
  FROM reads
  GROUP BY recipient_account_id, aws_region, principal, table_arn, event_time_ms
),
placed AS (
  SELECT
    recipient_account_id,
    aws_region,
    principal,
    table_arn,
    event_time_ms,
    is_read,
    max(listed_at) OVER (PARTITION BY recipient_account_id, aws_region, principal ORDER BY event_time_ms NULLS LAST, is_read NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS listed_at,
    max(listed_ms) OVER (PARTITION BY recipient_account_id, aws_region, principal ORDER BY event_time_ms NULLS LAST, is_read NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS listed_ms,
    lag(event_time_ms) OVER (PARTITION BY recipient_account_id, aws_region, principal, table_arn ORDER BY event_time_ms NULLS LAST) AS previous_ms
  FROM steps
),
-- tables whose first read after the listing had none in the minutes before it
found AS (
  SELECT
    recipient_account_id,
    aws_region,
    principal,
    table_arn,
    listed_at,
    listed_ms
  FROM placed
  WHERE is_read = 1
    AND event_time_ms - listed_ms <= /*:minutes*/ 60 * CAST(60000 AS bigint)
  GROUP BY recipient_account_id, aws_region, principal, table_arn, listed_at, listed_ms
  HAVING min(coalesce(previous_ms, 0)) < listed_ms - /*:minutes*/ 60 * CAST(60000 AS bigint)
),
by_table AS (
  SELECT
    f.recipient_account_id,
    f.aws_region,
    f.principal,
    f.listed_at,
    f.listed_ms,
    r.table_name,
    f.table_arn,
    count(*) AS reads,
    count(*) FILTER (WHERE r.operation IN ('Scan', 'Query')) AS scans,
    min(r.event_time) AS first_seen,
    max(r.event_time) AS last_seen,
    max(r.dt) AS last_dt,
    min(r.access_key_id) AS access_key_id,
    min(r.source_ip_address) AS source_ip_address,
    min(r.event_id) AS event_id
  FROM found f
  JOIN reads r
    ON f.recipient_account_id = r.recipient_account_id
    AND f.aws_region = r.aws_region
    AND f.principal = r.principal
    AND f.table_arn = r.table_arn
    AND r.event_time_ms BETWEEN f.listed_ms AND f.listed_ms + /*:minutes*/ 60 * CAST(60000 AS bigint)
  GROUP BY f.recipient_account_id, f.aws_region, f.principal, f.listed_at, f.listed_ms, r.table_name, f.table_arn
),
ranked AS (
  SELECT
    b.*,
    row_number() OVER (PARTITION BY recipient_account_id, aws_region, principal, listed_ms ORDER BY reads DESC NULLS LAST, table_arn NULLS LAST) AS place
  FROM by_table b
)
SELECT
  listed_at,
  min(first_seen) AS first_seen,
  max(last_seen) AS last_seen,
  recipient_account_id,
  aws_region,
  principal,
  count(*) AS tables,
  max(CASE WHEN place = 1 THEN table_name END) AS table_name,
  CAST(sum(reads) AS bigint) AS reads,
  CAST(sum(scans) AS bigint) AS scans,
  max(reads) AS table_reads,
  min(access_key_id) AS access_key_id,
  min(source_ip_address) AS source_ip_address,
  min(event_id) AS event_id
FROM ranked
GROUP BY listed_at, recipient_account_id, aws_region, principal, listed_ms
HAVING (sum(reads) >= /*:min_operations*/ 20 OR count(*) >= /*:min_tables*/ 3)
  AND max(last_dt) >= /*:since*/ '2000-01-01'
  AND (/*:table*/ '' = '' OR max(CASE WHEN table_name = /*:table*/ '' THEN 1 ELSE 0 END) = 1)
ORDER BY listed_at NULLS LAST, recipient_account_id NULLS LAST, aws_region NULLS LAST, principal NULLS LAST
