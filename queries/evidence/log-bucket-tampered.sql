/*
title = "The trail's bucket or key changed"
description = """
Calls that change or delete the buckets where trails deliver, or what lies in them, and the keys that encrypt the
log: policy, lifecycle, versioning, object lock, encryption, replication, access; deletion of the bucket; deletion
of objects and objects put there by others than CloudTrail; keys disabled, scheduled for deletion or given another
policy. Failed attempts are listed too.

A bucket counts as a trail's if log_buckets names it, if a successful CreateTrail or UpdateTrail in the lake does,
if CloudTrail is seen to put objects under AWSLogs/ there, or if its own name contains cloudtrail. A key counts if
log_keys names it, or such a call does. A trail made before the lake begins may be known by none of these: then name
its bucket and key. Calls on single objects are data events of S3, and seen only if those are recorded.
"""
level = "high"
attack = ["T1562.008", "T1070", "T1485"]
references = [
  "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html",
  "https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html",
]
false_positives = [
  "The set-up of a new trail's bucket, and pipelines that manage it: name their roles in site.pipeline_roles.",
]
needs = ["s3.amazonaws.com"]
identity = ["recipient_account_id", "event_id"]
optional = ["cloudtrail.amazonaws.com", "kms.amazonaws.com"]

[parameters.log_buckets]
type = "text_list"
default = []
about = "Buckets where trails deliver, beside those that the lake tells"

[parameters.log_keys]
type = "text_list"
default = []
about = "Ids of the KMS keys that encrypt the log, without the rest of the ARN, beside those that the lake tells"

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
event_source = "The service"
event_name = "The call"
target = "The bucket, or the key as named"
known_by = "How it is known to be the trail's: parameter, trail (a call on the trail names it), delivery or name"
object_key = "The object, where the call names one"
error_code = "Why it failed; empty where it succeeded"
principal = "Who called"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
event_id = "The event"
*/
WITH trails AS (
  SELECT DISTINCT
    coalesce(
      json_extract_scalar(response_elements, '$.s3BucketName'),
      json_extract_scalar(request_parameters, '$.s3BucketName')
    ) AS bucket,
    coalesce(
      json_extract_scalar(response_elements, '$.kmsKeyId'),
      json_extract_scalar(request_parameters, '$.kmsKeyId')
    ) AS encryption_key
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'cloudtrail.amazonaws.com'
    AND event_name IN ('CreateTrail', 'UpdateTrail')
    AND error_code IS NULL
),
deliveries AS (
  SELECT DISTINCT json_extract_scalar(request_parameters, '$.bucketName') AS bucket
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 's3.amazonaws.com'
    AND event_name = 'PutObject'
    AND invoked_by = 'cloudtrail.amazonaws.com'
    AND is_service_made
    AND error_code IS NULL
    AND strpos(json_extract_scalar(request_parameters, '$.key'), 'AWSLogs/') > 0
),
trail_buckets AS (
  SELECT bucket FROM trails WHERE bucket IS NOT NULL GROUP BY bucket
),
trail_keys AS (
  SELECT
    CASE
      WHEN strpos(encryption_key, ':key/') > 0 THEN nullif(split_part(encryption_key, '/', 2), '')
      ELSE encryption_key
    END AS key_id
  FROM trails
  WHERE encryption_key IS NOT NULL
  GROUP BY
    CASE
      WHEN strpos(encryption_key, ':key/') > 0 THEN nullif(split_part(encryption_key, '/', 2), '')
      ELSE encryption_key
    END
),
calls AS (
  SELECT
    event_time,
    recipient_account_id,
    aws_region,
    event_source,
    event_name,
    CASE
      WHEN event_source = 's3.amazonaws.com' THEN json_extract_scalar(request_parameters, '$.bucketName')
      ELSE json_extract_scalar(request_parameters, '$.keyId')
    END AS target,
    json_extract_scalar(request_parameters, '$.key') AS object_key,
    error_code,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND (
      (
        event_source = 's3.amazonaws.com'
        AND event_name IN (
          'DeleteBucket', 'PutBucketPolicy', 'DeleteBucketPolicy', 'PutBucketAcl',
          'PutBucketLifecycle', 'PutBucketLifecycleConfiguration', 'DeleteBucketLifecycle',
          'PutBucketVersioning', 'PutBucketEncryption', 'DeleteBucketEncryption',
          'PutBucketObjectLockConfiguration', 'PutObjectLockConfiguration',
          'PutBucketReplication', 'DeleteBucketReplication', 'PutBucketOwnershipControls',
          'PutBucketPublicAccessBlock', 'DeleteBucketPublicAccessBlock', 'PutBucketLogging',
          'PutBucketNotification', 'PutBucketNotificationConfiguration',
          'DeleteObject', 'DeleteObjects', 'PutObject', 'CopyObject', 'CompleteMultipartUpload', 'PutObjectAcl',
          'PutObjectRetention', 'PutObjectLegalHold'
        )
      )
      OR (
        event_source = 'kms.amazonaws.com'
        AND event_name IN ('DisableKey', 'ScheduleKeyDeletion', 'DeleteImportedKeyMaterial', 'PutKeyPolicy')
      )
    )
    AND NOT (coalesce(invoked_by, '-') = 'cloudtrail.amazonaws.com' AND is_service_made)
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
),
known AS (
  SELECT
    c.event_time,
    c.recipient_account_id,
    c.aws_region,
    c.event_source,
    c.event_name,
    c.target,
    CASE
      WHEN c.event_source = 's3.amazonaws.com' THEN CASE
        WHEN c.target IN (/*:log_buckets*/ '') THEN 'parameter'
        WHEN b.bucket IS NOT NULL THEN 'trail'
        WHEN d.bucket IS NOT NULL THEN 'delivery'
        WHEN strpos(c.target, 'cloudtrail') > 0 THEN 'name'
      END
      ELSE CASE
        WHEN c.target IN (/*:log_keys*/ '') OR nullif(split_part(c.target, '/', 2), '') IN (/*:log_keys*/ '')
          THEN 'parameter'
        WHEN k.key_id IS NOT NULL THEN 'trail'
      END
    END AS known_by,
    c.object_key,
    c.error_code,
    c.principal,
    c.session_name,
    c.access_key_id,
    c.source_ip_address,
    c.user_agent,
    c.event_id
  FROM calls c
  LEFT JOIN trail_buckets b
    ON c.event_source = 's3.amazonaws.com'
    AND c.target = b.bucket
  LEFT JOIN deliveries d
    ON c.event_source = 's3.amazonaws.com'
    AND c.target = d.bucket
  LEFT JOIN trail_keys k
    ON c.event_source = 'kms.amazonaws.com'
    AND k.key_id = CASE
      WHEN strpos(c.target, ':key/') > 0 THEN nullif(split_part(c.target, '/', 2), '')
      ELSE c.target
    END
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  event_source,
  event_name,
  target,
  known_by,
  object_key,
  error_code,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  event_id
FROM known
WHERE known_by IS NOT NULL
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
