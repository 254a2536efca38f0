/*
title = "Clients new to a table"
description = """
Client programs that used a table for the first time in the asked window, with who ran them. A client is the first product
that the user agent names, without its version: aws-cli, Boto3, aws-sdk-java, Mozilla (the console), Terraform. So an
upgrade does not make a client new; exact = true compares the whole text. Refused calls count too.

A caller may write into the user agent what it likes: a known client proves nothing.

The lake itself must hold the history: at least history_days days, before the day of the first sight, on which it has
events of the table. Where the first sight is an access to items or to the stream, only days with recorded accesses of
that kind count, so that nothing is new merely because data events have just been switched on. So a table that is itself
new gives no rows. The trail of the table's owner is read. Calls that AWS services made are left out.
"""
level = "medium"
attack = ["T1078.004", "T1530"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = ["A service moved to another SDK.", "A person who takes the command line in place of the console."]
needs = ["any"]
identity = ["recipient_account_id", "aws_region", "table_name", "client", "principal"]
optional = ["control", "data.read", "data.write", "streams"]
baseline_days = "history_days"
recorded_days = { parameter = "history_days", of = "table" }

[parameters.history_days]
type = "integer"
default = 7
about = "Fewest recorded days of the table before the day of the first sight"

[parameters.exact]
type = "boolean"
default = false
about = "Whether the whole user agent counts, with versions"

[columns]
first_seen = "When the principal's first call with the client completed, UTC"
last_seen = "When its last call with it in the asked window completed, UTC"
recipient_account_id = "The account that owns the table"
aws_region = "The region"
table_name = "The table"
client = "The client that is new"
principal = "Who ran it"
user_agent = "The client, as it calls itself in full (one of the texts)"
calls = "Calls since; a batch is one"
succeeded = "Of these, those that succeeded"
refused = "Of these, those denied"
history_days = "Recorded days of the table before the day of the first sight"
event_id = "One of the events"
*/
WITH named AS (
  SELECT
    s.*,
    CASE
      WHEN /*:exact*/ false THEN value
      WHEN value LIKE '%Terraform%' THEN 'Terraform'
      WHEN value LIKE 'leb-kcl-%' THEN 'leb-kcl'
      ELSE nullif(split_part(replace(value, '[', ''), '/', 1), '')
    END AS client
  FROM sightings s
  WHERE kind = 'user_agent'
    AND dt <= /*:until*/ '2999-12-31'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
),
seen AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    client,
    principal,
    is_service_made,
    dt,
    sum(operations) AS calls,
    sum(succeeded) AS succeeded,
    sum(refused) AS refused,
    sum(on_control) AS on_control,
    sum(on_data) AS on_data,
    sum(on_streams) AS on_streams,
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen,
    min(value) AS user_agent,
    min(event_id) AS event_id
  FROM named
  GROUP BY recipient_account_id, aws_region, table_name, client, principal, is_service_made, dt
),
table_days AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    dt,
    CASE WHEN sum(on_data) > 0 THEN 1 ELSE 0 END AS has_data,
    CASE WHEN sum(on_streams) > 0 THEN 1 ELSE 0 END AS has_streams
  FROM seen
  GROUP BY recipient_account_id, aws_region, table_name, dt
),
-- for each day of a table: how many recorded days lie before it
history AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    dt,
    row_number() OVER (PARTITION BY recipient_account_id, aws_region, table_name ORDER BY dt NULLS LAST) - 1 AS days_before,
    sum(has_data) OVER (PARTITION BY recipient_account_id, aws_region, table_name ORDER BY dt NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) - has_data AS data_days_before,
    sum(has_streams) OVER (PARTITION BY recipient_account_id, aws_region, table_name ORDER BY dt NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) - has_streams AS stream_days_before
  FROM table_days
),
firsts AS (
  SELECT recipient_account_id, aws_region, table_name, client, min(dt) AS first_dt
  FROM seen
  WHERE is_service_made = false
    AND client IS NOT NULL
  GROUP BY recipient_account_id, aws_region, table_name, client
),
marked AS (
  SELECT
    s.*,
    f.first_dt
  FROM firsts f
  JOIN seen s
    ON f.recipient_account_id = s.recipient_account_id
    AND f.aws_region = s.aws_region
    AND f.table_name = s.table_name
    AND f.client = s.client
  WHERE s.is_service_made = false
),
-- the first day decides which kinds of history count
arrivals AS (
  SELECT
    m.recipient_account_id,
    m.aws_region,
    m.table_name,
    m.client,
    m.first_dt,
    CAST(CASE
      WHEN sum(m.on_control) > 0 THEN max(h.days_before)
      WHEN sum(m.on_streams) > 0 AND (sum(m.on_data) = 0 OR max(h.stream_days_before) > max(h.data_days_before)) THEN max(h.stream_days_before)
      ELSE max(h.data_days_before)
    END AS bigint) AS history_days
  FROM marked m
  JOIN history h
    ON m.recipient_account_id = h.recipient_account_id
    AND m.aws_region = h.aws_region
    AND m.table_name = h.table_name
    AND m.dt = h.dt
  WHERE m.dt = m.first_dt
    AND m.first_dt >= /*:since*/ '2000-01-01'
  GROUP BY m.recipient_account_id, m.aws_region, m.table_name, m.client, m.first_dt
)
SELECT
  min(m.first_seen) AS first_seen,
  max(m.last_seen) AS last_seen,
  m.recipient_account_id,
  m.aws_region,
  m.table_name,
  m.client,
  m.principal,
  min(m.user_agent) AS user_agent,
  CAST(sum(m.calls) AS bigint) AS calls,
  CAST(sum(m.succeeded) AS bigint) AS succeeded,
  CAST(sum(m.refused) AS bigint) AS refused,
  a.history_days,
  min(m.event_id) AS event_id
FROM marked m
JOIN arrivals a
  ON m.recipient_account_id = a.recipient_account_id
  AND m.aws_region = a.aws_region
  AND m.table_name = a.table_name
  AND m.client = a.client
WHERE a.history_days >= /*:history_days*/ 7
  AND coalesce(m.principal, '-') NOT IN (/*:pipeline_roles*/ '')
  AND /*:principal*/ '' IN ('', m.principal)
GROUP BY m.recipient_account_id, m.aws_region, m.table_name, m.client, m.principal, a.history_days
ORDER BY first_seen NULLS LAST, recipient_account_id NULLS LAST, aws_region NULLS LAST, table_name NULLS LAST, client NULLS LAST, principal NULLS LAST
