/*
title = "Events recorded more than once"
description = """
Where copies of events came from. The lake holds each event once by recipient account and event, so nothing here
distorts the other reports; but a tool that counts the archive's records counts these twice.

Copies are counted per object, by the day of its key, and include those that were settled across units. An object of
which every event is a copy was delivered again, or by a second trail (repeated object); else only some events came
again (partly repeated object). One action that two accounts recorded is two events with IDs of their own and one
shared event ID; these stay in the lake, and are listed as shared event, by the pair of accounts, region and day.
"""
level = "informational"
attack = []
references = [
  "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html",
]
false_positives = []
needs = ["receipts"]

[columns]
kind = "repeated object, partly repeated object or shared event"
day = "The day of the objects' keys; of shared events that of the events"
account_id = "The account in the objects' keys; of shared events the first of the two by number"
other_account_id = "The second account of shared events"
region = "The region"
objects = "Objects with copies"
records_seen = "Records in these objects"
records_duplicate = "Copies among them that the lake holds from another place; of shared events the pairs of events"
share = "records_duplicate / records_seen"
source = "One of the objects"
first_seen = "The first of the shared events, UTC"
last_seen = "The last of the shared events, UTC"
event_id = "One of the shared events, as the first account has it"
shared_event_id = "What it shares with its copy"
*/
WITH objects AS (
  -- An object that was read twice, under a narrower and a wider selection, is one.
  SELECT
    source,
    account_id,
    region,
    dt,
    max(records_seen) AS records_seen,
    max(records_kept) AS records_kept,
    max(records_duplicate) AS records_duplicate
  FROM receipts
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND /*:account*/ '' IN ('', account_id)
    AND /*:region*/ '' IN ('', region)
    AND status IN ('converted', 'damaged')
  GROUP BY source, account_id, region, dt
),
-- Events carry dates of their own, so all of them are counted.
held AS (
  SELECT source, count(*) AS events
  FROM events
  GROUP BY source
),
copies AS (
  SELECT
    o.source,
    o.account_id,
    o.region,
    o.dt,
    o.records_seen,
    coalesce(h.events, 0) AS events,
    o.records_duplicate
      + CASE
        WHEN o.records_kept > coalesce(h.events, 0) THEN o.records_kept - coalesce(h.events, 0)
        ELSE 0
      END AS records_duplicate
  FROM objects o
  LEFT JOIN held h
    ON o.source = h.source
),
shared AS (
  SELECT
    dt,
    recipient_account_id,
    aws_region,
    event_time,
    event_id,
    shared_event_id
  FROM events
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND shared_event_id IS NOT NULL
    AND recipient_account_id IS NOT NULL
),
answers AS (
  SELECT
    CASE WHEN events = 0 THEN 'repeated object' ELSE 'partly repeated object' END AS kind,
    dt AS day,
    account_id,
    NULL AS other_account_id,
    region,
    count(*) AS objects,
    CAST(sum(records_seen) AS bigint) AS records_seen,
    CAST(sum(records_duplicate) AS bigint) AS records_duplicate,
    round(CAST(sum(records_duplicate) AS double) / CAST(nullif(sum(records_seen), 0) AS double), 2) AS share,
    min(source) AS source,
    NULL AS first_seen,
    NULL AS last_seen,
    NULL AS event_id,
    NULL AS shared_event_id
  FROM copies
  WHERE records_duplicate > 0
  GROUP BY CASE WHEN events = 0 THEN 'repeated object' ELSE 'partly repeated object' END, dt, account_id, region
  UNION ALL
  SELECT
    'shared event' AS kind,
    a.dt AS day,
    a.recipient_account_id AS account_id,
    b.recipient_account_id AS other_account_id,
    a.aws_region AS region,
    NULL AS objects,
    NULL AS records_seen,
    count(*) AS records_duplicate,
    NULL AS share,
    NULL AS source,
    min(a.event_time) AS first_seen,
    max(a.event_time) AS last_seen,
    min(a.event_id) AS event_id,
    min(a.shared_event_id) AS shared_event_id
  FROM shared a
  JOIN shared b
    ON a.shared_event_id = b.shared_event_id
    AND a.dt = b.dt
    AND a.recipient_account_id < b.recipient_account_id
  WHERE /*:account*/ '' IN ('', a.recipient_account_id, b.recipient_account_id)
    AND /*:region*/ '' IN ('', a.aws_region)
  GROUP BY a.dt, a.recipient_account_id, b.recipient_account_id, a.aws_region
)
SELECT
  kind,
  day,
  account_id,
  other_account_id,
  region,
  objects,
  records_seen,
  records_duplicate,
  share,
  source,
  first_seen,
  last_seen,
  event_id,
  shared_event_id
FROM answers
ORDER BY
  kind,
  day NULLS LAST,
  account_id NULLS LAST,
  other_account_id NULLS LAST,
  region NULLS LAST
