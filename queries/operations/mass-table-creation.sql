/*
title = "Many tables created at once"
description = """
Several CreateTable calls by one principal in a short time, as one who uses the account for purposes of his own, or covers
something up, might make. Each burst is one row, from its first call to its last, even where it began before the days asked for, with two hints: how many of the tables were
filled soon after they were made, and how many have a name whose first word (up to a hyphen, underscore or dot) no table
of the account had before.

Only calls that succeeded count. AWS services, such as CloudFormation, and expected pipelines are left out. Without recorded item
writes, nothing is known of how the tables were filled. Names are compared with the tables that the lake has seen.
"""
level = "medium"
attack = ["T1496"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html"]
false_positives = ["A new environment set up from a person's machine.", "Infrastructure code: name its role in site.pipeline_roles."]
needs = ["control"]
identity = ["recipient_account_id", "principal", "first_seen"]
optional = ["data.write"]

[parameters.min_tables]
type = "integer"
default = 5
about = "Fewest tables that make a burst"

[parameters.minutes]
type = "integer"
default = 10
about = "Within how many minutes they must be created"

[parameters.fill_minutes]
type = "integer"
default = 60
about = "Minutes after its creation in which writes to a table count"

[columns]
recipient_account_id = "The account whose trail recorded the calls"
principal = "Who created the tables"
tables = "How many"
first_table = "The first of their names, by alphabet"
last_table = "The last of their names, by alphabet"
unfamiliar_names = "How many have a name unlike those before"
filled_tables = "How many were written to soon after their creation"
items_written = "How many items were written to them in that time"
regions = "In how many regions"
aws_region = "One of the regions"
first_seen = "When the first was created, UTC"
last_seen = "When the last was created, UTC"
session_name = "The role session's name (one of them)"
access_key_id = "The access key used (one of them)"
source_ip_address = "From where (one of the addresses)"
event_id = "One of the events"
*/
WITH creations AS (
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
    event_id,
    dt >= /*:since*/ '2000-01-01'
      AND /*:region*/ '' IN ('', aws_region) AS is_asked,
    split_part(replace(replace(table_name, '_', '-'), '.', '-'), '-', 1) AS word
  FROM events
  -- a burst may begin before the first day asked for
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name = 'CreateTable'
    AND outcome = 'ok'
    AND is_service_made = false
    AND table_name IS NOT NULL
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:principal*/ '' IN ('', principal)
),
-- the creations that have enough others of their principal shortly before them
reached AS (
  SELECT
    a.recipient_account_id,
    a.principal,
    a.event_id,
    a.event_time_ms
  FROM creations a
  JOIN creations b
    ON a.recipient_account_id = b.recipient_account_id
    AND a.principal = b.principal
    AND b.event_time_ms BETWEEN a.event_time_ms - /*:minutes*/ 10 * CAST(60000 AS bigint) AND a.event_time_ms
  GROUP BY a.recipient_account_id, a.principal, a.event_id, a.event_time_ms
  HAVING count(*) >= /*:min_tables*/ 5
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
created AS (
  SELECT
    s.burst,
    c.*,
    -- all rows of a partition are peers in this order, so the frame is the whole partition
    min(c.event_time_ms) OVER (
      PARTITION BY s.recipient_account_id, s.principal, s.burst
      ORDER BY s.burst NULLS LAST
    ) AS begin_ms
  FROM spans s
  JOIN creations c
    ON s.recipient_account_id = c.recipient_account_id
    AND s.principal = c.principal
    AND c.event_time_ms BETWEEN s.from_ms AND s.to_ms
),
filled AS (
  SELECT
    c.event_id,
    c.recipient_account_id,
    count(*) AS items
  FROM created c
  JOIN operations o
    ON c.recipient_account_id = o.recipient_account_id
    AND c.aws_region = o.aws_region
    AND c.table_name = o.table_name
    AND o.event_time_ms BETWEEN c.event_time_ms AND c.event_time_ms + /*:fill_minutes*/ 60 * CAST(60000 AS bigint)
  WHERE o.dt <= /*:until*/ '2999-12-31'
    AND o.plane = 'data'
    AND o.access = 'write'
    AND o.outcome = 'ok'
  GROUP BY c.event_id, c.recipient_account_id
),
known AS (
  SELECT
    recipient_account_id,
    split_part(replace(replace(table_name, '_', '-'), '.', '-'), '-', 1) AS word,
    min(event_time_ms) AS since_ms
  FROM operations
  WHERE dt <= /*:until*/ '2999-12-31'
    AND outcome = 'ok'
    AND table_name IS NOT NULL
  GROUP BY recipient_account_id, split_part(replace(replace(table_name, '_', '-'), '.', '-'), '-', 1)
)
SELECT
  c.recipient_account_id,
  c.principal,
  count(DISTINCT c.table_name) AS tables,
  min(c.table_name) AS first_table,
  max(c.table_name) AS last_table,
  count(DISTINCT CASE WHEN coalesce(k.since_ms, c.begin_ms) >= c.begin_ms THEN c.table_name END) AS unfamiliar_names,
  count(DISTINCT CASE WHEN f.items > 0 THEN c.table_name END) AS filled_tables,
  CAST(coalesce(sum(f.items), 0) AS bigint) AS items_written,
  count(DISTINCT c.aws_region) AS regions,
  min(c.aws_region) AS aws_region,
  min(c.event_time) AS first_seen,
  max(c.event_time) AS last_seen,
  min(c.session_name) AS session_name,
  min(c.access_key_id) AS access_key_id,
  min(c.source_ip_address) AS source_ip_address,
  min(c.event_id) AS event_id
FROM created c
LEFT JOIN filled f
  ON c.event_id = f.event_id
  AND c.recipient_account_id = f.recipient_account_id
LEFT JOIN known k
  ON c.recipient_account_id = k.recipient_account_id
  AND c.word = k.word
GROUP BY c.recipient_account_id, c.principal, c.burst
HAVING bool_or(c.is_asked)
ORDER BY first_seen NULLS LAST, recipient_account_id NULLS LAST, principal NULLS LAST, event_id NULLS LAST
