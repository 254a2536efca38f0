/*
title = "From the assumed role back to the caller"
description = """
Who took the role whose temporary key called DynamoDB. AssumeRole, AssumeRoleWithSAML and AssumeRoleWithWebIdentity
answer with the access key that they issue; calls of DynamoDB, its streams and DAX with that key are counted here,
one row a key. Where the caller of AssumeRole used such a key too, the chain is followed back by up to two more
links. A role that assumes itself is marked: it renews a session without the one that gave it.

Keys that services such as Lambda and ECS take for their workloads are left out unless include_services asks for
them. A chain that began before the lake, or in an account whose trail is not in it, is cut there.
"""
level = "informational"
attack = ["T1078.004", "T1550.001"]
references = [
  "https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html",
  "https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html",
]
false_positives = []
needs = ["sts.amazonaws.com", "any"]

[parameters.include_services]
type = "boolean"
default = false
about = "Whether keys that services take for their workloads are listed too"

[columns]
assumed_at = "When the role was assumed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region of the endpoint"
sts_call = "AssumeRole, AssumeRoleWithSAML or AssumeRoleWithWebIdentity"
caller = "Who assumed the role"
caller_key_id = "The access key used for it"
caller_address = "From where"
role_arn = "The role assumed"
role_session_name = "The session's name"
issued_key_id = "The access key issued"
is_self_assumed = "Whether the caller is the role itself"
is_cross_account = "Whether the caller is of another account than the role"
links = "How many roles were assumed one from the other, this one included; at most 3"
origin = "Who stands at the chain's beginning, as far as it is known"
origin_key_id = "The access key that the chain began with"
calls = "Calls with the issued key"
failed_calls = "Of these, failed ones"
tables = "How many tables they touch, of those that touch one table only"
other_addresses = "How many of the calls' addresses are not the caller's"
first_call = "The first of the calls, UTC"
last_call = "The last of the calls, UTC"
call_event_id = "One of the calls"
event_id = "The event that issued the key"
*/
WITH answered AS (
  SELECT
    event_time,
    event_time_ms,
    recipient_account_id,
    aws_region,
    event_name,
    principal,
    principal_arn,
    user_account_id,
    access_key_id,
    source_ip_address,
    is_service_made,
    json_extract_scalar(request_parameters, '$.roleArn') AS role_arn,
    json_extract_scalar(request_parameters, '$.roleSessionName') AS role_session_name,
    json_extract_scalar(response_elements, '$.credentials.accessKeyId') AS issued_key_id,
    event_id
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'sts.amazonaws.com'
    AND event_name IN ('AssumeRole', 'AssumeRoleWithSAML', 'AssumeRoleWithWebIdentity')
    AND error_code IS NULL
),
-- Both accounts of a cross-account AssumeRole record it; the caller's copy names the caller.
ranked AS (
  SELECT
    a.*,
    row_number() OVER (
      PARTITION BY issued_key_id
      ORDER BY
        CASE WHEN principal_arn IS NULL THEN 1 ELSE 0 END,
        event_time_ms NULLS LAST,
        recipient_account_id NULLS LAST,
        event_id NULLS LAST
    ) AS place
  FROM answered a
  WHERE issued_key_id IS NOT NULL
),
issued AS (
  SELECT *
  FROM ranked
  WHERE place = 1
),
used AS (
  SELECT
    i.issued_key_id,
    count(*) AS calls,
    count(*) FILTER (WHERE e.error_code IS NOT NULL) AS failed_calls,
    count(DISTINCT e.table_name) AS tables,
    count(
      DISTINCT CASE WHEN e.source_ip_address <> i.source_ip_address THEN e.source_ip_address END
    ) AS other_addresses,
    min(e.event_time) AS first_call,
    max(e.event_time) AS last_call,
    min(e.event_id) AS call_event_id
  FROM events e
  JOIN issued i
    ON e.access_key_id = i.issued_key_id
    AND e.event_time_ms >= i.event_time_ms
  WHERE e.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND e.plane IS NOT NULL
    AND /*:region*/ '' IN ('', e.aws_region)
    AND /*:table*/ '' IN ('', e.table_name)
    AND (/*:include_services*/ false OR NOT i.is_service_made)
  GROUP BY i.issued_key_id
),
chains AS (
  SELECT
    i.event_time AS assumed_at,
    i.recipient_account_id,
    i.aws_region,
    i.event_name AS sts_call,
    i.principal AS caller,
    i.access_key_id AS caller_key_id,
    i.source_ip_address AS caller_address,
    i.role_arn,
    i.role_session_name,
    i.issued_key_id,
    coalesce(i.principal = i.role_arn, false) AS is_self_assumed,
    i.user_account_id <> nullif(split_part(i.role_arn, ':', 5), '') AS is_cross_account,
    nullif(split_part(i.role_arn, ':', 5), '') AS role_account_id,
    1
      + CASE WHEN p.issued_key_id IS NULL THEN 0 ELSE 1 END
      + CASE WHEN q.issued_key_id IS NULL THEN 0 ELSE 1 END AS links,
    CASE
      WHEN q.issued_key_id IS NOT NULL THEN q.principal
      WHEN p.issued_key_id IS NOT NULL THEN p.principal
      ELSE i.principal
    END AS origin,
    CASE
      WHEN q.issued_key_id IS NOT NULL THEN q.access_key_id
      WHEN p.issued_key_id IS NOT NULL THEN p.access_key_id
      ELSE i.access_key_id
    END AS origin_key_id,
    u.calls,
    u.failed_calls,
    u.tables,
    u.other_addresses,
    u.first_call,
    u.last_call,
    u.call_event_id,
    i.event_id
  FROM used u
  JOIN issued i
    ON u.issued_key_id = i.issued_key_id
  LEFT JOIN issued p
    ON i.access_key_id = p.issued_key_id
  LEFT JOIN issued q
    ON p.access_key_id = q.issued_key_id
)
SELECT
  assumed_at,
  recipient_account_id,
  aws_region,
  sts_call,
  caller,
  caller_key_id,
  caller_address,
  role_arn,
  role_session_name,
  issued_key_id,
  is_self_assumed,
  is_cross_account,
  links,
  origin,
  origin_key_id,
  calls,
  failed_calls,
  tables,
  other_addresses,
  first_call,
  last_call,
  call_event_id,
  event_id
FROM chains
WHERE /*:account*/ '' IN ('', recipient_account_id, role_account_id)
  AND /*:principal*/ '' IN ('', caller, role_arn, origin)
ORDER BY assumed_at NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
