/*
title = "What people of Identity Center were refused"
description = """
Calls to DynamoDB, streams and DAX that were denied to people who come by IAM Identity Center: one row a person, permission
set, table, call and reason. A person is known by a session of a permission set's role, whose name is the person's, or by the identity store's user
id, which records carry where an application passes the person's identity on.

A few are ordinary: people look at what was never given them, and the console asks for more than a person may see. Expired, unknown and
badly signed credentials are not listed. Denied item accesses are seen only where data events were recorded.
"""
level = "low"
attack = ["T1078.004"]
references = ["https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html", "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"]
false_positives = ["The console's pages, which ask for many things at once.", "A permission set that lacks what a person's work needs."]
needs = ["any"]
identity = ["user_name", "identity_user_id", "permission_set", "principal", "recipient_account_id", "aws_region", "table_name", "event_name", "operation", "invoked_by", "denied_action", "denied_reason"]
optional = ["control", "data.read", "data.write", "streams", "dax"]

[parameters.person]
type = "text"
default = ""
about = "Only this person: the session's name (mostly an e-mail address) or the user's id in the identity store"

[columns]
user_name = "The person's name in Identity Center: the name of the session of a permission set; null for other sessions"
identity_user_id = "The user's id in the identity store, where the record tells it"
permission_set = "The permission set, where one was used"
principal = "The role"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
event_name = "The call"
operation = "What was to be done to the table or its items"
invoked_by = "The AWS service that called for the person, if one did"
denied_action = "The IAM action that the refusal names"
denied_reason = "The reason that it gives"
calls = "Denied calls"
item_keys = "Different keys among them; 0: none was logged"
days = "Days (UTC) on which it was tried"
from_console = "Whether one of them came out of the console"
first_seen = "When it was first tried, UTC"
last_seen = "When it was last tried, UTC"
addresses = "Addresses from which it was tried"
source_ip_address = "One of them"
event_id = "One of the events"
*/
WITH calls AS (
  SELECT
    event_id,
    recipient_account_id,
    dt,
    invoked_by,
    denied_action,
    denied_reason,
    session_credential_from_console,
    CASE WHEN strpos(principal, '/AWSReservedSSO_') > 0 THEN session_name END AS user_name,
    json_extract_scalar(user_identity, '$.onBehalfOf.userId') AS identity_user_id,
    nullif(split_part(principal, '/AWSReservedSSO_', 2), '') AS role_name
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane IS NOT NULL
    AND outcome = 'denied'
    AND regexp_like(error_code, 'AccessDenied|NotAuthorized|UnauthorizedOperation')
    AND (strpos(principal, '/AWSReservedSSO_') > 0 OR strpos(user_identity, '"onBehalfOf"') > 0)
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
),
people AS (
  SELECT
    event_id,
    recipient_account_id,
    dt,
    invoked_by,
    denied_action,
    denied_reason,
    session_credential_from_console,
    user_name,
    identity_user_id,
    -- the role's name ends with a random part of 17 characters
    CASE
      WHEN regexp_like(role_name, '_[0-9a-f]{16}$') THEN substr(role_name, 1, length(role_name) - 17)
      ELSE role_name
    END AS permission_set
  FROM calls
  WHERE (user_name IS NOT NULL OR identity_user_id IS NOT NULL)
    AND /*:person*/ '' IN ('', user_name, identity_user_id)
)
SELECT
  p.user_name,
  p.identity_user_id,
  p.permission_set,
  o.principal,
  o.recipient_account_id,
  o.aws_region,
  o.table_name,
  o.event_name,
  o.operation,
  p.invoked_by,
  p.denied_action,
  p.denied_reason,
  count(DISTINCT o.event_id) AS calls,
  count(DISTINCT o.item_key) AS item_keys,
  count(DISTINCT o.dt) AS days,
  bool_or(coalesce(p.session_credential_from_console, '-') = 'true') AS from_console,
  min(o.event_time) AS first_seen,
  max(o.event_time) AS last_seen,
  count(DISTINCT o.source_ip_address) AS addresses,
  min(o.source_ip_address) AS source_ip_address,
  min(o.event_id) AS event_id
FROM operations o
JOIN people p
  ON o.event_id = p.event_id
  AND o.recipient_account_id = p.recipient_account_id
  AND o.dt = p.dt
WHERE o.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND o.outcome = 'denied'
  AND /*:table*/ '' IN ('', o.table_name)
GROUP BY
  p.user_name,
  p.identity_user_id,
  p.permission_set,
  o.principal,
  o.recipient_account_id,
  o.aws_region,
  o.table_name,
  o.event_name,
  o.operation,
  p.invoked_by,
  p.denied_action,
  p.denied_reason
ORDER BY
  first_seen NULLS LAST,
  recipient_account_id NULLS LAST,
  aws_region NULLS LAST,
  event_id NULLS LAST,
  table_name NULLS LAST,
  operation NULLS LAST,
  invoked_by NULLS LAST
