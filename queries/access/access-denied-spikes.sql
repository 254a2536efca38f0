/*
title = "Spikes of refused calls"
description = """
Hours in which a principal was denied far more calls to DynamoDB, streams or DAX than is usual for it. Usual is the median
of its denied calls an hour over the baseline_days before that hour, over all hours in which it called DynamoDB at all, so
that hours without a denial count as 0. The threshold lies deviations robust standard deviations above it
(1.4826 times the median absolute deviation, which is taken as at least 0.5). All sessions of a role are one principal, and
all regions count together.

A principal with fewer than min_hours such hours has no baseline: it is listed from min_denied_new denied calls on.
Expired, unknown and badly signed credentials are not counted, nor are calls that AWS services made and those that a VPC
endpoint reports. Denied item calls are seen only where data events were recorded.
"""
level = "medium"
attack = ["T1078.004", "T1526"]
references = ["https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"]
false_positives = ["A workload whose permissions were taken away, or that was deployed before them.", "A new inventory or compliance scanner."]
needs = ["any"]
identity = ["hour", "recipient_account_id", "principal"]
optional = ["control", "data.read", "data.write", "streams", "dax"]
baseline_days = "baseline_days"

[parameters.baseline_days]
type = "integer"
default = 14
about = "How many days before the hour make its baseline"

[parameters.deviations]
type = "number"
default = 4.0
about = "How many robust standard deviations above the median are too many"

[parameters.min_hours]
type = "integer"
default = 5
about = "Fewest hours with calls that make a baseline"

[parameters.min_denied_new]
type = "integer"
default = 10
about = "Fewest denied calls in an hour of a principal without a baseline"

[columns]
hour = "The hour's begin, UTC"
first_seen = "When the hour's first denied call completed, UTC"
last_seen = "When the last one completed, UTC"
recipient_account_id = "The account whose trail recorded them"
principal = "Who was denied"
denied = "Denied calls in the hour"
calls = "All calls of the principal to DynamoDB in the hour"
baseline_median = "Median of denied calls an hour before; null without a baseline"
baseline_mad = "Median absolute deviation from it; null without a baseline"
threshold = "More denied calls than this are a spike; null without a baseline"
baseline_hours = "Hours with calls of the principal in the baseline"
event_names = "Different API calls among the denied ones"
tables = "Tables that the denied ones name"
regions = "Regions in which they were denied"
addresses = "Addresses from which they came"
event_name = "One of the denied API calls"
table_name = "One of the tables"
access_key_id = "One of the access keys used"
source_ip_address = "One of the addresses"
event_id = "One of the denied events"

[chart]
kind = "time_series"
x = "hour"
y = "principal"
value = "denied"
*/
WITH hourly AS (
  SELECT
    recipient_account_id,
    coalesce(principal, '-') AS principal,
    event_time_ms - event_time_ms % 3600000 AS hour_ms,
    date_trunc('hour', min(event_time)) AS hour,
    dt,
    count(*) AS calls,
    count(*) FILTER (WHERE outcome = 'denied' AND regexp_like(error_code, 'AccessDenied|NotAuthorized|UnauthorizedOperation')) AS denied
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND plane IS NOT NULL
    AND coalesce(event_category, '-') <> 'NetworkActivity'
    AND is_service_made = false
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:principal*/ '' IN ('', principal)
  GROUP BY recipient_account_id, coalesce(principal, '-'), event_time_ms - event_time_ms % 3600000, dt
),
asked AS (
  SELECT *
  FROM hourly
  WHERE dt >= /*:since*/ '2000-01-01'
    AND denied >= 1
),
before AS (
  SELECT
    a.recipient_account_id,
    a.principal,
    a.hour_ms,
    CAST(h.denied AS double) AS denied,
    row_number() OVER (PARTITION BY a.recipient_account_id, a.principal, a.hour_ms ORDER BY h.denied NULLS LAST, h.hour_ms NULLS LAST) AS place,
    count(*) OVER (PARTITION BY a.recipient_account_id, a.principal, a.hour_ms) AS hours
  FROM asked a
  JOIN hourly h
    ON a.recipient_account_id = h.recipient_account_id
    AND a.principal = h.principal
    AND h.hour_ms < a.hour_ms
    AND h.hour_ms >= a.hour_ms - /*:baseline_days*/ 14 * CAST(86400000 AS bigint)
),
medians AS (
  SELECT
    recipient_account_id,
    principal,
    hour_ms,
    avg(CASE WHEN 2 * place BETWEEN hours AND hours + 2 THEN denied END) AS baseline_median
  FROM before
  GROUP BY recipient_account_id, principal, hour_ms
),
deviating AS (
  SELECT
    b.recipient_account_id,
    b.principal,
    b.hour_ms,
    b.hours,
    m.baseline_median,
    abs(b.denied - m.baseline_median) AS deviation,
    row_number() OVER (PARTITION BY b.recipient_account_id, b.principal, b.hour_ms ORDER BY abs(b.denied - m.baseline_median) NULLS LAST, b.place NULLS LAST) AS place
  FROM before b
  JOIN medians m
    ON b.recipient_account_id = m.recipient_account_id
    AND b.principal = m.principal
    AND b.hour_ms = m.hour_ms
),
baselines AS (
  SELECT
    recipient_account_id,
    principal,
    hour_ms,
    hours AS baseline_hours,
    baseline_median,
    avg(CASE WHEN 2 * place BETWEEN hours AND hours + 2 THEN deviation END) AS baseline_mad
  FROM deviating
  GROUP BY recipient_account_id, principal, hour_ms, hours, baseline_median
),
compared AS (
  SELECT
    a.recipient_account_id,
    a.principal,
    a.hour_ms,
    a.hour,
    a.dt,
    a.calls,
    a.denied,
    coalesce(b.baseline_hours, 0) AS baseline_hours,
    CASE WHEN b.baseline_hours >= /*:min_hours*/ 5 THEN b.baseline_median END AS baseline_median,
    CASE WHEN b.baseline_hours >= /*:min_hours*/ 5 THEN b.baseline_mad END AS baseline_mad,
    CASE
      WHEN b.baseline_hours >= /*:min_hours*/ 5
        THEN b.baseline_median + /*:deviations*/ 4.0 * 1.4826e0 * CASE WHEN b.baseline_mad < 0.5e0 THEN 0.5e0 ELSE b.baseline_mad END
    END AS threshold
  FROM asked a
  LEFT JOIN baselines b
    ON a.recipient_account_id = b.recipient_account_id
    AND a.principal = b.principal
    AND a.hour_ms = b.hour_ms
),
spikes AS (
  SELECT *
  FROM compared
  WHERE CASE
    WHEN threshold IS NULL THEN denied >= /*:min_denied_new*/ 10
    ELSE CAST(denied AS double) > threshold
  END
),
refused AS (
  SELECT
    event_time,
    dt,
    event_time_ms - event_time_ms % 3600000 AS hour_ms,
    recipient_account_id,
    aws_region,
    coalesce(principal, '-') AS principal,
    event_name,
    table_name,
    access_key_id,
    source_ip_address,
    event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND outcome = 'denied'
    AND regexp_like(error_code, 'AccessDenied|NotAuthorized|UnauthorizedOperation')
    AND plane IS NOT NULL
    AND coalesce(event_category, '-') <> 'NetworkActivity'
    AND is_service_made = false
)
SELECT
  s.hour,
  min(r.event_time) AS first_seen,
  max(r.event_time) AS last_seen,
  s.recipient_account_id,
  s.principal,
  s.denied,
  s.calls,
  s.baseline_median,
  s.baseline_mad,
  round(s.threshold, 2) AS threshold,
  s.baseline_hours,
  count(DISTINCT r.event_name) AS event_names,
  count(DISTINCT r.table_name) AS tables,
  count(DISTINCT r.aws_region) AS regions,
  count(DISTINCT r.source_ip_address) AS addresses,
  min(r.event_name) AS event_name,
  min(r.table_name) AS table_name,
  min(r.access_key_id) AS access_key_id,
  min(r.source_ip_address) AS source_ip_address,
  min(r.event_id) AS event_id
FROM spikes s
JOIN refused r
  ON s.recipient_account_id = r.recipient_account_id
  AND s.principal = r.principal
  AND s.hour_ms = r.hour_ms
  AND s.dt = r.dt
GROUP BY s.hour, s.recipient_account_id, s.principal, s.denied, s.calls, s.baseline_median, s.baseline_mad, s.threshold, s.baseline_hours
HAVING max(CASE WHEN /*:region*/ '' IN ('', r.aws_region) THEN 1 ELSE 0 END) = 1
  AND max(CASE WHEN /*:table*/ '' IN ('', r.table_name) THEN 1 ELSE 0 END) = 1
ORDER BY hour NULLS LAST, recipient_account_id NULLS LAST, principal NULLS LAST
