/*
title = "Tables restored as a copy"
description = """
Restores that succeeded and made a table under another name, or in another account or region, than the table whose backup or
continuous backup they read. The copy holds all items, but none of the original's tags, resource policy, time to live,
continuous backups or auto scaling, so other permissions may apply to it.

Restores by AWS Backup are listed too, as a person may have started them. A restore under the original name is left out: it
can only replace a table that is gone. Where the source is not logged, the row is listed without it.
"""
level = "medium"
attack = ["T1530", "T1074.002"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Restore.Tutorial.html"]
false_positives = ["Tests of restores: name their roles in site.pipeline_roles.", "A copy made for a developer or to answer an incident."]
needs = ["control"]
identity = ["recipient_account_id", "event_id"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region of the copy"
source_table = "The table whose data was restored"
table_name = "The copy"
event_name = "The API call"
principal = "Who restored"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
is_service_made = "Whether an AWS service made the call"
event_id = "The event"
*/
WITH restores AS (
  SELECT
    event_time,
    recipient_account_id,
    aws_region,
    event_name,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    is_service_made,
    event_id,
    max(CASE WHEN role = 'source' THEN table_name END) AS source_table,
    max(CASE WHEN role = 'source' THEN table_arn END) AS source_arn,
    max(CASE WHEN coalesce(role, 'target') = 'target' THEN table_name END) AS table_name,
    max(CASE WHEN coalesce(role, 'target') = 'target' THEN table_arn END) AS target_arn
  FROM operations
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name IN ('RestoreTableFromBackup', 'RestoreTableToPointInTime', 'RestoreTableFromAwsBackup')
    AND outcome = 'ok'
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
  GROUP BY event_time, recipient_account_id, aws_region, event_name, principal, session_name, access_key_id, source_ip_address, is_service_made, event_id
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  source_table,
  table_name,
  event_name,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  is_service_made,
  event_id
FROM restores
WHERE (source_table IS NULL OR table_name IS NULL OR source_table <> table_name OR source_arn <> target_arn)
  -- either of the two tables
  AND (/*:table*/ '' IN ('', table_name) OR /*:table*/ '' = source_table)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
