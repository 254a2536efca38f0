/*
title = "Table restored as a copy, read and dropped"
description = """
A table that was restored under another name than its source's, or in another region, then read, then deleted, all within some
hours: a quiet way to read a table, as the reads do not touch the original, and the traces go with the copy.

Restores, reads and DeleteTable must have succeeded; whoever made them. A restore by AWS Backup counts. Reads are accesses to
items, pages of scans and queries, stream records and exports, between the restore and the delete. One row a copy deleted in
the asked window. The copy deleted by an expected pipeline is left out.
"""
level = "high"
attack = ["T1530", "T1074.002", "T1070"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Restore.Tutorial.html"]
false_positives = ["Tests of restores that count the items and clean up: name their roles in site.pipeline_roles."]
needs = ["control", "data.read"]
identity = ["recipient_account_id", "event_id"]

[parameters.hours]
type = "integer"
default = 24
about = "Most hours between the restore and the delete"

[columns]
restored_at = "When the restore was called, UTC"
deleted_at = "When the copy was deleted, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region of the copy"
source_table = "The table whose data was restored"
table_name = "The copy"
restored_by = "Who restored it"
deleted_by = "Who deleted it"
reads = "Reads of the copy: items by key, pages of scans and queries, stream records, exports"
scans = "Of these, pages of scans and queries"
exports = "Of these, exports"
readers = "How many principals read it"
read_by = "One of them"
first_read = "The first read, UTC"
last_read = "The last read, UTC"
source_ip_address = "From where the copy was deleted"
restore_event_id = "The restore's event"
event_id = "The delete's event"
*/
WITH restores AS (
  SELECT
    event_time,
    event_time_ms,
    recipient_account_id,
    aws_region,
    principal,
    event_id,
    max(CASE WHEN role = 'source' THEN table_name END) AS source_table,
    max(CASE WHEN role = 'source' THEN table_arn END) AS source_arn,
    max(CASE WHEN coalesce(role, 'target') = 'target' THEN table_name END) AS table_name,
    max(CASE WHEN coalesce(role, 'target') = 'target' THEN table_arn END) AS table_arn
  FROM operations
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name IN ('RestoreTableFromBackup', 'RestoreTableToPointInTime', 'RestoreTableFromAwsBackup')
    AND outcome = 'ok'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
  GROUP BY event_time, event_time_ms, recipient_account_id, aws_region, principal, event_id
),
deletes AS (
  SELECT
    event_time,
    event_time_ms,
    recipient_account_id,
    table_arn,
    principal,
    source_ip_address,
    event_id
  FROM operations
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name = 'DeleteTable'
    AND outcome = 'ok'
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
),
pairs AS (
  SELECT
    r.event_time AS restored_at,
    r.event_time_ms AS restored_ms,
    r.recipient_account_id,
    r.aws_region,
    r.source_table,
    r.table_name,
    r.table_arn,
    r.principal AS restored_by,
    r.event_id AS restore_event_id,
    d.event_time AS deleted_at,
    d.event_time_ms AS deleted_ms,
    d.principal AS deleted_by,
    d.source_ip_address,
    d.event_id,
    -- the last restore of that name before the delete
    row_number() OVER (PARTITION BY d.recipient_account_id, d.event_id ORDER BY r.event_time_ms DESC NULLS LAST, r.event_id NULLS LAST) AS place
  FROM deletes d
  JOIN restores r
    ON d.recipient_account_id = r.recipient_account_id
    AND d.table_arn = r.table_arn
    AND d.event_time_ms BETWEEN r.event_time_ms AND r.event_time_ms + /*:hours*/ 24 * CAST(3600000 AS bigint)
  WHERE r.source_table IS NULL
    OR r.source_table <> r.table_name
    OR r.source_arn <> r.table_arn
)
SELECT
  p.restored_at,
  p.deleted_at,
  p.recipient_account_id,
  p.aws_region,
  p.source_table,
  p.table_name,
  p.restored_by,
  p.deleted_by,
  count(*) AS reads,
  count(*) FILTER (WHERE o.operation IN ('Scan', 'Query')) AS scans,
  count(*) FILTER (WHERE o.operation = 'ExportTableToPointInTime') AS exports,
  count(DISTINCT o.principal) AS readers,
  min(o.principal) AS read_by,
  min(o.event_time) AS first_read,
  max(o.event_time) AS last_read,
  p.source_ip_address,
  p.restore_event_id,
  p.event_id
FROM pairs p
JOIN operations o
  ON p.recipient_account_id = o.recipient_account_id
  AND p.table_arn = o.table_arn
  AND o.event_time_ms BETWEEN p.restored_ms AND p.deleted_ms
WHERE p.place = 1
  AND o.dt <= /*:until*/ '2999-12-31'
  AND o.access = 'read'
  AND o.operation <> 'ConditionCheckItem'
  AND o.outcome = 'ok'
  AND (/*:table*/ '' IN ('', p.table_name) OR /*:table*/ '' = p.source_table)
  AND /*:principal*/ '' IN ('', p.restored_by, p.deleted_by)
GROUP BY p.restored_at, p.deleted_at, p.recipient_account_id, p.aws_region, p.source_table, p.table_name, p.restored_by, p.deleted_by, p.source_ip_address, p.restore_event_id, p.event_id
ORDER BY deleted_at NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
