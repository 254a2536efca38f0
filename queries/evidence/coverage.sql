/*
title = "What the archive covers"
description = """
Account by account and region by region: the objects of the archive, what became of them and of their records, and
the hours without any object. Objects count by the date and time in their keys; an account and region are those of
the key. Those whose key tells no date are counted whatever days are asked.

CloudTrail writes an object when there is something to write, so a quiet account has hours without one. Holes are
therefore counted only where objects usually come: every hour, if in at least min_share of the hours between the first
and the last, without the longest run that has none, one came, and these are at least min_hours; or else every day, if
on at least min_share of the days one came, and these are at least min_days. The 30 days before since count for this
too, a hole counts if an object of the asked days ends it, and hours of which a valid digest says that nothing was
delivered are none. silent_hours tells how long nothing has come since, measured to the last object of the whole
archive or the end of until. A hole says that no object was there to be read, not why.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-examples.html"]
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

[columns]
account_id = "The account in the keys"
region = "The region in the keys"
objects = "Log objects looked at, each once"
failed = "Of these, objects that could not be read at all, were gone, or held no record"
damaged = "Of these, objects read only as far as they go"
other_objects = "Integrity digests and what is nothing of CloudTrail"
records_seen = "Records in the objects"
records_kept = "Records that became rows, before copies across units were settled"
records_not_selected = "Records of other services, or not selected"
records_duplicate = "Copies of events that the unit had already"
records_quarantined = "Records that cannot be read"
events = "Events in the lake that name this account and region, on the asked days"
first_event = "The first of them, UTC"
last_event = "The last of them, UTC"
first_delivery = "When the first log object was delivered, UTC, to the minute"
last_delivery = "When the last log object was delivered, UTC, to the minute"
hours = "Hours from the first delivery to the last, both included"
hours_with_objects = "Hours in which a log object was delivered"
share = "hours_with_objects / hours"
every_hours = "How often objects usually come: every hour, 1, or every day, 24; empty where neither"
holes = "Runs of hours, or days, without an object; empty where every_hours is"
hole_hours = "The hours of all holes"
longest_hole_hours = "The hours of the longest hole"
longest_hole_after = "The last delivery, or quiet hour of a digest, before the longest hole, UTC; of equally long ones the first"
silent_hours = "Hours from the last delivery to the last of the whole archive, or to the end of until; empty where every_hours is"
*/
WITH objects AS (
  -- An object that failed and was read later has two rows.
  SELECT
    source,
    account_id,
    region,
    min(delivered_at) AS delivered_at,
    min(delivered_at_ms) AS delivered_at_ms,
    bool_or(status IN ('converted', 'damaged')) AS is_read,
    bool_or(status = 'damaged') AND NOT bool_or(status = 'converted') AS is_damaged,
    bool_or(status = 'digest' OR status = 'not_a_log' AND (account_id IS NULL OR delivered_at_ms IS NULL)) AS is_other,
    max(records_seen) AS records_seen,
    max(records_kept) AS records_kept,
    max(records_not_selected) AS records_not_selected,
    max(records_duplicate) AS records_duplicate,
    max(records_quarantined) AS records_quarantined
  FROM receipts
  WHERE (dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31' OR dt IS NULL)
  GROUP BY source, account_id, region
),
places AS (
  SELECT
    coalesce(account_id, '-') AS account_id,
    coalesce(region, '-') AS region,
    count(*) FILTER (WHERE NOT is_other) AS objects,
    count(*) FILTER (WHERE NOT is_other AND NOT is_read) AS failed,
    count(*) FILTER (WHERE is_damaged) AS damaged,
    count(*) FILTER (WHERE is_other) AS other_objects,
    sum(records_seen) AS records_seen,
    sum(records_kept) AS records_kept,
    sum(records_not_selected) AS records_not_selected,
    sum(records_duplicate) AS records_duplicate,
    sum(records_quarantined) AS records_quarantined,
    min(delivered_at) FILTER (WHERE NOT is_other) AS first_delivery,
    max(delivered_at) FILTER (WHERE NOT is_other) AS last_delivery
  FROM objects
  GROUP BY coalesce(account_id, '-'), coalesce(region, '-')
),
spans AS (
  SELECT
    coalesce(account_id, '-') AS account_id,
    coalesce(region, '-') AS region,
    CAST(round(CAST(max(delivered_at_ms - delivered_at_ms % 3600000) - min(delivered_at_ms - delivered_at_ms % 3600000) AS double) / 3600000.0) AS bigint) + 1 AS hours,
    count(DISTINCT delivered_at_ms - delivered_at_ms % 3600000) AS hours_with_objects
  FROM objects
  WHERE NOT is_other
    AND delivered_at_ms IS NOT NULL
  GROUP BY coalesce(account_id, '-'), coalesce(region, '-')
),
arrived AS (
  SELECT
    account_id,
    region,
    delivered_at_ms - delivered_at_ms % 3600000 AS hour_ms,
    max(delivered_at) AS delivered_at,
    min(dt) AS dt
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
    i.delivered_from_ms - i.delivered_from_ms % 3600000 AS hour_ms,
    max(i.delivered_from) AS delivered_at,
    min(i.dt) AS dt
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
  SELECT account_id, region, hour_ms, max(delivered_at) AS delivered_at, min(dt) AS dt
  FROM (
    SELECT account_id, region, hour_ms, delivered_at, dt FROM arrived
    UNION ALL
    SELECT account_id, region, hour_ms, delivered_at, dt FROM quiet
  ) t
  GROUP BY account_id, region, hour_ms
),
present_days AS (
  SELECT account_id, region, hour_ms - hour_ms % 86400000 AS day_ms, max(delivered_at) AS delivered_at, min(dt) AS dt
  FROM present
  GROUP BY account_id, region, hour_ms - hour_ms % 86400000
),
hour_steps AS (
  SELECT
    account_id,
    region,
    hour_ms,
    delivered_at,
    lead(hour_ms) OVER (PARTITION BY account_id, region ORDER BY hour_ms) - hour_ms - 3600000 AS hole_ms,
    lead(dt) OVER (PARTITION BY account_id, region ORDER BY hour_ms) AS ended_dt
  FROM present
),
hourly AS (
  SELECT
    account_id,
    region,
    max(hour_ms) AS last_ms,
    max(delivered_at) AS last_at,
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
    CAST(count(*) AS double) AS days_present,
    CAST(max(day_ms) - min(day_ms) AS double) / 86400000e0 + 1e0 AS days_judged
  FROM present_days
  GROUP BY account_id, region
),
habits AS (
  SELECT
    h.account_id,
    h.region,
    h.last_ms,
    h.last_at,
    CASE
      WHEN h.hours_judged >= /*:min_hours*/ 48 AND h.hours_present / h.hours_judged >= /*:min_share*/ 0.9 THEN 1
      WHEN d.days_judged >= /*:min_days*/ 7 AND d.days_present / d.days_judged >= /*:min_share*/ 0.9 THEN 24
    END AS every_hours
  FROM hourly h
  INNER JOIN daily d
    ON h.account_id = d.account_id
    AND h.region = d.region
),
-- The window's end is that of the archive, where nothing was delivered after it.
archive AS (
  SELECT
    coalesce(
      min(CASE WHEN dt > /*:until*/ '2999-12-31' THEN delivered_at_ms - delivered_at_ms % 86400000 END),
      max(delivered_at_ms - delivered_at_ms % 3600000)
    ) AS last_ms
  FROM receipts
  WHERE dt >= substr(CAST(CAST(/*:since*/ '2000-01-01' AS date) - INTERVAL '30' DAY AS varchar(40)), 1, 10)
    AND status <> 'digest'
    AND account_id IS NOT NULL
    AND region IS NOT NULL
    AND delivered_at_ms IS NOT NULL
),
steps AS (
  SELECT account_id, region, hour_ms AS begun_ms, delivered_at, hole_ms, ended_dt, 1 AS every_hours
  FROM hour_steps
  UNION ALL
  SELECT
    account_id,
    region,
    day_ms AS begun_ms,
    delivered_at,
    lead(day_ms) OVER (PARTITION BY account_id, region ORDER BY day_ms) - day_ms - 86400000 AS hole_ms,
    lead(dt) OVER (PARTITION BY account_id, region ORDER BY day_ms) AS ended_dt,
    24 AS every_hours
  FROM present_days
),
ranked AS (
  SELECT
    s.account_id,
    s.region,
    s.delivered_at,
    s.hole_ms,
    row_number() OVER (PARTITION BY s.account_id, s.region ORDER BY s.hole_ms DESC NULLS LAST, s.begun_ms) AS place
  FROM steps s
  INNER JOIN habits h
    ON s.account_id = h.account_id
    AND s.region = h.region
    AND s.every_hours = h.every_hours
  WHERE s.hole_ms > 0
    AND s.ended_dt >= /*:since*/ '2000-01-01'
),
holes AS (
  SELECT
    account_id,
    region,
    count(*) AS holes,
    CAST(round(CAST(sum(hole_ms) AS double) / 3600000.0) AS bigint) AS hole_hours,
    CAST(round(CAST(max(hole_ms) AS double) / 3600000.0) AS bigint) AS longest_hole_hours,
    max(CASE WHEN place = 1 THEN delivered_at END) AS longest_hole_after
  FROM ranked
  GROUP BY account_id, region
),
recorded AS (
  SELECT
    coalesce(recipient_account_id, '-') AS account_id,
    coalesce(aws_region, '-') AS region,
    count(*) AS events,
    min(event_time) AS first_event,
    max(event_time) AS last_event
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
  GROUP BY coalesce(recipient_account_id, '-'), coalesce(aws_region, '-')
),
named AS (
  SELECT account_id, region FROM places
  UNION
  -- Those that were silent on all of the asked days.
  SELECT account_id, region FROM habits WHERE every_hours IS NOT NULL
)
SELECT
  nullif(n.account_id, '-') AS account_id,
  nullif(n.region, '-') AS region,
  coalesce(p.objects, 0) AS objects,
  coalesce(p.failed, 0) AS failed,
  coalesce(p.damaged, 0) AS damaged,
  coalesce(p.other_objects, 0) AS other_objects,
  CAST(coalesce(p.records_seen, 0) AS bigint) AS records_seen,
  CAST(coalesce(p.records_kept, 0) AS bigint) AS records_kept,
  CAST(coalesce(p.records_not_selected, 0) AS bigint) AS records_not_selected,
  CAST(coalesce(p.records_duplicate, 0) AS bigint) AS records_duplicate,
  CAST(coalesce(p.records_quarantined, 0) AS bigint) AS records_quarantined,
  coalesce(r.events, 0) AS events,
  r.first_event,
  r.last_event,
  p.first_delivery,
  coalesce(p.last_delivery, b.last_at) AS last_delivery,
  coalesce(s.hours, 0) AS hours,
  coalesce(s.hours_with_objects, 0) AS hours_with_objects,
  round(CAST(s.hours_with_objects AS double) / CAST(s.hours AS double), 2) AS share,
  b.every_hours,
  CASE WHEN b.every_hours IS NOT NULL THEN coalesce(h.holes, 0) END AS holes,
  CASE WHEN b.every_hours IS NOT NULL THEN coalesce(h.hole_hours, 0) END AS hole_hours,
  CASE WHEN b.every_hours IS NOT NULL THEN coalesce(h.longest_hole_hours, 0) END AS longest_hole_hours,
  h.longest_hole_after,
  CASE
    WHEN b.every_hours IS NOT NULL THEN CAST(round(CAST(greatest(a.last_ms - b.last_ms, 0) AS double) / 3600000.0) AS bigint)
  END AS silent_hours
FROM named n
CROSS JOIN archive a
LEFT JOIN places p
  ON n.account_id = p.account_id
  AND n.region = p.region
LEFT JOIN spans s
  ON n.account_id = s.account_id
  AND n.region = s.region
LEFT JOIN habits b
  ON n.account_id = b.account_id
  AND n.region = b.region
LEFT JOIN holes h
  ON n.account_id = h.account_id
  AND n.region = h.region
LEFT JOIN recorded r
  ON n.account_id = r.account_id
  AND n.region = r.region
WHERE /*:account*/ '' IN ('', n.account_id)
  AND /*:region*/ '' IN ('', n.region)
ORDER BY account_id NULLS LAST, region NULLS LAST
