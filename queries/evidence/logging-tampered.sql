/*
title = "Logging weakened"
description = """
Calls to CloudTrail that stop a trail, delete it, send it elsewhere or narrow what it records, failed attempts too.
Every StopLogging and DeleteTrail is listed, and their likes on event data stores. Of PutEventSelectors those are
listed that leave out AWS::DynamoDB::Table, or management events, or keep only some event names, reads or writes
only, some callers or some tables, unless the trail's selectors had the same gap before, as far as the lake knows;
where the lake doesn't know, the call is listed. Of UpdateTrail those are listed that switch something off or change
where the log goes. A request is read as a whole, not selector by selector: an event name in a selector for another
service counts too. What a trail recorded before the lake begins is unknown.
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
identity = ["recipient_account_id", "event_id"]

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
    coalesce(
      json_extract_scalar(request_parameters, '$.trailName'),
      json_extract_scalar(request_parameters, '$.name'),
      json_extract_scalar(request_parameters, '$.eventDataStore')
    ) AS named,
    coalesce(lower(request_parameters), '') AS asked,
    request_parameters,
    response_elements,
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
described AS (
  SELECT
    event_time,
    event_time_ms,
    dt,
    recipient_account_id,
    aws_region,
    event_name,
    CASE WHEN starts_with(named, 'arn:') THEN nullif(split_part(named, '/', 2), '') ELSE named END AS trail,
    asked,
    request_parameters,
    error_code,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    event_id,
    -- of selectors; the first ones of a new trail are its set-up, and narrow nothing
    event_name = 'CreateTrail' OR strpos(asked, 'aws::dynamodb::table') = 0 AS no_dynamodb,
    event_name = 'CreateTrail'
      OR regexp_like(asked, '"includemanagementevents" *: *false')
      OR strpos(asked, '"advancedeventselectors"') > 0 AND strpos(asked, '"management"') = 0 AS no_management,
    strpos(asked, '"eventname"') > 0 AS by_event_name,
    strpos(asked, '"readonly"') > 0 OR strpos(asked, '"writeonly"') > 0 AS by_read_only,
    strpos(asked, '"useridentity.arn"') > 0 AS by_caller,
    strpos(asked, ':table/') > 0 AS by_table,
    -- of trails; the answer to CreateTrail and UpdateTrail is the whole trail
    coalesce(
      json_extract_scalar(response_elements, '$.s3BucketName'),
      json_extract_scalar(request_parameters, '$.s3BucketName')
    ) AS bucket,
    coalesce(
      json_extract_scalar(response_elements, '$.kmsKeyId'),
      json_extract_scalar(request_parameters, '$.kmsKeyId'),
      ''
    ) AS log_key,
    coalesce(
      json_extract_scalar(response_elements, '$.isMultiRegionTrail'),
      json_extract_scalar(request_parameters, '$.isMultiRegionTrail'),
      '-'
    ) = 'false' AS one_region,
    coalesce(
      json_extract_scalar(response_elements, '$.isOrganizationTrail'),
      json_extract_scalar(request_parameters, '$.isOrganizationTrail'),
      '-'
    ) = 'false' AS one_account,
    coalesce(
      json_extract_scalar(response_elements, '$.includeGlobalServiceEvents'),
      json_extract_scalar(request_parameters, '$.includeGlobalServiceEvents'),
      '-'
    ) = 'false' AS no_global_events,
    coalesce(
      json_extract_scalar(response_elements, '$.logFileValidationEnabled'),
      json_extract_scalar(request_parameters, '$.enableLogFileValidation'),
      '-'
    ) = 'false' AS no_validation,
    json_extract_scalar(request_parameters, '$.s3BucketName') IS NOT NULL AS names_bucket,
    json_extract_scalar(request_parameters, '$.kmsKeyId') IS NOT NULL AS names_key,
    json_extract_scalar(request_parameters, '$.cloudWatchLogsLogGroupArn') AS log_group,
    json_extract_scalar(request_parameters, '$.insightSelectors[0].insightType') IS NULL AS no_insights
  FROM calls
),
settings AS (
  SELECT 'selectors' AS kind, *
  FROM described
  WHERE error_code IS NULL
    AND event_name IN ('CreateTrail', 'PutEventSelectors')
  UNION ALL
  SELECT 'trail' AS kind, *
  FROM described
  WHERE error_code IS NULL
    AND event_name IN ('CreateTrail', 'UpdateTrail')
),
-- Each call with the one before it, so that what the trail had already is not listed again.
numbered AS (
  SELECT
    s.*,
    row_number() OVER (
      PARTITION BY kind, recipient_account_id, trail
      ORDER BY event_time_ms NULLS FIRST, event_id NULLS FIRST
    ) AS number
  FROM settings s
),
earlier AS (
  SELECT
    later.event_id,
    later.recipient_account_id,
    previous.asked AS was_asked,
    previous.no_dynamodb AS was_no_dynamodb,
    previous.no_management AS was_no_management,
    previous.by_event_name AS was_by_event_name,
    previous.by_read_only AS was_by_read_only,
    previous.by_caller AS was_by_caller,
    previous.bucket AS was_bucket,
    previous.log_key AS was_log_key,
    previous.one_region AS was_one_region,
    previous.one_account AS was_one_account,
    previous.no_global_events AS was_no_global_events,
    previous.no_validation AS was_no_validation
  FROM numbered later
  JOIN numbered previous
    ON later.kind = previous.kind
    AND later.recipient_account_id = previous.recipient_account_id
    AND later.trail = previous.trail
    AND later.number = previous.number + 1
  WHERE later.event_name <> 'CreateTrail'
),
judged AS (
  SELECT
    d.event_time,
    d.recipient_account_id,
    d.aws_region,
    d.event_name,
    d.trail,
    CASE
      WHEN d.event_name = 'DeleteTrail' THEN 'the trail is deleted'
      WHEN d.event_name = 'StopLogging' THEN 'the trail is stopped'
      WHEN d.event_name = 'DeleteEventDataStore' THEN 'the event data store is deleted'
      WHEN d.event_name = 'StopEventDataStoreIngestion' THEN 'the event data store is stopped'
      WHEN d.request_parameters IS NULL THEN 'what was asked is not logged'
      WHEN d.event_name = 'PutEventSelectors' THEN CASE
        WHEN d.no_dynamodb AND NOT coalesce(e.was_no_dynamodb, false) THEN 'no data events of DynamoDB'
        WHEN d.no_management AND NOT coalesce(e.was_no_management, false) THEN 'no management events'
        WHEN d.no_dynamodb OR coalesce(e.was_no_dynamodb, false) THEN NULL
        WHEN d.by_event_name AND NOT (coalesce(e.was_by_event_name, false) AND d.asked = e.was_asked)
          THEN 'only some event names'
        WHEN d.by_read_only AND NOT coalesce(e.was_by_read_only, false) THEN 'reads or writes only'
        WHEN d.by_caller AND NOT (coalesce(e.was_by_caller, false) AND d.asked = e.was_asked) THEN 'only some callers'
        WHEN d.by_table AND d.asked <> coalesce(e.was_asked, '') THEN 'only some tables'
      END
      WHEN d.event_name = 'PutInsightSelectors' THEN CASE WHEN d.no_insights THEN 'no Insights events' END
      WHEN d.event_name = 'UpdateTrail' THEN CASE
        WHEN d.names_bucket AND d.bucket <> coalesce(e.was_bucket, '') THEN 'another bucket'
        WHEN regexp_like(d.asked, '"ismultiregiontrail" *: *false') AND NOT coalesce(e.was_one_region, false)
          THEN 'one region only'
        WHEN regexp_like(d.asked, '"isorganizationtrail" *: *false') AND NOT coalesce(e.was_one_account, false)
          THEN 'one account only'
        WHEN regexp_like(d.asked, '"includeglobalserviceevents" *: *false')
          AND NOT coalesce(e.was_no_global_events, false)
          THEN 'no events of global services'
        WHEN regexp_like(d.asked, '"enablelogfilevalidation" *: *false') AND NOT coalesce(e.was_no_validation, false)
          THEN 'no digests of the log files'
        WHEN d.names_key AND d.log_key <> coalesce(e.was_log_key, '-') THEN 'another key'
        WHEN d.log_group = '' THEN 'no copy in CloudWatch Logs'
      END
    END AS finding,
    d.error_code,
    d.principal,
    d.session_name,
    d.access_key_id,
    d.source_ip_address,
    d.user_agent,
    d.request_parameters,
    d.event_id
  FROM described d
  LEFT JOIN earlier e
    ON d.event_id = e.event_id
    AND d.recipient_account_id = e.recipient_account_id
  WHERE d.dt >= /*:since*/ '2000-01-01'
    AND d.event_name <> 'CreateTrail'
    AND coalesce(d.principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', d.recipient_account_id)
    AND /*:region*/ '' IN ('', d.aws_region)
    AND /*:principal*/ '' IN ('', d.principal)
)
SELECT
  CASE
    WHEN event_name IN ('DeleteTrail', 'StopLogging', 'DeleteEventDataStore', 'StopEventDataStoreIngestion') THEN 1
    WHEN error_code IS NULL THEN 2
    ELSE 3
  END AS severity,
  event_time,
  recipient_account_id,
  aws_region,
  event_name,
  trail,
  finding,
  error_code,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  request_parameters,
  event_id
FROM judged
WHERE finding IS NOT NULL
ORDER BY severity, event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
