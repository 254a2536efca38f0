/*
title = "Replicas of tables removed"
description = """
Successful calls that removed a replica of a global table: UpdateTable and UpdateGlobalTable with a replica to delete, or
DeleteTableReplica. The copy of the items in that region goes with it. One row a replica; of one call the first eight are read.

What DynamoDB does itself in the other region to carry the removal out is left out, and so are expected pipelines.
A replica can also be removed by DeleteTable in its own region: see table-deleted.
"""
level = "medium"
attack = ["T1485", "T1490"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html", "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateGlobalTable.html"]
false_positives = ["A region that is given up."]
needs = ["control"]
identity = ["recipient_account_id", "event_id", "replica_region"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region in which the call was made"
table_name = "The table"
replica_region = "The region whose replica was removed"
event_name = "The call"
principal = "Who called"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
invoked_by = "The AWS service that called for the principal, if one did"
event_id = "The event"
*/
WITH calls AS (
  SELECT
    event_time,
    recipient_account_id,
    aws_region,
    table_name,
    event_name,
    request_parameters,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    invoked_by,
    event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND (
      (event_name IN ('UpdateTable', 'UpdateGlobalTable') AND strpos(request_parameters, '"replicaUpdates"') > 0)
      OR event_name = 'DeleteTableReplica'
    )
    AND outcome = 'ok'
    AND coalesce(principal, '-') NOT LIKE '%/aws-service-role/%'
    AND coalesce(principal, '-') NOT LIKE '%dynamodb.amazonaws.com'
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
),
places AS (
  SELECT
    place
  FROM (
    VALUES
      (0),
      (1),
      (2),
      (3),
      (4),
      (5),
      (6),
      (7)
  ) AS v (place)
),
replicas AS (
  SELECT
    c.*,
    p.place,
    CASE
      WHEN c.event_name = 'DeleteTableReplica' AND p.place = 0 THEN c.aws_region
      ELSE
        CASE p.place
          WHEN 0 THEN json_extract_scalar(c.request_parameters, '$.replicaUpdates[0].delete.regionName')
          WHEN 1 THEN json_extract_scalar(c.request_parameters, '$.replicaUpdates[1].delete.regionName')
          WHEN 2 THEN json_extract_scalar(c.request_parameters, '$.replicaUpdates[2].delete.regionName')
          WHEN 3 THEN json_extract_scalar(c.request_parameters, '$.replicaUpdates[3].delete.regionName')
          WHEN 4 THEN json_extract_scalar(c.request_parameters, '$.replicaUpdates[4].delete.regionName')
          WHEN 5 THEN json_extract_scalar(c.request_parameters, '$.replicaUpdates[5].delete.regionName')
          WHEN 6 THEN json_extract_scalar(c.request_parameters, '$.replicaUpdates[6].delete.regionName')
          WHEN 7 THEN json_extract_scalar(c.request_parameters, '$.replicaUpdates[7].delete.regionName')
        END
    END AS replica_region
  FROM calls c
  CROSS JOIN places p
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  replica_region,
  event_name,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  invoked_by,
  event_id
FROM replicas
WHERE replica_region IS NOT NULL
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST, replica_region NULLS LAST
