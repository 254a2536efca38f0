/*
title = "Tables exported to S3"
description = """
Every ExportTableToPointInTime that succeeded. An export copies a whole table, or what changed in it, to a bucket; it uses
no read capacity and leaves no Scan or GetItem in the log. The bucket may lie in another account and another region.

A bucket counts as foreign when its owner, as the call names it, is neither in site.own_accounts nor an account whose trail
is in the lake. A call that names no owner goes to a bucket of the caller's own account. Exports by pipelines, and those that
AWS services make for their integrations, are left out, unless the bucket is foreign. What becomes of the copy in the bucket
cannot be seen here.
"""
level = "high"
attack = ["T1537", "T1530"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ExportTableToPointInTime.html"]
false_positives = ["Regular exports for analytics: name their role in site.pipeline_roles.", "A bucket of an account of yours: name the account in site.own_accounts."]
needs = ["control"]
identity = ["recipient_account_id", "event_id"]
baseline_days = "history_days"

[parameters.history_days]
type = "integer"
default = 10
about = "Days in which an earlier export by the principal is looked for"

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
bucket = "The bucket that receives the copy"
bucket_owner = "The bucket's account, as the call names it"
is_foreign_bucket = "Whether that account is none of yours"
export_type = "FULL_EXPORT or INCREMENTAL_EXPORT"
key_id = "The KMS key that encrypts the copy, where one is named"
principal = "Who exported it"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
previous_export = "The principal's export before, if within history_days days, UTC; none: new to exporting"
event_id = "The event"
*/
WITH exports AS (
  SELECT
    event_time,
    event_time_ms,
    dt,
    recipient_account_id,
    aws_region,
    table_name,
    coalesce(json_extract_scalar(request_parameters, '$.s3Bucket'), json_extract_scalar(response_elements, '$.exportDescription.s3Bucket')) AS bucket,
    coalesce(json_extract_scalar(request_parameters, '$.s3BucketOwner'), json_extract_scalar(response_elements, '$.exportDescription.s3BucketOwner')) AS bucket_owner,
    coalesce(json_extract_scalar(request_parameters, '$.exportType'), json_extract_scalar(response_elements, '$.exportDescription.exportType')) AS export_type,
    coalesce(json_extract_scalar(request_parameters, '$.s3SseKmsKeyId'), json_extract_scalar(response_elements, '$.exportDescription.s3SseKmsKeyId')) AS key_id,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    is_service_made,
    lag(event_time) OVER (PARTITION BY recipient_account_id, principal ORDER BY event_time_ms NULLS LAST, event_id NULLS LAST) AS previous_export,
    lag(event_time_ms) OVER (PARTITION BY recipient_account_id, principal ORDER BY event_time_ms NULLS LAST, event_id NULLS LAST) AS previous_ms,
    event_id
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name = 'ExportTableToPointInTime'
    AND outcome = 'ok'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:principal*/ '' IN ('', principal)
),
own AS (
  SELECT DISTINCT recipient_account_id AS account_id
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND recipient_account_id IS NOT NULL
),
judged AS (
  SELECT
    x.*,
    x.bucket_owner IS NOT NULL
      AND o.account_id IS NULL
      AND x.bucket_owner NOT IN (/*:own_accounts*/ '') AS is_foreign_bucket
  FROM exports x
  LEFT JOIN own o
    ON x.bucket_owner = o.account_id
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  bucket,
  bucket_owner,
  is_foreign_bucket,
  export_type,
  key_id,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  CASE WHEN event_time_ms - previous_ms <= /*:history_days*/ 10 * CAST(86400000 AS bigint) THEN previous_export END AS previous_export,
  event_id
FROM judged
WHERE dt >= /*:since*/ '2000-01-01'
  AND (
    is_foreign_bucket
    OR (is_service_made = false AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ ''))
  )
  AND /*:region*/ '' IN ('', aws_region)
  AND /*:table*/ '' IN ('', table_name)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
