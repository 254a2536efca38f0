/*
title = "Partition keys by principal"
description = """
Which partition keys of a table or index each principal used, with how often and how: its most used keys, top of them for
each principal, table and index, and how many there are in all. It shows whether a policy could hold a principal to its own keys with
dynamodb:LeadingKeys: shared_with counts the other principals that used the same key, and fits_session tells whether the key is the
session's or the user's name, as in a policy with a variable.

Where a CreateTable, UpdateTable or DeleteTable in the lake tells the table's partition key, its value counts; where a key
has one attribute only, that; elsewhere the whole key as logged. Scans, PartiQL inserts and requests whose
key is not logged or hidden have none: they are counted in operations_without_key, and a principal that made no others has no row.
Denied and failed operations do not count.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html"]
false_positives = []
needs = ["data.read"]
optional = ["data.write", "control"]

[parameters.top]
type = "integer"
default = 3
about = "How many keys of each principal, table and index"

[columns]
recipient_account_id = "The account whose trail recorded the operations"
aws_region = "The region"
table_name = "The table"
index_name = "The index read, if any"
principal = "Who used the keys"
place = "The key's place among the principal's, from 1"
leading_key = "The key's value, or the whole key as a JSON object"
counted_by = "partition key, or whole key where the partition key is not known"
operations = "Operations of the principal on the key"
reads = "Of these, reads"
writes = "Of these, items put or changed"
deletes = "Of these, deletes"
attribute_lists = "Different lists of attributes asked for or written, as far as logged"
attributes = "One of them"
operations_without_attributes = "Operations for which none was logged: all attributes, or none needed"
fits_session = "Whether the key is the name of a session that used it, or of the user; null where neither is known"
shared_with = "Other principals that used the same key"
keys = "Different keys that the principal used"
operations_without_key = "Operations of the principal on the table and index whose key is not known"
first_seen = "When the principal first used the key, UTC"
last_seen = "When it last did, UTC"
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
used AS (
  SELECT
    o.event_time,
    o.recipient_account_id,
    o.aws_region,
    o.table_name,
    coalesce(o.index_name, '-') AS index_name,
    coalesce(o.principal, '-') AS principal,
    o.session_name,
    o.access,
    o.attributes,
    o.event_id,
    CASE WHEN strpos(o.item_key, '***(Redacted)') = 0 THEN o.item_key END AS item_key,
    -- the text behind the partition key's name; keys with escaped characters are left whole
    CASE
      WHEN strpos(o.item_key, chr(92)) > 0 THEN NULL
      WHEN o.index_name IS NULL AND strpos(o.item_key, '"' || s.partition_key || '":') > 0
        THEN substr(o.item_key, strpos(o.item_key, '"' || s.partition_key || '":') + length(s.partition_key) + 3)
      WHEN regexp_like(o.item_key, '^[{]"[^"]*":("[^"]*"|[^",]*)[}]$')
        THEN substr(o.item_key, strpos(o.item_key, '":') + 2)
    END AS behind
  FROM operations o
  LEFT JOIN schemas s
    ON coalesce(o.owner_account_id, o.recipient_account_id) = s.owner_account_id
    AND o.aws_region = s.aws_region
    AND o.table_name = s.table_name
  WHERE o.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND o.plane = 'data'
    AND o.outcome = 'ok'
    AND o.table_name IS NOT NULL
    AND /*:account*/ '' IN ('', o.recipient_account_id)
    AND /*:region*/ '' IN ('', o.aws_region)
    AND /*:table*/ '' IN ('', o.table_name)
),
keyed AS (
  SELECT
    event_time,
    recipient_account_id,
    aws_region,
    table_name,
    index_name,
    principal,
    session_name,
    access,
    attributes,
    event_id,
    CASE WHEN item_key IS NULL THEN NULL WHEN behind IS NULL THEN 'whole key' ELSE 'partition key' END AS counted_by,
    CASE
      WHEN item_key IS NULL THEN NULL
      WHEN behind IS NULL THEN item_key
      WHEN starts_with(behind, '"') THEN split_part(behind, '"', 2)
      ELSE split_part(split_part(behind, ',', 1), '}', 1)
    END AS leading_key
  FROM used
),
counted AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    index_name,
    principal,
    leading_key,
    counted_by,
    count(*) AS operations,
    count(*) FILTER (WHERE access = 'read') AS reads,
    count(*) FILTER (WHERE access = 'write') AS writes,
    count(*) FILTER (WHERE access = 'delete') AS deletes,
    count(DISTINCT attributes) AS attribute_lists,
    min(attributes) AS attributes,
    count(*) FILTER (WHERE attributes IS NULL) AS operations_without_attributes,
    bool_or(leading_key = coalesce(session_name, CASE WHEN regexp_like(principal, ':user/') THEN reverse(split_part(reverse(principal), '/', 1)) END)) AS fits_session,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    min(event_id) AS event_id
  FROM keyed
  GROUP BY recipient_account_id, aws_region, table_name, index_name, principal, leading_key, counted_by
),
compared AS (
  SELECT
    c.*,
    -- all rows of a partition are peers in these orders, so the frame is the whole partition
    count(*) OVER (
      PARTITION BY recipient_account_id, aws_region, table_name, index_name, leading_key, counted_by
      ORDER BY table_name NULLS LAST
    ) - 1 AS shared_with,
    count(leading_key) OVER (
      PARTITION BY recipient_account_id, aws_region, table_name, index_name, principal
      ORDER BY table_name NULLS LAST
    ) AS keys,
    sum(CASE WHEN leading_key IS NULL THEN operations ELSE 0 END) OVER (
      PARTITION BY recipient_account_id, aws_region, table_name, index_name, principal
      ORDER BY table_name NULLS LAST
    ) AS operations_without_key
  FROM counted c
),
ranked AS (
  SELECT
    c.*,
    row_number() OVER (
      PARTITION BY recipient_account_id, aws_region, table_name, index_name, principal
      ORDER BY operations DESC NULLS LAST, leading_key NULLS LAST, counted_by NULLS LAST
    ) AS place
  FROM compared c
  WHERE leading_key IS NOT NULL
    AND /*:principal*/ '' IN ('', principal)
)
SELECT
  recipient_account_id,
  aws_region,
  table_name,
  nullif(index_name, '-') AS index_name,
  nullif(principal, '-') AS principal,
  place,
  leading_key,
  counted_by,
  operations,
  reads,
  writes,
  deletes,
  attribute_lists,
  attributes,
  operations_without_attributes,
  fits_session,
  shared_with,
  keys,
  CAST(operations_without_key AS bigint) AS operations_without_key,
  first_seen,
  last_seen,
  event_id
FROM ranked
WHERE place <= /*:top*/ 3
ORDER BY
  recipient_account_id NULLS LAST,
  aws_region NULLS LAST,
  table_name NULLS LAST,
  index_name NULLS LAST,
  principal NULLS LAST,
  place NULLS LAST
