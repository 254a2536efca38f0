/*
title = "Recovery removed, then items destroyed"
description = """
Tables whose recovery was removed - point-in-time recovery off, deletion protection off, or a backup deleted - and whose
items the same principal then deleted, at least min_items of them within the given minutes after a removal.

Removals of one table by one principal that follow each other within these minutes are one row. Items are counted by every path:
DeleteItem, batches, transactions and PartiQL. With any_principal deletes by others count too, as when the intruder changes roles.
Expected pipelines are left out.
"""
level = "critical"
attack = ["T1490", "T1485"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html", "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = ["A table that is emptied before it is retired."]
needs = ["control", "data.write"]
identity = ["first_removal", "recipient_account_id", "aws_region", "table_name", "removed_by", "principal"]

[parameters.minutes]
type = "integer"
default = 60
about = "Minutes after a removal within which deletes count"

[parameters.min_items]
type = "integer"
default = 10
about = "Smallest number of items deleted that is worth a row"

[parameters.any_principal]
type = "boolean"
default = false
about = "Whether deletes by other principals than the one that removed recovery count"

[columns]
first_removal = "When recovery was first removed, UTC"
last_removal = "When it was last removed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
removed_by = "Who removed recovery"
recovery_off = "How often point-in-time recovery was switched off"
protection_off = "How often deletion protection was switched off"
backups_deleted = "Backups deleted"
principal = "Who deleted the items"
items_deleted = "Items deleted, until the given minutes after the last removal"
first_delete = "The first of these deletes, UTC"
last_delete = "The last of them, UTC"
minutes_between = "Minutes from the first removal to the first delete after it"
access_key_id = "The access key used to delete (one of them)"
source_ip_address = "From where items were deleted (one of the addresses)"
removal_event_id = "One of the events that removed recovery"
event_id = "One of the events that deleted items"
*/
WITH removals AS (
  SELECT
    event_time,
    event_time_ms,
    recipient_account_id,
    aws_region,
    table_name,
    coalesce(principal, '-') AS actor,
    principal,
    event_id,
    CASE event_name WHEN 'UpdateContinuousBackups' THEN 1 ELSE 0 END AS recovery_off,
    CASE event_name WHEN 'UpdateTable' THEN 1 ELSE 0 END AS protection_off,
    CASE event_name WHEN 'DeleteBackup' THEN 1 ELSE 0 END AS backup_deleted
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name IN ('UpdateContinuousBackups', 'UpdateTable', 'DeleteBackup')
    AND outcome = 'ok'
    AND table_name IS NOT NULL
    AND coalesce(invoked_by, '-') <> 'backup.amazonaws.com'
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND (
      event_name = 'DeleteBackup'
      OR (event_name = 'UpdateTable' AND json_extract_scalar(request_parameters, '$.deletionProtectionEnabled') = 'false')
      OR (event_name = 'UpdateContinuousBackups' AND json_extract_scalar(request_parameters, '$.pointInTimeRecoverySpecification.pointInTimeRecoveryEnabled') = 'false')
    )
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
),
gaps AS (
  SELECT
    r.*,
    CASE
      WHEN event_time_ms - lag(event_time_ms) OVER (PARTITION BY recipient_account_id, aws_region, table_name, actor ORDER BY event_time_ms, event_id NULLS LAST) <= /*:minutes*/ 60 * CAST(60000 AS bigint) THEN 0
      ELSE 1
    END AS is_first
  FROM removals r
),
numbered AS (
  SELECT
    g.*,
    sum(is_first) OVER (PARTITION BY recipient_account_id, aws_region, table_name, actor ORDER BY event_time_ms, event_id NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS episode
  FROM gaps g
),
episodes AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    actor,
    episode,
    max(principal) AS removed_by,
    min(event_time) AS first_removal,
    max(event_time) AS last_removal,
    min(event_time_ms) AS first_ms,
    max(event_time_ms) AS last_ms,
    CAST(sum(recovery_off) AS bigint) AS recovery_off,
    CAST(sum(protection_off) AS bigint) AS protection_off,
    CAST(sum(backup_deleted) AS bigint) AS backups_deleted,
    min(event_id) AS removal_event_id
  FROM numbered
  GROUP BY recipient_account_id, aws_region, table_name, actor, episode
)
SELECT
  e.first_removal,
  e.last_removal,
  e.recipient_account_id,
  e.aws_region,
  e.table_name,
  e.removed_by,
  e.recovery_off,
  e.protection_off,
  e.backups_deleted,
  o.principal,
  count(*) AS items_deleted,
  min(o.event_time) AS first_delete,
  max(o.event_time) AS last_delete,
  round(CAST(min(o.event_time_ms) - e.first_ms AS double) / 60000e0, 2) AS minutes_between,
  max(o.access_key_id) AS access_key_id,
  max(o.source_ip_address) AS source_ip_address,
  e.removal_event_id,
  min(o.event_id) AS event_id
FROM operations o
JOIN episodes e
  ON o.recipient_account_id = e.recipient_account_id
  AND o.aws_region = e.aws_region
  AND o.table_name = e.table_name
  AND o.event_time_ms BETWEEN e.first_ms AND e.last_ms + /*:minutes*/ 60 * CAST(60000 AS bigint)
  AND (coalesce(o.principal, '-') = e.actor OR /*:any_principal*/ false)
WHERE o.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND o.plane = 'data'
  AND o.access = 'delete'
  AND o.outcome = 'ok'
  AND coalesce(o.principal, '-') NOT IN (/*:pipeline_roles*/ '')
  AND /*:principal*/ '' IN ('', o.principal)
GROUP BY e.first_removal, e.last_removal, e.recipient_account_id, e.aws_region, e.table_name, e.actor, e.removed_by, e.recovery_off, e.protection_off, e.backups_deleted, o.principal, e.first_ms, e.removal_event_id
HAVING count(*) >= /*:min_items*/ 10
ORDER BY first_removal NULLS LAST, recipient_account_id NULLS LAST, aws_region NULLS LAST, table_name NULLS LAST, removal_event_id NULLS LAST, principal NULLS LAST
