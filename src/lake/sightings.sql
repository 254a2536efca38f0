SELECT
  recipient_account_id,
  aws_region,
  table_name,
  kind,
  value,
  principal,
  is_service_made,
  count(*) AS operations,
  count(*) FILTER (WHERE outcome = 'ok') AS succeeded,
  count(*) FILTER (WHERE outcome = 'denied') AS refused,
  count(*) FILTER (WHERE outcome = 'ok' AND access = 'read') AS item_reads,
  count(*) FILTER (WHERE outcome = 'ok' AND access = 'write') AS item_writes,
  count(*) FILTER (WHERE outcome = 'ok' AND access = 'delete') AS item_deletes,
  count(*) FILTER (WHERE outcome = 'ok' AND access = 'control_write') AS changes,
  count(*) FILTER (WHERE plane = 'control') AS on_control,
  count(*) FILTER (WHERE plane = 'data') AS on_data,
  count(*) FILTER (WHERE plane = 'streams') AS on_streams,
  min(event_time) AS first_seen,
  max(event_time) AS last_seen,
  min(event_id) AS event_id,
  dt
FROM (
  SELECT recipient_account_id, aws_region, table_name, 'principal' AS kind, principal AS value, principal, is_service_made, outcome, access, plane, event_time, event_id, dt
  FROM {operations}
  WHERE dt IS NOT NULL
    AND table_name IS NOT NULL
    AND coalesce(owner_account_id, recipient_account_id) = recipient_account_id
  UNION ALL
  SELECT recipient_account_id, aws_region, table_name, 'address' AS kind, source_ip_address AS value, principal, is_service_made, outcome, access, plane, event_time, event_id, dt
  FROM {operations}
  WHERE dt IS NOT NULL
    AND table_name IS NOT NULL
    AND coalesce(owner_account_id, recipient_account_id) = recipient_account_id
  UNION ALL
  SELECT recipient_account_id, aws_region, table_name, 'access_key' AS kind, access_key_id AS value, principal, is_service_made, outcome, access, plane, event_time, event_id, dt
  FROM {operations}
  WHERE dt IS NOT NULL
    AND table_name IS NOT NULL
    AND coalesce(owner_account_id, recipient_account_id) = recipient_account_id
  UNION ALL
  -- only events have the user agent: a batch is one call of it
  SELECT recipient_account_id, aws_region, table_name, 'user_agent' AS kind, user_agent AS value, principal, is_service_made, outcome, '' AS access, plane, event_time, event_id, dt
  FROM {events}
  WHERE dt IS NOT NULL
    AND plane IN ('data', 'control', 'streams')
    AND table_name IS NOT NULL
    AND coalesce(owner_account_id, recipient_account_id) = recipient_account_id
  UNION ALL
  -- batches and transactions over several tables: once for each of their tables
  SELECT DISTINCT e.recipient_account_id, e.aws_region, o.table_name, 'user_agent' AS kind, e.user_agent AS value, e.principal, e.is_service_made, e.outcome, '' AS access, e.plane, e.event_time, e.event_id, e.dt
  FROM {events} e
  JOIN {operations} o
    ON e.event_id = o.event_id
    AND e.recipient_account_id = o.recipient_account_id
    AND e.dt = o.dt
  WHERE e.dt IS NOT NULL
    AND e.plane IN ('data', 'control', 'streams')
    AND e.operation_count > 1
    AND e.table_name IS NULL
    AND o.dt IS NOT NULL
    AND o.table_name IS NOT NULL
    AND coalesce(o.owner_account_id, o.recipient_account_id) = o.recipient_account_id
) sighted
GROUP BY recipient_account_id, aws_region, table_name, kind, value, principal, is_service_made, dt
