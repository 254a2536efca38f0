/*
title = "History of an item"
description = """
Everything that touched one item, in the order of time: give its table and key_value, the value of its partition or sort key.
Without key_value all operations of the table that name a key are listed.

certainty is named where the logged key holds exactly the value, or a PartiQL statement does; these are listed however they
ended. It is possible where a call took effect and may have touched the item without naming it: Query, Scan and PartiQL that name
another attribute or none, batches whose keys are not logged, stream records, exports, backups, restores, imports, a stream to
Kinesis, a changed time to live, deletion of the table. A call that gives another value to the attribute in which key_value was seen is left out; where nothing in the asked
days names the value, every Query and every PartiQL statement stays possible.

Deletions by time to live are never logged. Values that PartiQL hides, as in every INSERT, cannot be found. Text and numbers of the same
digits are not told apart. A call across accounts is listed for each account whose trail has it.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = []
needs = ["data.read", "data.write"]
asks = ["table", "key_value"]
optional = ["control", "streams"]

[parameters.key_value]
type = "text"
default = ""
about = "The value of one of the item's key attributes, exactly: letter case counts"

[columns]
event_time = "When the call completed, UTC"
certainty = "named or possible"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
index_name = "The index read"
operation = "What was done"
access = "read, write, delete, control_read or control_write"
outcome = "ok, or what went wrong; server_error: it may have happened"
item_key = "The key as logged"
statement = "The PartiQL statement as logged"
attributes = "The attributes written or asked for, where logged"
select_mode = "The select parameter; COUNT gives no items"
role = "source or target, of calls that name two tables"
principal = "Who"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
is_service_made = "Whether an AWS service made the call"
event_name = "The API call"
event_id = "The event"
position = "The operation's position in the event, from 0"

[chart]
kind = "time_series"
x = "event_time"
y = "operation"
*/
WITH asked AS (
  -- the value as it stands in JSON, and in a statement between quotes; written with chr, as engines differ in what '' and a backslash mean
  SELECT
    /*:key_value*/ '' AS key_value,
    '":"' || replace(replace(replace(replace(replace(
      /*:key_value*/ '',
      chr(92), chr(92) || chr(92)), '"', chr(92) || '"'), chr(10), chr(92) || 'n'), chr(13), chr(92) || 'r'), chr(9), chr(92) || 't') || '"' AS as_text,
    chr(39) || replace(/*:key_value*/ '', chr(39), chr(39) || chr(39)) || chr(39) AS in_statement,
    regexp_like(/*:key_value*/ '', '^-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?$') AS is_number
),
keyed AS (
  SELECT
    o.*,
    a.key_value,
    a.as_text,
    a.in_statement,
    a.is_number,
    -- without quotes and backslashes that belong to values, so that no value can pass for a member
    replace(replace(o.item_key, chr(92) || chr(92), ''), chr(92) || '"', '') AS bare_key,
    CASE WHEN a.is_number THEN ' ' || translate(o.statement, '(),=<>[]' || chr(10) || chr(9), '          ') || ' ' END AS spaced_statement
  FROM operations o
  CROSS JOIN asked a
  WHERE o.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND (o.item_key IS NOT NULL OR o.statement IS NOT NULL)
    AND /*:account*/ '' IN ('', o.recipient_account_id)
    AND /*:region*/ '' IN ('', o.aws_region)
    AND /*:table*/ '' IN ('', o.table_name)
),
named AS (
  SELECT
    k.*,
    CASE
      WHEN key_value = '' THEN NULL
      WHEN strpos(item_key, as_text || ',') > 0 THEN substr(item_key, 1, strpos(item_key, as_text || ',') - 1)
      WHEN strpos(item_key, as_text || '}') > 0 THEN substr(item_key, 1, strpos(item_key, as_text || '}') - 1)
      WHEN NOT is_number THEN NULL
      WHEN strpos(bare_key, '":' || key_value || ',') > 0 THEN substr(bare_key, 1, strpos(bare_key, '":' || key_value || ',') - 1)
      WHEN strpos(bare_key, '":' || key_value || '}') > 0 THEN substr(bare_key, 1, strpos(bare_key, '":' || key_value || '}') - 1)
      WHEN strpos(bare_key, '":' || key_value || '.0,') > 0 THEN substr(bare_key, 1, strpos(bare_key, '":' || key_value || '.0,') - 1)
      WHEN strpos(bare_key, '":' || key_value || '.0}') > 0 THEN substr(bare_key, 1, strpos(bare_key, '":' || key_value || '.0}') - 1)
    END AS up_to_name
  FROM keyed k
  WHERE CASE
    WHEN key_value = '' THEN item_key IS NOT NULL
    ELSE coalesce(strpos(item_key, as_text || ',') > 0, false)
      OR coalesce(strpos(item_key, as_text || '}') > 0, false)
      OR coalesce(strpos(statement, in_statement) > 0, false)
      OR (is_number AND (
        coalesce(strpos(bare_key, '":' || key_value || ',') > 0, false)
        OR coalesce(strpos(bare_key, '":' || key_value || '}') > 0, false)
        OR coalesce(strpos(bare_key, '":' || key_value || '.0,') > 0, false)
        OR coalesce(strpos(bare_key, '":' || key_value || '.0}') > 0, false)
        OR coalesce(strpos(spaced_statement, ' ' || key_value || ' ') > 0, false)
      ))
  END
),
-- the tables in which the value was seen, and as what; a name is what stands behind the last quote
seen AS (
  SELECT
    table_name,
    aws_region,
    coalesce(owner_account_id, recipient_account_id) AS owner_account_id,
    min('"' || reverse(split_part(reverse(up_to_name), '"', 1)) || '":') AS first_name,
    max('"' || reverse(split_part(reverse(up_to_name), '"', 1)) || '":') AS last_name,
    count(DISTINCT split_part(reverse(up_to_name), '"', 1)) AS names
  FROM named
  WHERE key_value <> ''
    AND table_name IS NOT NULL
  GROUP BY table_name, aws_region, coalesce(owner_account_id, recipient_account_id)
),
possible AS (
  SELECT o.*
  FROM operations o
  CROSS JOIN asked a
  LEFT JOIN seen s
    ON o.table_name = s.table_name
    AND o.aws_region = s.aws_region
    AND coalesce(o.owner_account_id, o.recipient_account_id) = s.owner_account_id
  WHERE o.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND a.key_value <> ''
    AND (/*:table*/ '' <> '' OR s.table_name IS NOT NULL)
    AND o.outcome IN ('ok', 'server_error')
    AND (
      (o.plane = 'data' AND (o.item_key IS NULL OR o.operation = 'Query' OR o.statement IS NOT NULL))
      OR (o.plane = 'streams' AND o.access = 'read')
      OR (o.plane = 'control' AND o.operation IN (
        'DeleteTable', 'ExportTableToPointInTime', 'RestoreTableFromBackup', 'RestoreTableToPointInTime',
        'RestoreTableFromAwsBackup', 'ImportTable', 'CreateBackup', 'StartAwsBackupJob', 'UpdateTimeToLive',
        'EnableKinesisStreamingDestination'
      ))
    )
    -- a call that gives another value to the attribute, and shows it, touched another item
    AND NOT (
      coalesce(s.names, 0) BETWEEN 1 AND 2
      AND o.item_key IS NOT NULL
      AND coalesce(strpos(o.item_key, s.first_name) > 0, false)
      AND coalesce(strpos(o.item_key, s.last_name) > 0, false)
      AND coalesce(strpos(o.item_key, s.first_name || '"***(Redacted)"') = 0, false)
      AND coalesce(strpos(o.item_key, s.last_name || '"***(Redacted)"') = 0, false)
    )
    AND /*:account*/ '' IN ('', o.recipient_account_id)
    AND /*:region*/ '' IN ('', o.aws_region)
    AND /*:table*/ '' IN ('', o.table_name)
),
listed AS (
  SELECT
    event_time, 'named' AS certainty, recipient_account_id, aws_region, table_name, index_name, operation, access, outcome,
    item_key, statement, attributes, select_mode, role, principal, session_name, access_key_id, source_ip_address,
    is_service_made, event_name, event_id, position
  FROM named
  UNION ALL
  SELECT
    p.event_time, 'possible' AS certainty, p.recipient_account_id, p.aws_region, p.table_name, p.index_name, p.operation, p.access, p.outcome,
    p.item_key, p.statement, p.attributes, p.select_mode, p.role, p.principal, p.session_name, p.access_key_id, p.source_ip_address,
    p.is_service_made, p.event_name, p.event_id, p.position
  FROM possible p
  LEFT JOIN named n
    ON p.event_id = n.event_id
    AND p.recipient_account_id = n.recipient_account_id
    AND p.position = n.position
  WHERE n.event_id IS NULL
)
SELECT
  event_time,
  certainty,
  recipient_account_id,
  aws_region,
  table_name,
  index_name,
  operation,
  access,
  outcome,
  item_key,
  statement,
  attributes,
  select_mode,
  role,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  is_service_made,
  event_name,
  event_id,
  position
FROM listed
WHERE /*:principal*/ '' IN ('', principal)
ORDER BY event_time NULLS LAST, event_id NULLS LAST, recipient_account_id NULLS LAST, position NULLS LAST
