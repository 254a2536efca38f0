/*
title = "Many different calls refused"
description = """
Principals that were denied many different calls to DynamoDB, streams or DAX on one day, or were denied on many different
tables. A workload that lacks a permission fails with the same one or two calls; somebody who tries out what stolen
credentials may do fails with many. All sessions of a role are one principal, and all regions count together.

Sessions out of the console are left out unless include_console is set: there, one page asks for many things at once. So are
calls that AWS services made and those that a VPC endpoint reports. Expired, unknown and badly signed credentials are not
counted. Denied item calls are seen only where data events were recorded. Denials by other services are counted beside,
where the lake has them, and don't decide.
"""
level = "medium"
attack = ["T1078.004", "T1526", "T1580"]
references = ["https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"]
false_positives = ["Inventory and compliance scanners without the permissions that they need.", "People who try out a new role."]
needs = ["any"]
identity = ["day", "recipient_account_id", "principal"]
optional = ["control", "data.read", "data.write", "streams", "dax"]

[parameters.min_event_names]
type = "integer"
default = 4
about = "Fewest different calls denied on a day worth a row"

[parameters.min_tables]
type = "integer"
default = 5
about = "Fewest tables with denied calls on a day worth a row"

[parameters.include_console]
type = "boolean"
default = false
about = "Whether sessions out of the console count"

[columns]
day = "The day, UTC"
first_seen = "When the day's first denied call to DynamoDB completed, UTC"
last_seen = "When the last one completed, UTC"
recipient_account_id = "The account whose trail recorded them"
principal = "Who was denied"
event_names = "Different API calls denied, of DynamoDB, streams and DAX"
tables = "Tables that these name"
denied = "Denied calls, of DynamoDB, streams and DAX"
changes = "Of these, calls that would have changed or deleted something; PartiQL is always among them"
other_event_names = "Different API calls of other services denied to it on that day, as far as the lake has them"
regions = "Regions in which DynamoDB denied them"
sessions = "Names of sessions used; 0 for users"
addresses = "Addresses from which they came"
access_key_id = "One of the access keys used"
source_ip_address = "One of the addresses"
event_id = "One of the denied events"
*/
WITH refused AS (
  SELECT
    event_time,
    dt,
    recipient_account_id,
    coalesce(principal, '-') AS principal,
    aws_region,
    event_source,
    event_name,
    table_name,
    session_name,
    access_key_id,
    source_ip_address,
    event_id,
    plane IS NOT NULL AS is_dynamodb
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND error_code IS NOT NULL
    AND regexp_like(error_code, 'AccessDenied|NotAuthorized|UnauthorizedOperation')
    AND coalesce(event_category, '-') <> 'NetworkActivity'
    AND is_service_made = false
    AND (/*:include_console*/ false OR coalesce(session_credential_from_console, '-') <> 'true')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:principal*/ '' IN ('', principal)
)
SELECT
  dt AS day,
  min(CASE WHEN is_dynamodb THEN event_time END) AS first_seen,
  max(CASE WHEN is_dynamodb THEN event_time END) AS last_seen,
  recipient_account_id,
  principal,
  count(DISTINCT CASE WHEN is_dynamodb THEN event_source || '/' || event_name END) AS event_names,
  count(DISTINCT CASE WHEN is_dynamodb THEN table_name END) AS tables,
  count(*) FILTER (WHERE is_dynamodb) AS denied,
  count(*) FILTER (
    WHERE is_dynamodb
    AND NOT regexp_like(event_name, '^(Describe|List|Get|BatchGet|TransactGet|Query|Scan)')
  ) AS changes,
  count(DISTINCT CASE WHEN NOT is_dynamodb THEN event_source || '/' || event_name END) AS other_event_names,
  count(DISTINCT CASE WHEN is_dynamodb THEN aws_region END) AS regions,
  count(DISTINCT CASE WHEN is_dynamodb THEN session_name END) AS sessions,
  count(DISTINCT CASE WHEN is_dynamodb THEN source_ip_address END) AS addresses,
  min(CASE WHEN is_dynamodb THEN access_key_id END) AS access_key_id,
  min(CASE WHEN is_dynamodb THEN source_ip_address END) AS source_ip_address,
  min(CASE WHEN is_dynamodb THEN event_id END) AS event_id
FROM refused
GROUP BY dt, recipient_account_id, principal
HAVING (
    count(DISTINCT CASE WHEN is_dynamodb THEN event_source || '/' || event_name END) >= /*:min_event_names*/ 4
    OR count(DISTINCT CASE WHEN is_dynamodb THEN table_name END) >= /*:min_tables*/ 5
  )
  AND max(CASE WHEN is_dynamodb AND /*:region*/ '' IN ('', aws_region) THEN 1 ELSE 0 END) = 1
ORDER BY day NULLS LAST, recipient_account_id NULLS LAST, principal NULLS LAST
