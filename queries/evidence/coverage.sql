/*
title = "What the archive covers"
description = """
Account by account and region by region: the objects of the archive, what became of them and of their records, and
the hours without any object. Objects count by the date and time in their keys; an account and region are those of
the key. Those whose key tells no date are counted whatever days are asked.

CloudTrail writes an object when there is something to write, so a quiet account has hours without one. Holes are
therefore counted only where objects came in at least min_share of the hours between the first and the last, and
these are at least min_hours. silent_hours tells how long nothing has come since, measured to the last object of the
whole archive. A hole says that no object was there to be read, not why.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-examples.html"]
false_positives = []
needs = ["receipts"]

[parameters.min_share]
type = "number"
default = 0.8
about = "The share of hours with objects from which on an hour without one is a hole"

[parameters.min_hours]
type = "integer"
default = 24
about = "The least hours between the first object and the last for holes to be counted"

[columns]
account_id = "The account in the keys"
region = "The region in the keys"
objects = "Log objects looked at, each once"
failed = "Of these, objects that could not be read at all, or were gone"
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
holes = "Runs of hours without an object; empty where hours or share are too few"
hole_hours = "The hours of all holes"
longest_hole_hours = "The hours of the longest hole"
longest_hole_after = "The last delivery before the longest hole, UTC; of equally long ones the first"
silent_hours = "Hours from the last delivery to the last of the whole archive; empty where hours or share are too few"
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
    bool_or(status IN ('digest', 'not_a_log')) AS is_other,
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
hours AS (
  SELECT
    coalesce(account_id, '-') AS account_id,
    coalesce(region, '-') AS region,
    delivered_at_ms - delivered_at_ms % 3600000 AS hour_ms,
    max(delivered_at) AS delivered_at
  FROM objects
  WHERE NOT is_other
    AND delivered_at_ms IS NOT NULL
  GROUP BY coalesce(account_id, '-'), coalesce(region, '-'), delivered_at_ms - delivered_at_ms % 3600000
),
steps AS (
  SELECT
    account_id,
    region,
    hour_ms,
    delivered_at,
    lead(hour_ms) OVER (PARTITION BY account_id, region ORDER BY hour_ms) - hour_ms - 3600000 AS hole_ms,
    max(hour_ms) OVER () AS archive_last_ms
  FROM hours
),
ranked AS (
  SELECT
    account_id,
    region,
    hour_ms,
    delivered_at,
    hole_ms,
    archive_last_ms,
    row_number() OVER (PARTITION BY account_id, region ORDER BY hole_ms DESC NULLS LAST, hour_ms) AS place
  FROM steps
),
spans AS (
  SELECT
    account_id,
    region,
    CAST(round(CAST(max(hour_ms) - min(hour_ms) AS double) / 3600000.0) AS bigint) + 1 AS hours,
    count(*) AS hours_with_objects,
    count(*) FILTER (WHERE hole_ms > 0) AS holes,
    CAST(round(CAST(coalesce(sum(hole_ms), 0) AS double) / 3600000.0) AS bigint) AS hole_hours,
    CAST(round(CAST(coalesce(max(hole_ms), 0) AS double) / 3600000.0) AS bigint) AS longest_hole_hours,
    max(CASE WHEN place = 1 AND hole_ms > 0 THEN delivered_at END) AS longest_hole_after,
    CAST(round(CAST(max(archive_last_ms) - max(hour_ms) AS double) / 3600000.0) AS bigint) AS silent_hours
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
judged AS (
  SELECT
    p.account_id,
    p.region,
    p.objects,
    p.failed,
    p.damaged,
    p.other_objects,
    p.records_seen,
    p.records_kept,
    p.records_not_selected,
    p.records_duplicate,
    p.records_quarantined,
    p.first_delivery,
    p.last_delivery,
    s.hours,
    s.hours_with_objects,
    round(CAST(s.hours_with_objects AS double) / CAST(s.hours AS double), 2) AS share,
    s.hours >= /*:min_hours*/ 24
      AND CAST(s.hours_with_objects AS double) / CAST(s.hours AS double) >= /*:min_share*/ 0.8 AS is_steady,
    s.holes,
    s.hole_hours,
    s.longest_hole_hours,
    s.longest_hole_after,
    s.silent_hours
  FROM places p
  LEFT JOIN spans s
    ON p.account_id = s.account_id
    AND p.region = s.region
)
SELECT
  nullif(j.account_id, '-') AS account_id,
  nullif(j.region, '-') AS region,
  j.objects,
  j.failed,
  j.damaged,
  j.other_objects,
  CAST(j.records_seen AS bigint) AS records_seen,
  CAST(j.records_kept AS bigint) AS records_kept,
  CAST(j.records_not_selected AS bigint) AS records_not_selected,
  CAST(j.records_duplicate AS bigint) AS records_duplicate,
  CAST(j.records_quarantined AS bigint) AS records_quarantined,
  coalesce(r.events, 0) AS events,
  r.first_event,
  r.last_event,
  j.first_delivery,
  j.last_delivery,
  j.hours,
  j.hours_with_objects,
  j.share,
  CASE WHEN j.is_steady THEN j.holes END AS holes,
  CASE WHEN j.is_steady THEN j.hole_hours END AS hole_hours,
  CASE WHEN j.is_steady THEN j.longest_hole_hours END AS longest_hole_hours,
  CASE WHEN j.is_steady THEN j.longest_hole_after END AS longest_hole_after,
  CASE WHEN j.is_steady THEN j.silent_hours END AS silent_hours
FROM judged j
LEFT JOIN recorded r
  ON j.account_id = r.account_id
  AND j.region = r.region
WHERE /*:account*/ '' IN ('', j.account_id)
  AND /*:region*/ '' IN ('', j.region)
ORDER BY account_id NULLS LAST, region NULLS LAST
