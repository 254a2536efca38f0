/*
title = "Changes of tables by hand"
description = """
Control-plane calls that changed something - tables, indexes, capacity, backups, recovery, tags, policies - and were
made neither by a pipeline nor by CloudFormation or another AWS service. The calls succeeded; tried ones are left out.

Pipelines are recognised by their principals alone. The user agent is shown, and sorted into a kind of tool, but
never believed: a caller may write there what it likes. So Terraform, or anything else that calls DynamoDB by
itself, is listed until its role is named in site.pipeline_roles. CDK deploys through CloudFormation.
"""
level = "low"
attack = ["T1578"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html", "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html"]
false_positives = ["Roles that run Terraform, backups or migrations: name them in site.pipeline_roles.", "Operators who change tables by design."]
needs = ["control"]
identity = ["recipient_account_id", "event_id", "table_name", "operation"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
operation = "The call"
principal = "Who made it"
session_name = "The role session's name"
tool = "What the client seems to be: console, terraform, aws-cli, sdk or unknown"
user_agent = "The client, as it calls itself"
access_key_id = "The access key used"
source_ip_address = "From where"
event_id = "The event"
*/
WITH calls AS (
  SELECT
    event_id,
    recipient_account_id,
    dt,
    user_agent,
    session_credential_from_console
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane = 'control'
    AND outcome = 'ok'
    AND is_service_made = false
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND coalesce(principal, '-') NOT LIKE '%/aws-service-role/%'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:principal*/ '' IN ('', principal)
)
SELECT
  o.event_time,
  o.recipient_account_id,
  o.aws_region,
  o.table_name,
  o.operation,
  o.principal,
  o.session_name,
  CASE
    WHEN c.session_credential_from_console = 'true' THEN 'console'
    WHEN c.user_agent IS NULL THEN 'unknown'
    WHEN c.user_agent LIKE '%Terraform%' OR c.user_agent LIKE '%OpenTofu%' THEN 'terraform'
    WHEN c.user_agent LIKE 'aws-cli/%' THEN 'aws-cli'
    WHEN regexp_like(c.user_agent, '(aws-sdk-|Boto3/|Botocore/)') THEN 'sdk'
    WHEN c.user_agent = 'console.amazonaws.com' THEN 'console'
    ELSE 'unknown'
  END AS tool,
  c.user_agent,
  o.access_key_id,
  o.source_ip_address,
  o.event_id
FROM operations o
JOIN calls c
  ON o.event_id = c.event_id
  AND o.recipient_account_id = c.recipient_account_id
  AND o.dt = c.dt
WHERE o.dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND o.plane = 'control'
  -- an export and the source of a restore are reads: they change nothing
  AND o.access IN ('control_write', 'delete')
  AND /*:table*/ '' IN ('', o.table_name)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST, table_name NULLS LAST
