/*
title = "Calls refused by a VPC endpoint"
description = """
Calls to DynamoDB that the policy of one of your VPC endpoints refused, one row a caller, address, endpoint, call and
day. They are network activity events, which the endpoint's owner receives. A caller of a foreign account is someone in
your network with credentials of another account: the way in which data is carried out past your own policies.

The events name neither table nor user agent; of callers of other accounts they tell the account and the key or the role only.
"""
level = "medium"
attack = ["T1537", "T1567"]
references = ["https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-network-events-with-cloudtrail.html", "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/vpc-endpoints-dynamodb.html"]
false_positives = ["A workload of your own whose account or table is missing in the endpoint's policy."]
needs = ["network"]
identity = ["day", "recipient_account_id", "aws_region", "vpc_endpoint_id", "event_name", "principal", "principal_id", "caller_account_id", "source_ip_address"]

[columns]
day = "The day, UTC"
first_seen = "When the first refused call completed, UTC"
last_seen = "When the last one completed, UTC"
recipient_account_id = "The account that owns the endpoint"
aws_region = "The region"
vpc_endpoint_id = "The endpoint"
event_name = "The call"
principal = "Who called, as far as the record tells"
principal_id = "The caller's key or role id"
caller_account_id = "The caller's account"
is_foreign = "Whether that account is none of your own"
source_ip_address = "From where in your network"
calls = "How many calls were refused"
event_id = "One of the events"
*/
WITH own AS (
  SELECT DISTINCT recipient_account_id AS account_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND recipient_account_id IS NOT NULL
),
refused AS (
  SELECT
    dt,
    recipient_account_id,
    aws_region,
    vpc_endpoint_id,
    event_name,
    principal,
    principal_id,
    user_account_id,
    source_ip_address,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    count(*) AS calls,
    min(event_id) AS event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane IS NOT NULL
    AND event_category = 'NetworkActivity'
    AND error_code = 'VpceAccessDenied'
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
  GROUP BY dt, recipient_account_id, aws_region, vpc_endpoint_id, event_name, principal, principal_id, user_account_id, source_ip_address
)
SELECT
  r.dt AS day,
  r.first_seen,
  r.last_seen,
  r.recipient_account_id,
  r.aws_region,
  r.vpc_endpoint_id,
  r.event_name,
  r.principal,
  r.principal_id,
  r.user_account_id AS caller_account_id,
  CASE
    WHEN r.user_account_id IS NULL THEN NULL
    WHEN r.user_account_id IN (/*:own_accounts*/ '') THEN false
    ELSE o.account_id IS NULL
  END AS is_foreign,
  r.source_ip_address,
  r.calls,
  r.event_id
FROM refused r
LEFT JOIN own o
  ON r.user_account_id = o.account_id
ORDER BY first_seen NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
