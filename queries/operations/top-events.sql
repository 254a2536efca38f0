/*
title = "Most frequent calls"
description = """
Which calls to DynamoDB and DAX were made most, with how much of it failed, by how many principals and on how many
tables. One row a call and account, most frequent first.

These are events, not items: a batch of 25 deletes is one. A call that is missing here was not made, or is not recorded.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = []
needs = ["any"]
optional = ["control", "data.read", "data.write", "streams", "dax"]

[parameters.top]
type = "integer"
default = 50
about = "How many calls are listed"

[columns]
place = "Place in the order, from 1"
recipient_account_id = "The account whose trail recorded the events"
event_source = "The service"
event_name = "The call"
plane = "data, control, streams or dax"
events = "How often it was made"
share_percent = "Its share of all events asked for, percent"
denied = "Of the events, those denied"
failed = "Events that failed otherwise"
principals = "By how many principals"
tables = "On how many tables, counting events that touch one table only"
service_made = "Of the events, those that AWS services made"
first_seen = "The first, UTC"
last_seen = "The last, UTC"
event_id = "One of the events"

[chart]
kind = "bar"
x = "event_name"
value = "events"
*/
WITH per_call AS (
  SELECT
    recipient_account_id,
    event_source,
    event_name,
    plane,
    count(*) AS events,
    count(*) FILTER (WHERE outcome = 'denied') AS denied,
    count(*) FILTER (WHERE outcome NOT IN ('ok', 'denied')) AS failed,
    count(DISTINCT principal) AS principals,
    count(DISTINCT table_name) AS tables,
    count(*) FILTER (WHERE is_service_made) AS service_made,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    min(event_id) AS event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane IS NOT NULL
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
  GROUP BY recipient_account_id, event_source, event_name, plane
),
ranked AS (
  SELECT
    c.*,
    sum(events) OVER () AS all_events,
    row_number() OVER (
      ORDER BY
        events DESC NULLS LAST,
        recipient_account_id NULLS LAST,
        event_source NULLS LAST,
        event_name NULLS LAST,
        plane NULLS LAST
    ) AS place
  FROM per_call c
)
SELECT
  place,
  recipient_account_id,
  event_source,
  event_name,
  plane,
  events,
  round(100.0e0 * CAST(events AS double) / CAST(all_events AS double), 2) AS share_percent,
  denied,
  failed,
  principals,
  tables,
  service_made,
  first_seen,
  last_seen,
  event_id
FROM ranked
WHERE place <= /*:top*/ 50
ORDER BY place NULLS LAST
