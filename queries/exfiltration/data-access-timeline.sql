/*
title = "Timeline of reads"
description = """
Every read of items, one row an access, in the order of time: GetItem, Query, Scan, the entries of BatchGetItem and
TransactGetItems, PartiQL SELECT, checks of conditions in transactions, stream records, exports, and the sources of restores.
Refused and failed ones are listed as well, with their outcome, and so are those that AWS services made.

Meant for one table or one principal and a short span: use --table or --principal, and from and before for the hours. Which
items a Query or a Scan gave is not logged. A batch may have given fewer items than it asked for. A read across accounts is
listed once for each account whose trail has it.
"""
level = "informational"
attack = ["T1530"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/logging-using-cloudtrail.html"]
false_positives = []
needs = ["data.read"]
optional = ["control", "streams"]

[parameters.from]
type = "timestamp"
default = "2000-01-01 00:00:00"
about = "The first moment of interest, UTC"

[parameters.before]
type = "timestamp"
default = "2199-12-31 00:00:00"
about = "The moment at which interest ends, UTC"

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
index_name = "The index read"
operation = "What was read, or how"
outcome = "ok, or what went wrong"
item_key = "The item's key, as logged"
statement = "The PartiQL statement, as logged"
attributes = "The attributes asked for; none: all of them, or not logged"
select_mode = "The select parameter; COUNT gives no items"
item_limit = "The limit of a page"
has_filter = "Whether a filter narrows the answer"
principal = "Who read"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
is_service_made = "Whether an AWS service made the call"
event_name = "The API call"
event_id = "The event"
position = "The access's position in the event, from 0"

[chart]
kind = "time_series"
x = "event_time"
y = "table_name"
*/
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  index_name,
  operation,
  outcome,
  item_key,
  statement,
  attributes,
  select_mode,
  item_limit,
  has_filter,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  is_service_made,
  event_name,
  event_id,
  position
FROM operations
WHERE dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31'
  AND access = 'read'
  AND event_time >= /*:from*/ timestamp '2000-01-01 00:00:00'
  AND event_time < /*:before*/ timestamp '2199-12-31 00:00:00'
  AND /*:account*/ '' IN ('', recipient_account_id)
  AND /*:region*/ '' IN ('', aws_region)
  AND /*:table*/ '' IN ('', table_name)
  AND /*:principal*/ '' IN ('', principal)
ORDER BY event_time NULLS LAST, event_id NULLS LAST, recipient_account_id NULLS LAST, position NULLS LAST
