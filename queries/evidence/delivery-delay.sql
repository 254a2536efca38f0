/*
title = "Delivery delays"
description = """
How long CloudTrail took from a call to the object that holds its record: percentiles and late records by account
and region. The time of delivery is that in the object's name, to the minute, so a delay can be off by a minute and
even below zero. An event that was delivered twice counts with the copy that the lake keeps. A percentile is the
smallest delay that so many in a hundred records don't exceed. The lake's newest events are complete only when the
longest delay has passed.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/awscloudtrail/latest/userguide/how-cloudtrail-works.html"]
false_positives = []
needs = ["any"]

[parameters.late_minutes]
type = "integer"
default = 60
about = "A record is late if it was delivered more than so many minutes after the call"

[columns]
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
records = "Events whose time and delivery are known"
p50_minutes = "Half of the delays are at most this, minutes"
p90_minutes = "90 in 100, minutes"
p95_minutes = "95 in 100, minutes"
p99_minutes = "99 in 100, minutes"
longest_minutes = "The longest delay, minutes"
late_records = "Records later than late_minutes"
announced_late_records = "Records that say themselves that they were delayed (addendum.reason DELIVERY_DELAY)"
unknown_delivery = "Events for whose object the key tells no time"
first_seen = "The first of the events, UTC"
last_seen = "The last of the events, UTC"
event_id = "One of the events with the longest delay"
*/
WITH deliveries AS (
  SELECT source, max(delivered_at_ms) AS delivered_at_ms
  FROM receipts
  GROUP BY source
),
delays AS (
  SELECT
    e.recipient_account_id,
    e.aws_region,
    d.delivered_at_ms - (e.event_time_ms - e.event_time_ms % 1000) AS delay_ms,
    count(*) AS records,
    count(*) FILTER (WHERE strpos(e.addendum, 'DELIVERY_DELAY') > 0) AS announced,
    min(e.event_time) AS first_seen,
    max(e.event_time) AS last_seen,
    min(e.event_id) AS event_id
  FROM events e
  LEFT JOIN deliveries d
    ON e.source = d.source
  WHERE e.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND /*:account*/ '' IN ('', e.recipient_account_id)
    AND /*:region*/ '' IN ('', e.aws_region)
    AND /*:table*/ '' IN ('', e.table_name)
    AND /*:principal*/ '' IN ('', e.principal)
  GROUP BY
    e.recipient_account_id,
    e.aws_region,
    d.delivered_at_ms - (e.event_time_ms - e.event_time_ms % 1000)
),
ranked AS (
  SELECT
    recipient_account_id,
    aws_region,
    delay_ms,
    records,
    announced,
    first_seen,
    last_seen,
    event_id,
    CASE WHEN delay_ms IS NOT NULL THEN records ELSE 0 END AS known_records,
    sum(CASE WHEN delay_ms IS NOT NULL THEN records ELSE 0 END) OVER (
      PARTITION BY recipient_account_id, aws_region
      ORDER BY delay_ms NULLS LAST
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS up_to_here,
    sum(CASE WHEN delay_ms IS NOT NULL THEN records ELSE 0 END) OVER (
      PARTITION BY recipient_account_id, aws_region
    ) AS all_records,
    max(delay_ms) OVER (PARTITION BY recipient_account_id, aws_region) AS longest_ms
  FROM delays
),
places AS (
  SELECT
    recipient_account_id,
    aws_region,
    CAST(sum(known_records) AS bigint) AS records,
    min(CASE WHEN up_to_here * 100 >= all_records * 50 THEN delay_ms END) AS p50_ms,
    min(CASE WHEN up_to_here * 100 >= all_records * 90 THEN delay_ms END) AS p90_ms,
    min(CASE WHEN up_to_here * 100 >= all_records * 95 THEN delay_ms END) AS p95_ms,
    min(CASE WHEN up_to_here * 100 >= all_records * 99 THEN delay_ms END) AS p99_ms,
    max(delay_ms) AS longest_ms,
    CAST(sum(CASE WHEN delay_ms > /*:late_minutes*/ 60 * CAST(60000 AS bigint) THEN records ELSE 0 END) AS bigint) AS late_records,
    CAST(sum(announced) AS bigint) AS announced_late_records,
    CAST(sum(records - known_records) AS bigint) AS unknown_delivery,
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen,
    min(CASE WHEN delay_ms = longest_ms THEN event_id END) AS event_id
  FROM ranked
  GROUP BY recipient_account_id, aws_region
)
SELECT
  recipient_account_id,
  aws_region,
  records,
  round(CAST(p50_ms AS double) / 60000.0, 2) AS p50_minutes,
  round(CAST(p90_ms AS double) / 60000.0, 2) AS p90_minutes,
  round(CAST(p95_ms AS double) / 60000.0, 2) AS p95_minutes,
  round(CAST(p99_ms AS double) / 60000.0, 2) AS p99_minutes,
  round(CAST(longest_ms AS double) / 60000.0, 2) AS longest_minutes,
  late_records,
  announced_late_records,
  unknown_delivery,
  first_seen,
  last_seen,
  event_id
FROM places
ORDER BY recipient_account_id NULLS LAST, aws_region NULLS LAST
