/*
title = "Refused probing of backups and restores"
description = """
A principal that was denied many calls about backups, restores, continuous backups, exports and imports, of DynamoDB or of
AWS Backup: at least min_calls within 60 minutes. Somebody looks for a way to a copy of the data, or for the backups to destroy.

One row a principal and day (UTC), with the fullest 60 minutes. Calls are counted over all regions. The table is often
missing in denied calls. Calls that AWS services made are left out.
"""
level = "medium"
attack = ["T1526", "T1530", "T1490"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Backup-and-Restore.html"]
false_positives = ["Inventory and compliance scanners without the permissions that they need.", "A job whose permissions were taken away."]
needs = ["control"]
identity = ["day", "recipient_account_id", "principal"]
optional = ["backup.amazonaws.com"]

[parameters.min_calls]
type = "integer"
default = 6
about = "Fewest denied calls within 60 minutes worth a row"

[columns]
day = "The day, UTC"
first_seen = "The first denied call of the fullest 60 minutes, UTC"
last_seen = "The last of them, UTC"
recipient_account_id = "The account whose trail recorded them"
principal = "Who was denied"
access_key_id = "One of the access keys used"
source_ip_address = "One of the addresses"
calls = "Denied calls in the fullest 60 minutes"
calls_of_day = "Denied calls of the day"
kinds = "Different API calls among those in the fullest 60 minutes"
restores = "Of these, restores, exports and restore jobs"
deletes = "Of these, deletes of backups and recovery points"
regions = "Regions in which they were tried"
tables = "Tables that they name"
event_id = "One of the events"
*/
WITH refused AS (
  SELECT
    event_time,
    event_time_ms,
    dt,
    recipient_account_id,
    aws_region,
    table_name,
    coalesce(principal, '-') AS principal,
    access_key_id,
    source_ip_address,
    event_name,
    event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND (
      (
        event_source = 'dynamodb.amazonaws.com'
        AND outcome = 'denied'
        AND event_name IN (
          'CreateBackup', 'DeleteBackup', 'DescribeBackup', 'ListBackups', 'StartAwsBackupJob',
          'RestoreTableFromBackup', 'RestoreTableToPointInTime', 'RestoreTableFromAwsBackup',
          'DescribeContinuousBackups', 'UpdateContinuousBackups',
          'ExportTableToPointInTime', 'DescribeExport', 'ListExports',
          'ImportTable', 'DescribeImport', 'ListImports'
        )
      )
      OR (event_source = 'backup.amazonaws.com' AND starts_with(error_code, 'AccessDenied'))
    )
    AND is_service_made = false
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:principal*/ '' IN ('', principal)
),
counted AS (
  SELECT
    recipient_account_id,
    principal,
    dt,
    event_id,
    event_time_ms,
    count(*) OVER (PARTITION BY recipient_account_id, principal ORDER BY event_time_ms NULLS LAST RANGE BETWEEN CURRENT ROW AND 3599999 FOLLOWING) AS calls,
    count(*) OVER (PARTITION BY recipient_account_id, principal, dt) AS calls_of_day
  FROM refused
),
ranked AS (
  SELECT
    c.*,
    row_number() OVER (PARTITION BY recipient_account_id, principal, dt ORDER BY calls DESC NULLS LAST, event_time_ms NULLS LAST, event_id NULLS LAST) AS place
  FROM counted c
),
fullest AS (
  SELECT *
  FROM ranked
  WHERE place = 1
    AND calls >= /*:min_calls*/ 6
)
SELECT
  f.dt AS day,
  min(r.event_time) AS first_seen,
  max(r.event_time) AS last_seen,
  f.recipient_account_id,
  f.principal,
  min(r.access_key_id) AS access_key_id,
  min(r.source_ip_address) AS source_ip_address,
  count(*) AS calls,
  f.calls_of_day,
  count(DISTINCT r.event_name) AS kinds,
  count(*) FILTER (WHERE starts_with(r.event_name, 'Restore') OR r.event_name IN ('ExportTableToPointInTime', 'StartRestoreJob')) AS restores,
  count(*) FILTER (WHERE r.event_name IN ('DeleteBackup', 'DeleteRecoveryPoint', 'DeleteBackupVault')) AS deletes,
  count(DISTINCT r.aws_region) AS regions,
  count(DISTINCT r.table_name) AS tables,
  min(r.event_id) AS event_id
FROM fullest f
JOIN refused r
  ON f.recipient_account_id = r.recipient_account_id
  AND f.principal = r.principal
  AND r.event_time_ms BETWEEN f.event_time_ms AND f.event_time_ms + 3599999
GROUP BY f.recipient_account_id, f.principal, f.dt, f.event_time_ms, f.calls_of_day
HAVING max(CASE WHEN /*:region*/ '' IN ('', r.aws_region) THEN 1 ELSE 0 END) = 1
  AND max(CASE WHEN /*:table*/ '' IN ('', r.table_name) THEN 1 ELSE 0 END) = 1
ORDER BY first_seen NULLS LAST, recipient_account_id NULLS LAST, principal NULLS LAST, event_id NULLS LAST
