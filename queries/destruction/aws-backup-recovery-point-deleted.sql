/*
title = "Recovery points of tables deleted in AWS Backup"
description = """
Successful calls of backup:DeleteRecoveryPoint for recovery points of DynamoDB tables. What AWS Backup itself lets expire by a
plan is no such call and no row.

The call names the recovery point, not always the table. An ARN of DynamoDB tells it. An ARN of AWS Backup tells nothing: then
the lake is asked for the job that made the point. If it doesn't know either, the point is listed as unknown, since tables with
advanced features have such ARNs; so do file systems, buckets and others. Expected pipelines are left out.
"""
level = "high"
attack = ["T1490", "T1485"]
references = ["https://docs.aws.amazon.com/aws-backup/latest/devguide/API_DeleteRecoveryPoint.html", "https://docs.aws.amazon.com/aws-backup/latest/devguide/logging-using-cloudtrail.html"]
false_positives = ["Recovery points of other kinds of resources, where the kind is unknown: include_unknown leaves them out.", "A clean-up of old recovery points: name its role in site.pipeline_roles."]
needs = ["backup.amazonaws.com"]
identity = ["recipient_account_id", "event_id"]

[parameters.include_unknown]
type = "boolean"
default = true
about = "Whether to list recovery points of which the lake does not tell what they are of"

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
kind = "DynamoDB, or unknown"
table_name = "The table, where it is known"
recovery_point_arn = "The recovery point"
backup_vault_name = "The vault it was in"
principal = "Who deleted it"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
event_id = "The event"
*/
WITH deletes AS (
  SELECT
    event_time,
    recipient_account_id,
    aws_region,
    json_extract_scalar(request_parameters, '$.recoveryPointArn') AS recovery_point_arn,
    json_extract_scalar(request_parameters, '$.backupVaultName') AS backup_vault_name,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND event_source = 'backup.amazonaws.com'
    AND event_name = 'DeleteRecoveryPoint'
    AND error_code IS NULL
    AND coalesce(invoked_by, '-') <> 'backup.amazonaws.com'
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
),
-- jobs name both the recovery point and what it is of
jobs AS (
  SELECT
    coalesce(
      json_extract_scalar(service_event_details, '$.recoveryPointArn'),
      json_extract_scalar(response_elements, '$.recoveryPointArn')
    ) AS recovery_point_arn,
    coalesce(
      json_extract_scalar(service_event_details, '$.resourceArn'),
      json_extract_scalar(request_parameters, '$.resourceArn')
    ) AS resource_arn
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'backup.amazonaws.com'
    AND event_name IN ('BackupJobStarted', 'BackupJobCompleted', 'BackupDeleted', 'BackupTransitionedToCold', 'StartBackupJob')
    AND error_code IS NULL
),
known AS (
  SELECT
    recovery_point_arn,
    max(resource_arn) AS resource_arn
  FROM jobs
  WHERE recovery_point_arn IS NOT NULL
    AND resource_arn IS NOT NULL
  GROUP BY recovery_point_arn
),
named AS (
  SELECT
    d.*,
    CASE
      WHEN regexp_like(d.recovery_point_arn, '^arn:[^:]*:dynamodb:') THEN d.recovery_point_arn
      ELSE k.resource_arn
    END AS resource_arn
  FROM deletes d
  LEFT JOIN known k
    ON d.recovery_point_arn = k.recovery_point_arn
),
sorted AS (
  SELECT
    n.*,
    CASE
      WHEN regexp_like(resource_arn, '^arn:[^:]*:dynamodb:') THEN 'DynamoDB'
      WHEN resource_arn IS NOT NULL THEN 'other'
      WHEN regexp_like(recovery_point_arn, '^arn:[^:]*:backup:') OR recovery_point_arn IS NULL THEN 'unknown'
      ELSE 'other'
    END AS kind
  FROM named n
),
placed AS (
  SELECT
    s.*,
    CASE WHEN kind = 'DynamoDB' THEN nullif(split_part(resource_arn, '/', 2), '') END AS table_name
  FROM sorted s
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  kind,
  table_name,
  recovery_point_arn,
  backup_vault_name,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  event_id
FROM placed
WHERE (kind = 'DynamoDB' OR (kind = 'unknown' AND /*:include_unknown*/ true))
  AND /*:table*/ '' IN ('', table_name)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
