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
    coalesce(o.recipient_account_id, '-') AS recipient_account_id,
    coalesce(o.aws_region, '-') AS aws_region,
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
    count(*) AS operations
  FROM keyed
  GROUP BY recipient_account_id, aws_region, table_name, index_name, principal, leading_key, counted_by
),
ranked AS (
  SELECT
    c.*,
    row_number() OVER (
      PARTITION BY recipient_account_id, aws_region, table_name, index_name, principal
      ORDER BY operations DESC NULLS LAST, leading_key NULLS LAST, counted_by NULLS LAST
    ) AS place
  FROM counted c
  WHERE leading_key IS NOT NULL
    AND /*:principal*/ '' IN ('', principal)
),
used_most AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    index_name,
    principal,
    leading_key,
    counted_by,
    operations,
    place
  FROM ranked
  WHERE place <= /*:top*/ 3
),
principals AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    index_name,
    principal,
    count(leading_key) AS keys,
    sum(CASE WHEN leading_key IS NULL THEN operations ELSE 0 END) AS operations_without_key
  FROM counted
  GROUP BY recipient_account_id, aws_region, table_name, index_name, principal
),
details AS (
  SELECT
    m.recipient_account_id,
    m.aws_region,
    m.table_name,
    m.index_name,
    m.principal,
    m.leading_key,
    m.counted_by,
    m.operations,
    m.place,
    count(*) FILTER (WHERE k.access = 'read') AS reads,
    count(*) FILTER (WHERE k.access = 'write') AS writes,
    count(*) FILTER (WHERE k.access = 'delete') AS deletes,
    count(DISTINCT k.attributes) AS attribute_lists,
    min(k.attributes) AS attributes,
    count(*) FILTER (WHERE k.attributes IS NULL) AS operations_without_attributes,
    bool_or(k.leading_key = coalesce(k.session_name, CASE WHEN regexp_like(k.principal, ':user/') THEN reverse(split_part(reverse(k.principal), '/', 1)) END)) AS fits_session,
    min(k.event_time) AS first_seen,
    max(k.event_time) AS last_seen,
    min(k.event_id) AS event_id
  FROM keyed k
  JOIN used_most m
    ON k.recipient_account_id = m.recipient_account_id
    AND k.aws_region = m.aws_region
    AND k.table_name = m.table_name
    AND k.index_name = m.index_name
    AND k.principal = m.principal
    AND k.leading_key = m.leading_key
    AND k.counted_by = m.counted_by
  GROUP BY
    m.recipient_account_id,
    m.aws_region,
    m.table_name,
    m.index_name,
    m.principal,
    m.leading_key,
    m.counted_by,
    m.operations,
    m.place
),
sharers AS (
  SELECT
    c.recipient_account_id,
    c.aws_region,
    c.table_name,
    c.index_name,
    c.leading_key,
    c.counted_by,
    count(*) AS principals
  FROM counted c
  JOIN (
    SELECT recipient_account_id, aws_region, table_name, index_name, leading_key, counted_by
    FROM used_most
    GROUP BY recipient_account_id, aws_region, table_name, index_name, leading_key, counted_by
  ) m
    ON c.recipient_account_id = m.recipient_account_id
    AND c.aws_region = m.aws_region
    AND c.table_name = m.table_name
    AND c.index_name = m.index_name
    AND c.leading_key = m.leading_key
    AND c.counted_by = m.counted_by
  GROUP BY c.recipient_account_id, c.aws_region, c.table_name, c.index_name, c.leading_key, c.counted_by
)
SELECT
  nullif(d.recipient_account_id, '-') AS recipient_account_id,
  nullif(d.aws_region, '-') AS aws_region,
  d.table_name,
  nullif(d.index_name, '-') AS index_name,
  nullif(d.principal, '-') AS principal,
  d.place,
  d.leading_key,
  d.counted_by,
  d.operations,
  d.reads,
  d.writes,
  d.deletes,
  d.attribute_lists,
  d.attributes,
  d.operations_without_attributes,
  d.fits_session,
  s.principals - 1 AS shared_with,
  p.keys,
  CAST(p.operations_without_key AS bigint) AS operations_without_key,
  d.first_seen,
  d.last_seen,
  d.event_id
FROM details d
JOIN principals p
  ON d.recipient_account_id = p.recipient_account_id
  AND d.aws_region = p.aws_region
  AND d.table_name = p.table_name
  AND d.index_name = p.index_name
  AND d.principal = p.principal
JOIN sharers s
  ON d.recipient_account_id = s.recipient_account_id
  AND d.aws_region = s.aws_region
  AND d.table_name = s.table_name
  AND d.index_name = s.index_name
  AND d.leading_key = s.leading_key
  AND d.counted_by = s.counted_by
ORDER BY
  recipient_account_id NULLS LAST,
  aws_region NULLS LAST,
  table_name NULLS LAST,
  index_name NULLS LAST,
  principal NULLS LAST,
  place NULLS LAST
