/*
title = "What the archive covers, hour by hour"
description = """
Each hour of each account and region: the objects delivered in it, the events that happened in it, and what CloudTrail's
digest files say of it where they were verified. An hour without objects is a row where any account had objects in it, or a
digest covers it, between the first and the last delivery of the account and region; and an hour with events is one.

state says what an hour without objects means: quiet, where a signed digest says that nothing was delivered; missing, where a
digest names files that are not there; hole, where objects came in at least min_share of the hours; and else unknown. Objects
count by the time in their keys, a few minutes after the events in them.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-intro.html"]
false_positives = []
needs = ["receipts"]

[parameters.min_share]
type = "number"
default = 0.8
about = "The share of hours with objects from which on an hour without one is a hole"

[parameters.only_gaps]
type = "boolean"
default = false
about = "Whether to leave out the hours in which all is well"

[columns]
hour = "The hour, UTC"
day = "Its day, UTC"
hour_of_day = "The hour of the day, 0 to 23"
account_id = "The account"
region = "The region"
state = "delivered, incomplete (objects failed or a digest disagrees), quiet, missing, hole or unknown"
objects = "Log objects delivered"
failed = "Of these, objects that could not be read, or were gone"
problem = "What is wrong with one of them"
events = "Events in the lake that happened in the hour"
data_events = "Of these, data events of DynamoDB"
data_tables = "Tables with data events"
data_reads = "Accesses to items that read"
data_writes = "Accesses to items that put, change or delete"
table_name = "A table with data events, the first by name"
digests = "Digest files whose interval of delivery begins in the hour"
digests_valid = "Of these, valid ones"
files_named = "Log files that they name"
files_valid = "Of these, log files that are as they say"

[chart]
kind = "hours_by_day"
x = "hour_of_day"
y = "day"
value = "objects"
*/
WITH objects AS (
  SELECT
    coalesce(account_id, '-') AS account_id,
    coalesce(region, '-') AS region,
    source,
    min(delivered_at_ms) - min(delivered_at_ms) % 3600000 AS hour_ms,
    date_trunc('hour', min(delivered_at)) AS hour,
    bool_or(status IN ('converted', 'damaged')) AS is_read,
    max(problem) AS problem
  FROM receipts
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND status NOT IN ('digest', 'not_a_log')
    AND delivered_at_ms IS NOT NULL
    AND /*:account*/ '' IN ('', account_id)
    AND /*:region*/ '' IN ('', region)
  GROUP BY coalesce(account_id, '-'), coalesce(region, '-'), source
),
delivered AS (
  SELECT
    account_id,
    region,
    hour_ms,
    min(hour) AS hour,
    count(*) AS objects,
    count(*) FILTER (WHERE NOT is_read) AS failed,
    max(problem) AS problem
  FROM objects
  GROUP BY account_id, region, hour_ms
),
digested AS (
  SELECT
    coalesce(account_id, '-') AS account_id,
    coalesce(region, '-') AS region,
    delivered_from_ms - delivered_from_ms % 3600000 AS hour_ms,
    date_trunc('hour', min(delivered_from)) AS hour,
    count(*) AS digests,
    count(*) FILTER (WHERE status = 'valid') AS digests_valid,
    sum(files_named) AS files_named,
    sum(files_valid) AS files_valid
  FROM integrity
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND kind = 'digest'
    AND delivered_from_ms IS NOT NULL
    AND /*:account*/ '' IN ('', account_id)
    AND /*:region*/ '' IN ('', region)
  GROUP BY coalesce(account_id, '-'), coalesce(region, '-'), delivered_from_ms - delivered_from_ms % 3600000
),
recorded AS (
  SELECT
    coalesce(recipient_account_id, '-') AS account_id,
    coalesce(aws_region, '-') AS region,
    event_time_ms - event_time_ms % 3600000 AS hour_ms,
    date_trunc('hour', min(event_time)) AS hour,
    count(*) AS events,
    count(*) FILTER (WHERE plane = 'data') AS data_events
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND event_time_ms IS NOT NULL
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
  GROUP BY coalesce(recipient_account_id, '-'), coalesce(aws_region, '-'), event_time_ms - event_time_ms % 3600000
),
accessed AS (
  SELECT
    coalesce(recipient_account_id, '-') AS account_id,
    coalesce(aws_region, '-') AS region,
    event_time_ms - event_time_ms % 3600000 AS hour_ms,
    count(DISTINCT table_name) AS data_tables,
    min(table_name) AS table_name,
    count(*) FILTER (WHERE access = 'read') AS data_reads,
    count(*) FILTER (WHERE access IN ('write', 'delete')) AS data_writes
  FROM operations
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane = 'data'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
  GROUP BY coalesce(recipient_account_id, '-'), coalesce(aws_region, '-'), event_time_ms - event_time_ms % 3600000
),
places AS (
  SELECT
    account_id,
    region,
    min(hour_ms) AS first_ms,
    max(hour_ms) AS last_ms,
    CAST(count(*) AS double) / (CAST(max(hour_ms) - min(hour_ms) AS double) / 3600000e0 + 1e0) AS share
  FROM delivered
  GROUP BY account_id, region
),
hours AS (
  SELECT hour_ms, hour FROM delivered
  UNION
  SELECT hour_ms, hour FROM digested
),
spans AS (
  SELECT
    p.account_id,
    p.region,
    h.hour_ms,
    h.hour
  FROM places p
  CROSS JOIN hours h
  WHERE h.hour_ms BETWEEN p.first_ms AND p.last_ms
  UNION
  SELECT account_id, region, hour_ms, hour FROM digested
  UNION
  SELECT account_id, region, hour_ms, hour FROM recorded
),
judged AS (
  SELECT
    s.account_id,
    s.region,
    s.hour_ms,
    s.hour,
    coalesce(d.objects, 0) AS objects,
    coalesce(d.failed, 0) AS failed,
    d.problem,
    coalesce(r.events, 0) AS events,
    coalesce(r.data_events, 0) AS data_events,
    coalesce(a.data_tables, 0) AS data_tables,
    coalesce(a.data_reads, 0) AS data_reads,
    coalesce(a.data_writes, 0) AS data_writes,
    a.table_name,
    coalesce(g.digests, 0) AS digests,
    coalesce(g.digests_valid, 0) AS digests_valid,
    CAST(coalesce(g.files_named, 0) AS bigint) AS files_named,
    CAST(coalesce(g.files_valid, 0) AS bigint) AS files_valid,
    CASE WHEN s.hour_ms BETWEEN p.first_ms AND p.last_ms THEN p.share END AS share
  FROM spans s
  LEFT JOIN places p
    ON s.account_id = p.account_id
    AND s.region = p.region
  LEFT JOIN delivered d
    ON s.account_id = d.account_id
    AND s.region = d.region
    AND s.hour_ms = d.hour_ms
  LEFT JOIN recorded r
    ON s.account_id = r.account_id
    AND s.region = r.region
    AND s.hour_ms = r.hour_ms
  LEFT JOIN accessed a
    ON s.account_id = a.account_id
    AND s.region = a.region
    AND s.hour_ms = a.hour_ms
  LEFT JOIN digested g
    ON s.account_id = g.account_id
    AND s.region = g.region
    AND s.hour_ms = g.hour_ms
),
told AS (
  SELECT
    j.*,
    CASE
      WHEN objects > 0 AND (failed > 0 OR files_valid < files_named OR digests_valid < digests) THEN 'incomplete'
      WHEN objects > 0 THEN 'delivered'
      WHEN files_named > files_valid THEN 'missing'
      WHEN digests_valid > 0 THEN 'quiet'
      WHEN share >= /*:min_share*/ 0.8 THEN 'hole'
      ELSE 'unknown'
    END AS state
  FROM judged j
)
SELECT
  hour,
  substr(CAST(hour AS varchar(40)), 1, 10) AS day,
  CAST(floor(CAST(hour_ms % 86400000 AS double) / 3600000e0) AS bigint) AS hour_of_day,
  nullif(account_id, '-') AS account_id,
  nullif(region, '-') AS region,
  state,
  objects,
  failed,
  problem,
  events,
  data_events,
  data_tables,
  data_reads,
  data_writes,
  table_name,
  digests,
  digests_valid,
  files_named,
  files_valid
FROM told
WHERE NOT /*:only_gaps*/ false
  OR state IN ('incomplete', 'missing', 'hole')
ORDER BY hour NULLS LAST, account_id NULLS LAST, region NULLS LAST
