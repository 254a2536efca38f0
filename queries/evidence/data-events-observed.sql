/*
title = "Data events observed"
description = """
Table by table and day by day: which data calls the trail recorded, by any caller and with any outcome. Data events
are not recorded unless a trail's selectors ask for them, so this tells what the answers of other reports rest on. A
table has a row for every day on which its account and region recorded any event of DynamoDB, with observed = none
where no data event names the table: then either nothing happened or nothing was recorded, and the log can't tell
which. Tables that no event names are not listed, nor those that were never found. Batches and transactions count
with each entry.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = []
needs = ["any"]

[parameters.only_silent]
type = "boolean"
default = false
about = "Only the rows without data events"

[columns]
day = "The day, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
observed = "reads and writes, reads, writes (deletes too) or none"
get_item = "Entries by GetItem"
batch_get_item = "Entries by BatchGetItem"
transact_get_items = "Entries by TransactGetItems"
query = "Pages by Query"
scan = "Pages by Scan"
put_item = "Entries by PutItem"
update_item = "Entries by UpdateItem"
delete_item = "Entries by DeleteItem"
batch_write_item = "Entries by BatchWriteItem"
transact_write_items = "Entries by TransactWriteItems"
partiql = "Statements by ExecuteStatement, BatchExecuteStatement and ExecuteTransaction"
stream_reads = "GetRecords on the table's stream"
control_calls = "Calls of the control plane that name the table"
days_with_data = "On how many of the asked days the table has data events"
*/
WITH accesses AS (
  SELECT
    dt,
    recipient_account_id,
    aws_region,
    table_name,
    count(*) FILTER (WHERE outcome <> 'not_found') AS found,
    count(*) FILTER (WHERE plane = 'data' AND access = 'read') AS reads,
    count(*) FILTER (WHERE plane = 'data' AND access IN ('write', 'delete')) AS writes,
    count(*) FILTER (WHERE plane = 'data') AS data_entries,
    count(*) FILTER (WHERE plane = 'data' AND event_name = 'GetItem') AS get_item,
    count(*) FILTER (WHERE plane = 'data' AND event_name = 'BatchGetItem') AS batch_get_item,
    count(*) FILTER (WHERE plane = 'data' AND event_name = 'TransactGetItems') AS transact_get_items,
    count(*) FILTER (WHERE plane = 'data' AND event_name = 'Query') AS query,
    count(*) FILTER (WHERE plane = 'data' AND event_name = 'Scan') AS scan,
    count(*) FILTER (WHERE plane = 'data' AND event_name = 'PutItem') AS put_item,
    count(*) FILTER (WHERE plane = 'data' AND event_name = 'UpdateItem') AS update_item,
    count(*) FILTER (WHERE plane = 'data' AND event_name = 'DeleteItem') AS delete_item,
    count(*) FILTER (WHERE plane = 'data' AND event_name = 'BatchWriteItem') AS batch_write_item,
    count(*) FILTER (WHERE plane = 'data' AND event_name = 'TransactWriteItems') AS transact_write_items,
    count(*) FILTER (
      WHERE plane = 'data' AND event_name IN ('ExecuteStatement', 'BatchExecuteStatement', 'ExecuteTransaction')
    ) AS partiql,
    count(*) FILTER (WHERE plane = 'streams' AND event_name = 'GetRecords') AS stream_reads,
    count(*) FILTER (WHERE plane = 'control') AS control_calls
  FROM operations
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND table_name IS NOT NULL
  GROUP BY dt, recipient_account_id, aws_region, table_name
),
days AS (
  SELECT DISTINCT dt, recipient_account_id, aws_region
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane IS NOT NULL
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
),
named_tables AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    count(*) FILTER (WHERE data_entries > 0) AS days_with_data
  FROM accesses
  WHERE /*:table*/ '' IN ('', table_name)
  GROUP BY recipient_account_id, aws_region, table_name
  HAVING sum(found) > 0
),
rows_of_days AS (
  SELECT
    d.dt AS day,
    t.recipient_account_id,
    t.aws_region,
    t.table_name,
    coalesce(a.reads, 0) AS reads,
    coalesce(a.writes, 0) AS writes,
    coalesce(a.get_item, 0) AS get_item,
    coalesce(a.batch_get_item, 0) AS batch_get_item,
    coalesce(a.transact_get_items, 0) AS transact_get_items,
    coalesce(a.query, 0) AS query,
    coalesce(a.scan, 0) AS scan,
    coalesce(a.put_item, 0) AS put_item,
    coalesce(a.update_item, 0) AS update_item,
    coalesce(a.delete_item, 0) AS delete_item,
    coalesce(a.batch_write_item, 0) AS batch_write_item,
    coalesce(a.transact_write_items, 0) AS transact_write_items,
    coalesce(a.partiql, 0) AS partiql,
    coalesce(a.stream_reads, 0) AS stream_reads,
    coalesce(a.control_calls, 0) AS control_calls,
    t.days_with_data
  FROM named_tables t
  JOIN days d
    ON d.recipient_account_id = t.recipient_account_id
    AND d.aws_region = t.aws_region
  LEFT JOIN accesses a
    ON a.dt = d.dt
    AND a.recipient_account_id = t.recipient_account_id
    AND a.aws_region = t.aws_region
    AND a.table_name = t.table_name
)
SELECT
  day,
  recipient_account_id,
  aws_region,
  table_name,
  CASE
    WHEN reads > 0 AND writes > 0 THEN 'reads and writes'
    WHEN reads > 0 THEN 'reads'
    WHEN writes > 0 THEN 'writes'
    ELSE 'none'
  END AS observed,
  get_item,
  batch_get_item,
  transact_get_items,
  query,
  scan,
  put_item,
  update_item,
  delete_item,
  batch_write_item,
  transact_write_items,
  partiql,
  stream_reads,
  control_calls,
  days_with_data
FROM rows_of_days
WHERE (/*:only_silent*/ false = false OR reads + writes = 0)
ORDER BY recipient_account_id NULLS LAST, aws_region NULLS LAST, table_name NULLS LAST, day NULLS LAST
