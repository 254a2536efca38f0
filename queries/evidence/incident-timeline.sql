/*
title = "Incident timeline"
description = """
Everything that the lake holds around a moment, of all services, in order of time: one row an event, or a row for each of
its accesses where it holds several. The moment is the time of the event, if one is named, else the time given by at;
minutes reach to both sides of it, ends included. Each of principal, access_key, session, address and table narrows the
rows further. Without a moment, the whole asked time is shown, but only if one of these narrows it.

CloudTrail tells time by the second: within one second the order is not known. Give since and until as well where the
lake is large: only their days are read.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html"]
false_positives = []
needs = ["any"]
asks = ["at", "event", "principal", "access_key", "session", "address", "table"]
optional = ["control", "data.read", "data.write", "streams", "dax", "network"]

[parameters.at]
type = "timestamp"
default = "1970-01-01 00:00:00"
about = "The moment, UTC; the default stands for none"

[parameters.minutes]
type = "integer"
default = 60
about = "How many minutes before and after the moment are shown"

[parameters.event]
type = "text"
default = ""
about = "An event's id: the moment is then the time of that event"

[parameters.access_key]
type = "text"
default = ""
about = "Only events with this access key"

[parameters.session]
type = "text"
default = ""
about = "Only events of role sessions of this name"

[parameters.address]
type = "text"
default = ""
about = "Only events from this source address"

[columns]
event_time = "When the call completed, UTC"
seconds_from_start = "Seconds since the first event shown"
who = "The principal"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
event_source = "The service"
what = "The call, and what it did to the table where that has another name"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
item_key = "The item's key as logged"
statement = "The PartiQL statement as logged"
outcome = "How it ended; for other services ok or failed"
error_code = "The exception's name, if it failed"
is_service_made = "Whether an AWS service made the call"
user_agent = "With what"
event_id = "The event"
position = "The access's position in the event, from 0; null where the event has none"
*/
WITH named AS (
  SELECT min(event_time_ms) AS event_ms
  FROM events
  WHERE event_id = /*:event*/ ''
),
-- at in milliseconds since 1970, reckoned from its calendar parts, since no function for it is common to all engines
parts AS (
  SELECT
    CAST(extract(year FROM /*:at*/ timestamp '1970-01-01 00:00:00') AS double) AS y,
    CAST(extract(doy FROM /*:at*/ timestamp '1970-01-01 00:00:00') AS bigint) AS d,
    CAST(extract(hour FROM /*:at*/ timestamp '1970-01-01 00:00:00') AS bigint) AS h,
    CAST(extract(minute FROM /*:at*/ timestamp '1970-01-01 00:00:00') AS bigint) AS m,
    CAST(extract(second FROM /*:at*/ timestamp '1970-01-01 00:00:00') AS bigint) AS s
),
given AS (
  SELECT
    (
      CAST((y - 1970) * 365 + floor((y - 1969) / 4) - floor((y - 1901) / 100) + floor((y - 1601) / 400) AS bigint)
      + d - 1
    ) * 86400000 + h * 3600000 + m * 60000 + s * 1000 AS at_ms
  FROM parts
),
moment AS (
  SELECT
    CASE
      WHEN /*:event*/ '' <> '' THEN n.event_ms
      WHEN g.at_ms > 0 THEN g.at_ms
    END AS ms
  FROM named n
  CROSS JOIN given g
),
span AS (
  SELECT
    CASE
      WHEN ms IS NOT NULL THEN ms - /*:minutes*/ 60 * CAST(60000 AS bigint)
      WHEN /*:event*/ '' = '' AND (
        /*:principal*/ '' <> '' OR /*:access_key*/ '' <> '' OR /*:session*/ '' <> ''
        OR /*:address*/ '' <> '' OR /*:table*/ '' <> ''
      ) THEN -1
    END AS from_ms,
    CASE
      WHEN ms IS NOT NULL THEN ms + /*:minutes*/ 60 * CAST(60000 AS bigint)
      ELSE 32503680000000
    END AS to_ms
  FROM moment
),
narrowed AS (
  SELECT
    e.event_time,
    e.event_time_ms,
    e.dt,
    e.principal,
    e.session_name,
    e.access_key_id,
    e.source_ip_address,
    e.event_source,
    e.event_name,
    e.recipient_account_id,
    e.aws_region,
    e.table_name,
    e.outcome,
    e.error_code,
    e.is_service_made,
    e.user_agent,
    e.event_id
  FROM events e
  JOIN span s
    ON e.event_time_ms BETWEEN s.from_ms AND s.to_ms
  WHERE e.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND /*:account*/ '' IN ('', e.recipient_account_id)
    AND /*:region*/ '' IN ('', e.aws_region)
    AND /*:principal*/ '' IN ('', e.principal)
    AND /*:access_key*/ '' IN ('', e.access_key_id)
    AND /*:session*/ '' IN ('', e.session_name)
    AND /*:address*/ '' IN ('', e.source_ip_address)
),
shown AS (
  SELECT
    e.event_time,
    e.event_time_ms,
    e.principal AS who,
    e.session_name,
    e.access_key_id,
    e.source_ip_address,
    e.event_source,
    CASE WHEN o.operation <> e.event_name THEN e.event_name || ': ' || o.operation ELSE e.event_name END AS what,
    e.recipient_account_id,
    e.aws_region,
    coalesce(o.table_name, e.table_name) AS table_name,
    o.item_key,
    o.statement,
    coalesce(o.outcome, e.outcome, CASE WHEN e.error_code IS NULL THEN 'ok' ELSE 'failed' END) AS outcome,
    e.error_code,
    e.is_service_made,
    e.user_agent,
    e.event_id,
    o.position
  FROM narrowed e
  LEFT JOIN operations o
    ON o.event_id = e.event_id
    AND o.recipient_account_id = e.recipient_account_id
    AND o.dt = e.dt
    AND o.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  WHERE /*:table*/ '' IN ('', coalesce(o.table_name, e.table_name))
)
SELECT
  event_time,
  CAST(floor(CAST(event_time_ms - min(event_time_ms) OVER () AS double) / 1000) AS bigint) AS seconds_from_start,
  who,
  session_name,
  access_key_id,
  source_ip_address,
  event_source,
  what,
  recipient_account_id,
  aws_region,
  table_name,
  item_key,
  statement,
  outcome,
  error_code,
  is_service_made,
  user_agent,
  event_id,
  position
FROM shown
ORDER BY event_time NULLS LAST, event_id NULLS LAST, recipient_account_id NULLS LAST, position NULLS LAST, event_source NULLS LAST, what NULLS LAST
