/*
title = "Tables read in bulk within a minute"
description = """
A principal that read a table at least min_operations times in one minute, and at least min_factor times as often as in the
busiest minute of its usual day: the median over the days within baseline_days before on which it read the table. A reader
without such days has no usual day and is listed. Entries of batches and transactions count one by one.

One row a principal, table and day (UTC). A page of a Query or a Scan is one read here, however many items it gave: for
these see full-scan-returning-data. Only reads that succeeded count, checks of conditions do not. Calls that AWS services
made are left out, and so are pipelines.
"""
level = "low"
attack = ["T1530"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = ["Busy services on their first recorded days.", "Jobs that load a table: name their roles in site.pipeline_roles."]
needs = ["data.read"]
identity = ["day", "recipient_account_id", "aws_region", "table_name", "principal"]
baseline_days = "baseline_days"

[parameters.min_operations]
type = "integer"
default = 100
about = "Fewest reads within a minute worth a row"

[parameters.min_factor]
type = "number"
default = 2.0
about = "How many times the usual busiest minute"

[parameters.baseline_days]
type = "integer"
default = 14
about = "Days in which the usual is looked for"

[columns]
day = "The day, UTC"
first_seen = "The first minute over the threshold: its first read, UTC"
last_seen = "The last such minute: its last read, UTC"
recipient_account_id = "The account whose trail recorded the reads"
aws_region = "The region"
table_name = "The table"
principal = "Who read"
busiest_minute = "Reads in the busiest minute of the day"
busy_minutes = "Minutes of the day with at least min_operations reads"
reads = "Reads in these minutes"
scans = "Of these, pages of scans and queries"
baseline_median = "The median of the busiest minutes of earlier days"
baseline_days = "On how many earlier days it rests"
event_id = "One of the events of these minutes"

[chart]
kind = "time_series"
x = "first_seen"
y = "table_name"
value = "busiest_minute"
*/
WITH minutes AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    table_arn,
    principal,
    dt,
    count(*) AS reads,
    count(*) FILTER (WHERE operation IN ('Scan', 'Query')) AS scans,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    min(event_time_ms - event_time_ms % 86400000) AS day_ms,
    min(event_id) AS event_id
  FROM operations
  WHERE dt <= /*:until*/ '2999-12-31'
    AND plane = 'data'
    AND access = 'read'
    AND operation <> 'ConditionCheckItem'
    AND outcome = 'ok'
    AND table_arn IS NOT NULL
    AND is_service_made = false
    AND principal IS NOT NULL
    AND principal NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
  GROUP BY recipient_account_id, aws_region, table_name, table_arn, principal, dt, event_time_ms - event_time_ms % 60000
),
days AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    table_arn,
    principal,
    dt,
    day_ms,
    max(reads) AS busiest_minute,
    count(*) FILTER (WHERE reads >= /*:min_operations*/ 100) AS busy_minutes,
    CAST(sum(CASE WHEN reads >= /*:min_operations*/ 100 THEN reads END) AS bigint) AS reads,
    CAST(sum(CASE WHEN reads >= /*:min_operations*/ 100 THEN scans END) AS bigint) AS scans,
    min(CASE WHEN reads >= /*:min_operations*/ 100 THEN first_seen END) AS first_seen,
    max(CASE WHEN reads >= /*:min_operations*/ 100 THEN last_seen END) AS last_seen,
    min(CASE WHEN reads >= /*:min_operations*/ 100 THEN event_id END) AS event_id
  FROM minutes
  GROUP BY recipient_account_id, aws_region, table_name, table_arn, principal, dt, day_ms
),
busy AS (
  SELECT *
  FROM days
  WHERE dt >= /*:since*/ '2000-01-01'
    AND busy_minutes > 0
),
earlier AS (
  SELECT
    b.recipient_account_id,
    b.table_arn,
    b.principal,
    b.day_ms,
    d.busiest_minute,
    row_number() OVER (PARTITION BY b.recipient_account_id, b.table_arn, b.principal, b.day_ms ORDER BY d.busiest_minute NULLS LAST, d.day_ms NULLS LAST) AS rn,
    count(*) OVER (PARTITION BY b.recipient_account_id, b.table_arn, b.principal, b.day_ms) AS n
  FROM busy b
  JOIN days d
    ON b.recipient_account_id = d.recipient_account_id
    AND b.table_arn = d.table_arn
    AND b.principal = d.principal
    AND d.day_ms < b.day_ms
    AND d.day_ms >= b.day_ms - /*:baseline_days*/ 14 * CAST(86400000 AS bigint)
),
usual AS (
  SELECT
    recipient_account_id,
    table_arn,
    principal,
    day_ms,
    avg(CAST(CASE WHEN 2 * rn BETWEEN n AND n + 2 THEN busiest_minute END AS double)) AS baseline_median,
    max(n) AS baseline_days
  FROM earlier
  GROUP BY recipient_account_id, table_arn, principal, day_ms
)
SELECT
  b.dt AS day,
  b.first_seen,
  b.last_seen,
  b.recipient_account_id,
  b.aws_region,
  b.table_name,
  b.principal,
  b.busiest_minute,
  b.busy_minutes,
  b.reads,
  b.scans,
  u.baseline_median,
  coalesce(u.baseline_days, 0) AS baseline_days,
  b.event_id
FROM busy b
LEFT JOIN usual u
  ON b.recipient_account_id = u.recipient_account_id
  AND b.table_arn = u.table_arn
  AND b.principal = u.principal
  AND b.day_ms = u.day_ms
WHERE u.baseline_median IS NULL
  OR CAST(b.busiest_minute AS double) >= CAST(/*:min_factor*/ 2.0 AS double) * u.baseline_median
ORDER BY first_seen NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST, table_name NULLS LAST, principal NULLS LAST
