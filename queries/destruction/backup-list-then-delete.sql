/*
title = "Backups listed, then deleted; backups deleted, then the table"
description = """
Two sequences of one plan. A principal lists backups - of the table, or of all - and within list_minutes deletes one.
Or a table is deleted within table_hours after one of its backups was, by whomever. All calls succeeded.

One row for each backup and each table deleted, with the latest first step before it. Expected pipelines and
AWS Backup, which list and delete as they rotate, are left out, whichever of the two calls they made.
"""
level = "high"
attack = ["T1490", "T1485"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ListBackups.html", "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteBackup.html"]
false_positives = ["A rotation of backups: name its role in site.pipeline_roles.", "An operator who tidies up old backups by hand."]
needs = ["control"]
identity = ["recipient_account_id", "event_id"]

[parameters.list_minutes]
type = "integer"
default = 60
about = "Minutes within which a backup's deletion must follow the list"

[parameters.table_hours]
type = "integer"
default = 24
about = "Hours within which a table's deletion must follow its backup's"

[columns]
event_time = "When the second call completed, UTC"
what = "list, then backup or backup, then table"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
backup_arn = "The backup deleted: by the second call, or before the table"
first_time = "When the first call completed, UTC"
minutes_between = "Minutes between the two"
first_principal = "Who made the first call"
principal = "Who made the second"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
first_event_id = "The first call's event"
event_id = "The second call's event"
*/
WITH calls AS (
  SELECT
    event_time,
    event_time_ms,
    dt,
    event_name,
    recipient_account_id,
    aws_region,
    table_name,
    coalesce(
      json_extract_scalar(request_parameters, '$.backupArn'),
      json_extract_scalar(response_elements, '$.backupDescription.backupDetails.backupArn')
    ) AS backup_arn,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    event_id
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name IN ('ListBackups', 'DeleteBackup', 'DeleteTable')
    AND outcome = 'ok'
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND coalesce(invoked_by, '-') <> 'backup.amazonaws.com'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
),
pairs AS (
  SELECT
    b.event_time,
    'list, then backup' AS what,
    b.recipient_account_id,
    b.aws_region,
    b.table_name,
    b.backup_arn,
    a.event_time AS first_time,
    a.event_time_ms AS first_ms,
    b.event_time_ms,
    a.principal AS first_principal,
    b.principal,
    b.session_name,
    b.access_key_id,
    b.source_ip_address,
    a.event_id AS first_event_id,
    b.event_id
  FROM calls b
  JOIN calls a
    ON a.recipient_account_id = b.recipient_account_id
    AND a.aws_region = b.aws_region
    AND coalesce(a.principal, '-') = coalesce(b.principal, '-')
    AND coalesce(a.table_name, b.table_name, '-') = coalesce(b.table_name, '-')
    AND a.event_time_ms BETWEEN b.event_time_ms - /*:list_minutes*/ 60 * CAST(60000 AS bigint) AND b.event_time_ms
  WHERE b.event_name = 'DeleteBackup'
    AND a.event_name = 'ListBackups'
    AND b.dt >= /*:since*/ '2000-01-01'
  UNION ALL
  SELECT
    b.event_time,
    'backup, then table' AS what,
    b.recipient_account_id,
    b.aws_region,
    b.table_name,
    a.backup_arn,
    a.event_time AS first_time,
    a.event_time_ms AS first_ms,
    b.event_time_ms,
    a.principal AS first_principal,
    b.principal,
    b.session_name,
    b.access_key_id,
    b.source_ip_address,
    a.event_id AS first_event_id,
    b.event_id
  FROM calls b
  JOIN calls a
    ON a.recipient_account_id = b.recipient_account_id
    AND a.aws_region = b.aws_region
    AND a.table_name = b.table_name
    AND a.event_time_ms BETWEEN b.event_time_ms - /*:table_hours*/ 24 * CAST(3600000 AS bigint) AND b.event_time_ms
  WHERE b.event_name = 'DeleteTable'
    AND a.event_name = 'DeleteBackup'
    AND b.dt >= /*:since*/ '2000-01-01'
),
latest AS (
  SELECT
    p.*,
    row_number() OVER (PARTITION BY what, recipient_account_id, event_id ORDER BY first_ms DESC, first_event_id NULLS LAST) AS place
  FROM pairs p
)
SELECT
  event_time,
  what,
  recipient_account_id,
  aws_region,
  table_name,
  backup_arn,
  first_time,
  round(CAST(event_time_ms - first_ms AS double) / 60000e0, 2) AS minutes_between,
  first_principal,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  first_event_id,
  event_id
FROM latest
WHERE place = 1
  AND /*:table*/ '' IN ('', table_name)
  AND /*:principal*/ '' IN ('', principal)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
