/*
title = "What the archive covers, hour by hour"
description = """
Each hour of each account and region: the objects delivered in it, the events that happened in it, and what CloudTrail's
digest files say of it where they were verified. Every hour between the first and the last delivery of the account and region
is a row, as is one that a digest covers or in which an event happened; and where they are silent, every hour to the last
delivery of the whole archive.

state says what an hour without objects means: quiet, where a signed digest says that nothing was delivered; missing, where a
digest names files that are not there; hole, where objects usually come; silent, where they usually come and nothing has come
for more than silent_after times the usual distance; and else unknown. Objects usually come every hour, if in at least min_share
of the hours between the first and the last, without the longest run that has none, one came, and these are at least min_hours;
or else every day, if on at least min_share of the days one came, and these are at least min_days. The 30 days before since
count for this too. Objects count by the time in their keys, a few minutes after the events in them.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-intro.html"]
false_positives = []
needs = ["receipts"]

[parameters.min_share]
type = "number"
default = 0.9
about = "The share of hours or days with objects from which on one without is a hole"

[parameters.min_hours]
type = "integer"
default = 48
about = "The least hours from which it is learned that objects usually come every hour"

[parameters.min_days]
type = "integer"
default = 7
about = "The least days from which it is learned that objects usually come every day"

[parameters.silent_after]
type = "integer"
default = 3
about = "How many times the usual distance nothing must have come for silence"

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
state = "delivered, incomplete (objects failed or a digest disagrees), quiet, missing, hole, silent or unknown"
objects = "Log objects delivered"
failed = "Of these, objects that could not be read, were gone, or held no record"
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
    AND status <> 'digest'
    AND (status <> 'not_a_log' OR account_id IS NOT NULL)
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
arrived AS (
  SELECT
    account_id,
    region,
    delivered_at_ms - delivered_at_ms % 3600000 AS hour_ms
  FROM receipts
  WHERE dt BETWEEN substr(CAST(CAST(/*:since*/ '2000-01-01' AS date) - INTERVAL '30' DAY AS varchar(40)), 1, 10) AND /*:until*/ '2999-12-31'
    AND status <> 'digest'
    AND account_id IS NOT NULL
    AND region IS NOT NULL
    AND delivered_at_ms IS NOT NULL
  GROUP BY account_id, region, delivered_at_ms - delivered_at_ms % 3600000
),
quiet AS (
  SELECT
    i.account_id,
    i.region,
    i.delivered_from_ms - i.delivered_from_ms % 3600000 AS hour_ms
  FROM integrity i
  -- Where nothing is ever delivered there is nothing to miss.
  INNER JOIN (SELECT DISTINCT account_id, region FROM arrived) a
    ON i.account_id = a.account_id
    AND i.region = a.region
  WHERE i.dt BETWEEN substr(CAST(CAST(/*:since*/ '2000-01-01' AS date) - INTERVAL '30' DAY AS varchar(40)), 1, 10) AND /*:until*/ '2999-12-31'
    AND i.kind = 'digest'
    AND i.status = 'valid'
    AND i.files_named = 0
    AND i.delivered_from_ms IS NOT NULL
  GROUP BY i.account_id, i.region, i.delivered_from_ms - i.delivered_from_ms % 3600000
),
present AS (
  SELECT account_id, region, hour_ms FROM arrived
  UNION
  SELECT account_id, region, hour_ms FROM quiet
),
present_days AS (
  SELECT account_id, region, hour_ms - hour_ms % 86400000 AS day_ms
  FROM present
  GROUP BY account_id, region, hour_ms - hour_ms % 86400000
),
hour_steps AS (
  SELECT
    account_id,
    region,
    hour_ms,
    lead(hour_ms) OVER (PARTITION BY account_id, region ORDER BY hour_ms) - hour_ms - 3600000 AS hole_ms
  FROM present
),
hourly AS (
  SELECT
    account_id,
    region,
    min(hour_ms) AS first_ms,
    max(hour_ms) AS last_ms,
    CAST(count(*) AS double) AS hours_present,
    -- Without the longest hole, which else might hide itself.
    CAST(max(hour_ms) - min(hour_ms) - coalesce(max(hole_ms), 0) AS double) / 3600000e0 + 1e0 AS hours_judged
  FROM hour_steps
  GROUP BY account_id, region
),
daily AS (
  SELECT
    account_id,
    region,
    min(day_ms) AS first_day_ms,
    max(day_ms) AS last_day_ms,
    CAST(count(*) AS double) AS days_present,
    CAST(max(day_ms) - min(day_ms) AS double) / 86400000e0 + 1e0 AS days_judged
  FROM present_days
  GROUP BY account_id, region
),
habits AS (
  SELECT
    h.account_id,
    h.region,
    h.first_ms,
    h.last_ms,
    d.first_day_ms,
    d.last_day_ms,
    CASE
      WHEN h.hours_judged >= /*:min_hours*/ 48 AND h.hours_present / h.hours_judged >= /*:min_share*/ 0.9 THEN 1
      WHEN d.days_judged >= /*:min_days*/ 7 AND d.days_present / d.days_judged >= /*:min_share*/ 0.9 THEN 24
    END AS every_hours
  FROM hourly h
  INNER JOIN daily d
    ON h.account_id = d.account_id
    AND h.region = d.region
),
hours_of_day AS (
  SELECT n, step FROM (VALUES
    (0, INTERVAL '0' HOUR), (1, INTERVAL '1' HOUR), (2, INTERVAL '2' HOUR), (3, INTERVAL '3' HOUR),
    (4, INTERVAL '4' HOUR), (5, INTERVAL '5' HOUR), (6, INTERVAL '6' HOUR), (7, INTERVAL '7' HOUR),
    (8, INTERVAL '8' HOUR), (9, INTERVAL '9' HOUR), (10, INTERVAL '10' HOUR), (11, INTERVAL '11' HOUR),
    (12, INTERVAL '12' HOUR), (13, INTERVAL '13' HOUR), (14, INTERVAL '14' HOUR), (15, INTERVAL '15' HOUR),
    (16, INTERVAL '16' HOUR), (17, INTERVAL '17' HOUR), (18, INTERVAL '18' HOUR), (19, INTERVAL '19' HOUR),
    (20, INTERVAL '20' HOUR), (21, INTERVAL '21' HOUR), (22, INTERVAL '22' HOUR), (23, INTERVAL '23' HOUR)
  ) AS v (n, step)
),
day_units AS (
  SELECT n, step FROM (VALUES
    (0, INTERVAL '0' HOUR), (1, INTERVAL '24' HOUR), (2, INTERVAL '48' HOUR), (3, INTERVAL '72' HOUR),
    (4, INTERVAL '96' HOUR), (5, INTERVAL '120' HOUR), (6, INTERVAL '144' HOUR), (7, INTERVAL '168' HOUR),
    (8, INTERVAL '192' HOUR), (9, INTERVAL '216' HOUR)
  ) AS v (n, step)
),
day_tens AS (
  SELECT n, step FROM (VALUES
    (0, INTERVAL '0' HOUR), (10, INTERVAL '240' HOUR), (20, INTERVAL '480' HOUR), (30, INTERVAL '720' HOUR),
    (40, INTERVAL '960' HOUR), (50, INTERVAL '1200' HOUR), (60, INTERVAL '1440' HOUR), (70, INTERVAL '1680' HOUR),
    (80, INTERVAL '1920' HOUR), (90, INTERVAL '2160' HOUR)
  ) AS v (n, step)
),
day_hundreds AS (
  SELECT n, step FROM (VALUES
    (0, INTERVAL '0' HOUR), (100, INTERVAL '2400' HOUR), (200, INTERVAL '4800' HOUR), (300, INTERVAL '7200' HOUR),
    (400, INTERVAL '9600' HOUR), (500, INTERVAL '12000' HOUR), (600, INTERVAL '14400' HOUR), (700, INTERVAL '16800' HOUR),
    (800, INTERVAL '19200' HOUR), (900, INTERVAL '21600' HOUR)
  ) AS v (n, step)
),
day_thousands AS (
  SELECT n, step FROM (VALUES
    (0, INTERVAL '0' HOUR), (1000, INTERVAL '24000' HOUR), (2000, INTERVAL '48000' HOUR), (3000, INTERVAL '72000' HOUR),
    (4000, INTERVAL '96000' HOUR), (5000, INTERVAL '120000' HOUR), (6000, INTERVAL '144000' HOUR), (7000, INTERVAL '168000' HOUR),
    (8000, INTERVAL '192000' HOUR), (9000, INTERVAL '216000' HOUR)
  ) AS v (n, step)
),
-- The window's end is that of the archive, where nothing was delivered after it.
archive AS (
  SELECT
    min(delivered_at_ms - delivered_at_ms % 3600000) AS first_ms,
    coalesce(
      min(CASE WHEN dt > /*:until*/ '2999-12-31' THEN delivered_at_ms - delivered_at_ms % 86400000 END),
      max(delivered_at_ms - delivered_at_ms % 3600000)
    ) AS last_ms,
    date_trunc('hour', min(delivered_at)) AS first_hour
  FROM receipts
  WHERE dt >= substr(CAST(CAST(/*:since*/ '2000-01-01' AS date) - INTERVAL '30' DAY AS varchar(40)), 1, 10)
    AND status <> 'digest'
    AND account_id IS NOT NULL
    AND region IS NOT NULL
    AND delivered_at_ms IS NOT NULL
),
places AS (
  SELECT
    h.account_id,
    h.region,
    h.first_ms,
    h.last_ms,
    h.first_day_ms,
    h.last_day_ms,
    h.every_hours,
    CASE
      WHEN a.last_ms - h.last_ms > /*:silent_after*/ 3 * h.every_hours * CAST(3600000 AS bigint) THEN a.last_ms
      ELSE h.last_ms
    END AS silent_to_ms
  FROM habits h
  CROSS JOIN archive a
),
archive_days AS (
  SELECT
    a.first_ms + CAST(u.n + t.n + h.n + k.n AS bigint) * 86400000 AS hour_ms,
    a.last_ms,
    a.first_hour + u.step + t.step + h.step + k.step AS hour
  FROM archive a
  CROSS JOIN day_units u
  CROSS JOIN day_tens t
  CROSS JOIN day_hundreds h
  CROSS JOIN day_thousands k
  WHERE a.first_ms + CAST(u.n + t.n + h.n + k.n AS bigint) * 86400000 <= a.last_ms
),
-- Every hour of the archive from the first to the last, whatever is in it.
hours AS (
  SELECT
    d.hour_ms + CAST(h.n AS bigint) * 3600000 AS hour_ms,
    d.last_ms,
    d.hour + h.step AS hour
  FROM archive_days d
  CROSS JOIN hours_of_day h
  WHERE d.hour_ms + CAST(h.n AS bigint) * 3600000 <= d.last_ms
),
spans AS (
  SELECT
    p.account_id,
    p.region,
    h.hour_ms,
    h.hour
  FROM places p
  CROSS JOIN hours h
  WHERE h.hour_ms BETWEEN p.first_ms AND p.silent_to_ms
    AND substr(CAST(h.hour AS varchar(40)), 1, 10) BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND /*:account*/ '' IN ('', p.account_id)
    AND /*:region*/ '' IN ('', p.region)
  UNION
  SELECT account_id, region, hour_ms, hour FROM delivered
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
    CASE
      WHEN s.hour_ms > p.last_ms AND s.hour_ms <= p.silent_to_ms THEN 'silent'
      WHEN p.every_hours = 1 AND s.hour_ms BETWEEN p.first_ms AND p.last_ms THEN 'hole'
      WHEN p.every_hours = 24 AND s.hour_ms BETWEEN p.first_day_ms AND p.last_day_ms AND y.day_ms IS NULL THEN 'hole'
    END AS absence
  FROM spans s
  LEFT JOIN places p
    ON s.account_id = p.account_id
    AND s.region = p.region
  LEFT JOIN present_days y
    ON s.account_id = y.account_id
    AND s.region = y.region
    AND s.hour_ms - s.hour_ms % 86400000 = y.day_ms
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
      WHEN absence IS NOT NULL THEN absence
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
  OR state IN ('incomplete', 'missing', 'hole', 'silent')
ORDER BY hour NULLS LAST, account_id NULLS LAST, region NULLS LAST
