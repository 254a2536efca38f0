/*
title = "Calls in unusual regions"
description = """
DynamoDB calls, refused ones too, in regions where nobody is expected: one row a region, principal, table and call. Name
the regions you work in as site.allowed_regions; any other is then unusual.

Without that list a region is unusual to an account if the account has calls there on less than usual_days_percent of the days on
which it has any, in all of the lake up to the last asked day. That tells little where the lake is short: over one day no region is
unusual. Calls that AWS services made neither count nor are shown.
"""
level = "medium"
attack = ["T1535"]
references = ["https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_examples_general.html"]
false_positives = ["Inventory tools that ask every region in turn.", "A region that is newly used: add it to site.allowed_regions."]
needs = ["any"]
identity = ["recipient_account_id", "aws_region", "principal", "table_name", "event_name"]
optional = ["control", "data.read", "data.write", "streams", "dax"]

[parameters.usual_days_percent]
type = "integer"
default = 50
about = "Without allowed regions: share of the account's days from which on a region is usual"

[columns]
recipient_account_id = "The account whose trail recorded it"
aws_region = "The unusual region"
region_days = "Days on which the account has calls in the region, in the whole lake"
account_days = "Days on which it has calls anywhere"
principal = "Who called"
table_name = "The table, where the call names one only"
event_name = "The call"
events = "How many"
ok = "Of these, those that worked"
denied = "Those that were denied"
failed = "Those that failed otherwise"
source_ip_address = "One of the addresses they came from"
first_seen = "The first, UTC"
last_seen = "The last, UTC"
event_id = "One of the events"
*/
WITH daily AS (
  SELECT
    recipient_account_id,
    aws_region,
    dt,
    principal,
    table_name,
    event_name,
    count(*) AS events,
    count(*) FILTER (WHERE outcome = 'ok') AS ok,
    count(*) FILTER (WHERE outcome = 'denied') AS denied,
    min(source_ip_address) AS source_ip_address,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    min(event_id) AS event_id
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND plane IS NOT NULL
    AND is_service_made = false
    AND aws_region IS NOT NULL
    AND /*:account*/ '' IN ('', recipient_account_id)
  GROUP BY recipient_account_id, aws_region, dt, principal, table_name, event_name
),
account_days AS (
  SELECT
    recipient_account_id,
    count(DISTINCT dt) AS account_days
  FROM daily
  GROUP BY recipient_account_id
),
region_days AS (
  SELECT
    recipient_account_id,
    aws_region,
    count(DISTINCT dt) AS region_days
  FROM daily
  GROUP BY recipient_account_id, aws_region
),
unusual AS (
  SELECT
    r.recipient_account_id,
    r.aws_region,
    r.region_days,
    a.account_days
  FROM region_days r
  JOIN account_days a
    ON r.recipient_account_id = a.recipient_account_id
  WHERE r.aws_region NOT IN (/*:allowed_regions*/ '')
    AND (
      -- the empty list holds one empty text
      '' NOT IN (/*:allowed_regions*/ '')
      OR r.region_days * 100 < a.account_days * /*:usual_days_percent*/ 50
    )
)
SELECT
  d.recipient_account_id,
  d.aws_region,
  u.region_days,
  u.account_days,
  d.principal,
  d.table_name,
  d.event_name,
  CAST(sum(d.events) AS bigint) AS events,
  CAST(sum(d.ok) AS bigint) AS ok,
  CAST(sum(d.denied) AS bigint) AS denied,
  CAST(sum(d.events - d.ok - d.denied) AS bigint) AS failed,
  min(d.source_ip_address) AS source_ip_address,
  min(d.first_seen) AS first_seen,
  max(d.last_seen) AS last_seen,
  min(d.event_id) AS event_id
FROM daily d
JOIN unusual u
  ON d.recipient_account_id = u.recipient_account_id
  AND d.aws_region = u.aws_region
WHERE d.dt >= /*:since*/ '2000-01-01'
  AND /*:region*/ '' IN ('', d.aws_region)
  AND /*:table*/ '' IN ('', d.table_name)
  AND /*:principal*/ '' IN ('', d.principal)
GROUP BY d.recipient_account_id, d.aws_region, u.region_days, u.account_days, d.principal, d.table_name, d.event_name
ORDER BY
  recipient_account_id NULLS LAST,
  aws_region NULLS LAST,
  first_seen NULLS LAST,
  principal NULLS LAST,
  table_name NULLS LAST,
  event_name NULLS LAST
