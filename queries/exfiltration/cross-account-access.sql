/*
title = "Access across accounts"
description = """
DynamoDB calls in which the caller's account, the table's account and the account of the trail are not all one, by caller,
table and call. Both directions show: strangers on your tables, and your principals on the tables of strangers, which is a
way to carry data out. Calls that were refused count apart; network activity at VPC endpoints is included.

An account is yours when it is in site.own_accounts or its trail is in the lake. Calls among your own accounts are left out
unless with_own is switched on. A call is in the trails of both accounts: one row for each that is in the lake, so do not add
them up. Where the owner is not logged, the account of the trail is taken. Calls that AWS services made are left out, and so
are pipelines.
"""
level = "medium"
attack = ["T1537", "T1078.004"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-cross-account-access.html"]
false_positives = ["A partner with whom a table is shared: name the account in site.own_accounts.", "Accounts of yours that are not named in site.own_accounts."]
needs = ["any"]
identity = ["recipient_account_id", "aws_region", "caller_account_id", "owner_account_id", "table_name", "event_name", "principal"]
optional = ["control", "data.read", "data.write", "streams", "network"]

[parameters.with_own]
type = "boolean"
default = false
about = "Whether calls among your own accounts are listed too"

[columns]
first_seen = "The first of the calls, UTC"
last_seen = "The last, UTC"
recipient_account_id = "The account whose trail recorded them"
aws_region = "The region"
caller_account_id = "The caller's account"
owner_account_id = "The table's account"
is_foreign_caller = "Whether the caller's account is none of yours"
is_foreign_owner = "Whether the table's account is none of yours"
table_name = "The table, where a call touches one only"
event_name = "The API call"
principal = "Who called"
calls = "Calls"
succeeded = "Of these, those that succeeded"
refused = "Of these, those denied"
operations = "Accesses in the calls that succeeded: items of batches count one by one"
addresses = "How many addresses they came from"
source_ip_address = "One of them"
event_id = "One of the events"

[chart]
kind = "matrix"
x = "caller_account_id"
y = "table_name"
value = "calls"
*/
WITH calls AS (
  SELECT
    event_time,
    recipient_account_id,
    aws_region,
    user_account_id,
    coalesce(owner_account_id, recipient_account_id) AS owner_account_id,
    table_name,
    event_name,
    principal,
    outcome,
    operation_count,
    source_ip_address,
    event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane IN ('data', 'control', 'streams', 'dax')
    AND user_account_id IS NOT NULL
    AND recipient_account_id IS NOT NULL
    AND (user_account_id <> recipient_account_id OR user_account_id <> owner_account_id)
    AND is_service_made = false
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
),
own AS (
  SELECT DISTINCT recipient_account_id AS account_id
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND recipient_account_id IS NOT NULL
),
judged AS (
  SELECT
    c.*,
    u.account_id IS NULL AND c.user_account_id NOT IN (/*:own_accounts*/ '') AS is_foreign_caller,
    o.account_id IS NULL AND c.owner_account_id NOT IN (/*:own_accounts*/ '') AS is_foreign_owner
  FROM calls c
  LEFT JOIN own u
    ON c.user_account_id = u.account_id
  LEFT JOIN own o
    ON c.owner_account_id = o.account_id
)
SELECT
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  recipient_account_id,
  aws_region,
  user_account_id AS caller_account_id,
  owner_account_id,
  is_foreign_caller,
  is_foreign_owner,
  table_name,
  event_name,
  principal,
  count(*) AS calls,
  count(*) FILTER (WHERE outcome = 'ok') AS succeeded,
  count(*) FILTER (WHERE outcome = 'denied') AS refused,
  CAST(coalesce(sum(CASE WHEN outcome = 'ok' THEN operation_count END), 0) AS bigint) AS operations,
  count(DISTINCT source_ip_address) AS addresses,
  min(source_ip_address) AS source_ip_address,
  min(event_id) AS event_id
FROM judged
WHERE is_foreign_caller
  OR is_foreign_owner
  OR /*:with_own*/ false
GROUP BY recipient_account_id, aws_region, user_account_id, owner_account_id, is_foreign_caller, is_foreign_owner, table_name, event_name, principal
ORDER BY first_seen NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST, table_name NULLS LAST
