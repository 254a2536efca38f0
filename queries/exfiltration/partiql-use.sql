/*
title = "Use of PartiQL"
description = """
PartiQL statements by verb, table and principal: how many, how many failed, and since when. The statements of batches and
transactions count one by one. first_use looks through the whole lake, before the asked window too, so a principal or a verb
that is new shows. A batch whose statements failed one by one looks as if it had succeeded: the answers are not logged.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.html"]
false_positives = []
needs = ["any"]
optional = ["data.read", "data.write"]

[columns]
recipient_account_id = "The account whose trail recorded them"
aws_region = "The region"
table_name = "The table"
principal = "Who"
operation = "PartiQLSelect, PartiQLInsert, PartiQLUpdate, PartiQLDelete; the call's name where the statement is not understood"
statements = "Statements in the asked window"
failed = "Of these, those that did not succeed"
refused = "Of these, those denied"
in_batches = "Of these, those in batches or transactions with others"
without_key = "Of these, those that show no key: SELECTs of the whole table, keys given as parameters, INSERTs"
days = "Days (UTC) with such statements"
first_use = "The first such statement in the lake, UTC"
is_new = "Whether the first lies in the asked window"
first_seen = "The first in the asked window, UTC"
last_seen = "The last, UTC"
statement = "One of the statements, as logged"
event_id = "One of the events"

[chart]
kind = "matrix"
x = "operation"
y = "principal"
value = "statements"
*/
WITH used AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    principal,
    operation,
    count(*) FILTER (WHERE dt >= /*:since*/ '2000-01-01') AS statements,
    count(*) FILTER (WHERE dt >= /*:since*/ '2000-01-01' AND outcome <> 'ok') AS failed,
    count(*) FILTER (WHERE dt >= /*:since*/ '2000-01-01' AND outcome = 'denied') AS refused,
    count(*) FILTER (WHERE dt >= /*:since*/ '2000-01-01' AND is_bulk) AS in_batches,
    count(*) FILTER (WHERE dt >= /*:since*/ '2000-01-01' AND item_key IS NULL) AS without_key,
    count(DISTINCT CASE WHEN dt >= /*:since*/ '2000-01-01' THEN dt END) AS days,
    min(event_time) AS first_use,
    min(CASE WHEN dt >= /*:since*/ '2000-01-01' THEN event_time END) AS first_seen,
    max(CASE WHEN dt >= /*:since*/ '2000-01-01' THEN event_time END) AS last_seen,
    min(CASE WHEN dt >= /*:since*/ '2000-01-01' THEN statement END) AS statement,
    min(CASE WHEN dt >= /*:since*/ '2000-01-01' THEN event_id END) AS event_id
  FROM operations
  WHERE dt <= /*:until*/ '2999-12-31'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name IN ('ExecuteStatement', 'BatchExecuteStatement', 'ExecuteTransaction')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
  GROUP BY recipient_account_id, aws_region, table_name, principal, operation
)
SELECT
  recipient_account_id,
  aws_region,
  table_name,
  principal,
  operation,
  statements,
  failed,
  refused,
  in_batches,
  without_key,
  days,
  first_use,
  first_use = first_seen AS is_new,
  first_seen,
  last_seen,
  statement,
  event_id
FROM used
WHERE statements > 0
ORDER BY recipient_account_id NULLS LAST, aws_region NULLS LAST, table_name NULLS LAST, principal NULLS LAST, operation NULLS LAST
