/*
title = "Scans by principals new to scanning"
description = """
A principal that scans a table for the first time in history_days days. All sessions of a role are one principal; its
calls are looked for in the whole account. A PartiQL SELECT without WHERE reads a whole table too and counts as a scan.
Only calls that succeeded count.

Nobody is called new unless item reads of the account were recorded on at least min_recorded_days of the days before.
Calls that AWS services made are left out, and so are pipelines.
"""
level = "medium"
attack = ["T1530"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html"]
false_positives = ["A new service or a new analyst.", "A yearly or monthly job: raise history_days, or name its role in site.pipeline_roles."]
needs = ["data.read"]
identity = ["recipient_account_id", "event_id"]
baseline_days = "history_days"
recorded_days = { parameter = "min_recorded_days", of = "account" }

[parameters.history_days]
type = "integer"
default = 10
about = "Days without a scan after which a principal counts as new"

[parameters.min_recorded_days]
type = "integer"
default = 7
about = "Fewest of those days on which item reads of the account must have been recorded"

[columns]
event_time = "When the first scan completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table scanned first"
principal = "Who is new"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
operation = "Scan or PartiQLSelect"
previous_scan = "The principal's scan before, if the lake has one, UTC"
recorded_days = "Days among history_days before on which item reads of the account were recorded"
scans = "Scan calls of the principal within 24 hours from the first"
tables = "Tables that these read"
last_seen = "The last of them, UTC"
event_id = "The first scan's event"
*/
WITH scans AS (
  SELECT
    event_time,
    event_time_ms,
    event_id,
    position,
    recipient_account_id,
    aws_region,
    table_name,
    table_arn,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    operation,
    dt
  FROM operations
  WHERE dt <= /*:until*/ '2999-12-31'
    AND plane = 'data'
    AND outcome = 'ok'
    AND (
      operation = 'Scan'
      OR (operation = 'PartiQLSelect' AND item_key IS NULL AND has_filter = false AND is_conditional = false)
    )
    AND is_service_made = false
    AND principal IS NOT NULL
    AND principal NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:principal*/ '' IN ('', principal)
),
marked AS (
  SELECT
    s.*,
    lag(event_time) OVER (PARTITION BY recipient_account_id, principal ORDER BY event_time_ms NULLS LAST, event_id NULLS LAST, position NULLS LAST) AS previous_scan,
    lag(event_time_ms) OVER (PARTITION BY recipient_account_id, principal ORDER BY event_time_ms NULLS LAST, event_id NULLS LAST, position NULLS LAST) AS previous_ms
  FROM scans s
),
firsts AS (
  SELECT *
  FROM marked
  WHERE dt >= /*:since*/ '2000-01-01'
    AND (previous_ms IS NULL OR event_time_ms - previous_ms > /*:history_days*/ 10 * CAST(86400000 AS bigint))
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
),
recorded AS (
  SELECT
    recipient_account_id,
    dt,
    min(event_time_ms - event_time_ms % 86400000) AS day_ms
  FROM operations
  WHERE dt <= /*:until*/ '2999-12-31'
    AND plane = 'data'
    AND access = 'read'
    AND /*:account*/ '' IN ('', recipient_account_id)
  GROUP BY recipient_account_id, dt
),
known AS (
  SELECT
    f.recipient_account_id,
    f.event_id,
    f.position,
    count(*) AS recorded_days
  FROM firsts f
  JOIN recorded r
    ON f.recipient_account_id = r.recipient_account_id
    AND r.day_ms < f.event_time_ms - f.event_time_ms % 86400000
    AND r.day_ms >= f.event_time_ms - f.event_time_ms % 86400000 - /*:history_days*/ 10 * CAST(86400000 AS bigint)
  GROUP BY f.recipient_account_id, f.event_id, f.position
),
following AS (
  SELECT
    f.recipient_account_id,
    f.event_id,
    f.position,
    count(*) AS scans,
    count(DISTINCT s.table_arn) AS tables,
    max(s.event_time) AS last_seen
  FROM firsts f
  JOIN scans s
    ON f.recipient_account_id = s.recipient_account_id
    AND f.principal = s.principal
    AND s.event_time_ms BETWEEN f.event_time_ms AND f.event_time_ms + 86400000
  GROUP BY f.recipient_account_id, f.event_id, f.position
)
SELECT
  f.event_time,
  f.recipient_account_id,
  f.aws_region,
  f.table_name,
  f.principal,
  f.session_name,
  f.access_key_id,
  f.source_ip_address,
  f.operation,
  f.previous_scan,
  k.recorded_days,
  n.scans,
  n.tables,
  n.last_seen,
  f.event_id
FROM firsts f
JOIN known k
  ON f.recipient_account_id = k.recipient_account_id
  AND f.event_id = k.event_id
  AND f.position = k.position
JOIN following n
  ON f.recipient_account_id = n.recipient_account_id
  AND f.event_id = n.event_id
  AND f.position = n.position
WHERE k.recorded_days >= /*:min_recorded_days*/ 7
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
