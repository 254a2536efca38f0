/*
title = "Most used keys, by table and hour"
description = """
The keys that got most requests in an hour, for each table and index, as far as the log shows keys. It does for a past time, from the
events at hand, roughly what Contributor Insights does.

Where a CreateTable, UpdateTable or DeleteTable in the lake tells the table's partition key, requests are counted by its
value; elsewhere by the whole key as logged. Scans, PartiQL inserts and requests whose key is not logged or hidden are not counted, nor how
much a request reads or writes. Requests count once an item, also when they were throttled or their condition failed; denied and
invalid ones don't.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html", "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/contributorinsights.html"]
false_positives = []
needs = ["any"]
optional = ["data.read", "data.write"]

[parameters.min_requests]
type = "integer"
default = 100
about = "Fewest requests to one key in an hour worth a row"

[parameters.top]
type = "integer"
default = 3
about = "How many keys of each table and hour"

[columns]
hour = "The hour's begin, UTC"
recipient_account_id = "The account whose trail recorded the requests"
aws_region = "The region"
table_name = "The table"
index_name = "The index read, if any"
place = "Place in the table's hour, from 1"
item_key = "The key, as a JSON object"
counted_by = "partition key, or whole key where the partition key is not known"
requests = "Requests to the key in the hour"
share_percent = "Their share of the requests with a key to the table or index in that hour, percent"
reads = "Of the requests, reads"
writes = "Of the requests, writes and deletes"
throttled = "Of the requests, those throttled"
principal = "Who sent them (one of them)"
several_principals = "Whether several did"
event_id = "One of the events"
*/
WITH tables AS (
  SELECT
    coalesce(owner_account_id, recipient_account_id) AS owner_account_id,
    aws_region,
    table_name,
    CASE
      WHEN json_extract_scalar(response_elements, '$.tableDescription.keySchema[0].keyType') = 'RANGE'
        THEN json_extract_scalar(response_elements, '$.tableDescription.keySchema[1].attributeName')
      ELSE json_extract_scalar(response_elements, '$.tableDescription.keySchema[0].attributeName')
    END AS partition_key
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name IN ('CreateTable', 'UpdateTable', 'DeleteTable')
    AND outcome = 'ok'
    AND /*:table*/ '' IN ('', table_name)
),
schemas AS (
  SELECT
    owner_account_id,
    aws_region,
    table_name,
    min(partition_key) AS partition_key
  FROM tables
  WHERE partition_key IS NOT NULL
  GROUP BY owner_account_id, aws_region, table_name
  -- a name that was used again with another key tells nothing
  HAVING min(partition_key) = max(partition_key)
),
requests AS (
  SELECT
    o.event_time,
    o.event_time_ms - o.event_time_ms % 3600000 AS hour_ms,
    coalesce(o.recipient_account_id, '-') AS recipient_account_id,
    coalesce(o.aws_region, '-') AS aws_region,
    coalesce(o.table_name, '-') AS table_name,
    coalesce(o.index_name, '-') AS index_name,
    o.item_key,
    o.access,
    o.outcome,
    o.principal,
    o.event_id,
    s.partition_key,
    -- the text behind the partition key's name; keys with escaped characters are left whole
    CASE
      WHEN o.index_name IS NULL
        AND strpos(o.item_key, chr(92)) = 0
        AND strpos(o.item_key, '"' || s.partition_key || '":') > 0
        THEN substr(o.item_key, strpos(o.item_key, '"' || s.partition_key || '":') + length(s.partition_key) + 3)
    END AS behind
  FROM operations o
  LEFT JOIN schemas s
    ON coalesce(o.owner_account_id, o.recipient_account_id) = s.owner_account_id
    AND o.aws_region = s.aws_region
    AND o.table_name = s.table_name
  WHERE o.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND o.plane = 'data'
    AND o.item_key IS NOT NULL
    AND o.event_time_ms IS NOT NULL
    AND o.outcome IN ('ok', 'throttled', 'condition_failed', 'conflict', 'cancelled', 'server_error')
    AND /*:account*/ '' IN ('', o.recipient_account_id)
    AND /*:region*/ '' IN ('', o.aws_region)
    AND /*:table*/ '' IN ('', o.table_name)
    AND /*:principal*/ '' IN ('', o.principal)
),
keyed AS (
  SELECT
    event_time,
    hour_ms,
    recipient_account_id,
    aws_region,
    table_name,
    index_name,
    access,
    outcome,
    principal,
    event_id,
    CASE WHEN behind IS NULL THEN 'whole key' ELSE 'partition key' END AS counted_by,
    CASE
      WHEN behind IS NULL THEN item_key
      WHEN starts_with(behind, '"') THEN '{"' || partition_key || '":"' || split_part(behind, '"', 2) || '"}'
      ELSE '{"' || partition_key || '":' || split_part(split_part(behind, ',', 1), '}', 1) || '}'
    END AS item_key
  FROM requests
),
keys AS (
  SELECT k.*
  FROM keyed k
  WHERE strpos(item_key, '***(Redacted)') = 0
),
hours AS (
  SELECT
    hour_ms,
    recipient_account_id,
    aws_region,
    table_name,
    index_name,
    count(*) AS all_requests
  FROM keys
  GROUP BY hour_ms, recipient_account_id, aws_region, table_name, index_name
  -- no key has more than all together
  HAVING count(*) >= /*:min_requests*/ 100
),
counted AS (
  SELECT
    k.hour_ms,
    k.recipient_account_id,
    k.aws_region,
    k.table_name,
    k.index_name,
    k.item_key,
    k.counted_by,
    h.all_requests,
    count(*) AS requests
  FROM hours h
  JOIN keys k
    ON h.hour_ms = k.hour_ms
    AND h.recipient_account_id = k.recipient_account_id
    AND h.aws_region = k.aws_region
    AND h.table_name = k.table_name
    AND h.index_name = k.index_name
  GROUP BY k.hour_ms, k.recipient_account_id, k.aws_region, k.table_name, k.index_name, k.item_key, k.counted_by, h.all_requests
  HAVING count(*) >= /*:min_requests*/ 100
),
ranked AS (
  SELECT
    c.*,
    row_number() OVER (
      PARTITION BY hour_ms, recipient_account_id, aws_region, table_name, index_name
      ORDER BY requests DESC NULLS LAST, item_key NULLS LAST, counted_by NULLS LAST
    ) AS place
  FROM counted c
),
hot AS (
  SELECT *
  FROM ranked
  WHERE place <= /*:top*/ 3
)
SELECT
  date_trunc('hour', min(k.event_time)) AS hour,
  nullif(h.recipient_account_id, '-') AS recipient_account_id,
  nullif(h.aws_region, '-') AS aws_region,
  nullif(h.table_name, '-') AS table_name,
  nullif(h.index_name, '-') AS index_name,
  h.place,
  h.item_key,
  h.counted_by,
  h.requests,
  round(100.0e0 * CAST(h.requests AS double) / CAST(h.all_requests AS double), 2) AS share_percent,
  count(*) FILTER (WHERE k.access = 'read') AS reads,
  count(*) FILTER (WHERE k.access IN ('write', 'delete')) AS writes,
  count(*) FILTER (WHERE k.outcome = 'throttled') AS throttled,
  min(k.principal) AS principal,
  coalesce(min(k.principal) <> max(k.principal), false) AS several_principals,
  min(k.event_id) AS event_id
FROM hot h
JOIN keys k
  ON h.hour_ms = k.hour_ms
  AND h.recipient_account_id = k.recipient_account_id
  AND h.aws_region = k.aws_region
  AND h.table_name = k.table_name
  AND h.index_name = k.index_name
  AND h.item_key = k.item_key
  AND h.counted_by = k.counted_by
GROUP BY
  h.hour_ms,
  h.recipient_account_id,
  h.aws_region,
  h.table_name,
  h.index_name,
  h.place,
  h.item_key,
  h.counted_by,
  h.requests,
  h.all_requests
ORDER BY
  hour NULLS LAST,
  recipient_account_id NULLS LAST,
  aws_region NULLS LAST,
  table_name NULLS LAST,
  index_name NULLS LAST,
  place NULLS LAST
