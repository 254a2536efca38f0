/*
title = "Tables deleted"
description = """
Every DeleteTable that succeeded, with what the table held when it went. DynamoDB answers a DeleteTable
with the table's description; its item count and size are up to six hours old.
A table deleted by an expected pipeline is left out.
"""
level = "high"
attack = ["T1485"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteTable.html"]
false_positives = ["Temporary tables: name the roles that make and delete them in site.pipeline_roles."]
needs = ["control"]
identity = ["recipient_account_id", "event_id"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
item_count = "Items that DynamoDB last counted in the table"
table_size_bytes = "Bytes that DynamoDB last counted in the table"
principal = "Who deleted it"
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
  TRY_CAST(json_extract_scalar(response_elements, '$.tableDescription.itemCount') AS bigint) AS item_count,
  TRY_CAST(json_extract_scalar(response_elements, '$.tableDescription.tableSizeBytes') AS bigint) AS table_size_bytes,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  event_id
FROM events
WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND event_source = 'dynamodb.amazonaws.com'
  AND event_name = 'DeleteTable'
  AND outcome = 'ok'
  AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
  AND /*:account*/ '' IN ('', recipient_account_id)
  AND /*:region*/ '' IN ('', aws_region)
  AND /*:table*/ '' IN ('', table_name)
  AND /*:principal*/ '' IN ('', principal)
ORDER BY event_time NULLS LAST, event_id NULLS LAST
