/*
title = "Where calls come from"
description = """
The addresses that DynamoDB was called from, and what kind of address each is: public, private (your networks, seen through a VPC
endpoint), otherwise reserved, or not an address but the name of an AWS service. Only the special ranges of IPv4 and IPv6 are looked
up; no country or owner is told, and nothing is asked of the network.

Addresses set aside for documentation count as public: they stand for public ones in anonymised archives. An IPv4 address
written within an IPv6 one is judged as IPv4.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html"]
false_positives = []
needs = ["any"]
optional = ["control", "data.read", "data.write", "streams", "dax"]

[columns]
recipient_account_id = "The account whose trail recorded the calls"
origin = "public, private, reserved, aws (a service or AWS itself) or unknown"
address_range = "Which range it is of: global, documentation, private, shared (carrier-grade NAT), loopback, link-local, service name, …"
source_ip_address = "The address or name as logged"
is_allowed = "Whether site.allowed_addresses names it"
events = "How many calls"
ok = "Of these, those that worked"
denied = "Those that were denied"
failed = "Those that failed otherwise"
via_vpc_endpoint = "Those that passed a VPC endpoint"
principals = "By how many principals"
principal = "One of them"
tables = "On how many tables; calls on several at once do not count"
first_seen = "The first, UTC"
last_seen = "The last, UTC"
event_id = "One of the events"

[chart]
kind = "bar"
x = "origin"
value = "events"
*/
WITH addresses AS (
  SELECT
    recipient_account_id,
    source_ip_address,
    count(*) AS events,
    count(*) FILTER (WHERE outcome = 'ok') AS ok,
    count(*) FILTER (WHERE outcome = 'denied') AS denied,
    count(*) FILTER (WHERE outcome NOT IN ('ok', 'denied')) AS failed,
    count(vpc_endpoint_id) AS via_vpc_endpoint,
    count(DISTINCT principal) AS principals,
    min(principal) AS principal,
    count(DISTINCT table_name) AS tables,
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
  GROUP BY recipient_account_id, source_ip_address
),
written AS (
  SELECT
    a.*,
    lower(source_ip_address) AS address,
    CASE
      WHEN regexp_like(lower(source_ip_address), '^::ffff:[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+$')
        THEN substr(source_ip_address, 8)
      ELSE source_ip_address
    END AS plain_address
  FROM addresses a
),
parsed AS (
  SELECT
    w.*,
    CASE
      WHEN regexp_like(
        plain_address,
        '^((25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])$'
      ) THEN 4
      WHEN regexp_like(address, '^[0-9a-f:.]*:[0-9a-f:.]*$') THEN 6
      ELSE 0
    END AS version,
    TRY_CAST(nullif(split_part(plain_address, '.', 1), '') AS bigint) AS octet_1,
    TRY_CAST(nullif(split_part(plain_address, '.', 2), '') AS bigint) AS octet_2,
    TRY_CAST(nullif(split_part(plain_address, '.', 3), '') AS bigint) AS octet_3
  FROM written w
),
ranged AS (
  SELECT
    p.*,
    CASE
      WHEN source_ip_address IS NULL THEN 'not told'
      WHEN version = 4 THEN
        CASE
          WHEN octet_1 = 10 THEN 'private'
          WHEN octet_1 = 172 AND octet_2 BETWEEN 16 AND 31 THEN 'private'
          WHEN octet_1 = 192 AND octet_2 = 168 THEN 'private'
          WHEN octet_1 = 100 AND octet_2 BETWEEN 64 AND 127 THEN 'shared'
          WHEN octet_1 = 127 THEN 'loopback'
          WHEN octet_1 = 169 AND octet_2 = 254 THEN 'link-local'
          WHEN octet_1 = 192 AND octet_2 = 0 AND octet_3 = 2 THEN 'documentation'
          WHEN octet_1 = 198 AND octet_2 = 51 AND octet_3 = 100 THEN 'documentation'
          WHEN octet_1 = 203 AND octet_2 = 0 AND octet_3 = 113 THEN 'documentation'
          WHEN octet_1 = 192 AND octet_2 = 0 AND octet_3 = 0 THEN 'protocol'
          WHEN octet_1 = 198 AND octet_2 BETWEEN 18 AND 19 THEN 'benchmark'
          WHEN octet_1 BETWEEN 224 AND 239 THEN 'multicast'
          WHEN octet_1 = 0 OR octet_1 >= 240 THEN 'reserved'
          ELSE 'global'
        END
      WHEN version = 6 THEN
        CASE
          WHEN address IN ('::1', '0:0:0:0:0:0:0:1') THEN 'loopback'
          WHEN regexp_like(address, '^f[cd][0-9a-f][0-9a-f]:') THEN 'private'
          WHEN regexp_like(address, '^fe[89ab][0-9a-f]:') THEN 'link-local'
          WHEN regexp_like(address, '^ff[0-9a-f][0-9a-f]:') THEN 'multicast'
          WHEN regexp_like(address, '^2001:0?db8:') THEN 'documentation'
          WHEN regexp_like(address, '^3fff:(0[0-9a-f]{3}|[0-9a-f]{0,3}):') THEN 'documentation'
          WHEN regexp_like(address, '^[23][0-9a-f]{3}:') THEN 'global'
          ELSE 'reserved'
        END
      WHEN regexp_like(address, '^aws internal') THEN 'AWS Internal'
      WHEN regexp_like(address, '[.](amazonaws[.]com|amazonaws[.]com[.]cn|amazon[.]com|aws[.]internal)$') THEN 'service name'
      ELSE 'not an address'
    END AS address_range
  FROM parsed p
)
SELECT
  recipient_account_id,
  CASE
    WHEN address_range IN ('global', 'documentation') THEN 'public'
    WHEN address_range IN ('private', 'shared') THEN 'private'
    WHEN address_range IN ('AWS Internal', 'service name') THEN 'aws'
    WHEN address_range IN ('not told', 'not an address') THEN 'unknown'
    ELSE 'reserved'
  END AS origin,
  address_range,
  source_ip_address,
  coalesce(source_ip_address, '-') IN (/*:allowed_addresses*/ '') AS is_allowed,
  events,
  ok,
  denied,
  failed,
  via_vpc_endpoint,
  principals,
  principal,
  tables,
  first_seen,
  last_seen,
  event_id
FROM ranged
ORDER BY
  recipient_account_id NULLS LAST,
  origin NULLS LAST,
  events DESC NULLS LAST,
  source_ip_address NULLS LAST
