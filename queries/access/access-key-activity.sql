/*
title = "Activity of long-term access keys"
description = """
Each long-term access key (AKIA…) that called DynamoDB in the asked days: from when to when, from where, what it touched,
and whether it had been silent for long and then awoke. Silence is measured between days with any event of the key, of
any service that the lake holds, before the asked days too. What was not recorded looks like silence.
"""
level = "informational"
attack = ["T1078.004"]
references = ["https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html"]
false_positives = []
needs = ["any"]
optional = ["control", "data.read", "data.write", "streams", "dax"]

[parameters.silent_days]
type = "integer"
default = 30
about = "From how many days without an event on a key counts as awakened"

[columns]
recipient_account_id = "The account whose trail recorded the calls"
access_key_id = "The key"
principal = "Whose key it is"
first_seen = "Its first event in the asked days, UTC"
last_seen = "Its last event in the asked days, UTC"
active_days = "Days with an event"
events = "Its events of all services"
failed = "Of these, those that failed"
refused = "Of its calls to DynamoDB, those denied"
dynamodb_calls = "Its calls to DynamoDB and DAX"
tables = "How many tables it named"
reads = "Items and pages read: succeeded item reads, queries, scans, exports"
writes = "Items put or changed"
deletes = "Items deleted, and tables"
changes = "Succeeded control-plane changes"
addresses = "From how many addresses it came"
user_agents = "How many user agents it used"
regions = "In how many regions"
silent_before_days = "The longest silence that ended in the asked days: days without an event"
awakened = "The first event after that silence, UTC; null where it is shorter than silent_days"
event_id = "One of its events in the asked days"
*/
WITH per_day AS (
  SELECT
    recipient_account_id,
    access_key_id,
    principal,
    dt,
    min(event_time_ms - event_time_ms % 86400000) AS day_ms,
    min(event_time) AS first_seen
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND access_key_id LIKE 'AKIA%'
    AND coalesce(event_category, '-') <> 'NetworkActivity'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:principal*/ '' IN ('', principal)
  GROUP BY recipient_account_id, access_key_id, principal, dt
),
gaps AS (
  SELECT
    d.*,
    CAST(CAST(day_ms - lag(day_ms) OVER (PARTITION BY recipient_account_id, access_key_id, principal ORDER BY dt NULLS LAST) AS double) / 86400000 AS bigint) - 1 AS silent_before
  FROM per_day d
),
silences AS (
  SELECT
    g.*,
    row_number() OVER (PARTITION BY recipient_account_id, access_key_id, principal ORDER BY silent_before DESC NULLS LAST, dt NULLS LAST) AS place
  FROM gaps g
  WHERE dt >= /*:since*/ '2000-01-01'
),
calls AS (
  SELECT
    recipient_account_id,
    access_key_id,
    principal,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    count(DISTINCT dt) AS active_days,
    count(*) AS events,
    count(*) FILTER (WHERE error_code IS NOT NULL) AS failed,
    count(*) FILTER (WHERE outcome = 'denied') AS refused,
    count(*) FILTER (WHERE plane IS NOT NULL) AS dynamodb_calls,
    count(DISTINCT source_ip_address) AS addresses,
    count(DISTINCT user_agent) AS user_agents,
    count(DISTINCT aws_region) AS regions,
    min(event_id) AS event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND access_key_id LIKE 'AKIA%'
    AND coalesce(event_category, '-') <> 'NetworkActivity'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:principal*/ '' IN ('', principal)
  GROUP BY recipient_account_id, access_key_id, principal
),
touched AS (
  SELECT
    recipient_account_id,
    access_key_id,
    principal,
    count(DISTINCT table_name) AS tables,
    count(*) FILTER (WHERE outcome = 'ok' AND access = 'read') AS reads,
    count(*) FILTER (WHERE outcome = 'ok' AND access = 'write') AS writes,
    count(*) FILTER (WHERE outcome = 'ok' AND access = 'delete') AS deletes,
    count(*) FILTER (WHERE outcome = 'ok' AND access = 'control_write') AS changes
  FROM operations
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND access_key_id LIKE 'AKIA%'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:principal*/ '' IN ('', principal)
  GROUP BY recipient_account_id, access_key_id, principal
)
SELECT
  c.recipient_account_id,
  c.access_key_id,
  c.principal,
  c.first_seen,
  c.last_seen,
  c.active_days,
  c.events,
  c.failed,
  c.refused,
  c.dynamodb_calls,
  coalesce(t.tables, 0) AS tables,
  coalesce(t.reads, 0) AS reads,
  coalesce(t.writes, 0) AS writes,
  coalesce(t.deletes, 0) AS deletes,
  coalesce(t.changes, 0) AS changes,
  c.addresses,
  c.user_agents,
  c.regions,
  s.silent_before AS silent_before_days,
  CASE WHEN s.silent_before >= /*:silent_days*/ 30 THEN s.first_seen END AS awakened,
  c.event_id
FROM calls c
LEFT JOIN touched t
  ON c.recipient_account_id = t.recipient_account_id
  AND c.access_key_id = t.access_key_id
  AND coalesce(c.principal, '-') = coalesce(t.principal, '-')
LEFT JOIN silences s
  ON c.recipient_account_id = s.recipient_account_id
  AND c.access_key_id = s.access_key_id
  AND coalesce(c.principal, '-') = coalesce(s.principal, '-')
  AND s.place = 1
WHERE c.dynamodb_calls > 0
ORDER BY recipient_account_id NULLS LAST, access_key_id NULLS LAST, principal NULLS LAST
