/*
title = "Busiest principals"
description = """
Who called DynamoDB and DAX most, with how much of it failed, over how many tables and from how many addresses.
Roles are counted once, whatever their sessions are called. One row a principal and account, busiest first.

These are events, not items: a batch of 25 deletes is one. Where only some calls are recorded, the
counts tell no more than that.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = []
needs = ["any"]
optional = ["control", "data.read", "data.write", "streams", "dax"]

[parameters.top]
type = "integer"
default = 25
about = "How many principals are listed"

[columns]
place = "Place in the order, from 1"
recipient_account_id = "The account whose trail recorded the events"
principal = "Who called; absent where the record doesn't tell"
events = "Their events"
data_events = "Of these, calls to items"
control_events = "Calls that read or change tables, backups and settings"
denied = "Events that were denied"
failed = "Events that failed otherwise"
event_names = "How many different calls"
tables = "How many tables, counting events that touch one table only"
addresses = "From how many addresses"
is_service_made = "Whether AWS services made all of them"
first_seen = "The first event, UTC"
last_seen = "The last event, UTC"
event_id = "One of the events"

[chart]
kind = "bar"
x = "principal"
value = "events"
*/
WITH per_principal AS (
  SELECT
    recipient_account_id,
    principal,
    count(*) AS events,
    count(*) FILTER (WHERE plane = 'data') AS data_events,
    count(*) FILTER (WHERE plane = 'control') AS control_events,
    count(*) FILTER (WHERE outcome = 'denied') AS denied,
    count(*) FILTER (WHERE outcome NOT IN ('ok', 'denied')) AS failed,
    count(DISTINCT event_name) AS event_names,
    count(DISTINCT table_name) AS tables,
    count(DISTINCT source_ip_address) AS addresses,
    bool_and(is_service_made) AS is_service_made,
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
  GROUP BY recipient_account_id, principal
),
ranked AS (
  SELECT
    p.*,
    row_number() OVER (
      ORDER BY events DESC NULLS LAST, recipient_account_id NULLS LAST, principal NULLS LAST
    ) AS place
  FROM per_principal p
)
SELECT
  place,
  recipient_account_id,
  principal,
  events,
  data_events,
  control_events,
  denied,
  failed,
  event_names,
  tables,
  addresses,
  is_service_made,
  first_seen,
  last_seen,
  event_id
FROM ranked
WHERE place <= /*:top*/ 25
ORDER BY place NULLS LAST
