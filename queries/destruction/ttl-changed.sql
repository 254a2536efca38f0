/*
title = "Time to live switched on for an unlikely attribute"
description = """
Calls of UpdateTimeToLive that made items expire by an attribute whose name does not speak of expiry, such as created_at.
Every item whose attribute holds a time in the past is then deleted by DynamoDB itself, within days and without a trace in
the log: this call is the only warning. The column still_on tells whether the lake shows that it was switched off again.

The name decides by English words such as ttl, expire, purge, delete, retention or until. With every_change all changes are listed:
also those of attributes that do speak of expiry, and time to live switched off. Only calls that succeeded; expected pipelines are left out.
"""
level = "medium"
attack = ["T1485"]
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTimeToLive.html", "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html"]
false_positives = ["An attribute made for expiry that is named otherwise."]
needs = ["control"]
identity = ["recipient_account_id", "event_id"]

[parameters.every_change]
type = "boolean"
default = false
about = "Whether to list every change of a time to live"

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table"
is_enabled = "Whether time to live was switched on, rather than off"
attribute_name = "The attribute that holds the time of expiry"
speaks_of_expiry = "Whether the attribute's name speaks of expiry"
still_on = "Whether it is on, by the table's last such call in the lake, or its deletion"
principal = "Who called"
session_name = "The role session's name"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
invoked_by = "The AWS service that called for the principal, if one did"
event_id = "The event"
*/
WITH calls AS (
  SELECT
    event_time,
    event_time_ms,
    dt,
    recipient_account_id,
    aws_region,
    table_name,
    CASE
      WHEN event_name = 'DeleteTable' THEN 'false'
      ELSE coalesce(
        json_extract_scalar(request_parameters, '$.timeToLiveSpecification.enabled'),
        json_extract_scalar(response_elements, '$.timeToLiveSpecification.enabled')
      )
    END AS enabled,
    coalesce(
      json_extract_scalar(request_parameters, '$.timeToLiveSpecification.attributeName'),
      json_extract_scalar(response_elements, '$.timeToLiveSpecification.attributeName')
    ) AS attribute_name,
    event_name,
    principal,
    session_name,
    access_key_id,
    source_ip_address,
    user_agent,
    invoked_by,
    event_id
  FROM events
  WHERE dt >= /*:since*/ '2000-01-01'
    AND event_source = 'dynamodb.amazonaws.com'
    AND event_name IN ('UpdateTimeToLive', 'DeleteTable')
    AND outcome = 'ok'
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
),
judged AS (
  SELECT
    c.*,
    -- not just 'ttl' anywhere: settlement_date holds no time to live
    coalesce(
      regexp_like(attribute_name, '(^|[^A-Za-z])[Tt][Tt][Ll]|[Tt][Tt][Ll]$|[a-z0-9]T(tl|TL)')
        OR regexp_like(lower(attribute_name), 'expir|(^|[^a-z])exp$|timetolive|time[-_.]to[-_.]live|purge|evict|retention|retain|delet|remov|valid[-_.]?(to|thru)|not[-_.]?after|until'),
      false
    ) AS speaks_of_expiry,
    last_value(enabled) OVER (PARTITION BY recipient_account_id, aws_region, table_name ORDER BY event_time_ms, event_id NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS last_enabled
  FROM calls c
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  enabled = 'true' AS is_enabled,
  attribute_name,
  speaks_of_expiry,
  last_enabled = 'true' AS still_on,
  principal,
  session_name,
  access_key_id,
  source_ip_address,
  user_agent,
  invoked_by,
  event_id
FROM judged
WHERE dt <= /*:until*/ '2999-12-31'
  AND event_name = 'UpdateTimeToLive'
  AND ((enabled = 'true' AND NOT speaks_of_expiry) OR /*:every_change*/ false)
  AND coalesce(principal, '-') NOT IN (/*:pipeline_roles*/ '')
  AND /*:principal*/ '' IN ('', principal)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST
