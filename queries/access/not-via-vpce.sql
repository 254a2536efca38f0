/*
title = "Calls past the VPC endpoint"
description = """
Principals that always come through a VPC endpoint, and for once did not: one row a principal, session, key, address,
client and day. Credentials stolen from a workload in your network show themselves like this when used elsewhere.

Usual is decided by the recorded days before the day in question alone: at least history_days days with calls, at least
min_calls calls, and a share of min_share of them through an endpoint. Refused calls count. Calls that AWS services made
do not, nor do the events of the endpoints themselves.
"""
level = "medium"
attack = ["T1078.004", "T1528"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/vpc-endpoints-dynamodb.html", "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html"]
false_positives = ["A workload that was moved, or whose route to the endpoint was removed: all its calls pass it from then on.", "A region without an endpoint."]
needs = ["any"]
identity = ["day", "recipient_account_id", "aws_region", "principal", "session_name", "access_key_id", "source_ip_address", "user_agent"]
optional = ["control", "data.read", "data.write", "streams", "dax"]
baseline_days = "history_days"
recorded_days = { parameter = "history_days", of = "account" }

[parameters.history_days]
type = "integer"
default = 3
about = "Fewest days with calls of the principal before the day in question"

[parameters.min_calls]
type = "integer"
default = 20
about = "Fewest calls of the principal on those days"

[parameters.min_share]
type = "number"
default = 0.99
about = "Smallest share of those calls that came through an endpoint, from 0 to 1"

[columns]
day = "The day, UTC"
first_seen = "The first call past the endpoint, UTC"
last_seen = "The last one, UTC"
recipient_account_id = "The account whose trail recorded them"
aws_region = "The region"
principal = "Who called"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
calls = "Calls past the endpoint"
succeeded = "Of these, those that succeeded"
refused = "Of these, those denied"
tables = "How many tables they named, calls on several tables aside"
usual_days = "Days with calls before"
usual_calls = "Calls on those days"
usual_share = "The share of those that came through an endpoint"
event_id = "One of the events"
*/
WITH per_day AS (
  SELECT
    recipient_account_id,
    principal,
    dt,
    count(*) AS calls,
    count(vpc_endpoint_id) AS through
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND plane IS NOT NULL
    AND is_service_made = false
    AND principal IS NOT NULL
    AND coalesce(event_category, '-') <> 'NetworkActivity'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:principal*/ '' IN ('', principal)
  GROUP BY recipient_account_id, principal, dt
),
before AS (
  SELECT
    recipient_account_id,
    principal,
    dt,
    calls - through AS past,
    row_number() OVER (PARTITION BY recipient_account_id, principal ORDER BY dt NULLS LAST) - 1 AS usual_days,
    CAST(sum(calls) OVER (PARTITION BY recipient_account_id, principal ORDER BY dt NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS bigint) - calls AS usual_calls,
    CAST(sum(through) OVER (PARTITION BY recipient_account_id, principal ORDER BY dt NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS bigint) - through AS usual_through
  FROM per_day
),
days AS (
  SELECT
    recipient_account_id,
    principal,
    dt,
    usual_days,
    usual_calls,
    CAST(usual_through AS double) / nullif(CAST(usual_calls AS double), 0) AS share
  FROM before
  WHERE past > 0
    AND dt >= /*:since*/ '2000-01-01'
    AND usual_days >= /*:history_days*/ 3
    AND usual_calls >= /*:min_calls*/ 20
)
SELECT
  e.dt AS day,
  min(e.event_time) AS first_seen,
  max(e.event_time) AS last_seen,
  e.recipient_account_id,
  e.aws_region,
  e.principal,
  e.session_name,
  e.access_key_id,
  e.source_ip_address,
  e.user_agent,
  count(*) AS calls,
  count(*) FILTER (WHERE e.outcome = 'ok') AS succeeded,
  count(*) FILTER (WHERE e.outcome = 'denied') AS refused,
  count(DISTINCT e.table_name) AS tables,
  CAST(d.usual_days AS bigint) AS usual_days,
  d.usual_calls,
  round(d.share, 4) AS usual_share,
  min(e.event_id) AS event_id
FROM events e
JOIN days d
  ON e.recipient_account_id = d.recipient_account_id
  AND e.principal = d.principal
  AND e.dt = d.dt
WHERE e.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND e.plane IS NOT NULL
  AND e.is_service_made = false
  AND e.vpc_endpoint_id IS NULL
  AND coalesce(e.event_category, '-') <> 'NetworkActivity'
  AND d.share >= /*:min_share*/ 0.99
  AND e.principal NOT IN (/*:pipeline_roles*/ '')
  AND coalesce(e.source_ip_address, '-') NOT IN (/*:allowed_addresses*/ '')
  AND /*:region*/ '' IN ('', e.aws_region)
  AND /*:table*/ '' IN ('', e.table_name)
GROUP BY e.dt, e.recipient_account_id, e.aws_region, e.principal, e.session_name, e.access_key_id, e.source_ip_address, e.user_agent, d.usual_days, d.usual_calls, d.share
ORDER BY first_seen NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
