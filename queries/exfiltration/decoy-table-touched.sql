/*
title = "Decoy tables touched"
description = """
Accesses to the items, the stream or the whole of a table that nobody has a reason to use, named in site.decoy_tables: reads,
writes, deletes, exports, restores and DeleteTable, by any call, in batches, transactions and PartiQL too. Refused and failed
tries count as much as successes, and nobody is left out but AWS services. One row a call and table.

Describing a decoy gives no row, as scanners of the account do that. Without decoy tables named, the report finds nothing.
"""
level = "high"
attack = ["T1530"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = ["Tools that copy or scan all tables.", "Whoever keeps the decoys."]
needs = ["data.read", "data.write"]
identity = ["recipient_account_id", "event_id", "table_name"]
asks = ["decoy_tables"]
optional = ["control", "streams"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The decoy"
event_name = "The API call"
access = "read, write or delete: the gravest in the call"
operations = "Accesses to the decoy in the call"
outcome = "ok, or what went wrong; of several, the first by name"
item_key = "One of the keys, as logged"
statement = "One of the PartiQL statements, as logged"
principal = "Who touched it"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
event_id = "The event"
*/
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  event_name,
  CASE
    WHEN count(*) FILTER (WHERE access = 'delete') > 0 THEN 'delete'
    WHEN count(*) FILTER (WHERE access IN ('write', 'control_write')) > 0 THEN 'write'
    ELSE 'read'
  END AS access,
  count(*) AS operations,
  min(outcome) AS outcome,
  min(item_key) AS item_key,
  min(statement) AS statement,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  event_id
FROM operations
WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND table_name IN (/*:decoy_tables*/ '')
  AND (
    access IN ('read', 'write', 'delete')
    -- the target of a restore; GetShardIterator
    OR role IS NOT NULL
    OR (plane = 'streams' AND operation = 'GetShardIterator')
  )
  AND is_service_made = false
  AND /*:account*/ '' IN ('', recipient_account_id)
  AND /*:region*/ '' IN ('', aws_region)
  AND /*:table*/ '' IN ('', table_name)
  AND /*:principal*/ '' IN ('', principal)
GROUP BY event_time, recipient_account_id, aws_region, table_name, table_arn, event_name, principal, session_name, access_key_id, source_ip_address, event_id
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST, table_name NULLS LAST
