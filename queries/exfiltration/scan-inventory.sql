/*
title = "Inventory of scans"
description = """
All scans, counted by table, index and principal: how often, with which limits and filters, from when to when. A PartiQL
SELECT without WHERE reads the whole table too and has a row of its own. A statement that is not understood counts there.
Scans that failed are counted apart; those that AWS services made are counted as others are.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-query-scan.html"]
false_positives = []
needs = ["data.read"]

[columns]
recipient_account_id = "The account whose trail recorded them"
aws_region = "The region"
table_name = "The table"
index_name = "The index scanned; none: the table itself"
principal = "Who scanned"
operation = "Scan or PartiQLSelect"
scans = "Calls, each one page, or statements"
failed = "Of these, those that did not succeed"
refused = "Of these, those denied"
counts = "Of these, those that ask for a COUNT only"
filtered = "Of these, those with a filter"
limited = "Of these, those with a limit"
parallel = "Of these, those of a parallel scan"
projected = "Of these, those that ask for some attributes only"
days = "Days (UTC) with a scan"
first_seen = "The first, UTC"
last_seen = "The last, UTC"
event_id = "One of the events"

[chart]
kind = "bar"
x = "table_name"
value = "scans"
*/
SELECT
  recipient_account_id,
  aws_region,
  table_name,
  index_name,
  principal,
  operation,
  count(*) AS scans,
  count(*) FILTER (WHERE outcome <> 'ok') AS failed,
  count(*) FILTER (WHERE outcome = 'denied') AS refused,
  count(*) FILTER (WHERE upper(select_mode) = 'COUNT') AS counts,
  count(*) FILTER (WHERE has_filter) AS filtered,
  count(*) FILTER (WHERE item_limit IS NOT NULL) AS limited,
  count(*) FILTER (WHERE total_segments > 1) AS parallel,
  count(*) FILTER (WHERE attributes IS NOT NULL) AS projected,
  count(DISTINCT dt) AS days,
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  min(event_id) AS event_id
FROM operations
WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND plane = 'data'
  AND (
    operation = 'Scan'
    OR (operation = 'PartiQLSelect' AND item_key IS NULL AND has_filter = false AND is_conditional = false)
  )
  AND /*:account*/ '' IN ('', recipient_account_id)
  AND /*:region*/ '' IN ('', aws_region)
  AND /*:table*/ '' IN ('', table_name)
  AND /*:principal*/ '' IN ('', principal)
GROUP BY recipient_account_id, aws_region, table_name, index_name, principal, operation
ORDER BY scans DESC NULLS LAST, recipient_account_id NULLS LAST, aws_region NULLS LAST, table_name NULLS LAST, index_name NULLS LAST, principal NULLS LAST, operation NULLS LAST
