/*
title = "Changes and deletes outside working hours"
description = """
Changes of tables, backups, policies, exports and DAX clusters outside the working time, refused ones too, and items that people
deleted then. One row an hour, principal, session, table, operation and address. The working time is the site's: hours, weekdays
and the time zone's distance from UTC, from 7 to 19 o'clock UTC on Monday to Friday if nothing is said. It knows no holidays and no daylight saving.

Workloads delete items at all hours, so deleted items count only where the principal is a user, the root user, a federated user, a
session of Identity Center or a session named by an e-mail address. AWS services and expected pipelines are left out.
"""
level = "low"
attack = ["T1078.004"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = ["People on call.", "Programs that use the keys of an IAM user: name them in site.pipeline_roles."]
needs = ["control"]
identity = ["hour", "local_hour", "recipient_account_id", "aws_region", "principal", "session_name", "table_name", "operation", "access", "source_ip_address"]
optional = ["data.write", "dax"]

[columns]
hour = "The hour's begin, UTC"
first_seen = "When the first of them completed, UTC"
last_seen = "When the last completed, UTC"
local_hour = "The hour of the day in the site's time, 0 to 23"
local_weekday = "The weekday in the site's time, 1 (Monday) to 7"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
principal = "Who"
session_name = "The role session's name"
table_name = "The table"
operation = "Did what"
access = "delete, control_write, or read for an export and the source of a restore"
operations = "How often; items, where items were deleted"
ok = "Of these, those that worked"
denied = "Those that were denied"
failed = "Those that failed otherwise"
source_ip_address = "From where"
event_id = "One of the events"

[chart]
kind = "heat_map"
x = "local_hour"
y = "local_weekday"
value = "operations"
*/
WITH timed AS (
  SELECT
    event_time,
    event_time_ms - event_time_ms % 3600000 AS hour_ms,
    -- the site's clock
    event_time_ms + /*:utc_offset_minutes*/ 0 * CAST(60000 AS bigint) AS local_ms,
    recipient_account_id,
    aws_region,
    principal,
    session_name,
    table_name,
    operation,
    access,
    outcome,
    source_ip_address,
    event_id
  FROM operations
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND (
      (plane IN ('control', 'dax') AND access <> 'control_read')
      OR (
        plane = 'data'
        AND access = 'delete'
        AND (
          strpos(principal, ':user/') > 0
          OR strpos(principal, ':root') > 0
          OR strpos(principal, ':federated-user/') > 0
          OR strpos(principal, '/AWSReservedSSO_') > 0
          OR strpos(session_name, '@') > 0
        )
      )
    )
    AND is_service_made = false
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
),
clocked AS (
  SELECT
    t.*,
    CAST(floor(CAST(local_ms % 86400000 AS double) / 3600000e0) AS bigint) AS local_hour,
    -- 1970-01-01 was a Thursday: three days on, weeks begin with Monday
    CAST(floor(CAST((local_ms + 259200000) % 604800000 AS double) / 86400000e0) AS bigint) + 1 AS local_weekday
  FROM timed t
)
SELECT
  date_trunc('hour', min(event_time)) AS hour,
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  local_hour,
  local_weekday,
  recipient_account_id,
  aws_region,
  principal,
  session_name,
  table_name,
  operation,
  access,
  count(*) AS operations,
  count(*) FILTER (WHERE outcome = 'ok') AS ok,
  count(*) FILTER (WHERE outcome = 'denied') AS denied,
  count(*) FILTER (WHERE outcome NOT IN ('ok', 'denied')) AS failed,
  source_ip_address,
  min(event_id) AS event_id
FROM clocked
WHERE CASE
    -- a shift over midnight ends before it begins
    WHEN /*:work_start*/ 7 <= /*:work_end*/ 19
      THEN local_hour < /*:work_start*/ 7 OR local_hour >= /*:work_end*/ 19
    ELSE local_hour < /*:work_start*/ 7 AND local_hour >= /*:work_end*/ 19
  END
  OR strpos(
    /*:work_days*/ '12345',
    CASE local_weekday
      WHEN 1 THEN '1'
      WHEN 2 THEN '2'
      WHEN 3 THEN '3'
      WHEN 4 THEN '4'
      WHEN 5 THEN '5'
      WHEN 6 THEN '6'
      ELSE '7'
    END
  ) = 0
GROUP BY
  hour_ms,
  local_hour,
  local_weekday,
  recipient_account_id,
  aws_region,
  principal,
  session_name,
  table_name,
  operation,
  access,
  source_ip_address
ORDER BY
  first_seen NULLS LAST,
  recipient_account_id NULLS LAST,
  event_id NULLS LAST,
  table_name NULLS LAST,
  operation NULLS LAST,
  access NULLS LAST
