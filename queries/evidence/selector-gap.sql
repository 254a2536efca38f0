/*
title = "Kinds of data events that are never recorded"
description = """
Accounts and regions, or single tables, whose data events are so one-sided that the trail's selectors probably leave
the rest out. Then an intruder's calls of the other kinds left no trace, and reports on them find nothing. Where no
data event is recorded at all, data-events-observed tells.

Judged are accounts and regions with at least min_entries accesses on the asked days, entries of batches and
transactions counted singly, denied and failed ones too. Listed are those with one data call only, without any read,
without any write or delete, or with deletes though nothing was ever written. A table is listed only if all of its
accesses are DeleteItem, as under a selector that is limited to that event name; a single table may well be read or
written only.
"""
level = "medium"
attack = ["T1562.008"]
references = [
  "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-data-events-with-cloudtrail.html",
  "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html",
]
false_positives = [
  "A region that only reads what another region's replica writes, or only takes writes in.",
  "Small applications that use one call only, and days on which a table is only cleared.",
]
needs = ["data.read", "data.write"]
identity = ["scope", "recipient_account_id", "aws_region", "table_name", "gap"]

[parameters.min_entries]
type = "integer"
default = 100
about = "Smallest number of accesses to judge by"

[columns]
scope = "region (account and region) or table"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table, where scope is table"
gap = "What is probably not recorded"
only_call = "The only data call seen, where there is just one"
entries = "Accesses seen, entries of batches and transactions counted singly"
reads = "Of these, reads"
writes = "Of these, writes without deletes"
deletes = "Of these, deletes"
principals = "How many principals made them"
first_seen = "The first of them, UTC"
last_seen = "The last of them, UTC"
event_id = "One of them"
*/
WITH accesses AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    event_name,
    principal,
    count(*) AS entries,
    count(*) FILTER (WHERE access = 'read') AS reads,
    count(*) FILTER (WHERE access = 'write') AS writes,
    count(*) FILTER (WHERE access = 'delete') AS deletes,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    min(event_id) AS event_id
  FROM operations
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane = 'data'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
  GROUP BY recipient_account_id, aws_region, table_name, event_name, principal
),
scopes AS (
  SELECT
    'region' AS scope,
    recipient_account_id,
    aws_region,
    NULL AS judged_table,
    event_name,
    principal,
    entries,
    reads,
    writes,
    deletes,
    first_seen,
    last_seen,
    event_id
  FROM accesses
  UNION ALL
  SELECT
    'table' AS scope,
    recipient_account_id,
    aws_region,
    table_name AS judged_table,
    event_name,
    principal,
    entries,
    reads,
    writes,
    deletes,
    first_seen,
    last_seen,
    event_id
  FROM accesses
  WHERE table_name IS NOT NULL
),
totals AS (
  SELECT
    scope,
    recipient_account_id,
    aws_region,
    judged_table,
    CAST(sum(entries) AS bigint) AS entries,
    CAST(sum(reads) AS bigint) AS reads,
    CAST(sum(writes) AS bigint) AS writes,
    CAST(sum(deletes) AS bigint) AS deletes,
    count(DISTINCT event_name) AS calls,
    min(event_name) AS a_call,
    count(DISTINCT principal) AS principals,
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen,
    min(event_id) AS event_id
  FROM scopes
  GROUP BY scope, recipient_account_id, aws_region, judged_table
  HAVING sum(entries) >= /*:min_entries*/ 100
),
judged AS (
  SELECT
    scope,
    recipient_account_id,
    aws_region,
    judged_table AS table_name,
    CASE
      WHEN calls = 1 AND a_call = 'DeleteItem' THEN 'everything but DeleteItem'
      WHEN scope = 'table' THEN NULL
      WHEN calls = 1 THEN 'every other call'
      WHEN reads = 0 THEN 'reads'
      WHEN writes + deletes = 0 THEN 'writes and deletes'
      WHEN writes = 0 THEN 'writes'
    END AS gap,
    CASE WHEN calls = 1 THEN a_call END AS only_call,
    entries,
    reads,
    writes,
    deletes,
    principals,
    first_seen,
    last_seen,
    event_id
  FROM totals
)
SELECT
  scope,
  recipient_account_id,
  aws_region,
  table_name,
  gap,
  only_call,
  entries,
  reads,
  writes,
  deletes,
  principals,
  first_seen,
  last_seen,
  event_id
FROM judged
WHERE gap IS NOT NULL
  AND /*:table*/ '' IN ('', table_name)
ORDER BY scope, recipient_account_id NULLS LAST, aws_region NULLS LAST, table_name NULLS LAST
