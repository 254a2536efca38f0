/*
title = "Logging weakened"
description = """
Calls to CloudTrail that stop a trail, delete it, send it elsewhere or narrow what it records, failed attempts too.
Every StopLogging and DeleteTrail is listed, and their likes on event data stores. Of PutEventSelectors
those are listed that leave out AWS::DynamoDB::Table, or management events, or keep only some event names, reads or
writes only, some callers or some tables, unless the trail's selectors had the same gap before, as far as the lake
knows; where the lake doesn't know, the call is listed. Of UpdateTrail those are listed that switch something off or
change where the log goes.
A request is read as a whole, not selector by selector: an event name in a selector for another service counts too.
What a trail recorded before the lake begins is unknown.
"""
level = "high"
attack = ["T1562.008"]
references = [
  "https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_PutEventSelectors.html",
  "https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_StopLogging.html",
]
false_positives = [
  "Trails managed by a pipeline: name its roles in site.pipeline_roles.",
  "A trail that is meant to record one table or one kind of event, when it is set up.",
]
needs = ["cloudtrail.amazonaws.com"]

[columns]
severity = "1: recording ends, or somebody tried; 2: less is recorded or it goes elsewhere; 3: a failed attempt at that"
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
event_name = "The call"
trail = "The trail's or event data store's name as given, without the rest of its ARN"
finding = "What it does or would do; of several things the gravest"
error_code = "Why it failed; empty where it succeeded"
principal = "Who called"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
request_parameters = "What was asked, as JSON"
event_id = "The event"
*/
WITH calls AS (
  SELECT
    event_time,
    event_time_ms,
    dt,
    recipient_account_id,
    aws_region,
    event_name,
    CASE
      WHEN starts_with(
        coalesce(
          json_extract_scalar(request_parameters, '$.trailName'),
          json_extract_scalar(request_parameters, '$.name'),
          json_extract_scalar(request_parameters, '$.eventDataStore')
        ),
        'arn:'
      )
        THEN nullif(
          split_part(
            coalesce(
              json_extract_scalar(request_parameters, '$.trailName'),
              json_extract_scalar(request_parameters, '$.name'),
              json_extract_scalar(request_parameters, '$.eventDataStore')
            ),
            '/',
            2
          ),
          ''
        )
      ELSE coalesce(
        json_extract_scalar(request_parameters, '$.trailName'),
        json_extract_scalar(request_parameters, '$.name'),
        json_extract_scalar(request_parameters, '$.eventDataStore')
      )
    END AS trail,
    lower(request_parameters) AS asked,
    request_parameters,
    coalesce(
      json_extract_scalar(response_elements, '$.s3BucketName'),
      json_extract_scalar(request_parameters, '$.s3BucketName')
    ) AS bucket,
    coalesce(
      json_extract_scalar(response_elements, '$.kmsKeyId'),
      json_extract_scalar(request_parameters, '$.kmsKeyId'),
      ''
    ) AS encryption_key,
    error_code,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    event_id
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'cloudtrail.amazonaws.com'
    AND event_name IN (
      'CreateTrail', 'UpdateTrail', 'DeleteTrail', 'StopLogging', 'PutEventSelectors', 'PutInsightSelectors',
      'DeleteEventDataStore', 'StopEventDataStoreIngestion'
    )
),
gaps AS (
  SELECT
    c.*,
    event_name = 'PutEventSelectors' AS is_known,
    event_name = 'PutEventSelectors' AND strpos(asked, 'aws::dynamodb::table') = 0 AS leaves_out_dynamodb,
    event_name = 'PutEventSelectors' AND (
      regexp_like(asked, '"includemanagementevents" *: *false')
      OR strpos(asked, '"advancedeventselectors"') > 0 AND strpos(asked, '"management"') = 0
    ) AS leaves_out_management,
    event_name = 'PutEventSelectors' AND strpos(asked, '"eventname"') > 0 AS by_event_name,
    event_name = 'PutEventSelectors' AND (
      strpos(asked, '"readonly"') > 0
      OR strpos(asked, '"writeonly"') > 0
    ) AS by_read_only,
    event_name = 'PutEventSelectors' AND strpos(asked, '"useridentity.arn"') > 0 AS by_caller,
    event_name = 'PutEventSelectors' AND strpos(asked, ':table/') > 0 AS by_table
  FROM calls c
),
-- What the trail's selectors were before. A new trail records management events alone.
selectors AS (
  SELECT
    event_id,
    recipient_account_id,
    event_name,
    lag(event_name) OVER before AS earlier_call,
    lag(asked) OVER before AS earlier_asked,
    lag(leaves_out_dynamodb OR event_name = 'CreateTrail') OVER before AS left_out_dynamodb,
    lag(leaves_out_management) OVER before AS left_out_management,
    lag(by_event_name) OVER before AS was_by_event_name,
    lag(by_read_only) OVER before AS was_by_read_only,
    lag(by_caller) OVER before AS was_by_caller
  FROM gaps
  WHERE error_code IS NULL
    AND event_name IN ('CreateTrail', 'PutEventSelectors')
  WINDOW before AS (PARTITION BY recipient_account_id, trail ORDER BY event_time_ms NULLS FIRST, event_id NULLS FIRST)
),
SELECT 1
