/*
title = "One credential, several clients"
description = """
Access keys that several client programs used on one day: the temporary key of one role session, or the long-term key of
an IAM user. A program keeps the key that it was given; a second program on the same key may be a thief's. A client is
the first product that the user agent names, without its version (aws-cli, Boto3, aws-sdk-java), so that an upgrade or a
library's changing notes don't count.

Only calls to DynamoDB and DAX are looked at. Left out are calls that AWS services made, sessions of the console, where
several parts of it share a key, and user agents that are a service's name. One row a client: which of them does not belong, the report can't say. Clients
can lie about their name.
"""
level = "medium"
attack = ["T1078.004", "T1528"]
references = ["https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp.html", "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html"]
false_positives = ["A developer's machine, or a job, where the AWS CLI and a program share a session: name the role in site.pipeline_roles."]
needs = ["any"]
identity = ["day", "recipient_account_id", "principal", "session_name", "access_key_id", "client"]
optional = ["control", "data.read", "data.write", "streams", "dax"]

[parameters.min_clients]
type = "integer"
default = 2
about = "Fewest clients on one key and day worth a row"

[columns]
day = "The day, UTC"
recipient_account_id = "The account whose trail recorded the calls"
principal = "Whose key it is"
session_name = "The role session's name"
access_key_id = "The key"
clients = "How many clients used the key that day"
client = "The client that the row is about"
calls = "Its calls with the key"
refused = "Of these, those denied"
first_seen = "Its first call that day, UTC"
last_seen = "Its last call that day, UTC"
source_ip_address = "From where it called (one of the addresses)"
addresses = "From how many addresses it called"
user_agent = "How it calls itself in full (one of the texts)"
event_id = "One of its events"
*/
WITH calls AS (
  SELECT
    dt,
    recipient_account_id,
    principal,
    session_name,
    access_key_id,
    user_agent,
    source_ip_address,
    outcome,
    event_time,
    event_id,
    CASE
      WHEN user_agent LIKE '%Terraform%' THEN 'Terraform'
      WHEN user_agent LIKE 'leb-kcl-%' THEN 'leb-kcl'
      ELSE nullif(split_part(replace(user_agent, '[', ''), '/', 1), '')
    END AS client
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane IS NOT NULL
    AND is_service_made = false
    AND access_key_id IS NOT NULL
    AND user_agent IS NOT NULL
    AND user_agent NOT LIKE '%.amazonaws.com'
    AND user_agent NOT LIKE 'AWS Internal%'
    AND coalesce(session_credential_from_console, '-') <> 'true'
    AND coalesce(event_category, '-') <> 'NetworkActivity'
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:principal*/ '' IN ('', principal)
),
per_client AS (
  SELECT
    dt,
    recipient_account_id,
    principal,
    session_name,
    access_key_id,
    client,
    count(*) AS calls,
    count(*) FILTER (WHERE outcome = 'denied') AS refused,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    min(source_ip_address) AS source_ip_address,
    count(DISTINCT source_ip_address) AS addresses,
    min(user_agent) AS user_agent,
    min(event_id) AS event_id
  FROM calls
  WHERE client IS NOT NULL
  GROUP BY dt, recipient_account_id, principal, session_name, access_key_id, client
),
counted AS (
  SELECT
    c.*,
    count(*) OVER (PARTITION BY dt, recipient_account_id, principal, session_name, access_key_id) AS clients
  FROM per_client c
)
SELECT
  dt AS day,
  recipient_account_id,
  principal,
  session_name,
  access_key_id,
  clients,
  client,
  calls,
  refused,
  first_seen,
  last_seen,
  source_ip_address,
  addresses,
  user_agent,
  event_id
FROM counted
WHERE clients >= /*:min_clients*/ 2
ORDER BY day NULLS LAST, recipient_account_id NULLS LAST, access_key_id NULLS LAST, principal NULLS LAST, session_name NULLS LAST, client NULLS LAST
