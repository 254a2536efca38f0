/*
title = "New readers of streams"
description = """
Three ways to tap a table's stream: a Lambda event source mapping made or changed on it, an EventBridge pipe made from it,
and a principal that reads it (GetShardIterator or GetRecords) for the first time in the lake.

A principal is called new only if reads of the account's streams were recorded on at least history_days days before. All
sessions of a role are one principal. Calls that succeeded count; stream reads that AWS services made, such as replication,
do not, and pipelines are left out. A change through CloudFormation is left out too.
"""
level = "medium"
attack = ["T1530", "T1546"]
references = ["https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html", "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html"]
false_positives = ["A new consumer of changes that was set up by hand."]
needs = ["streams", "lambda.amazonaws.com"]
identity = ["recipient_account_id", "event_id"]
optional = ["pipes.amazonaws.com"]
baseline_days = "history_days"
recorded_days = { parameter = "history_days", of = "account" }

[parameters.history_days]
type = "integer"
default = 7
about = "Fewest days with recorded stream reads of the account before a reader counts as new"

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table whose stream it is"
kind = "event source mapping, pipe or new reader"
consumer = "The function or pipe that receives the changes; of a new reader, the principal"
principal = "Who made the call"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
event_name = "The API call"
event_id = "The event"
*/
WITH taps AS (
  SELECT
    event_time,
    recipient_account_id,
    aws_region,
    CASE
      WHEN event_source = 'lambda.amazonaws.com'
        THEN coalesce(json_extract_scalar(request_parameters, '$.eventSourceArn'), json_extract_scalar(response_elements, '$.eventSourceArn'))
      ELSE coalesce(json_extract_scalar(request_parameters, '$.Source'), json_extract_scalar(request_parameters, '$.source'))
    END AS stream_arn,
    CASE WHEN event_source = 'lambda.amazonaws.com' THEN 'event source mapping' ELSE 'pipe' END AS kind,
    CASE
      WHEN event_source = 'lambda.amazonaws.com'
        THEN coalesce(json_extract_scalar(response_elements, '$.functionArn'), json_extract_scalar(request_parameters, '$.functionName'))
      ELSE coalesce(json_extract_scalar(request_parameters, '$.Name'), json_extract_scalar(request_parameters, '$.name'))
    END AS consumer,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    event_name,
    event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND (
      -- Lambda appends a date to the names of its calls
      (event_source = 'lambda.amazonaws.com' AND (starts_with(event_name, 'CreateEventSourceMapping') OR starts_with(event_name, 'UpdateEventSourceMapping')))
      OR (event_source = 'pipes.amazonaws.com' AND event_name = 'CreatePipe')
    )
    AND error_code IS NULL
    AND is_service_made = false
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
),
stream_reads AS (
  SELECT
    event_time,
    event_time_ms,
    dt,
    recipient_account_id,
    aws_region,
    table_name,
    table_arn,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    event_name,
    event_id,
    is_service_made,
    row_number() OVER (PARTITION BY recipient_account_id, table_arn, principal ORDER BY event_time_ms NULLS LAST, event_id NULLS LAST) AS place
  FROM operations
  WHERE dt <= /*:until*/ '2999-12-31'
    AND plane = 'streams'
    AND operation IN ('GetRecords', 'GetShardIterator')
    AND outcome = 'ok'
    AND table_arn IS NOT NULL
    AND principal IS NOT NULL
    AND /*:account*/ '' IN ('', recipient_account_id)
),
recorded AS (
  SELECT
    recipient_account_id,
    dt,
    row_number() OVER (PARTITION BY recipient_account_id ORDER BY dt NULLS LAST) - 1 AS days_before
  FROM stream_reads
  GROUP BY recipient_account_id, dt
),
found AS (
  SELECT
    event_time,
    recipient_account_id,
    aws_region,
    nullif(split_part(split_part(stream_arn, ':', 6), '/', 2), '') AS table_name,
    kind,
    consumer,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    event_name,
    event_id
  FROM taps
  WHERE strpos(stream_arn, ':dynamodb:') > 0
  UNION ALL
  SELECT
    s.event_time,
    s.recipient_account_id,
    s.aws_region,
    s.table_name,
    'new reader' AS kind,
    s.principal AS consumer,
    s.principal,
    s.session_name,
    s.access_key_id,
    s.source_ip_address,
    s.event_name,
    s.event_id
  FROM stream_reads s
  JOIN recorded r
    ON s.recipient_account_id = r.recipient_account_id
    AND s.dt = r.dt
  WHERE s.place = 1
    AND r.days_before >= /*:history_days*/ 7
    AND s.dt >= /*:since*/ '2000-01-01'
    AND s.is_service_made = false
    AND s.principal NOT LIKE '%/aws-service-role/%'
    AND s.principal NOT IN (/*:pipeline_roles*/ '')
    AND /*:region*/ '' IN ('', s.aws_region)
    AND /*:principal*/ '' IN ('', s.principal)
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  kind,
  consumer,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  event_name,
  event_id
FROM found
WHERE /*:table*/ '' IN ('', table_name)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
