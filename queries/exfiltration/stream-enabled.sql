/*
title = "Streams switched on"
description = """
UpdateTable calls that succeeded and switched a table's stream on. From then on, every change of an item can be read from
the stream for 24 hours, and with a view type that has images, the items as well: old values too.

Streams that a new table has from its creation are left out. So are calls that AWS services made, which includes replicas
and changes through CloudFormation, and pipelines. Who reads the stream: see stream-siphon.
"""
level = "medium"
attack = ["T1530"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html"]
false_positives = ["A new consumer of changes that was set up by hand."]
needs = ["control"]
identity = ["recipient_account_id", "event_id"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
view_type = "What the stream holds: KEYS_ONLY, NEW_IMAGE, OLD_IMAGE or NEW_AND_OLD_IMAGES"
stream_arn = "The stream, as the answer names it"
principal = "Who switched it on"
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
  coalesce(
    json_extract_scalar(request_parameters, '$.streamSpecification.streamViewType'),
    json_extract_scalar(response_elements, '$.tableDescription.streamSpecification.streamViewType')
  ) AS view_type,
  json_extract_scalar(response_elements, '$.tableDescription.latestStreamArn') AS stream_arn,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  event_id
FROM events
WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND event_source = 'dynamodb.amazonaws.com'
  AND event_name = 'UpdateTable'
  AND outcome = 'ok'
  -- written as a boolean; some clients' records have it as text
  AND lower(json_extract_scalar(request_parameters, '$.streamSpecification.streamEnabled')) = 'true'
  AND is_service_made = false
  AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
  AND /*:account*/ '' IN ('', recipient_account_id)
  AND /*:region*/ '' IN ('', aws_region)
  AND /*:table*/ '' IN ('', table_name)
  AND /*:principal*/ '' IN ('', principal)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
