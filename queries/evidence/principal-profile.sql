/*
title = "Profile of a principal"
description = """
What the lake knows about each principal, one row a fact: the calls it made, the errors it got, the regions, accounts, addresses, clients,
access keys and sessions it used, the tables it touched; with first and last time. All sessions of a role are one principal. Name
a principal to see one; without a name all are shown.

All services in the lake count, not DynamoDB alone. For the fact 'table' the numbers count operations: each entry of a batch or
transaction is one. For every other fact they count events.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html"]
false_positives = []
needs = ["any"]
optional = ["control", "data.read", "data.write", "streams"]

[columns]
principal = "Who"
fact = "all, access key, account (whose trail recorded it), address, call, error, invoked by, region, session, table, user agent or VPC endpoint"
value = "The fact's value; absent for all"
times = "How many events; for a table how many operations"
ok = "Of these, those that worked"
denied = "Those that were denied"
failed = "Those that failed otherwise"
first_seen = "The first, UTC"
last_seen = "The last, UTC"
event_id = "One of the events"
*/
WITH calls AS (
  SELECT
    principal,
    event_time,
    event_id,
    CASE
      WHEN error_code IS NULL THEN 'ok'
      -- other services have no outcome
      WHEN outcome = 'denied'
        OR error_code IN ('AccessDenied', 'AccessDeniedException', 'UnauthorizedOperation', 'Client.UnauthorizedOperation', 'VpceAccessDenied')
        THEN 'denied'
      ELSE 'failed'
    END AS ending,
    -- not told is '', so that NULL below means: not grouped by
    coalesce(replace(event_source, '.amazonaws.com', '') || ':' || event_name, '') AS call_name,
    coalesce(error_code, '') AS error_code,
    coalesce(recipient_account_id, '') AS account_id,
    coalesce(aws_region, '') AS region,
    coalesce(source_ip_address, '') AS address,
    coalesce(user_agent, '') AS user_agent,
    coalesce(access_key_id, '') AS access_key,
    coalesce(session_name, '') AS session_name,
    coalesce(invoked_by, '') AS invoked_by,
    coalesce(vpc_endpoint_id, '') AS vpc_endpoint
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND principal IS NOT NULL
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
),
grouped AS (
  SELECT
    principal,
    call_name,
    error_code,
    account_id,
    region,
    address,
    user_agent,
    access_key,
    session_name,
    invoked_by,
    vpc_endpoint,
    count(*) AS times,
    count(*) FILTER (WHERE ending = 'ok') AS ok,
    count(*) FILTER (WHERE ending = 'denied') AS denied,
    count(*) FILTER (WHERE ending = 'failed') AS failed,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    min(event_id) AS event_id
  FROM calls
  GROUP BY GROUPING SETS (
    (principal),
    (principal, call_name),
    (principal, error_code),
    (principal, account_id),
    (principal, region),
    (principal, address),
    (principal, user_agent),
    (principal, access_key),
    (principal, session_name),
    (principal, invoked_by),
    (principal, vpc_endpoint)
  )
),
facts AS (
  SELECT
    principal,
    CASE
      WHEN call_name IS NOT NULL THEN 'call'
      WHEN error_code IS NOT NULL THEN 'error'
      WHEN account_id IS NOT NULL THEN 'account'
      WHEN region IS NOT NULL THEN 'region'
      WHEN address IS NOT NULL THEN 'address'
      WHEN user_agent IS NOT NULL THEN 'user agent'
      WHEN access_key IS NOT NULL THEN 'access key'
      WHEN session_name IS NOT NULL THEN 'session'
      WHEN invoked_by IS NOT NULL THEN 'invoked by'
      WHEN vpc_endpoint IS NOT NULL THEN 'VPC endpoint'
      ELSE 'all'
    END AS fact,
    coalesce(
      call_name, error_code, account_id, region, address, user_agent, access_key, session_name, invoked_by, vpc_endpoint
    ) AS value,
    times,
    ok,
    denied,
    failed,
    first_seen,
    last_seen,
    event_id
  FROM grouped
),
tables_touched AS (
  SELECT
    principal,
    table_name,
    count(*) AS times,
    count(*) FILTER (WHERE outcome = 'ok') AS ok,
    count(*) FILTER (WHERE outcome = 'denied') AS denied,
    count(*) FILTER (WHERE outcome NOT IN ('ok', 'denied')) AS failed,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    min(event_id) AS event_id
  FROM operations
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND principal IS NOT NULL
    AND table_name IS NOT NULL
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
  GROUP BY principal, table_name
)
SELECT
  principal,
  fact,
  value,
  times,
  ok,
  denied,
  failed,
  first_seen,
  last_seen,
  event_id
FROM facts
WHERE fact = 'all' OR value <> ''
UNION ALL
SELECT
  principal,
  'table' AS fact,
  table_name AS value,
  times,
  ok,
  denied,
  failed,
  first_seen,
  last_seen,
  event_id
FROM tables_touched
ORDER BY principal NULLS LAST, fact NULLS LAST, times DESC NULLS LAST, value NULLS LAST
