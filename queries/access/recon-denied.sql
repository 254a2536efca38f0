/*
title = "Refused looking around"
description = """
A principal that was denied several different calls that only look, within a few minutes: List, Describe and Get of any
service in the lake, item reads of DynamoDB too, with DynamoDB among them. Users of leaked keys begin like this, since they don't
know what the key may do.

One row a principal and day (UTC), with the span of minutes that holds most kinds of calls; spans are counted in whole
minutes of the clock, and all regions count together. Sessions out of the console are left out unless include_console is
set: there, one page asks for many things at once. So are calls that AWS services made. Item reads that were denied are seen only
where data events were recorded.
"""
level = "medium"
attack = ["T1526", "T1580", "T1069.003"]
references = ["https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"]
false_positives = ["Inventory and compliance scanners without the permissions that they need.", "Tools for infrastructure as code that read a state which they may not see."]
needs = ["control"]
identity = ["day", "recipient_account_id", "principal"]
optional = ["data.read", "streams", "dax"]

[parameters.minutes]
type = "integer"
default = 10
about = "Length of the span in minutes"

[parameters.min_calls]
type = "integer"
default = 4
about = "Fewest denied calls in the span worth a row"

[parameters.min_event_names]
type = "integer"
default = 3
about = "Fewest different calls among them"

[parameters.include_console]
type = "boolean"
default = false
about = "Whether sessions out of the console count"

[columns]
day = "The day, UTC"
first_seen = "When the span's first denied call completed, UTC"
last_seen = "When its last one completed, UTC"
recipient_account_id = "The account whose trail recorded them"
principal = "Who looked around"
user_type = "The kind of identity"
calls = "Denied calls in the span"
event_names = "Different API calls among them"
dynamodb_calls = "Of the calls, those to DynamoDB, streams or DAX"
services = "Services that were asked"
regions = "Regions in which they were asked"
tables = "Tables that the calls name"
spans_of_day = "Minutes of the day at which such a span begins"
access_key_id = "One of the access keys used"
source_ip_address = "One of the addresses"
user_agent = "One of the clients"
event_id = "One of the denied events of DynamoDB"
*/
WITH looks AS (
  SELECT
    recipient_account_id,
    coalesce(principal, '-') AS principal,
    dt,
    event_time_ms - event_time_ms % 60000 AS minute_ms,
    event_source,
    event_name,
    aws_region,
    table_name,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    count(*) AS calls,
    count(plane) AS dynamodb_calls,
    min(user_type) AS user_type,
    min(access_key_id) AS access_key_id,
    min(source_ip_address) AS source_ip_address,
    min(user_agent) AS user_agent,
    min(CASE WHEN plane IS NOT NULL THEN event_id END) AS event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND error_code IS NOT NULL
    AND regexp_like(error_code, 'AccessDenied|NotAuthorized|UnauthorizedOperation')
    AND coalesce(event_category, '-') <> 'NetworkActivity'
    AND (
      regexp_like(event_name, '^(List|Describe|Get)')
      OR (plane = 'data' AND event_name IN ('Query', 'Scan', 'BatchGetItem', 'TransactGetItems'))
    )
    AND is_service_made = false
    AND (/*:include_console*/ false OR coalesce(session_credential_from_console, '-') <> 'true')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:principal*/ '' IN ('', principal)
  GROUP BY
    recipient_account_id,
    coalesce(principal, '-'),
    dt,
    event_time_ms - event_time_ms % 60000,
    event_source,
    event_name,
    aws_region,
    table_name
),
starts AS (
  SELECT DISTINCT recipient_account_id, principal, dt, minute_ms
  FROM looks
),
spans AS (
  SELECT
    s.recipient_account_id,
    s.principal,
    s.dt,
    s.minute_ms,
    min(l.first_seen) AS first_seen,
    max(l.last_seen) AS last_seen,
    min(l.user_type) AS user_type,
    sum(l.calls) AS calls,
    count(DISTINCT l.event_source || '/' || l.event_name) AS event_names,
    sum(l.dynamodb_calls) AS dynamodb_calls,
    count(DISTINCT l.event_source) AS services,
    count(DISTINCT l.aws_region) AS regions,
    count(DISTINCT l.table_name) AS tables,
    min(l.access_key_id) AS access_key_id,
    min(l.source_ip_address) AS source_ip_address,
    min(l.user_agent) AS user_agent,
    min(l.event_id) AS event_id,
    max(CASE WHEN /*:region*/ '' IN ('', l.aws_region) THEN 1 ELSE 0 END) AS in_region,
    max(CASE WHEN /*:table*/ '' IN ('', l.table_name) THEN 1 ELSE 0 END) AS on_table
  FROM starts s
  JOIN looks l
    ON s.recipient_account_id = l.recipient_account_id
    AND s.principal = l.principal
    AND l.minute_ms BETWEEN s.minute_ms AND s.minute_ms + (/*:minutes*/ 10 - 1) * 60000
  GROUP BY s.recipient_account_id, s.principal, s.dt, s.minute_ms
),
ranked AS (
  SELECT
    p.*,
    count(*) OVER (PARTITION BY recipient_account_id, principal, dt) AS spans_of_day,
    row_number() OVER (
      PARTITION BY recipient_account_id, principal, dt
      ORDER BY event_names DESC NULLS LAST, calls DESC NULLS LAST, minute_ms NULLS LAST
    ) AS place
  FROM spans p
  WHERE calls >= /*:min_calls*/ 4
    AND event_names >= /*:min_event_names*/ 3
    AND dynamodb_calls >= 1
    AND in_region = 1
    AND on_table = 1
)
SELECT
  dt AS day,
  first_seen,
  last_seen,
  recipient_account_id,
  principal,
  user_type,
  CAST(calls AS bigint) AS calls,
  event_names,
  CAST(dynamodb_calls AS bigint) AS dynamodb_calls,
  services,
  regions,
  tables,
  spans_of_day,
  access_key_id,
  source_ip_address,
  user_agent,
  event_id
FROM ranked
WHERE place = 1
ORDER BY first_seen NULLS LAST, recipient_account_id NULLS LAST, principal NULLS LAST
