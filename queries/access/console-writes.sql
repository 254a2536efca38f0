/*
title = "Changes made in the console"
description = """
Writes, deletes and changes that came out of the AWS management console, failed ones too, one row a table and
operation. A call counts as the console's where CloudTrail says that its credentials came from a console session,
or, in older records, where the console names itself as the client. A call of the AWS CLI with credentials of the
same person does not.
"""
level = "low"
attack = ["T1078.004"]
references = ["https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html"]
false_positives = ["Operators who work in the console by design."]
needs = ["control"]
identity = ["recipient_account_id", "event_id", "position"]
optional = ["data.write"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
event_name = "The call"
operation = "What was done to the table"
access = "write, delete or control_write"
item_key = "The item's key, where one was named"
outcome = "How it ended"
principal = "Who did it"
session_name = "The role session's name"
mfa_authenticated = "Whether the session used multi-factor authentication"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
event_id = "The event"
position = "The operation's position in the event, from 0"
*/
WITH calls AS (
  SELECT
    event_id,
    recipient_account_id,
    dt,
    mfa_authenticated,
    user_agent
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane IN ('data', 'control', 'dax')
    AND (
      session_credential_from_console = 'true'
      OR user_agent IN ('console.amazonaws.com', 'dynamodb.console.amazonaws.com')
    )
    AND is_service_made = false
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
)
SELECT
  o.event_time,
  o.recipient_account_id,
  o.aws_region,
  o.table_name,
  o.event_name,
  o.operation,
  o.access,
  o.item_key,
  o.outcome,
  o.principal,
  o.session_name,
  c.mfa_authenticated,
  o.access_key_id,
  o.source_ip_address,
  c.user_agent,
  o.event_id,
  o.position
FROM operations o
JOIN calls c
  ON o.event_id = c.event_id
  AND o.recipient_account_id = c.recipient_account_id
  AND o.dt = c.dt
WHERE o.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND o.access IN ('write', 'delete', 'control_write')
  AND /*:table*/ '' IN ('', o.table_name)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST, position NULLS LAST
