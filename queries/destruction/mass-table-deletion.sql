/*
title = "Many tables deleted at once"
description = """
Bursts in which one principal deleted at least min_tables distinct tables within any span of the given minutes.
A burst is one row: its deletes follow each other within that span, from the first to the last, however long it goes on.

Tables of all regions count together, and a table deleted twice counts once: DynamoDB answers a second DeleteTable well
while the first is still at work. When a region or a table is asked for, a burst is shown whole if any of its deletes fits.
Refused and failed deletes do not count. Expected pipelines are left out.
"""
level = "critical"
attack = ["T1485"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteTable.html"]
false_positives = ["An environment that is taken down: name the role that does it in site.pipeline_roles."]
needs = ["control"]
identity = ["recipient_account_id", "principal", "first_seen"]

[parameters.min_tables]
type = "integer"
default = 5
about = "Fewest distinct tables that make a burst"

[parameters.minutes]
type = "integer"
default = 10
about = "Within how many minutes they must be deleted"

[columns]
first_seen = "When the first delete of the burst completed, UTC"
last_seen = "When the last delete of the burst completed, UTC"
recipient_account_id = "The account whose trail recorded it"
principal = "Who deleted"
tables_deleted = "Distinct tables deleted in the burst"
most_at_once = "Most distinct tables within the given minutes"
regions = "How many regions they lay in"
items_counted = "Items that DynamoDB last counted in the tables: the sum over the answers that tell"
first_table = "The first of the tables by name"
last_table = "The last of the tables by name"
session_name = "The role session's name (one of them)"
access_key_id = "The access key used (one of them)"
source_ip_address = "From where (one of the addresses)"
event_id = "One of the events"
*/
WITH deletes AS (
  SELECT
    event_time,
    event_time_ms,
    dt,
    recipient_account_id,
    aws_region,
    table_name,
    aws_region || '/' || table_name AS place,
    coalesce(principal, '-') AS actor,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    event_id,
    TRY_CAST(json_extract_scalar(response_elements, '$.tableDescription.itemCount') AS bigint) AS item_count
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name = 'DeleteTable'
    AND outcome = 'ok'
    AND table_name IS NOT NULL
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:principal*/ '' IN ('', principal)
),
-- distinct tables in the span that ends with each delete
spans AS (
  SELECT
    a.recipient_account_id,
    a.actor,
    a.event_id,
    count(DISTINCT b.place) AS tables_in_span
  FROM deletes a
  JOIN deletes b
    ON a.recipient_account_id = b.recipient_account_id
    AND a.actor = b.actor
    AND b.event_time_ms BETWEEN a.event_time_ms - /*:minutes*/ 10 * CAST(60000 AS bigint) AND a.event_time_ms
  GROUP BY a.recipient_account_id, a.actor, a.event_id
),
gaps AS (
  SELECT
    d.*,
    s.tables_in_span,
    CASE
      WHEN d.event_time_ms - lag(d.event_time_ms) OVER (PARTITION BY d.recipient_account_id, d.actor ORDER BY d.event_time_ms, d.event_id NULLS LAST) <= /*:minutes*/ 10 * CAST(60000 AS bigint) THEN 0
      ELSE 1
    END AS is_first
  FROM deletes d
  JOIN spans s
    ON d.recipient_account_id = s.recipient_account_id
    AND d.actor = s.actor
    AND d.event_id = s.event_id
),
bursts AS (
  SELECT
    g.*,
    sum(g.is_first) OVER (PARTITION BY g.recipient_account_id, g.actor ORDER BY g.event_time_ms, g.event_id NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS burst
  FROM gaps g
)
SELECT
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  recipient_account_id,
  max(principal) AS principal,
  count(DISTINCT place) AS tables_deleted,
  max(tables_in_span) AS most_at_once,
  count(DISTINCT aws_region) AS regions,
  CAST(sum(item_count) AS bigint) AS items_counted,
  min(table_name) AS first_table,
  max(table_name) AS last_table,
  max(session_name) AS session_name,
  max(access_key_id) AS access_key_id,
  max(source_ip_address) AS source_ip_address,
  min(event_id) AS event_id
FROM bursts
GROUP BY recipient_account_id, actor, burst
HAVING max(tables_in_span) >= /*:min_tables*/ 5
  AND max(dt) >= /*:since*/ '2000-01-01'
  AND count(*) FILTER (WHERE /*:region*/ '' IN ('', aws_region) AND /*:table*/ '' IN ('', table_name)) > 0
ORDER BY first_seen NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
