/*
title = "Permission sets changed"
description = """
Changes of IAM Identity Center's permission sets and of who has them: made, updated and deleted sets, policies put in or
attached and taken out, boundaries, provisioning, and assignments of people and groups to accounts. This is how a person
gets at tables in all accounts of an organization at once. Only what succeeded; assignments and provisioning are carried out afterwards.

They are recorded in the account and region in which Identity Center lives, and only if the lake holds that
account's events of sso.amazonaws.com. names_dynamodb marks changes whose policy speaks of DynamoDB or gives everything.
"""
level = "medium"
attack = ["T1098.003", "T1078.004"]
references = ["https://docs.aws.amazon.com/singlesignon/latest/userguide/permissionsetsconcept.html", "https://docs.aws.amazon.com/singlesignon/latest/userguide/sso-info-in-cloudtrail.html"]
false_positives = ["Administrators at work, and pipelines: name their roles in site.pipeline_roles."]
needs = ["sso.amazonaws.com"]
identity = ["recipient_account_id", "event_id"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
event_name = "The call"
kind = "policy, boundary, set, assignment or provisioning"
gives = "Whether it gives rights (true), takes them (false), or may do either (null)"
permission_set_arn = "The permission set's ARN"
permission_set_name = "Its name, where the call tells it"
policy = "The managed policy's ARN, the customer managed policy's name, or the inline policy's text"
names_dynamodb = "true: the policy speaks of DynamoDB, or is one of AWS's that give all or nearly all. false: it does not. null: no policy is shown"
principal_type = "Of assignments: USER or GROUP"
principal_id = "Of assignments: the id of the user or group in the identity store"
target_id = "Of assignments and provisioning: the account; null where it goes to all accounts that have the set"
principal = "Who changed it"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
event_id = "The event"
*/
WITH changes AS (
  SELECT
    event_time,
    recipient_account_id,
    aws_region,
    event_name,
    coalesce(
      json_extract_scalar(request_parameters, '$.permissionSetArn'),
      json_extract_scalar(response_elements, '$.permissionSet.permissionSetArn')
    ) AS permission_set_arn,
    coalesce(
      json_extract_scalar(request_parameters, '$.name'),
      json_extract_scalar(response_elements, '$.permissionSet.name')
    ) AS permission_set_name,
    coalesce(
      json_extract_scalar(request_parameters, '$.managedPolicyArn'),
      json_extract_scalar(request_parameters, '$.permissionsBoundary.managedPolicyArn'),
      json_extract_scalar(request_parameters, '$.customerManagedPolicyReference.name'),
      json_extract_scalar(request_parameters, '$.permissionsBoundary.customerManagedPolicyReference.name')
    ) AS policy_name,
    coalesce(
      json_extract_scalar(request_parameters, '$.inlinePolicy'),
      json_extract_scalar(request_parameters, '$.permissionsPolicy')
    ) AS policy_text,
    json_extract_scalar(request_parameters, '$.principalType') AS principal_type,
    json_extract_scalar(request_parameters, '$.principalId') AS principal_id,
    json_extract_scalar(request_parameters, '$.targetId') AS target_id,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND event_source = 'sso.amazonaws.com'
    AND error_code IS NULL
    AND regexp_like(event_name, '^(Put|Attach|Detach|Create|Update|Delete|Provision|Associate|Disassociate)')
    AND regexp_like(event_name, 'PermissionSet$|PermissionsPolicy$|AccountAssignment$|^Associate.*Profile$|^Disassociate.*Profile$')
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  event_name,
  CASE
    WHEN regexp_like(event_name, 'Assignment|Profile') THEN 'assignment'
    WHEN starts_with(event_name, 'Provision') THEN 'provisioning'
    WHEN regexp_like(event_name, 'Boundary') THEN 'boundary'
    WHEN regexp_like(event_name, 'Policy') THEN 'policy'
    ELSE 'set'
  END AS kind,
  CASE
    WHEN event_name = 'DeletePermissionsBoundaryFromPermissionSet' THEN true
    WHEN regexp_like(event_name, '^(Attach|CreateAccountAssignment|Associate)') THEN true
    WHEN regexp_like(event_name, '^(Detach|Delete|Disassociate)') THEN false
  END AS gives,
  permission_set_arn,
  permission_set_name,
  coalesce(policy_name, policy_text) AS policy,
  CASE
    WHEN policy_name IS NOT NULL THEN regexp_like(policy_name, '[Dd]ynamo|/AdministratorAccess|/PowerUserAccess|/DatabaseAdministrator|/job-function/DataScientist')
    WHEN policy_text IS NOT NULL AND starts_with(policy_text, 'HIDDEN') = false THEN regexp_like(policy_text, '[Dd]ynamo|"Action" *:[^"]*"[*]"|"[*]:[*]"|"NotAction"')
  END AS names_dynamodb,
  principal_type,
  principal_id,
  target_id,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  event_id
FROM changes
ORDER BY event_time NULLS LAST, event_id NULLS LAST, recipient_account_id NULLS LAST
