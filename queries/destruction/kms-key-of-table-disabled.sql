/*
title = "Encryption keys of tables disabled"
description = """
Successful calls of KMS that disable a key, schedule its deletion or delete its imported material, where the lake had seen
the key encrypt a table before. Without its key a table can't be read or written, and is lost once the key is deleted.

A key is known by the calls that DynamoDB makes to KMS, whose encryption context names the table, and by the calls that made,
changed, restored or deleted a table and name its key. The column last_in_use tells when: the table may have another key by now.
One row for each call and table.
Expected pipelines are left out.
"""
level = "high"
attack = ["T1485", "T1486"]
references = ["https://docs.aws.amazon.com/kms/latest/developerguide/logging-using-cloudtrail.html", "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/EncryptionAtRest.html"]
false_positives = ["Keys that are retired after their tables have been given new ones."]
needs = ["control", "kms.amazonaws.com"]
identity = ["recipient_account_id", "event_id", "table_account_id", "table_name"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded the call"
aws_region = "The region"
event_name = "The call: DisableKey, ScheduleKeyDeletion or DeleteImportedKeyMaterial"
key_id = "The key"
pending_days = "Days until the key is deleted, where the call tells"
table_account_id = "The account whose trail shows the table"
table_name = "A table that the key encrypted"
last_in_use = "When the lake last shows the key with the table before the call, UTC"
principal = "Who called"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
invoked_by = "The AWS service that called for the principal, if one did"
event_id = "The event"
*/
WITH calls AS (
  SELECT
    event_time,
    event_time_ms,
    recipient_account_id,
    aws_region,
    event_name,
    coalesce(
      json_extract_scalar(resources, '$[0].ARN'),
      json_extract_scalar(response_elements, '$.keyId'),
      json_extract_scalar(request_parameters, '$.keyId')
    ) AS key_arn,
    coalesce(
      TRY_CAST(json_extract_scalar(response_elements, '$.pendingWindowInDays') AS bigint),
      TRY_CAST(json_extract_scalar(request_parameters, '$.pendingWindowInDays') AS bigint)
    ) AS pending_days,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    invoked_by,
    event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND event_source = 'kms.amazonaws.com'
    AND event_name IN ('DisableKey', 'ScheduleKeyDeletion', 'DeleteImportedKeyMaterial')
    AND error_code IS NULL
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
),
-- a key's id is what follows the slash of its ARN, or all that was given
disabled AS (
  SELECT
    c.*,
    coalesce(nullif(split_part(key_arn, '/', 2), ''), key_arn) AS key_id
  FROM calls c
),
mentions AS (
  SELECT
    event_time,
    event_time_ms,
    recipient_account_id,
    aws_region,
    CASE
      WHEN event_source = 'dynamodb.amazonaws.com' THEN table_name
      -- the name is the next text after the member's name
      ELSE nullif(split_part(split_part(request_parameters, '"aws:dynamodb:tableName"', 2), '"', 2), '')
    END AS table_name,
    CASE
      WHEN event_source = 'dynamodb.amazonaws.com' THEN coalesce(
        json_extract_scalar(response_elements, '$.tableDescription.sSEDescription.kMSMasterKeyArn'),
        json_extract_scalar(request_parameters, '$.sSESpecification.kMSMasterKeyId'),
        json_extract_scalar(request_parameters, '$.sSESpecificationOverride.kMSMasterKeyId')
      )
      ELSE json_extract_scalar(resources, '$[0].ARN')
    END AS key_arn
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND (
      (
        event_source = 'dynamodb.amazonaws.com'
        AND event_name IN ('CreateTable', 'UpdateTable', 'DeleteTable', 'RestoreTableFromBackup', 'RestoreTableToPointInTime')
        AND outcome = 'ok'
      )
      OR (
        event_source = 'kms.amazonaws.com'
        AND event_name IN ('Decrypt', 'Encrypt', 'GenerateDataKey', 'GenerateDataKeyWithoutPlaintext', 'ReEncrypt', 'CreateGrant')
        AND error_code IS NULL
        AND strpos(request_parameters, '"aws:dynamodb:tableName"') > 0
      )
    )
),
uses AS (
  SELECT
    d.recipient_account_id,
    d.event_id,
    m.recipient_account_id AS table_account_id,
    m.table_name,
    max(m.event_time) AS last_in_use
  FROM mentions m
  JOIN disabled d
    ON coalesce(nullif(split_part(m.key_arn, '/', 2), ''), m.key_arn) = d.key_id
    AND m.aws_region = d.aws_region
    AND m.event_time_ms <= d.event_time_ms
  WHERE m.table_name IS NOT NULL
  GROUP BY d.recipient_account_id, d.event_id, m.recipient_account_id, m.table_name
)
SELECT
  d.event_time,
  d.recipient_account_id,
  d.aws_region,
  d.event_name,
  d.key_id,
  d.pending_days,
  u.table_account_id,
  u.table_name,
  u.last_in_use,
  d.principal,
  d.session_name,
  d.access_key_id,
  d.source_ip_address,
  d.user_agent,
  d.invoked_by,
  d.event_id
FROM disabled d
JOIN uses u
  ON d.recipient_account_id = u.recipient_account_id
  AND d.event_id = u.event_id
WHERE /*:table*/ '' IN ('', u.table_name)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST, table_account_id NULLS LAST, table_name NULLS LAST
