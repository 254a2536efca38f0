/*
title = "Changes of DAX"
description = """
Calls that change DynamoDB Accelerator, failed ones too: clusters made, grown, shrunk and deleted, nodes rebooted, and changes of parameter
groups, subnet groups and tags. The items that clients read and write through a cluster are not recorded by CloudTrail, so a cluster
is also a way to a table's items that leaves no trace of its users.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DAX.html"]
false_positives = []
needs = ["dax"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
event_name = "The call"
cluster_name = "The cluster"
node_id = "The node"
group_name = "The parameter group or subnet group"
node_type = "The kind of node asked for"
replication_factor = "How many nodes are to be there after the call"
parameters = "Parameters set, name=value; times to live are in milliseconds"
encryption_at_rest = "Whether encryption at rest was asked for; if not told, there is none"
endpoint_encryption = "TLS or NONE, as asked for; if not told, there is none"
iam_role_arn = "The role with which the cluster reads and writes the tables"
outcome = "How it ended"
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
  event_name,
  coalesce(
    json_extract_scalar(request_parameters, '$.clusterName'),
    nullif(split_part(json_extract_scalar(request_parameters, '$.resourceName'), ':cache/', 2), '')
  ) AS cluster_name,
  -- DecreaseReplicationFactor may name the nodes to remove
  coalesce(
    json_extract_scalar(request_parameters, '$.nodeId'),
    json_extract_scalar(request_parameters, '$.nodeIdsToRemove[0]')
  ) AS node_id,
  coalesce(
    json_extract_scalar(request_parameters, '$.parameterGroupName'),
    json_extract_scalar(request_parameters, '$.subnetGroupName')
  ) AS group_name,
  json_extract_scalar(request_parameters, '$.nodeType') AS node_type,
  TRY_CAST(
    coalesce(
      json_extract_scalar(request_parameters, '$.newReplicationFactor'),
      json_extract_scalar(request_parameters, '$.replicationFactor')
    ) AS bigint
  ) AS replication_factor,
  -- there are two parameters: the times to live of items and of queries
  json_extract_scalar(request_parameters, '$.parameterNameValues[0].parameterName') || '='
    || coalesce(json_extract_scalar(request_parameters, '$.parameterNameValues[0].parameterValue'), '')
    || coalesce(
      ', ' || json_extract_scalar(request_parameters, '$.parameterNameValues[1].parameterName') || '='
        || json_extract_scalar(request_parameters, '$.parameterNameValues[1].parameterValue'),
      ''
    ) AS parameters,
  json_extract_scalar(request_parameters, '$.sSESpecification.enabled') = 'true' AS encryption_at_rest,
  json_extract_scalar(request_parameters, '$.clusterEndpointEncryptionType') AS endpoint_encryption,
  json_extract_scalar(request_parameters, '$.iamRoleArn') AS iam_role_arn,
  outcome,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  event_id
FROM events
WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND event_source = 'dax.amazonaws.com'
  AND NOT starts_with(event_name, 'Describe')
  AND NOT starts_with(event_name, 'List')
  AND /*:account*/ '' IN ('', recipient_account_id)
  AND /*:region*/ '' IN ('', aws_region)
  AND /*:principal*/ '' IN ('', principal)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
