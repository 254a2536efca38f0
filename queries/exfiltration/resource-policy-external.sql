/*
title = "Tables opened to other accounts"
description = """
PutResourcePolicy and CreateTable calls that succeeded and whose resource policy allows something to everybody or to a principal of
another account than yours: one row a principal so named, up to 20 of each of the first 20 statements. An account is yours when
it is in site.own_accounts or its trail is in the lake. A statement that allows to all principals but some counts as one that
allows to everybody. Also every DeleteResourcePolicy that succeeded, as what the policy refused goes with it.

A statement's conditions may narrow it: has_condition tells that there are some, not what they mean. AWS services, federated users
and canonical users named by a policy are not looked at. Policies are read as text, so one written in an odd way may be missed.
Pipelines are left out.
"""
level = "high"
attack = ["T1098", "T1537"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/access-control-resource-based.html"]
false_positives = ["A table shared with a partner: name the account in site.own_accounts.", "A policy changed by hand with the owner's consent."]
needs = ["control"]
identity = ["recipient_account_id", "event_id", "statement_number", "grantee"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
resource_arn = "The table or stream whose policy it is, as the call names it"
event_name = "The API call"
grantee = "The principal that the policy allows something: * for everybody; none: the policy was deleted"
grantee_account_id = "The account of that principal"
statement_number = "Which statement of the policy, from 1"
has_condition = "Whether that statement has conditions"
principal = "Who called"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
event_id = "The event"
*/
WITH digits AS (
  SELECT 1 AS n UNION ALL SELECT 2 AS n UNION ALL SELECT 3 AS n UNION ALL SELECT 4 AS n UNION ALL SELECT 5 AS n
  UNION ALL SELECT 6 AS n UNION ALL SELECT 7 AS n UNION ALL SELECT 8 AS n UNION ALL SELECT 9 AS n UNION ALL SELECT 10 AS n
),
numbers AS (
  SELECT n FROM digits
  UNION ALL
  SELECT n + 10 AS n FROM digits
),
calls AS (
  SELECT
    event_time,
    dt,
    recipient_account_id,
    aws_region,
    table_name,
    json_extract_scalar(request_parameters, '$.resourceArn') AS resource_arn,
    event_name,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    event_id,
    -- the policy is a text in the record; should it stand there as an object, the parameters as a whole serve as well
    replace(replace(replace(replace(
      coalesce(
        CASE
          WHEN event_name = 'CreateTable' THEN json_extract_scalar(request_parameters, '$.resourcePolicy')
          ELSE json_extract_scalar(request_parameters, '$.policy')
        END,
        request_parameters
      ), ' ', ''), chr(9), ''), chr(10), ''), chr(13), '') AS policy
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name IN ('PutResourcePolicy', 'DeleteResourcePolicy', 'CreateTable')
    AND outcome = 'ok'
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
),
-- only between statements does an object follow another one
statements AS (
  SELECT
    c.recipient_account_id,
    c.event_id,
    m.n AS statement_number,
    split_part(c.policy, '},{', m.n) AS body
  FROM calls c
  CROSS JOIN numbers m
  WHERE c.event_name <> 'DeleteResourcePolicy'
    AND strpos(c.policy, '"Effect":"Allow"') > 0
),
allowing AS (
  SELECT
    recipient_account_id,
    event_id,
    statement_number,
    strpos(body, '"Condition":') > 0 AS has_condition,
    strpos(body, '"Principal":"*"') > 0 OR strpos(body, '"NotPrincipal":') > 0 AS is_for_all,
    split_part(body, '"AWS":', 2) AS named
  FROM statements
  WHERE strpos(body, '"Effect":"Allow"') > 0
),
grantees AS (
  SELECT
    recipient_account_id,
    event_id,
    statement_number,
    has_condition,
    '*' AS grantee
  FROM allowing
  WHERE is_for_all
  UNION
  SELECT
    a.recipient_account_id,
    a.event_id,
    a.statement_number,
    a.has_condition,
    nullif(split_part(split_part(a.named, ']', 1), '"', 2 * m.n), '') AS grantee
  FROM allowing a
  CROSS JOIN numbers m
  WHERE NOT a.is_for_all
    -- one text, or a list of texts
    AND (m.n = 1 OR starts_with(a.named, '['))
),
accounts AS (
  SELECT
    g.*,
    CASE
      WHEN starts_with(grantee, 'arn:') THEN nullif(split_part(grantee, ':', 5), '')
      WHEN regexp_like(grantee, '^[0-9]{12}$') THEN grantee
    END AS grantee_account_id
  FROM grantees g
  WHERE grantee IS NOT NULL
    AND grantee <> ','
),
own AS (
  SELECT DISTINCT recipient_account_id AS account_id
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND recipient_account_id IS NOT NULL
),
strangers AS (
  SELECT g.*
  FROM accounts g
  LEFT JOIN own o
    ON g.grantee_account_id = o.account_id
  WHERE o.account_id IS NULL
    AND coalesce(g.grantee_account_id, '-') NOT IN (/*:own_accounts*/ '')
)
SELECT
  c.event_time,
  c.recipient_account_id,
  c.aws_region,
  c.table_name,
  c.resource_arn,
  c.event_name,
  s.grantee,
  s.grantee_account_id,
  s.statement_number,
  s.has_condition,
  c.principal,
  c.session_name,
  c.access_key_id,
  c.source_ip_address,
  c.event_id
FROM calls c
LEFT JOIN strangers s
  ON c.recipient_account_id = s.recipient_account_id
  AND c.event_id = s.event_id
WHERE s.grantee IS NOT NULL
  OR c.event_name = 'DeleteResourcePolicy'
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST, statement_number NULLS LAST, grantee NULLS LAST
