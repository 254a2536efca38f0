/*
title = "Whole tables read by scans"
description = """
Scans that give items and read a table as a whole: no filter, not only a COUNT. A call without a limit counts by itself, a
segment of a parallel scan too. Pages with a limit count when there are at least min_pages of them, by one principal on one
table in one day. A missing select means that all attributes are given. A PartiQL SELECT without WHERE counts as a scan
without a limit.

One row a principal, table and day (UTC). How many items a page held is not logged: most_items is what the limits allow.
Whether a scan was followed to its end cannot be seen, nor how much a filter lets through: the report scan-inventory lists
filtered scans too. Calls that AWS services made are left out, and so are pipelines.
"""
level = "medium"
attack = ["T1530"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html"]
false_positives = ["Small tables that a service reads as a whole.", "Jobs that load tables: name their roles in site.pipeline_roles."]
needs = ["data.read"]
identity = ["day", "recipient_account_id", "aws_region", "table_name", "principal"]

[parameters.min_pages]
type = "integer"
default = 10
about = "Fewest pages with a limit that count as a whole table"

[columns]
day = "The day, UTC"
first_seen = "When the first of the scans completed, UTC"
last_seen = "When the last completed, UTC"
recipient_account_id = "The account whose trail recorded them"
aws_region = "The region"
table_name = "The table"
principal = "Who scanned it"
access_key_id = "One of the access keys used"
source_ip_address = "One of the addresses"
addresses = "How many addresses the calls came from"
pages = "Scan calls, each one page"
unlimited_pages = "Of these, those without a limit"
segmented_pages = "Of these, those of a parallel scan"
projected_pages = "Of these, those that ask for some attributes only"
indexes = "Secondary indexes among what was read"
most_items = "The sum of the limits: the most items that the pages can hold; none when a page has no limit"
event_id = "One of the events"
*/
WITH pages AS (
  SELECT
    event_time,
    dt,
    recipient_account_id,
    aws_region,
    table_name,
    table_arn,
    principal,
    access_key_id,
    source_ip_address,
    index_name,
    total_segments,
    attributes,
    item_limit,
    event_id
  FROM operations
  WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
    AND plane = 'data'
    AND outcome = 'ok'
    AND has_filter = false
    AND (
      (operation = 'Scan' AND coalesce(upper(select_mode), '-') <> 'COUNT')
      OR (operation = 'PartiQLSelect' AND item_key IS NULL AND is_conditional = false)
    )
    AND is_service_made = false
    AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
)
SELECT
  dt AS day,
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  recipient_account_id,
  aws_region,
  table_name,
  principal,
  min(access_key_id) AS access_key_id,
  min(source_ip_address) AS source_ip_address,
  count(DISTINCT source_ip_address) AS addresses,
  count(*) AS pages,
  count(*) FILTER (WHERE item_limit IS NULL) AS unlimited_pages,
  count(*) FILTER (WHERE total_segments > 1) AS segmented_pages,
  count(*) FILTER (WHERE attributes IS NOT NULL) AS projected_pages,
  count(DISTINCT index_name) AS indexes,
  CASE WHEN count(*) = count(item_limit) THEN CAST(sum(item_limit) AS bigint) END AS most_items,
  min(event_id) AS event_id
FROM pages
GROUP BY recipient_account_id, aws_region, table_name, table_arn, principal, dt
HAVING count(*) > count(item_limit)
  OR count(*) >= /*:min_pages*/ 10
ORDER BY first_seen NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST, table_name NULLS LAST, principal NULLS LAST
