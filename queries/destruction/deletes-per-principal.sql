/*
title = "Items deleted per principal"
description = """
Days on which a principal deleted more items of a table than it used to, by whatever path: DeleteItem, BatchWriteItem,
TransactWriteItems or PartiQL. Items are counted, not calls: a batch of 25 deletes is 25. Time to live leaves no trace.

A day is unusual if its items exceed median + k * 1.4826 * MAD of the same principal and table over the days before. MAD is
the median distance from the median; less than a tenth of the median, or than 1, counts as that. A day counts with zero items if
the account's item writes were recorded in the region, but no delete by the principal in the table. With fewer such days than
history_days nothing can be compared: then items_without_history is the threshold. Expected pipelines are left out.
"""
level = "medium"
attack = ["T1485"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = ["A first clean-up, or one that runs less often than once in the days compared.", "A batch job: name its role in site.pipeline_roles."]
needs = ["data.write"]
identity = ["dt", "recipient_account_id", "aws_region", "principal", "table_name"]
baseline_days = "days"
recorded_days = { parameter = "history_days", of = "region" }

[parameters.min_items]
type = "integer"
default = 100
about = "Smallest number of items a day that is worth a row"

[parameters.days]
type = "integer"
default = 14
about = "Days before that are compared with"

[parameters.history_days]
type = "integer"
default = 5
about = "Fewest recorded days among them for a comparison"

[parameters.k]
type = "number"
default = 5.0
about = "How many robust standard deviations above the median are unusual"

[parameters.items_without_history]
type = "integer"
default = 500
about = "Items a day that are worth a row where there is too little history"

[parameters.only_unusual]
type = "boolean"
default = true
about = "Whether to leave out the days that are not unusual"

[columns]
dt = "The day, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
principal = "Who deleted"
table_name = "The table"
items_deleted = "Items deleted on the day"
by_delete_item = "Of these, by DeleteItem"
by_batch_write = "Of these, by BatchWriteItem"
by_transaction = "Of these, by TransactWriteItems"
by_partiql = "Of these, by PartiQL DELETE statements, single, in batches and in transactions"
baseline_days = "Recorded days compared with"
baseline_median = "Median of the items deleted on these days"
baseline_mad = "Median distance from that median"
threshold = "Items above which the day is unusual"
is_unusual = "Whether it is"
first_seen = "The day's first delete, UTC"
last_seen = "The day's last delete, UTC"
event_id = "One of the events"

[chart]
kind = "bar"
x = "principal"
value = "items_deleted"
*/
WITH written AS (
  SELECT
    recipient_account_id,
    aws_region,
    coalesce(principal, '-') AS actor,
    principal,
    table_name,
    dt,
    event_time_ms - event_time_ms % 86400000 AS day_ms,
    count(*) FILTER (WHERE access = 'delete' AND outcome = 'ok') AS items_deleted,
    count(*) FILTER (WHERE access = 'delete' AND outcome = 'ok' AND event_name = 'DeleteItem') AS by_delete_item,
    count(*) FILTER (WHERE access = 'delete' AND outcome = 'ok' AND event_name = 'BatchWriteItem') AS by_batch_write,
    count(*) FILTER (WHERE access = 'delete' AND outcome = 'ok' AND event_name = 'TransactWriteItems') AS by_transaction,
    count(*) FILTER (WHERE access = 'delete' AND outcome = 'ok' AND operation = 'PartiQLDelete') AS by_partiql,
    min(event_time) FILTER (WHERE access = 'delete' AND outcome = 'ok') AS first_seen,
    max(event_time) FILTER (WHERE access = 'delete' AND outcome = 'ok') AS last_seen,
    min(event_id) FILTER (WHERE access = 'delete' AND outcome = 'ok') AS event_id
  FROM operations
  WHERE dt <= /*:until*/ '2999-12-31'
    AND plane = 'data'
    AND access IN ('write', 'delete')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
  GROUP BY recipient_account_id, aws_region, coalesce(principal, '-'), principal, table_name, dt, event_time_ms - event_time_ms % 86400000
),
recorded AS (
  SELECT DISTINCT
    recipient_account_id,
    aws_region,
    day_ms
  FROM written
),
suspects AS (
  SELECT
    *
  FROM written
  WHERE dt >= /*:since*/ '2000-01-01'
    AND items_deleted >= /*:min_items*/ 100
    AND table_name IS NOT NULL
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
),
history AS (
  SELECT
    s.recipient_account_id,
    s.aws_region,
    s.actor,
    s.table_name,
    s.day_ms,
    coalesce(w.items_deleted, 0) AS items,
    row_number() OVER (
      PARTITION BY s.recipient_account_id, s.aws_region, s.actor, s.table_name, s.day_ms
      ORDER BY coalesce(w.items_deleted, 0), r.day_ms
    ) AS place,
    count(*) OVER (PARTITION BY s.recipient_account_id, s.aws_region, s.actor, s.table_name, s.day_ms) AS days
  FROM suspects s
  JOIN recorded r
    ON s.recipient_account_id = r.recipient_account_id
    AND s.aws_region = r.aws_region
    AND r.day_ms BETWEEN s.day_ms - /*:days*/ 14 * CAST(86400000 AS bigint) AND s.day_ms - 1
  LEFT JOIN written w
    ON w.recipient_account_id = s.recipient_account_id
    AND w.aws_region = s.aws_region
    AND w.actor = s.actor
    AND w.table_name = s.table_name
    AND w.day_ms = r.day_ms
),
medians AS (
  SELECT
    recipient_account_id,
    aws_region,
    actor,
    table_name,
    day_ms,
    max(days) AS baseline_days,
    avg(CASE WHEN 2 * place BETWEEN days AND days + 2 THEN CAST(items AS double) END) AS baseline_median
  FROM history
  GROUP BY recipient_account_id, aws_region, actor, table_name, day_ms
),
distances AS (
  SELECT
    h.recipient_account_id,
    h.aws_region,
    h.actor,
    h.table_name,
    h.day_ms,
    h.days,
    abs(h.items - m.baseline_median) AS distance,
    row_number() OVER (
      PARTITION BY h.recipient_account_id, h.aws_region, h.actor, h.table_name, h.day_ms
      ORDER BY abs(h.items - m.baseline_median), h.place
    ) AS place
  FROM history h
  JOIN medians m
    ON h.recipient_account_id = m.recipient_account_id
    AND h.aws_region = m.aws_region
    AND h.actor = m.actor
    AND h.table_name = m.table_name
    AND h.day_ms = m.day_ms
),
deviations AS (
  SELECT
    recipient_account_id,
    aws_region,
    actor,
    table_name,
    day_ms,
    avg(CASE WHEN 2 * place BETWEEN days AND days + 2 THEN distance END) AS baseline_mad
  FROM distances
  GROUP BY recipient_account_id, aws_region, actor, table_name, day_ms
),
judged AS (
  SELECT
    s.*,
    coalesce(m.baseline_days, 0) AS baseline_days,
    m.baseline_median,
    d.baseline_mad,
    CASE
      WHEN coalesce(m.baseline_days, 0) < /*:history_days*/ 5 THEN CAST(/*:items_without_history*/ 500 AS double) - 1
      ELSE m.baseline_median + CAST(/*:k*/ 5.0 AS double) * 1.4826e0 * CASE
        WHEN d.baseline_mad >= m.baseline_median * 1e-1 AND d.baseline_mad >= 1 THEN d.baseline_mad
        WHEN m.baseline_median >= 10 THEN m.baseline_median * 1e-1
        ELSE 1e0
      END
    END AS threshold
  FROM suspects s
  LEFT JOIN medians m
    ON s.recipient_account_id = m.recipient_account_id
    AND s.aws_region = m.aws_region
    AND s.actor = m.actor
    AND s.table_name = m.table_name
    AND s.day_ms = m.day_ms
  LEFT JOIN deviations d
    ON s.recipient_account_id = d.recipient_account_id
    AND s.aws_region = d.aws_region
    AND s.actor = d.actor
    AND s.table_name = d.table_name
    AND s.day_ms = d.day_ms
)
SELECT
  dt,
  recipient_account_id,
  aws_region,
  principal,
  table_name,
  items_deleted,
  by_delete_item,
  by_batch_write,
  by_transaction,
  by_partiql,
  baseline_days,
  round(baseline_median, 2) AS baseline_median,
  round(baseline_mad, 2) AS baseline_mad,
  round(threshold, 2) AS threshold,
  items_deleted > threshold AS is_unusual,
  first_seen,
  last_seen,
  event_id
FROM judged
WHERE items_deleted > threshold
  OR NOT /*:only_unusual*/ true
ORDER BY items_deleted DESC NULLS LAST, dt NULLS LAST, recipient_account_id NULLS LAST, aws_region NULLS LAST, principal NULLS LAST, table_name NULLS LAST
