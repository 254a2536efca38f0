/*
title = "Deletes and changes without MFA"
description = """
Deletes and changes of tables that a person's credentials made without multi-factor authentication. They count if
they succeeded: deletes of items by every path, DeleteTable, and each control-plane call that changes something.
People's credentials are those of IAM users, of root, of federated users, and role sessions that came out of the
console. CloudTrail tells nothing of MFA for a long-term access key: such a key carries none.

Roles of workloads can't use MFA and are left out. So are the roles of IAM Identity Center, which asks for MFA
itself: CloudTrail writes false for them either way.
"""
level = "medium"
attack = ["T1078.004", "T1485"]
references = ["https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html", "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_configure-api-require.html"]
false_positives = ["An application that runs with the access key of an IAM user: name the user in site.pipeline_roles, or better, give it a role."]
needs = ["control"]
identity = ["recipient_account_id", "aws_region", "table_name", "operation", "principal", "session_name", "access_key_id", "mfa_authenticated", "from_console"]
optional = ["data.write"]

[parameters.min_operations]
type = "integer"
default = 1
about = "Fewest operations worth a row"

[columns]
first_seen = "When the first of them completed, UTC"
last_seen = "When the last of them completed, UTC"
recipient_account_id = "The account whose trail recorded them"
aws_region = "The region"
table_name = "The table"
operation = "What was done"
operations = "How often it was done: items, where items were deleted"
principal = "Who did it"
session_name = "The role session's name"
access_key_id = "The access key used"
mfa_authenticated = "false: the session says no MFA. Null: a long-term key, which has none"
from_console = "Whether the credentials came out of the console"
source_ip_address = "From where (one of the addresses)"
addresses = "From how many addresses"
event_id = "One of the events"
*/
WITH calls AS (
  SELECT
    event_id,
    recipient_account_id,
    dt,
    mfa_authenticated,
    coalesce(session_credential_from_console, '-') = 'true' AS from_console
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane IN ('data', 'control', 'dax')
    AND outcome = 'ok'
    AND is_service_made = false
    AND coalesce(mfa_authenticated, false) = false
    AND (
      user_type IN ('IAMUser', 'Root', 'FederatedUser')
      OR session_credential_from_console = 'true'
    )
    AND coalesce(principal, '-') NOT LIKE '%/AWSReservedSSO%'
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
),
changes AS (
  SELECT
    o.event_time,
    o.event_id,
    o.recipient_account_id,
    o.aws_region,
    o.table_name,
    o.operation,
    o.principal,
    o.session_name,
    o.access_key_id,
    o.source_ip_address,
    c.mfa_authenticated,
    c.from_console
  FROM operations o
  JOIN calls c
    ON o.event_id = c.event_id
    AND o.recipient_account_id = c.recipient_account_id
    AND o.dt = c.dt
  WHERE o.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND o.outcome = 'ok'
    AND o.access IN ('delete', 'control_write')
    AND /*:table*/ '' IN ('', o.table_name)
)
SELECT
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  recipient_account_id,
  aws_region,
  table_name,
  operation,
  count(*) AS operations,
  principal,
  session_name,
  access_key_id,
  mfa_authenticated,
  from_console,
  min(source_ip_address) AS source_ip_address,
  count(DISTINCT source_ip_address) AS addresses,
  min(event_id) AS event_id
FROM changes
GROUP BY
  recipient_account_id,
  aws_region,
  table_name,
  operation,
  principal,
  session_name,
  access_key_id,
  mfa_authenticated,
  from_console
HAVING count(*) >= /*:min_operations*/ 1
ORDER BY first_seen NULLS LAST, event_id NULLS LAST, table_name NULLS LAST, operation NULLS LAST
