/*
title = "Tables imported from S3"
description = """
ImportTable calls that succeeded: a new table is made and filled from files in a bucket, and no write of an item is logged.
It can bring in data that somebody prepared, or stage a copy of another table. The bucket counts as foreign when its owner, as
the call names it, is neither in site.own_accounts nor an account whose trail is in the lake. Imports by pipelines are left
out, unless the bucket is foreign.
"""
level = "medium"
attack = ["T1565.001", "T1074.002"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ImportTable.html"]
false_positives = ["A migration, or test data."]
needs = ["control"]
identity = ["recipient_account_id", "event_id"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The new table"
bucket = "The bucket with the files"
key_prefix = "What the files' keys begin with"
bucket_owner = "The bucket's account, as the call names it"
is_foreign_bucket = "Whether that account is none of yours"
input_format = "CSV, DYNAMODB_JSON or ION"
principal = "Who imported"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
event_id = "The event"
*/
WITH imports AS (
  SELECT
    event_time,
    recipient_account_id,
    aws_region,
    table_name,
    coalesce(json_extract_scalar(request_parameters, '$.s3BucketSource.s3Bucket'), json_extract_scalar(response_elements, '$.importTableDescription.s3BucketSource.s3Bucket')) AS bucket,
    coalesce(json_extract_scalar(request_parameters, '$.s3BucketSource.s3KeyPrefix'), json_extract_scalar(response_elements, '$.importTableDescription.s3BucketSource.s3KeyPrefix')) AS key_prefix,
    coalesce(json_extract_scalar(request_parameters, '$.s3BucketSource.s3BucketOwner'), json_extract_scalar(response_elements, '$.importTableDescription.s3BucketSource.s3BucketOwner')) AS bucket_owner,
    coalesce(json_extract_scalar(request_parameters, '$.inputFormat'), json_extract_scalar(response_elements, '$.importTableDescription.inputFormat')) AS input_format,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name = 'ImportTable'
    AND outcome = 'ok'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
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
    i.*,
    i.bucket_owner IS NOT NULL
      AND o.account_id IS NULL
      AND i.bucket_owner NOT IN (/*:own_accounts*/ '') AS is_foreign_bucket
  FROM imports i
  LEFT JOIN own o
    ON i.bucket_owner = o.account_id
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  bucket,
  key_prefix,
  bucket_owner,
  is_foreign_bucket,
  input_format,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  event_id
FROM judged
WHERE is_foreign_bucket
  OR coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
