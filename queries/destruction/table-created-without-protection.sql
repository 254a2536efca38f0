/*
title = "Tables created without protection"
description = """
Successful CreateTable calls after which the table has no deletion protection, or no point-in-time recovery within the given
minutes: recovery can only be switched on by a later call. With require_own_key a table that is not encrypted with
a key of the customer's is listed too; all tables are encrypted in some way.

Deletion protection that is switched on within the same minutes counts. Tables made by a restore or an import
are not listed, though they begin without both. Expected pipelines are left out.
"""
level = "low"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html", "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithTables.Basics.html"]
false_positives = ["Temporary tables, and tables whose data need not be recovered: name the roles that make them in site.pipeline_roles."]
needs = ["control"]
identity = ["recipient_account_id", "event_id"]

[parameters.minutes]
type = "integer"
default = 60
about = "Minutes within which protection must be on"

[parameters.require_own_key]
type = "boolean"
default = false
about = "Whether encryption with a key of the customer's is demanded"

[columns]
event_time = "When the table was created, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
has_deletion_protection = "Whether deletion protection was on within the given minutes"
has_recovery = "Whether point-in-time recovery was"
encryption = "customer key, AWS managed key or AWS owned key, as asked for at creation"
principal = "Who created it"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
invoked_by = "The AWS service that called for the principal, if one did"
event_id = "The event"
*/
WITH created AS (
  SELECT
    event_time,
    event_time_ms,
    recipient_account_id,
    aws_region,
    table_name,
    coalesce(
      json_extract_scalar(request_parameters, '$.deletionProtectionEnabled'),
      json_extract_scalar(response_elements, '$.tableDescription.deletionProtectionEnabled'),
      'false'
    ) AS deletion_protection,
    json_extract_scalar(request_parameters, '$.sSESpecification.enabled') AS encryption_enabled,
    json_extract_scalar(request_parameters, '$.sSESpecification.kMSMasterKeyId') AS encryption_key,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    invoked_by,
    event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name = 'CreateTable'
    AND outcome = 'ok'
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
),
protections AS (
  SELECT
    event_time_ms,
    recipient_account_id,
    aws_region,
    table_name,
    event_name
  FROM events
  -- no upper bound: what was created late on the last day may be protected on the next
  WHERE dt >= /*:since*/ '2000-01-01'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name IN ('UpdateTable', 'UpdateContinuousBackups')
    AND outcome = 'ok'
    AND (
      (event_name = 'UpdateTable' AND json_extract_scalar(request_parameters, '$.deletionProtectionEnabled') = 'true')
      OR (event_name = 'UpdateContinuousBackups' AND json_extract_scalar(request_parameters, '$.pointInTimeRecoverySpecification.pointInTimeRecoveryEnabled') = 'true')
    )
),
protected AS (
  SELECT
    c.recipient_account_id,
    c.event_id,
    count(*) FILTER (WHERE p.event_name = 'UpdateTable') AS protection_on,
    count(*) FILTER (WHERE p.event_name = 'UpdateContinuousBackups') AS recovery_on
  FROM created c
  JOIN protections p
    ON c.recipient_account_id = p.recipient_account_id
    AND c.aws_region = p.aws_region
    AND c.table_name = p.table_name
    AND p.event_time_ms BETWEEN c.event_time_ms AND c.event_time_ms + /*:minutes*/ 60 * CAST(60000 AS bigint)
  GROUP BY c.recipient_account_id, c.event_id
),
judged AS (
  SELECT
    c.*,
    c.deletion_protection = 'true' OR coalesce(p.protection_on, 0) > 0 AS has_deletion_protection,
    coalesce(p.recovery_on, 0) > 0 AS has_recovery,
    CASE
      WHEN coalesce(c.encryption_enabled, 'false') <> 'true' THEN 'AWS owned key'
      WHEN c.encryption_key IS NULL OR strpos(c.encryption_key, 'alias/aws/dynamodb') > 0 THEN 'AWS managed key'
      ELSE 'customer key'
    END AS encryption
  FROM created c
  LEFT JOIN protected p
    ON c.recipient_account_id = p.recipient_account_id
    AND c.event_id = p.event_id
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  has_deletion_protection,
  has_recovery,
  encryption,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  invoked_by,
  event_id
FROM judged
WHERE NOT has_deletion_protection
  OR NOT has_recovery
  OR (/*:require_own_key*/ false AND encryption <> 'customer key')
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
