/*
title = "Events over time"
description = """
How many calls to DynamoDB and DAX each hour saw, by plane, with how many were denied or failed. A sudden rise, or hours
without any, stands out in the picture.

Hours without events have no row. Events without a readable time are not counted.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = []
needs = ["any"]
optional = ["control", "data.read", "data.write", "streams", "dax"]

[columns]
hour = "The hour's begin, UTC"
plane = "data, control, streams or dax"
events = "Events in the hour"
denied = "Of these, those denied"
throttled = "Events that were throttled"
failed = "Events that failed otherwise"
principals = "By how many principals"
event_id = "One of the events"

[chart]
kind = "time_series"
x = "hour"
y = "plane"
value = "events"
*/
SELECT
  date_trunc('hour', event_time) AS hour,
  plane,
  count(*) AS events,
  count(*) FILTER (WHERE outcome = 'denied') AS denied,
  count(*) FILTER (WHERE outcome = 'throttled') AS throttled,
  count(*) FILTER (WHERE outcome NOT IN ('ok', 'denied', 'throttled')) AS failed,
  count(DISTINCT principal) AS principals,
  min(event_id) AS event_id
FROM events
WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND plane IS NOT NULL
  AND event_time IS NOT NULL
  AND /*:account*/ '' IN ('', recipient_account_id)
  AND /*:region*/ '' IN ('', aws_region)
  AND /*:table*/ '' IN ('', table_name)
  AND /*:principal*/ '' IN ('', principal)
GROUP BY date_trunc('hour', event_time), plane
ORDER BY hour NULLS LAST, plane NULLS LAST
