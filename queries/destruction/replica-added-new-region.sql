/*
title = "Replicas added in new regions"
description = """
Successful calls that gave a table a replica, a full copy that is kept up to date, in a region in which the lake had not seen
the table a day before: UpdateTable and UpdateGlobalTable with a replica to create, CreateGlobalTable, and CreateTable as a replica of
a table given by its ARN, which may belong to another account. One row a replica; of one call the first eight are read.

Regions in site.allowed_regions are left out, unless the copy crosses accounts; so are expected pipelines and DynamoDB's own
calls in the other region. Where the account's trail does not cover a region, its table counts as not seen there.
"""
level = "medium"
attack = ["T1537", "T1535"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GlobalTables.html", "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html"]
false_positives = ["A planned move into a region: name the region in site.allowed_regions."]
needs = ["control"]
identity = ["recipient_account_id", "event_id", "replica_region"]
optional = ["data.read", "data.write"]

[parameters.new_hours]
type = "integer"
default = 24
about = "Hours before the call within which the table's first sight in the region does not count, as it may belong to the same plan"

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region in which the call was made"
table_name = "The table"
replica_region = "The region that gets the copy"
source_table_arn = "The table that is copied, where the call names it by its ARN"
is_other_account = "Whether that table belongs to another account"
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
    event_time_ms,
    recipient_account_id,
    aws_region,
    table_name,
    event_name,
    request_parameters,
    CASE WHEN event_name = 'CreateTable' THEN json_extract_scalar(request_parameters, '$.globalTableSourceArn') END AS source_table_arn,
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
      OR event_name = 'CreateGlobalTable'
      OR (event_name = 'CreateTable' AND strpos(request_parameters, '"globalTableSourceArn"') > 0)
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
    CASE
      WHEN c.event_name = 'CreateTable' AND p.place > 0 THEN NULL
      WHEN c.event_name = 'CreateTable' THEN c.aws_region
      ELSE
        CASE p.place
          WHEN 0 THEN coalesce(json_extract_scalar(c.request_parameters, '$.replicaUpdates[0].create.regionName'), json_extract_scalar(c.request_parameters, '$.replicationGroup[0].regionName'))
          WHEN 1 THEN coalesce(json_extract_scalar(c.request_parameters, '$.replicaUpdates[1].create.regionName'), json_extract_scalar(c.request_parameters, '$.replicationGroup[1].regionName'))
          WHEN 2 THEN coalesce(json_extract_scalar(c.request_parameters, '$.replicaUpdates[2].create.regionName'), json_extract_scalar(c.request_parameters, '$.replicationGroup[2].regionName'))
          WHEN 3 THEN coalesce(json_extract_scalar(c.request_parameters, '$.replicaUpdates[3].create.regionName'), json_extract_scalar(c.request_parameters, '$.replicationGroup[3].regionName'))
          WHEN 4 THEN coalesce(json_extract_scalar(c.request_parameters, '$.replicaUpdates[4].create.regionName'), json_extract_scalar(c.request_parameters, '$.replicationGroup[4].regionName'))
          WHEN 5 THEN coalesce(json_extract_scalar(c.request_parameters, '$.replicaUpdates[5].create.regionName'), json_extract_scalar(c.request_parameters, '$.replicationGroup[5].regionName'))
          WHEN 6 THEN coalesce(json_extract_scalar(c.request_parameters, '$.replicaUpdates[6].create.regionName'), json_extract_scalar(c.request_parameters, '$.replicationGroup[6].regionName'))
          WHEN 7 THEN coalesce(json_extract_scalar(c.request_parameters, '$.replicaUpdates[7].create.regionName'), json_extract_scalar(c.request_parameters, '$.replicationGroup[7].regionName'))
        END
    END AS replica_region,
    coalesce(nullif(split_part(c.source_table_arn, ':', 4), ''), c.aws_region) AS home_region,
    coalesce(nullif(split_part(c.source_table_arn, ':', 5), ''), c.recipient_account_id) <> c.recipient_account_id AS is_other_account
  FROM calls c
  CROSS JOIN places p
),
candidates AS (
  SELECT
    *
  FROM replicas
  WHERE replica_region IS NOT NULL
    AND (
      is_other_account
      OR (replica_region <> home_region AND replica_region NOT IN (/*:allowed_regions*/ ''))
    )
),
seen_before AS (
  SELECT DISTINCT
    c.recipient_account_id,
    c.event_id,
    c.replica_region
  FROM operations o
  JOIN candidates c
    ON o.recipient_account_id = c.recipient_account_id
    AND o.table_name = c.table_name
    AND o.aws_region = c.replica_region
    AND o.event_time_ms <= c.event_time_ms - /*:new_hours*/ 24 * CAST(3600000 AS bigint)
  WHERE o.dt <= /*:until*/ '2999-12-31'
    AND o.outcome = 'ok'
)
SELECT
  c.event_time,
  c.recipient_account_id,
  c.aws_region,
  c.table_name,
  c.replica_region,
  c.source_table_arn,
  c.is_other_account,
  c.event_name,
  c.principal,
  c.session_name,
  c.access_key_id,
  c.source_ip_address,
  c.user_agent,
  c.invoked_by,
  c.event_id
FROM candidates c
LEFT JOIN seen_before s
  ON c.recipient_account_id = s.recipient_account_id
  AND c.event_id = s.event_id
  AND c.replica_region = s.replica_region
WHERE s.event_id IS NULL
  OR c.is_other_account
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST, replica_region NULLS LAST
