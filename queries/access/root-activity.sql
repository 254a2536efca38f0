/*
title = "Use of the root user"
description = """
Calls to DynamoDB, streams and DAX that an account's root user made, allowed and refused: with the root user's own password
or keys, with a session made for it from elsewhere in the organization, or as a federated user made with its keys. No policy of the account itself limits it, and no
work on tables needs it.

One row a day, call, table and way of access. What AWS services do on the root user's behalf is left out.
"""
level = "high"
attack = ["T1078.004"]
references = ["https://docs.aws.amazon.com/IAM/latest/UserGuide/root-user-best-practices.html", "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html"]
false_positives = ["The few tasks that need the root user, done in the console, whose pages may list tables."]
needs = ["any"]
identity = ["day", "recipient_account_id", "root_account_id", "aws_region", "event_source", "event_name", "table_name", "way", "mfa_authenticated", "access_key_id", "source_ip_address"]
optional = ["control", "data.read", "data.write", "streams", "dax"]

[columns]
day = "The day, UTC"
first_seen = "When the first call completed, UTC"
last_seen = "When the last one completed, UTC"
recipient_account_id = "The account whose trail recorded them"
root_account_id = "The account whose root user called"
aws_region = "The region"
event_source = "The service"
event_name = "The call"
table_name = "The table, where it is one"
calls = "How many calls"
succeeded = "Of these, those that succeeded"
denied = "Of these, those denied"
way = "long-term key, console, session, session from elsewhere, or federated user"
mfa_authenticated = "Whether the session used multi-factor authentication; null for long-term keys"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "One of the clients"
event_id = "One of the events"
*/
WITH calls AS (
  SELECT
    dt,
    event_time,
    recipient_account_id,
    user_account_id,
    aws_region,
    event_source,
    event_name,
    table_name,
    outcome,
    mfa_authenticated,
    access_key_id,
    source_ip_address,
    user_agent,
    event_id,
    CASE
      WHEN user_type = 'FederatedUser' THEN 'federated user'
      WHEN json_extract_scalar(user_identity, '$.sessionContext.assumedRoot') = 'true' THEN 'session from elsewhere'
      WHEN session_credential_from_console = 'true' THEN 'console'
      WHEN starts_with(access_key_id, 'AKIA') THEN 'long-term key'
      ELSE 'session'
    END AS way
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane IS NOT NULL
    AND (
      user_type = 'Root'
      OR principal LIKE 'arn:%:iam::%:root'
      OR (user_type = 'FederatedUser' AND session_issuer_arn LIKE 'arn:%:iam::%:root')
    )
    AND is_service_made = false
    AND coalesce(event_type, '-') <> 'AwsServiceEvent'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
)
SELECT
  dt AS day,
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  recipient_account_id,
  user_account_id AS root_account_id,
  aws_region,
  event_source,
  event_name,
  table_name,
  count(*) AS calls,
  count(*) FILTER (WHERE outcome = 'ok') AS succeeded,
  count(*) FILTER (WHERE outcome = 'denied') AS denied,
  way,
  mfa_authenticated,
  access_key_id,
  source_ip_address,
  min(user_agent) AS user_agent,
  min(event_id) AS event_id
FROM calls
GROUP BY
  dt,
  recipient_account_id,
  user_account_id,
  aws_region,
  event_source,
  event_name,
  table_name,
  way,
  mfa_authenticated,
  access_key_id,
  source_ip_address
ORDER BY first_seen NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
