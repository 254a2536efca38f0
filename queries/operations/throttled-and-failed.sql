/*
title = "Throttled and failed item calls"
description = """
Operations on items that DynamoDB throttled, refused for their condition, cancelled with their transaction, found invalid
or failed to do, by table, principal and kind of failure. share_percent sets them against everything that the principal
did to the table with the same operation.

Each entry of a batch or transaction counts. Of a cancelled transaction, the entry at fault has its own reason; the others are
cancelled. Denied calls are not in here. Whether every throttled request reaches CloudTrail is not documented; what a
batch left unprocessed is never recorded.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html"]
false_positives = []
needs = ["any"]
optional = ["data.read", "data.write"]

[parameters.min_operations]
type = "integer"
default = 1
about = "Fewest failed operations worth a row"

[columns]
recipient_account_id = "The account whose trail recorded the calls"
aws_region = "The region"
table_name = "The table"
index_name = "The index read, if any"
principal = "Who called"
operation = "What was tried"
outcome = "throttled, condition_failed, conflict, cancelled, invalid, not_found, server_error or other"
error_code = "The event's exception"
cancel_reason = "Why the entry cancelled its transaction"
operations = "How many operations failed so"
share_percent = "Their share of the principal's same operations on the table or index, percent"
first_seen = "The first, UTC"
last_seen = "The last, UTC"
event_id = "One of the events"
*/
WITH grouped AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    index_name,
    principal,
    operation,
    outcome,
    error_code,
    cancel_reason,
    count(*) AS operations,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    min(event_id) AS event_id
  FROM operations
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane = 'data'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
  GROUP BY
    recipient_account_id,
    aws_region,
    table_name,
    index_name,
    principal,
    operation,
    outcome,
    error_code,
    cancel_reason
),
compared AS (
  SELECT
    g.*,
    -- all rows of a partition are peers in this order, so the frame is the whole partition
    sum(operations) OVER (
      PARTITION BY recipient_account_id, aws_region, table_name, index_name, principal, operation
      ORDER BY recipient_account_id NULLS LAST
    ) AS all_operations
  FROM grouped g
)
SELECT
  recipient_account_id,
  aws_region,
  table_name,
  index_name,
  principal,
  operation,
  outcome,
  error_code,
  cancel_reason,
  operations,
  round(100.0e0 * CAST(operations AS double) / CAST(all_operations AS double), 2) AS share_percent,
  first_seen,
  last_seen,
  event_id
FROM compared
WHERE outcome NOT IN ('ok', 'denied')
  AND operations >= /*:min_operations*/ 1
ORDER BY
  operations DESC NULLS LAST,
  recipient_account_id NULLS LAST,
  aws_region NULLS LAST,
  table_name NULLS LAST,
  index_name NULLS LAST,
  principal NULLS LAST,
  operation NULLS LAST,
  outcome NULLS LAST,
  error_code NULLS LAST,
  cancel_reason NULLS LAST
