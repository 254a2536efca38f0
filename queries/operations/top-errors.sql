/*
title = "Most frequent errors"
description = """
Which errors calls to DynamoDB and DAX met most, by code and message, with how many principals met them. One row an account,
service, code and message, most frequent first.

An event counts as failed where it carries an error code. Messages of denied calls name the caller's session and the
resource, so these fall into several rows. What a batch failed to do in part is in its response, which is not recorded.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html"]
false_positives = []
needs = ["any"]
optional = ["control", "data.read", "data.write", "streams", "dax"]

[parameters.top]
type = "integer"
default = 50
about = "How many errors are listed"

[columns]
place = "Place in the order, from 1"
recipient_account_id = "The account whose trail recorded the events"
event_source = "The service"
error_code = "The exception's name"
error_message = "The exception's text; absent where the record has none"
outcome = "What kind of failure it is: denied, throttled, condition_failed, conflict, not_found, cancelled, invalid, server_error or other"
events = "How many events"
event_name = "The call (one of them)"
event_names = "How many different calls met it"
table_name = "The table (one of them)"
tables = "How many tables, counting events that touch one table only"
principal = "Who called (one of them)"
principals = "How many principals met it"
first_seen = "The first, UTC"
last_seen = "The last, UTC"
event_id = "One of the events"

[chart]
kind = "bar"
x = "error_code"
value = "events"
*/
WITH per_error AS (
  SELECT
    recipient_account_id,
    event_source,
    error_code,
    error_message,
    outcome,
    count(*) AS events,
    min(event_name) AS event_name,
    count(DISTINCT event_name) AS event_names,
    min(table_name) AS table_name,
    count(DISTINCT table_name) AS tables,
    min(principal) AS principal,
    count(DISTINCT principal) AS principals,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    min(event_id) AS event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane IS NOT NULL
    AND error_code IS NOT NULL
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
  GROUP BY recipient_account_id, event_source, error_code, error_message, outcome
),
ranked AS (
  SELECT
    e.*,
    row_number() OVER (
      ORDER BY
        events DESC NULLS LAST,
        recipient_account_id NULLS LAST,
        event_source NULLS LAST,
        error_code NULLS LAST,
        error_message NULLS LAST,
        outcome NULLS LAST
    ) AS place
  FROM per_error e
)
SELECT
  place,
  recipient_account_id,
  event_source,
  error_code,
  error_message,
  outcome,
  events,
  event_name,
  event_names,
  table_name,
  tables,
  principal,
  principals,
  first_seen,
  last_seen,
  event_id
FROM ranked
WHERE place <= /*:top*/ 50
ORDER BY place NULLS LAST
