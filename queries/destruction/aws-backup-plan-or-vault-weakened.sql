/*
title = "AWS Backup weakened"
description = """
Successful calls that take protection away from what AWS Backup keeps: a plan or a plan's selection deleted, a vault deleted, a vault's
lock or access policy removed, or the backup of DynamoDB switched off for the region.

The log does not tell which tables a plan or a vault held: the calls are listed for all kinds of resources, except that the
region's settings count only for DynamoDB. A plan or a policy that is replaced by a weaker one is not recognised.
Expected pipelines are left out.
"""
level = "medium"
attack = ["T1490"]
references = ["https://docs.aws.amazon.com/aws-backup/latest/devguide/logging-using-cloudtrail.html", "https://docs.aws.amazon.com/aws-backup/latest/devguide/vault-lock.html"]
false_positives = ["An environment that is taken down, or a plan that is made anew."]
needs = ["backup.amazonaws.com"]
identity = ["recipient_account_id", "event_id"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
what = "What was taken away"
event_name = "The call"
backup_plan_id = "The plan"
backup_vault_name = "The vault"
principal = "Who called"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
invoked_by = "The AWS service that called for the principal, if one did"
event_id = "The event"
*/
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  CASE event_name
    WHEN 'DeleteBackupPlan' THEN 'plan'
    WHEN 'DeleteBackupSelection' THEN 'selection of a plan'
    WHEN 'BackupSelectionDeletedDueToSLRDeletion' THEN 'selection of a plan, as its role is gone'
    WHEN 'DeleteBackupVault' THEN 'vault'
    WHEN 'DeleteBackupVaultLockConfiguration' THEN 'lock of a vault'
    WHEN 'DeleteBackupVaultAccessPolicy' THEN 'access policy of a vault'
    WHEN 'UpdateRegionSettings' THEN 'DynamoDB in the region'
  END AS what,
  event_name,
  json_extract_scalar(request_parameters, '$.backupPlanId') AS backup_plan_id,
  json_extract_scalar(request_parameters, '$.backupVaultName') AS backup_vault_name,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  invoked_by,
  event_id
FROM events
WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND event_source = 'backup.amazonaws.com'
  AND (
    event_name IN (
      'DeleteBackupPlan',
      'DeleteBackupSelection',
      'BackupSelectionDeletedDueToSLRDeletion',
      'DeleteBackupVault',
      'DeleteBackupVaultLockConfiguration',
      'DeleteBackupVaultAccessPolicy'
    )
    OR (
      event_name = 'UpdateRegionSettings'
      AND json_extract_scalar(request_parameters, '$.resourceTypeOptInPreference.DynamoDB') = 'false'
    )
  )
  AND error_code IS NULL
  AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
  AND /*:account*/ '' IN ('', recipient_account_id)
  AND /*:region*/ '' IN ('', aws_region)
  AND /*:principal*/ '' IN ('', principal)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
