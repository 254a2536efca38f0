/*
title = "Outdated TLS"
description = """
DynamoDB and DAX calls over TLS 1.0, TLS 1.1 or SSL, refused ones too: one row a principal, client and version. Such clients are
old, and AWS has since stopped taking these versions.

The version stands in records of version 1.08 and later, and not in those of calls from the console or by AWS services. Calls
without it are not judged.
"""
level = "low"
attack = []
references = ["https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html"]
false_positives = []
needs = ["any"]
identity = ["recipient_account_id", "aws_region", "principal", "tls_version", "user_agent"]
optional = ["control", "data.read", "data.write", "streams", "dax"]

[columns]
recipient_account_id = "The account whose trail recorded the calls"
aws_region = "The region"
principal = "Who called"
tls_version = "The version as logged"
user_agent = "With what"
events = "How many calls"
ok = "Of these, those that worked"
addresses = "From how many addresses"
source_ip_address = "One of them"
tables = "On how many tables; calls on several at once do not count"
host_name = "One of the host names that the client asked for"
cipher_suite = "One of the cipher suites"
first_seen = "The first, UTC"
last_seen = "The last, UTC"
event_id = "One of the events"
*/
WITH calls AS (
  SELECT
    event_time,
    recipient_account_id,
    aws_region,
    principal,
    user_agent,
    outcome,
    source_ip_address,
    table_name,
    event_id,
    tls_details,
    json_extract_scalar(tls_details, '$.tlsVersion') AS tls_version
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane IS NOT NULL
    AND tls_details IS NOT NULL
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
)
SELECT
  recipient_account_id,
  aws_region,
  principal,
  tls_version,
  user_agent,
  count(*) AS events,
  count(*) FILTER (WHERE outcome = 'ok') AS ok,
  count(DISTINCT source_ip_address) AS addresses,
  min(source_ip_address) AS source_ip_address,
  count(DISTINCT table_name) AS tables,
  min(json_extract_scalar(tls_details, '$.clientProvidedHostHeader')) AS host_name,
  min(json_extract_scalar(tls_details, '$.cipherSuite')) AS cipher_suite,
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  min(event_id) AS event_id
FROM calls
WHERE regexp_like(lower(tls_version), '^(ssl.*|tls ?v?1([.][01])?)$')
GROUP BY recipient_account_id, aws_region, principal, tls_version, user_agent
ORDER BY
  recipient_account_id NULLS LAST,
  aws_region NULLS LAST,
  events DESC NULLS LAST,
  principal NULLS LAST,
  tls_version NULLS LAST,
  user_agent NULLS LAST
