/*
title = "What people of Identity Center changed"
description = """
Items that people who come by IAM Identity Center wrote or deleted, and tables, backups and clusters that they changed: one row a
person, permission set, table and operation. Only what succeeded. A person is known by a session of a permission set's role, whose name is the person's, or by the identity store's user
id, which records carry where an application passes the person's identity on.

PartiQL counts by its statement. What AWS services changed on a person's behalf, such as CloudFormation, is listed with the service. Item
writes are seen only where data events were recorded. Permission sets that only machines use can be named in
site.pipeline_roles by their roles.
"""
level = "low"
attack = ["T1078.004", "T1565.001"]
references = ["https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html", "https://docs.aws.amazon.com/singlesignon/latest/userguide/what-is.html"]
false_positives = ["Operators whose work it is."]
needs = ["control"]
identity = ["user_name", "identity_user_id", "permission_set", "principal", "recipient_account_id", "aws_region", "table_name", "operation", "access", "plane", "invoked_by"]
optional = ["data.write", "dax"]

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
operation = "What was done to the table or its items"
access = "write, delete or control_write"
plane = "data for items; control, streams or dax for the rest"
invoked_by = "The AWS service that called for the person, if one did"
operations = "How often: items in batches count one by one"
item_keys = "Different keys among them; 0: none was logged"
days = "Days (UTC) on which it was done"
from_console = "Whether one of them came out of the console"
first_seen = "When it was first done, UTC"
last_seen = "When it was last done, UTC"
addresses = "Addresses from which it was done"
source_ip_address = "One of them"
event_id = "One of the events"
*/
WITH calls AS (
  SELECT
    event_id,
    recipient_account_id,
    dt,
    invoked_by,
    session_credential_from_console,
    CASE WHEN strpos(principal, '/AWSReservedSSO_') > 0 THEN session_name END AS user_name,
    json_extract_scalar(user_identity, '$.onBehalfOf.userId') AS identity_user_id,
    nullif(split_part(principal, '/AWSReservedSSO_', 2), '') AS role_name
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane IS NOT NULL
    AND outcome = 'ok'
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
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
  o.operation,
  o.access,
  o.plane,
  p.invoked_by,
  count(*) AS operations,
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
  AND o.outcome = 'ok'
  AND o.access IN ('write', 'delete', 'control_write')
  AND /*:table*/ '' IN ('', o.table_name)
GROUP BY
  p.user_name,
  p.identity_user_id,
  p.permission_set,
  o.principal,
  o.recipient_account_id,
  o.aws_region,
  o.table_name,
  o.operation,
  o.access,
  o.plane,
  p.invoked_by
ORDER BY
  first_seen NULLS LAST,
  recipient_account_id NULLS LAST,
  aws_region NULLS LAST,
  event_id NULLS LAST,
  table_name NULLS LAST,
  operation NULLS LAST,
  access NULLS LAST,
  invoked_by NULLS LAST
