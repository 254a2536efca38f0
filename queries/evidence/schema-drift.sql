/*
title = "Records of an unknown shape"
description = """
What in the archive's records differs from the format that dynatrail knows, so that a column may be empty or a
report may overlook something: record versions that are not in known_versions, members that are unknown or have
another type than expected, and what decoding noted, such as request parameters of an unexpected shape or selectors
that could not be decided. Nothing is lost by that: export gives every record back as it was. Of several unknown
members of a record the first stands for all. Events whose time can't be read are listed whatever days are asked.
"""
level = "low"
attack = []
references = [
  "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html",
]
false_positives = ["A new version of the format that adds members: add it to known_versions."]
needs = ["any"]
identity = ["kind", "what", "event_source", "event_name"]

[parameters.known_versions]
type = "text_list"
default = ["1.0", "1.01", "1.02", "1.03", "1.04", "1.05", "1.06", "1.07", "1.08", "1.09", "1.10", "1.11"]
about = "The versions of the record format that are no news"

[columns]
kind = "version, unknown member, unexpected type or note"
what = "The version, the member's name or the notes; of a version the record does not tell: (none)"
event_source = "The service"
event_name = "The call"
events = "How many events"
accounts = "In how many accounts"
first_seen = "The first of them, UTC; empty where none tells its time"
last_seen = "The last of them, UTC"
event_id = "One of the events"
*/
WITH odd AS (
  SELECT
    event_source,
    event_name,
    recipient_account_id,
    event_time,
    event_id,
    coalesce(event_version, '(none)') AS version,
    extra,
    notes
  FROM events
  WHERE (dt BETWEEN /*:since*/ '2000-01-01' AND /*:until*/ '2999-12-31' OR dt IS NULL)
    AND (
      coalesce(event_version, '(none)') NOT IN (
      /*:known_versions*/ '1.0', '1.01', '1.02', '1.03', '1.04', '1.05', '1.06', '1.07', '1.08', '1.09', '1.10', '1.11'
      )
      OR extra IS NOT NULL
      OR notes IS NOT NULL
    )
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
    AND /*:table*/ '' IN ('', table_name)
    AND /*:principal*/ '' IN ('', principal)
),
named AS (
  SELECT
    event_source,
    event_name,
    recipient_account_id,
    event_time,
    event_id,
    -- extra is the text of an object, {"name":value,…}
    nullif(split_part(extra, '"', 2), '') AS member
  FROM odd
  WHERE extra IS NOT NULL
),
found AS (
  SELECT 'version' AS kind, version AS what, event_source, event_name, recipient_account_id, event_time, event_id
  FROM odd
  WHERE version NOT IN (
    /*:known_versions*/ '1.0', '1.01', '1.02', '1.03', '1.04', '1.05', '1.06', '1.07', '1.08', '1.09', '1.10', '1.11'
  )
  UNION ALL
  SELECT
    CASE
      WHEN member IN (
        'eventTime', 'eventVersion', 'eventID', 'eventSource', 'eventName', 'awsRegion', 'sourceIPAddress', 'userAgent',
        'errorCode', 'errorMessage', 'requestID', 'eventType', 'eventCategory', 'apiVersion', 'recipientAccountId',
        'sharedEventID', 'vpcEndpointId', 'vpcEndpointAccountId', 'sessionCredentialFromConsole',
        'managementEvent', 'readOnly'
      )
        THEN 'unexpected type'
      ELSE 'unknown member'
    END AS kind,
    member AS what,
    event_source,
    event_name,
    recipient_account_id,
    event_time,
    event_id
  FROM named
  UNION ALL
  SELECT 'note' AS kind, notes AS what, event_source, event_name, recipient_account_id, event_time, event_id
  FROM odd
  WHERE notes IS NOT NULL
)
SELECT
  kind,
  what,
  event_source,
  event_name,
  count(*) AS events,
  count(DISTINCT recipient_account_id) AS accounts,
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  min(event_id) AS event_id
FROM found
GROUP BY kind, what, event_source, event_name
ORDER BY kind, what NULLS LAST, event_source NULLS LAST, event_name NULLS LAST
