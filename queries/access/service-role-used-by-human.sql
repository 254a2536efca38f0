/*
title = "Service roles assumed by others"
description = """
Roles that an AWS service assumed for its own workload (an instance, a container, a function) and that someone other
than a service assumed too, within a day. Such a role is rarely meant for people: someone may have widened its trust
policy, or found one too wide. Each row is one successful AssumeRole, AssumeRoleWithSAML or AssumeRoleWithWebIdentity.
What the new session then did to DynamoDB is counted by the key that it was given.

A call that a service makes with a person's credentials counts for neither side, and a role that assumes itself is left
out. Keys stolen from a workload need no
AssumeRole and are not seen here.
"""
level = "medium"
attack = ["T1078.004", "T1548.005"]
references = ["https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html", "https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"]
false_positives = ["A developer who tries out a function's role, where the trust policy allows it.", "Pods that reach the role of their nodes by web identity.", "A pipeline that assumes workload roles by design: name it in site.pipeline_roles."]
needs = ["sts.amazonaws.com"]
identity = ["recipient_account_id", "event_id"]
optional = ["any"]

[parameters.hours]
type = "integer"
default = 24
about = "How many hours may lie between the service's AssumeRole and the other one, before or after"

[columns]
event_time = "When the role was assumed by someone other than a service, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
role_arn = "The role"
event_name = "Which call assumed it"
principal = "Who assumed it"
user_type = "What kind of identity that is"
caller_session = "The caller's own role session's name"
access_key_id = "The key with which it was assumed"
source_ip_address = "From where"
user_agent = "With what"
issued_access_key_id = "The key that the new session was given"
dynamodb_calls = "Calls to DynamoDB with that key in the asked days"
service = "A service that assumes the role"
service_calls = "How often services assumed it within those hours, counted by whole hours of the clock"
event_id = "The event"
*/
WITH assumed AS (
  SELECT
    event_time,
    event_time_ms,
    event_id,
    event_name,
    recipient_account_id,
    aws_region,
    principal,
    user_type,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    is_service_made,
    dt,
    json_extract_scalar(request_parameters, '$.roleArn') AS role_arn,
    json_extract_scalar(response_elements, '$.credentials.accessKeyId') AS issued_access_key_id
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'sts.amazonaws.com'
    AND event_name IN ('AssumeRole', 'AssumeRoleWithSAML', 'AssumeRoleWithWebIdentity')
    AND error_code IS NULL
    AND /*:account*/ '' IN ('', recipient_account_id)
),
-- an hour is shorter than the time allowed, so its first and last call decide
services AS (
  SELECT
    recipient_account_id,
    role_arn,
    event_time_ms - event_time_ms % 3600000 AS hour_ms,
    min(event_time_ms) AS first_ms,
    max(event_time_ms) AS last_ms,
    min(principal) AS service,
    count(*) AS calls
  FROM assumed
  WHERE user_type = 'AWSService'
    AND role_arn IS NOT NULL
  GROUP BY recipient_account_id, role_arn, event_time_ms - event_time_ms % 3600000
),
others AS (
  SELECT *
  FROM assumed
  WHERE is_service_made = false
    AND role_arn IS NOT NULL
    AND coalesce(principal, '-') <> role_arn
    AND dt >= /*:since*/ '2000-01-01'
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:principal*/ '' IN ('', principal)
    AND /*:region*/ '' IN ('', aws_region)
),
pairs AS (
  SELECT
    o.event_id,
    o.recipient_account_id,
    min(s.service) AS service,
    CAST(sum(s.calls) AS bigint) AS service_calls
  FROM others o
  JOIN services s
    ON o.role_arn = s.role_arn
    AND o.recipient_account_id = s.recipient_account_id
    AND s.first_ms <= o.event_time_ms + /*:hours*/ 24 * CAST(3600000 AS bigint)
    AND s.last_ms >= o.event_time_ms - /*:hours*/ 24 * CAST(3600000 AS bigint)
  GROUP BY o.event_id, o.recipient_account_id
),
used AS (
  SELECT access_key_id, count(*) AS calls
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane IS NOT NULL
    AND access_key_id IN (SELECT issued_access_key_id FROM others WHERE issued_access_key_id IS NOT NULL)
  GROUP BY access_key_id
)
SELECT
  o.event_time,
  o.recipient_account_id,
  o.aws_region,
  o.role_arn,
  o.event_name,
  o.principal,
  o.user_type,
  o.session_name AS caller_session,
  o.access_key_id,
  o.source_ip_address,
  o.user_agent,
  o.issued_access_key_id,
  coalesce(u.calls, 0) AS dynamodb_calls,
  p.service,
  p.service_calls,
  o.event_id
FROM others o
JOIN pairs p
  ON o.event_id = p.event_id
  AND o.recipient_account_id = p.recipient_account_id
LEFT JOIN used u
  ON o.issued_access_key_id = u.access_key_id
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
