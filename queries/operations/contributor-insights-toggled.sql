/*
title = "Contributor Insights switched"
description = """
UpdateContributorInsights calls that switched CloudWatch Contributor Insights on or off for a table or an index. Switched
off, the record of the most used and most throttled keys ends; switched on, key values appear in CloudWatch for
whoever may read it there, and cost begins.

Calls by AWS services and by expected pipelines are left out.
"""
level = "low"
attack = ["T1562.008"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/contributorinsights.html", "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateContributorInsights.html"]
false_positives = ["Operators who look for hot keys switch it on for a while, then off."]
needs = ["control"]
identity = ["recipient_account_id", "event_id"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
index_name = "The index; absent where the table itself is meant"
action = "ENABLE or DISABLE"
mode = "Which keys are counted, where the call says it"
status = "The state that DynamoDB answered"
principal = "Who switched it"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
event_id = "The event"
*/
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  json_extract_scalar(request_parameters, '$.indexName') AS index_name,
  json_extract_scalar(request_parameters, '$.contributorInsightsAction') AS action,
  json_extract_scalar(request_parameters, '$.contributorInsightsMode') AS mode,
  json_extract_scalar(response_elements, '$.contributorInsightsStatus') AS status,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  event_id
FROM events
WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND event_source = 'dynamodb.amazonaws.com'
  AND event_name = 'UpdateContributorInsights'
  AND outcome = 'ok'
  AND is_service_made = false
  AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
  AND /*:account*/ '' IN ('', recipient_account_id)
  AND /*:region*/ '' IN ('', aws_region)
  AND /*:table*/ '' IN ('', table_name)
  AND /*:principal*/ '' IN ('', principal)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
