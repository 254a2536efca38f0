/*
title = "Addresses new to a table"
description = """
Addresses from which a table was reached for the first time in the asked window, with who came from there: item accesses,
streams and the control plane, refused calls too. An address counts as seen whoever came from it.

Private addresses are left out: they are those of your own networks, seen through a VPC endpoint. So are the names that
stand in place of an address, the allowed addresses, and callers that had come to the table from more than
max_known_addresses addresses before, such as functions outside a VPC.

The lake itself must hold the history: at least history_days days, before the day of the first sight, on which it has
events of the table. Where the first sight is an access to items or to the stream, only days with recorded accesses of
that kind count, so that nothing is new merely because data events have just been switched on. So a table that is itself
new gives no rows. The trail of the table's owner is read. Calls that AWS services made are left out.
"""
level = "medium"
attack = ["T1078.004", "T1530"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = ["A person who works from elsewhere: name the networks in site.allowed_addresses.", "A new address of a NAT gateway."]
needs = ["any"]
identity = ["recipient_account_id", "aws_region", "table_name", "source_ip_address", "principal"]
optional = ["control", "data.read", "data.write", "streams"]
baseline_days = "history_days"
recorded_days = { parameter = "history_days", of = "table" }

[parameters.history_days]
type = "integer"
default = 7
about = "Fewest recorded days of the table before the day of the first sight"

[parameters.max_known_addresses]
type = "integer"
default = 20
about = "Most addresses from which the principal may have come to the table before"

[parameters.include_private]
type = "boolean"
default = false
about = "Whether private addresses count too"

[columns]
first_seen = "When the principal's first call from the address completed, UTC"
last_seen = "When its last call from there in the asked window completed, UTC"
recipient_account_id = "The account that owns the table"
aws_region = "The region"
table_name = "The table"
source_ip_address = "The address that is new"
principal = "Who came from it"
operations = "Accesses since, to items or to the table itself"
succeeded = "Of these, those that succeeded"
refused = "Of these, those denied"
item_reads = "Succeeded reads: items by key, queries and scans, exports, stream records"
item_writes = "Items put or changed"
item_deletes = "Items deleted, and the table itself"
changes = "Succeeded control-plane changes"
known_addresses = "From how many addresses the principal had come to the table before"
history_days = "Recorded days of the table before the day of the first sight"
event_id = "One of the events"
*/
WITH seen AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    value AS source_ip_address,
    principal,
    is_service_made,
    dt,
    operations,
    succeeded,
    refused,
    item_reads,
    item_writes,
    item_deletes,
    changes,
    on_control,
    on_data,
    on_streams,
    first_seen,
    last_seen,
    event_id
  FROM sightings
  WHERE kind = 'address'
    AND dt <= /*:until*/ '2999-12-31'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
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
marked AS (
  SELECT
    s.*,
    min(s.dt) OVER (PARTITION BY s.recipient_account_id, s.aws_region, s.table_name, s.source_ip_address) AS first_dt
  FROM seen s
  WHERE s.is_service_made = false
    -- services and the console's proxies write a name in place of an address
    AND regexp_like(s.source_ip_address, '^[0-9a-fA-F.:]+$')
    AND (
      /*:include_private*/ false
      OR NOT regexp_like(s.source_ip_address, '^(10[.]|192[.]168[.]|172[.](1[6-9]|2[0-9]|3[01])[.]|100[.](6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])[.]|[fF][cCdD][0-9a-fA-F][0-9a-fA-F]:)')
    )
),
-- a caller whose addresses change all the time says nothing with one more
usual AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    source_ip_address,
    coalesce(principal, '-') AS caller,
    rank() OVER (PARTITION BY recipient_account_id, aws_region, table_name, coalesce(principal, '-') ORDER BY min(dt) NULLS LAST) - 1 AS known_addresses
  FROM marked
  GROUP BY recipient_account_id, aws_region, table_name, source_ip_address, coalesce(principal, '-')
),
-- the first day decides which kinds of history count
arrivals AS (
  SELECT
    m.recipient_account_id,
    m.aws_region,
    m.table_name,
    m.source_ip_address,
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
  GROUP BY m.recipient_account_id, m.aws_region, m.table_name, m.source_ip_address, m.first_dt
)
SELECT
  min(m.first_seen) AS first_seen,
  max(m.last_seen) AS last_seen,
  m.recipient_account_id,
  m.aws_region,
  m.table_name,
  m.source_ip_address,
  m.principal,
  CAST(sum(m.operations) AS bigint) AS operations,
  CAST(sum(m.succeeded) AS bigint) AS succeeded,
  CAST(sum(m.refused) AS bigint) AS refused,
  CAST(sum(m.item_reads) AS bigint) AS item_reads,
  CAST(sum(m.item_writes) AS bigint) AS item_writes,
  CAST(sum(m.item_deletes) AS bigint) AS item_deletes,
  CAST(sum(m.changes) AS bigint) AS changes,
  CAST(u.known_addresses AS bigint) AS known_addresses,
  a.history_days,
  min(m.event_id) AS event_id
FROM marked m
JOIN arrivals a
  ON m.recipient_account_id = a.recipient_account_id
  AND m.aws_region = a.aws_region
  AND m.table_name = a.table_name
  AND m.source_ip_address = a.source_ip_address
JOIN usual u
  ON m.recipient_account_id = u.recipient_account_id
  AND m.aws_region = u.aws_region
  AND m.table_name = u.table_name
  AND m.source_ip_address = u.source_ip_address
  AND coalesce(m.principal, '-') = u.caller
WHERE a.history_days >= /*:history_days*/ 7
  AND u.known_addresses <= /*:max_known_addresses*/ 20
  AND m.source_ip_address NOT IN (/*:allowed_addresses*/ '')
  AND coalesce(m.principal, '-') NOT IN (/*:pipeline_roles*/ '')
  AND /*:principal*/ '' IN ('', m.principal)
GROUP BY m.recipient_account_id, m.aws_region, m.table_name, m.source_ip_address, m.principal, u.known_addresses, a.history_days
ORDER BY first_seen NULLS LAST, recipient_account_id NULLS LAST, aws_region NULLS LAST, table_name NULLS LAST, source_ip_address NULLS LAST, principal NULLS LAST
