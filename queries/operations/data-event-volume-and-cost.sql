/*
title = "Volume and cost of data events"
description = """
How many data events each table, call and principal made, what share that is of the account's, and what CloudTrail charged
for them about. One event is one charge, however many items a batch holds. A second trail that records the same events is
charged again, which the lake does not show; taxes and discounts are not known.

The suggestion says which advanced event selector of the trail would leave the row's events out, and what would then no longer be evidence.
Only AWS's own stream reads go without a loss.
"""
level = "informational"
attack = []
references = ["https://aws.amazon.com/cloudtrail/pricing/", "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/filtering-data-events.html"]
false_positives = []
needs = ["data.read", "data.write"]
optional = ["streams"]

[parameters.price_usd]
type = "number"
default = 0.1
about = "Price of 100,000 data events, USD"

[columns]
recipient_account_id = "The account whose trail recorded the events"
aws_region = "The region"
table_name = "The table; absent where one call touches several"
event_name = "The call"
principal = "Who made them"
is_internal = "Whether a service-linked role of AWS made them, such as the replication of global tables"
events = "How many data events"
share_percent = "Share of the account's data events, percent"
internal_stream_percent = "Share of the service-linked roles' GetRecords in the account's data events, percent; the same in all of its rows"
charge_usd = "Estimated charge, USD"
charge_30_days_usd = "The same over 30 days, as if all were like the account's days with data events in the window, USD"
first_seen = "The first, UTC"
last_seen = "The last, UTC"
suggestion = "How to leave them out, and what is lost"
event_id = "One of the events"

[chart]
kind = "bar"
x = "table_name"
value = "events"
*/
WITH daily AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    event_name,
    principal,
    coalesce(strpos(principal, '/aws-service-role/') > 0, false) AS is_internal,
    dt,
    count(*) AS events,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    min(event_id) AS event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane IN ('data', 'streams')
    -- records below version 1.07 have no category, below 1.06 no managementEvent
    AND coalesce(
      event_category,
      CASE
        WHEN management_event THEN 'Management'
        WHEN NOT management_event THEN 'Data'
        WHEN event_name IN ('DescribeStream', 'ListStreams') THEN 'Management'
        ELSE 'Data'
      END
    ) = 'Data'
    AND /*:account*/ '' IN ('', recipient_account_id)
  GROUP BY
    recipient_account_id,
    aws_region,
    table_name,
    event_name,
    principal,
    coalesce(strpos(principal, '/aws-service-role/') > 0, false),
    dt
),
accounts AS (
  SELECT
    recipient_account_id,
    CAST(sum(events) AS double) AS events,
    CAST(sum(CASE WHEN is_internal AND event_name = 'GetRecords' THEN events ELSE 0 END) AS double) AS internal_stream_reads,
    count(DISTINCT dt) AS days
  FROM daily
  GROUP BY recipient_account_id
),
totals AS (
  SELECT
    recipient_account_id,
    aws_region,
    table_name,
    event_name,
    principal,
    is_internal,
    CAST(sum(events) AS bigint) AS events,
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen,
    min(event_id) AS event_id
  FROM daily
  WHERE /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
  GROUP BY recipient_account_id, aws_region, table_name, event_name, principal, is_internal
)
SELECT
  t.recipient_account_id,
  t.aws_region,
  t.table_name,
  t.event_name,
  t.principal,
  t.is_internal,
  t.events,
  round(100e0 * CAST(t.events AS double) / a.events, 2) AS share_percent,
  round(100e0 * a.internal_stream_reads / a.events, 2) AS internal_stream_percent,
  round(CAST(t.events AS double) * CAST(/*:price_usd*/ 0.1 AS double) / 100000e0, 4) AS charge_usd,
  round(
    CAST(t.events AS double) * CAST(/*:price_usd*/ 0.1 AS double) / 100000e0 * 30e0 / CAST(a.days AS double),
    4
  ) AS charge_30_days_usd,
  t.first_seen,
  t.last_seen,
  CASE
    WHEN t.is_internal AND t.event_name IN ('GetRecords', 'GetShardIterator')
      THEN 'userIdentity.arn NotStartsWith arn:' || split_part(t.principal, ':', 2) || ':sts::'
        || t.recipient_account_id || ':assumed-role/AWSServiceRoleFor. Lost: nothing that a person or program of yours did.'
    WHEN t.is_internal THEN 'Keep: a service touched items.'
    WHEN t.event_name IN ('GetRecords', 'GetShardIterator')
      THEN 'eventName NotEquals GetRecords, GetShardIterator. Lost: every sign that somebody reads a stream.'
    WHEN t.event_name IN ('GetItem', 'BatchGetItem', 'Query', 'TransactGetItems') AND t.table_name IS NOT NULL
      THEN 'Two selectors: one with resources.ARN NotEquals the table''s; one with resources.ARN Equals it and eventName NotEquals '
        || t.event_name || '. Lost: who read the table by ' || t.event_name || '.'
    WHEN t.event_name IN ('GetItem', 'BatchGetItem', 'Query', 'TransactGetItems')
      THEN 'eventName NotEquals ' || t.event_name || '. Lost: who read any table by ' || t.event_name || '.'
    WHEN t.event_name IN ('Scan', 'SearchVectors') THEN 'Keep: bulk reads.'
    WHEN t.event_name IN ('ExecuteStatement', 'BatchExecuteStatement', 'ExecuteTransaction')
      THEN 'Keep: the call does not tell reads from deletes.'
    ELSE 'Keep: writes and deletes.'
  END AS suggestion,
  t.event_id
FROM totals t
JOIN accounts a
  ON t.recipient_account_id = a.recipient_account_id
ORDER BY
  recipient_account_id NULLS LAST,
  events DESC NULLS LAST,
  aws_region NULLS LAST,
  table_name NULLS LAST,
  event_name NULLS LAST,
  principal NULLS LAST,
  is_internal NULLS LAST
