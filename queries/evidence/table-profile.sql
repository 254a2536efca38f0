/*
title = "Who did what to a table"
description = """
For each table: who used it, with which operations, how often it worked, was denied or failed, from how many addresses and in how many
sessions. Name a table to see its users at a glance; without one, all tables are shown.

Every path counts: single calls, batches, transactions, PartiQL, streams and changes of the table itself. Each entry of a
batch or transaction counts as one operation. How many items a Query or Scan returned is not recorded.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = []
needs = ["any"]
optional = ["control", "data.read", "data.write", "streams"]

[columns]
table_name = "The table"
owner_account_id = "The account that owns it; where the event doesn't tell, the one whose trail recorded it"
recipient_account_id = "The account whose trail recorded the operations"
aws_region = "The region"
principal = "Who"
operation = "Did what"
access = "read, write, delete, control_read or control_write"
operations = "How often, each entry of a batch or transaction counted"
ok = "Of these, those that worked"
denied = "Those that were denied"
failed = "Those that failed otherwise"
in_batches = "Those that came in batches or transactions"
addresses = "From how many addresses"
source_ip_address = "One of them"
sessions = "In how many role sessions, by name"
access_keys = "With how many access keys"
is_cross_account = "Whether the caller is of another account than the table; absent where no event tells"
is_service_made = "Whether AWS services made all of them"
first_seen = "The first, UTC"
last_seen = "The last, UTC"
event_id = "One of the events"
*/
SELECT
  table_name,
  coalesce(owner_account_id, recipient_account_id) AS owner_account_id,
  recipient_account_id,
  aws_region,
  principal,
  operation,
  access,
  count(*) AS operations,
  count(*) FILTER (WHERE outcome = 'ok') AS ok,
  count(*) FILTER (WHERE outcome = 'denied') AS denied,
  count(*) FILTER (WHERE outcome NOT IN ('ok', 'denied')) AS failed,
  count(*) FILTER (WHERE is_bulk) AS in_batches,
  count(DISTINCT source_ip_address) AS addresses,
  min(source_ip_address) AS source_ip_address,
  count(DISTINCT session_name) AS sessions,
  count(DISTINCT access_key_id) AS access_keys,
  bool_or(is_cross_account) AS is_cross_account,
  bool_and(is_service_made) AS is_service_made,
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  min(event_id) AS event_id
FROM operations
WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND table_name IS NOT NULL
  AND /*:account*/ '' IN ('', recipient_account_id)
  AND /*:region*/ '' IN ('', aws_region)
  AND /*:table*/ '' IN ('', table_name)
  AND /*:principal*/ '' IN ('', principal)
GROUP BY
  table_name,
  coalesce(owner_account_id, recipient_account_id),
  recipient_account_id,
  aws_region,
  principal,
  operation,
  access
ORDER BY
  table_name NULLS LAST,
  owner_account_id NULLS LAST,
  recipient_account_id NULLS LAST,
  aws_region NULLS LAST,
  principal NULLS LAST,
  operation NULLS LAST,
  access NULLS LAST
