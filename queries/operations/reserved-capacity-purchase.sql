/*
title = "Reserved capacity bought"
description = """
Purchases of reserved capacity, and attempts that failed. A purchase binds the account for one or three years and cannot be taken
back. AWS does not document how CloudTrail writes down what was bought, so the request is shown as it was logged.
An expected pipeline is left out.
"""
level = "medium"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/reserved-capacity.html"]
false_positives = ["A purchase that was planned."]
needs = ["control"]
identity = ["recipient_account_id", "event_id"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
request_parameters = "What was asked, JSON as logged"
outcome = "How it ended: ok is a purchase"
error_code = "The error"
principal = "Who called"
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
  request_parameters,
  outcome,
  error_code,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  event_id
FROM events
WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND event_source = 'dynamodb.amazonaws.com'
  AND event_name = 'PurchaseReservedCapacityOfferings'
  AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
  AND /*:account*/ '' IN ('', recipient_account_id)
  AND /*:region*/ '' IN ('', aws_region)
  AND /*:principal*/ '' IN ('', principal)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
