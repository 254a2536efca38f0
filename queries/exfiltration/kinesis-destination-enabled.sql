/*
title = "Changes of a table sent to Kinesis"
description = """
EnableKinesisStreamingDestination calls that succeeded: from then on, every change of an item goes to a Kinesis data stream,
with the item as it was and as it is, where it can be kept for up to a year. Who reads that stream is not to be seen in
DynamoDB's events. Calls that AWS services made, such as CloudFormation, are left out, and so are pipelines, unless the stream
lies in an account that is neither in site.own_accounts nor has its trail in the lake.
"""
level = "medium"
attack = ["T1530", "T1537"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_EnableKinesisStreamingDestination.html"]
false_positives = ["A new consumer of changes that was set up by hand."]
needs = ["control"]
identity = ["recipient_account_id", "event_id"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
stream_arn = "The Kinesis data stream"
is_foreign_stream = "Whether the stream's account is none of yours"
principal = "Who switched it on"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
event_id = "The event"
*/
WITH calls AS (
  SELECT
    event_time,
    recipient_account_id,
    aws_region,
    table_name,
    json_extract_scalar(request_parameters, '$.streamArn') AS stream_arn,
    nullif(split_part(json_extract_scalar(request_parameters, '$.streamArn'), ':', 5), '') AS stream_account_id,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    is_service_made,
    event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name = 'EnableKinesisStreamingDestination'
    AND outcome = 'ok'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
),
own AS (
  SELECT DISTINCT recipient_account_id AS account_id
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND recipient_account_id IS NOT NULL
),
judged AS (
  SELECT
    c.*,
    c.stream_account_id IS NOT NULL
      AND o.account_id IS NULL
      AND c.stream_account_id NOT IN (/*:own_accounts*/ '') AS is_foreign_stream
  FROM calls c
  LEFT JOIN own o
    ON c.stream_account_id = o.account_id
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  stream_arn,
  is_foreign_stream,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  event_id
FROM judged
WHERE is_foreign_stream
  OR (is_service_made = false AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ ''))
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
