/*
title = "Refused item access"
description = """
Item calls that DynamoDB refused, one row for each principal, table, index, operation and reason: how often, on how many
keys, with which attributes. IAM's sentence tells which policy refused, but never which condition, such as the leading
keys or the attributes of a fine-grained policy.

So the report looks whether the same principal was let do the same to the same table and index: meanwhile, then a
condition decides, on the key, the attributes, the session or the network; only before, then the permission was taken away; only after, then
it was granted; never, then it lacks it altogether, as far as the asked days tell. Refusals by a VPC endpoint that
only its network events report have reports of their own. Calls that AWS services made are left out.
"""
level = "low"
attack = ["T1530"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html", "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"]
false_positives = ["A workload that was never given the permission.", "People who look at a table that is not theirs."]
needs = ["any"]
identity = ["recipient_account_id", "aws_region", "table_name", "index_name", "event_name", "operation", "principal", "denied_action", "denied_reason"]
optional = ["data.read", "data.write"]

[columns]
first_seen = "When the first refused call completed, UTC"
last_seen = "When the last one completed, UTC"
recipient_account_id = "The account whose trail recorded them"
aws_region = "The region"
table_name = "The table"
index_name = "The index, if one was read"
event_name = "The API call"
operation = "What was to be done to the items"
principal = "Who was refused"
verdict = "condition, allowed before, allowed after or never allowed: see above"
refusal = "explicit deny, no allow, or null where the sentence does not tell"
denied_action = "The IAM action that the sentence names"
denied_reason = "The sentence's reason"
calls = "Refused calls"
item_keys = "Different keys among them; 0: none was logged"
item_key = "One of the keys, as logged"
attributes = "One of the lists of attributes asked for or written, where logged"
attribute_lists = "Different lists of attributes among them"
allowed_operations = "Operations of that kind of the principal on the table that the policies let through in the asked days"
sessions = "Names of sessions used; 0 for users"
session_name = "One of them"
source_ip_address = "One of the addresses"
event_id = "One of the refused events"
*/
WITH refused AS (
  SELECT
    event_id,
    recipient_account_id,
    dt,
    denied_action,
    denied_reason
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane = 'data'
    AND outcome = 'denied'
    AND regexp_like(error_code, 'AccessDenied|NotAuthorized|UnauthorizedOperation')
    AND coalesce(event_category, '-') <> 'NetworkActivity'
    AND is_service_made = false
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
),
denials AS (
  SELECT
    min(o.event_time) AS first_seen,
    max(o.event_time) AS last_seen,
    min(o.event_time_ms) AS first_ms,
    max(o.event_time_ms) AS last_ms,
    o.recipient_account_id,
    o.aws_region,
    coalesce(o.table_name, '-') AS table_name,
    coalesce(o.index_name, '-') AS index_name,
    o.event_name,
    o.operation,
    coalesce(o.principal, '-') AS principal,
    r.denied_action,
    r.denied_reason,
    count(DISTINCT o.event_id) AS calls,
    count(DISTINCT o.item_key) AS item_keys,
    min(o.item_key) AS item_key,
    min(o.attributes) AS attributes,
    count(DISTINCT o.attributes) AS attribute_lists,
    count(DISTINCT o.session_name) AS sessions,
    min(o.session_name) AS session_name,
    min(o.source_ip_address) AS source_ip_address,
    min(o.event_id) AS event_id
  FROM operations o
  JOIN refused r
    ON o.event_id = r.event_id
    AND o.recipient_account_id = r.recipient_account_id
    AND o.dt = r.dt
  WHERE o.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND o.outcome = 'denied'
    AND /*:table*/ '' IN ('', o.table_name)
  GROUP BY
    o.recipient_account_id,
    o.aws_region,
    coalesce(o.table_name, '-'),
    coalesce(o.index_name, '-'),
    o.event_name,
    o.operation,
    coalesce(o.principal, '-'),
    r.denied_action,
    r.denied_reason
),
wanted AS (
  SELECT DISTINCT recipient_account_id, aws_region, table_name, index_name, event_name, operation, principal
  FROM denials
),
allowed AS (
  SELECT
    w.recipient_account_id,
    w.aws_region,
    w.table_name,
    w.index_name,
    w.event_name,
    w.operation,
    w.principal,
    count(*) AS operations,
    min(o.event_time_ms) AS first_ms,
    max(o.event_time_ms) AS last_ms
  FROM operations o
  JOIN wanted w
    ON o.recipient_account_id = w.recipient_account_id
    AND o.aws_region = w.aws_region
    AND o.table_name = w.table_name
    AND coalesce(o.index_name, '-') = w.index_name
    AND o.event_name = w.event_name
    AND o.operation = w.operation
    AND o.principal = w.principal
  WHERE o.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND o.plane = 'data'
    AND o.is_service_made = false
    -- a failed condition has passed the policies, too
    AND o.outcome IN ('ok', 'condition_failed')
  GROUP BY w.recipient_account_id, w.aws_region, w.table_name, w.index_name, w.event_name, w.operation, w.principal
)
SELECT
  d.first_seen,
  d.last_seen,
  d.recipient_account_id,
  d.aws_region,
  nullif(d.table_name, '-') AS table_name,
  nullif(d.index_name, '-') AS index_name,
  d.event_name,
  d.operation,
  nullif(d.principal, '-') AS principal,
  CASE
    WHEN a.operations IS NULL THEN 'never allowed'
    WHEN a.last_ms < d.first_ms THEN 'allowed before'
    WHEN a.first_ms > d.last_ms THEN 'allowed after'
    ELSE 'condition'
  END AS verdict,
  CASE
    WHEN starts_with(d.denied_reason, 'an explicit deny') THEN 'explicit deny'
    WHEN starts_with(d.denied_reason, 'no ') THEN 'no allow'
  END AS refusal,
  d.denied_action,
  d.denied_reason,
  d.calls,
  d.item_keys,
  d.item_key,
  d.attributes,
  d.attribute_lists,
  coalesce(a.operations, 0) AS allowed_operations,
  d.sessions,
  d.session_name,
  d.source_ip_address,
  d.event_id
FROM denials d
LEFT JOIN allowed a
  ON d.recipient_account_id = a.recipient_account_id
  AND d.aws_region = a.aws_region
  AND d.table_name = a.table_name
  AND d.index_name = a.index_name
  AND d.event_name = a.event_name
  AND d.operation = a.operation
  AND d.principal = a.principal
ORDER BY
  first_seen NULLS LAST,
  recipient_account_id NULLS LAST,
  aws_region NULLS LAST,
  event_id NULLS LAST,
  table_name NULLS LAST,
  index_name NULLS LAST,
  operation NULLS LAST
