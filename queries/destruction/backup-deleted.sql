/*
title = "Backups deleted"
description = """
Every DeleteBackup that succeeded, except by expected pipelines and by AWS Backup, which removes what its plans let expire.

A system backup, which DynamoDB keeps for 35 days when a table with point-in-time recovery is deleted, is listed whoever
deleted it: it is the last copy of a table that is gone. The column deleted_nearby tells a single delete from a sweep.
"""
level = "high"
attack = ["T1490", "T1485"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteBackup.html"]
false_positives = ["A rotation of backups: name its role in site.pipeline_roles."]
needs = ["control"]
identity = ["recipient_account_id", "event_id"]

[parameters.minutes]
type = "integer"
default = 10
about = "Minutes before and after within which deleted_nearby counts"

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table that the backup was of"
backup_name = "The backup's name"
backup_arn = "The backup's ARN"
backup_type = "USER, SYSTEM or AWS_BACKUP, where the answer tells"
is_system_backup = "Whether it was the copy that DynamoDB keeps of a deleted table"
backup_size_bytes = "The backup's size"
deleted_nearby = "Backups that the same principal deleted within the given minutes, this one included"
principal = "Who deleted it"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
invoked_by = "The AWS service that called for the principal, if one did"
event_id = "The event"
*/
WITH deletes AS (
  SELECT
    event_time,
    event_time_ms,
    dt,
    recipient_account_id,
    aws_region,
    table_name,
    json_extract_scalar(response_elements, '$.backupDescription.backupDetails.backupName') AS backup_name,
    coalesce(
      json_extract_scalar(request_parameters, '$.backupArn'),
      json_extract_scalar(response_elements, '$.backupDescription.backupDetails.backupArn')
    ) AS backup_arn,
    json_extract_scalar(response_elements, '$.backupDescription.backupDetails.backupType') AS backup_type,
    TRY_CAST(json_extract_scalar(response_elements, '$.backupDescription.backupDetails.backupSizeBytes') AS bigint) AS backup_size_bytes,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    invoked_by,
    event_id
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name = 'DeleteBackup'
    AND outcome = 'ok'
    AND /*:account*/ '' IN ('', recipient_account_id)
),
marked AS (
  SELECT
    d.*,
    coalesce(backup_type = 'SYSTEM', false) OR coalesce(strpos(backup_name, '$DeletedTableBackup') > 0, false) AS is_system_backup
  FROM deletes d
),
nearby AS (
  SELECT
    a.recipient_account_id,
    a.event_id,
    count(DISTINCT b.backup_arn) AS deleted_nearby
  FROM deletes a
  JOIN deletes b
    ON a.recipient_account_id = b.recipient_account_id
    AND coalesce(a.principal, '-') = coalesce(b.principal, '-')
    AND b.event_time_ms BETWEEN a.event_time_ms - /*:minutes*/ 10 * CAST(60000 AS bigint) AND a.event_time_ms + /*:minutes*/ 10 * CAST(60000 AS bigint)
  WHERE a.dt >= /*:since*/ '2000-01-01'
  GROUP BY a.recipient_account_id, a.event_id
)
SELECT
  m.event_time,
  m.recipient_account_id,
  m.aws_region,
  m.table_name,
  m.backup_name,
  m.backup_arn,
  m.backup_type,
  m.is_system_backup,
  m.backup_size_bytes,
  n.deleted_nearby,
  m.principal,
  m.session_name,
  m.access_key_id,
  m.source_ip_address,
  m.user_agent,
  m.invoked_by,
  m.event_id
FROM marked m
JOIN nearby n
  ON m.recipient_account_id = n.recipient_account_id
  AND m.event_id = n.event_id
WHERE m.dt >= /*:since*/ '2000-01-01'
  AND (
    m.is_system_backup
    OR (
      coalesce(m.principal, '-') NOT IN (/*:pipeline_roles*/ '')
      AND coalesce(m.invoked_by, '-') <> 'backup.amazonaws.com'
    )
  )
  AND /*:region*/ '' IN ('', m.aws_region)
  AND /*:table*/ '' IN ('', m.table_name)
  AND /*:principal*/ '' IN ('', m.principal)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
