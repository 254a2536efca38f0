/*
title = "History of tags"
description = """
Tags put on tables and DAX clusters and taken off them, refused calls too, one row a tag, with the value it had before. Tags
can decide who may do what (aws:ResourceTag in policies), what backup plans cover and who pays.

The value before is what the last successful call in the lake set, however long ago; it is absent where none is known. Tags given when
a table or cluster is created are shown too. A tag put on again with the value it has is shown as the same.
"""
level = "informational"
attack = []
references = ["https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Tagging.html"]
false_positives = []
needs = ["control"]
optional = ["dax"]

[columns]
event_time = "When the call completed, UTC"
recipient_account_id = "The account whose trail recorded it"
aws_region = "The region"
table_name = "The table; absent for a cluster"
cluster_name = "The DAX cluster; absent for a table"
event_name = "The call"
tag_key = "The tag"
change = "created with, added, changed, same, removed or none (the call failed)"
value_before = "The value before, where known"
value_after = "The value asked for; absent where the tag is taken off"
outcome = "How the call ended"
principal = "Who called"
session_name = "The role session's name"
invoked_by = "The service that called on the principal's behalf"
access_key_id = "The access key used"
source_ip_address = "From where"
user_agent = "With what"
event_id = "The event"
*/
WITH calls AS (
  SELECT
    dt,
    event_time,
    event_time_ms,
    recipient_account_id,
    aws_region,
    event_source,
    event_name,
    outcome,
    principal,
    session_name,
    invoked_by,
    access_key_id,
    source_ip_address,
    user_agent,
    event_id,
    request_parameters,
    CASE WHEN event_source = 'dynamodb.amazonaws.com' THEN table_name END AS table_name,
    CASE
      WHEN event_source = 'dax.amazonaws.com' THEN coalesce(
        json_extract_scalar(request_parameters, '$.clusterName'),
        nullif(split_part(json_extract_scalar(request_parameters, '$.resourceName'), ':cache/', 2), ''),
        json_extract_scalar(request_parameters, '$.resourceName')
      )
    END AS cluster_name,
    CASE WHEN outcome = 'ok' THEN 1 ELSE 0 END AS is_done
  FROM events
  WHERE dt <= /*:until*/ '2999-12-31'
    AND (
      (event_source = 'dynamodb.amazonaws.com' AND event_name IN ('TagResource', 'UntagResource', 'CreateTable', 'DeleteTable'))
      OR (event_source = 'dax.amazonaws.com' AND event_name IN ('TagResource', 'UntagResource', 'CreateCluster', 'DeleteCluster'))
    )
    AND /*:account*/ '' IN ('', recipient_account_id)
    AND /*:region*/ '' IN ('', aws_region)
),
-- a table or cluster made anew has none of the tags of its namesake
lives AS (
  SELECT
    c.*,
    max(
      CASE
        WHEN is_done = 1 AND event_name IN ('CreateTable', 'DeleteTable', 'CreateCluster', 'DeleteCluster') THEN event_time_ms
      END
    ) OVER (
      PARTITION BY recipient_account_id, aws_region, event_source, table_name, cluster_name
      ORDER BY event_time_ms NULLS LAST, event_id NULLS LAST
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS life_began_ms
  FROM calls c
),
-- a resource holds fifty tags at most
numbers AS (
  SELECT
    n
  FROM (
    VALUES
      (0), (1), (2), (3), (4), (5), (6), (7), (8), (9),
      (10), (11), (12), (13), (14), (15), (16), (17), (18), (19),
      (20), (21), (22), (23), (24), (25), (26), (27), (28), (29),
      (30), (31), (32), (33), (34), (35), (36), (37), (38), (39),
      (40), (41), (42), (43), (44), (45), (46), (47), (48), (49)
  ) AS v (n)
),
keyed AS (
  SELECT
    l.*,
    CASE
      WHEN event_name = 'UntagResource' THEN
        CASE n.n
          WHEN 0 THEN json_extract_scalar(request_parameters, '$.tagKeys[0]')
          WHEN 1 THEN json_extract_scalar(request_parameters, '$.tagKeys[1]')
          WHEN 2 THEN json_extract_scalar(request_parameters, '$.tagKeys[2]')
          WHEN 3 THEN json_extract_scalar(request_parameters, '$.tagKeys[3]')
          WHEN 4 THEN json_extract_scalar(request_parameters, '$.tagKeys[4]')
          WHEN 5 THEN json_extract_scalar(request_parameters, '$.tagKeys[5]')
          WHEN 6 THEN json_extract_scalar(request_parameters, '$.tagKeys[6]')
          WHEN 7 THEN json_extract_scalar(request_parameters, '$.tagKeys[7]')
          WHEN 8 THEN json_extract_scalar(request_parameters, '$.tagKeys[8]')
          WHEN 9 THEN json_extract_scalar(request_parameters, '$.tagKeys[9]')
          WHEN 10 THEN json_extract_scalar(request_parameters, '$.tagKeys[10]')
          WHEN 11 THEN json_extract_scalar(request_parameters, '$.tagKeys[11]')
          WHEN 12 THEN json_extract_scalar(request_parameters, '$.tagKeys[12]')
          WHEN 13 THEN json_extract_scalar(request_parameters, '$.tagKeys[13]')
          WHEN 14 THEN json_extract_scalar(request_parameters, '$.tagKeys[14]')
          WHEN 15 THEN json_extract_scalar(request_parameters, '$.tagKeys[15]')
          WHEN 16 THEN json_extract_scalar(request_parameters, '$.tagKeys[16]')
          WHEN 17 THEN json_extract_scalar(request_parameters, '$.tagKeys[17]')
          WHEN 18 THEN json_extract_scalar(request_parameters, '$.tagKeys[18]')
          WHEN 19 THEN json_extract_scalar(request_parameters, '$.tagKeys[19]')
          WHEN 20 THEN json_extract_scalar(request_parameters, '$.tagKeys[20]')
          WHEN 21 THEN json_extract_scalar(request_parameters, '$.tagKeys[21]')
          WHEN 22 THEN json_extract_scalar(request_parameters, '$.tagKeys[22]')
          WHEN 23 THEN json_extract_scalar(request_parameters, '$.tagKeys[23]')
          WHEN 24 THEN json_extract_scalar(request_parameters, '$.tagKeys[24]')
          WHEN 25 THEN json_extract_scalar(request_parameters, '$.tagKeys[25]')
          WHEN 26 THEN json_extract_scalar(request_parameters, '$.tagKeys[26]')
          WHEN 27 THEN json_extract_scalar(request_parameters, '$.tagKeys[27]')
          WHEN 28 THEN json_extract_scalar(request_parameters, '$.tagKeys[28]')
          WHEN 29 THEN json_extract_scalar(request_parameters, '$.tagKeys[29]')
          WHEN 30 THEN json_extract_scalar(request_parameters, '$.tagKeys[30]')
          WHEN 31 THEN json_extract_scalar(request_parameters, '$.tagKeys[31]')
          WHEN 32 THEN json_extract_scalar(request_parameters, '$.tagKeys[32]')
          WHEN 33 THEN json_extract_scalar(request_parameters, '$.tagKeys[33]')
          WHEN 34 THEN json_extract_scalar(request_parameters, '$.tagKeys[34]')
          WHEN 35 THEN json_extract_scalar(request_parameters, '$.tagKeys[35]')
          WHEN 36 THEN json_extract_scalar(request_parameters, '$.tagKeys[36]')
          WHEN 37 THEN json_extract_scalar(request_parameters, '$.tagKeys[37]')
          WHEN 38 THEN json_extract_scalar(request_parameters, '$.tagKeys[38]')
          WHEN 39 THEN json_extract_scalar(request_parameters, '$.tagKeys[39]')
          WHEN 40 THEN json_extract_scalar(request_parameters, '$.tagKeys[40]')
          WHEN 41 THEN json_extract_scalar(request_parameters, '$.tagKeys[41]')
          WHEN 42 THEN json_extract_scalar(request_parameters, '$.tagKeys[42]')
          WHEN 43 THEN json_extract_scalar(request_parameters, '$.tagKeys[43]')
          WHEN 44 THEN json_extract_scalar(request_parameters, '$.tagKeys[44]')
          WHEN 45 THEN json_extract_scalar(request_parameters, '$.tagKeys[45]')
          WHEN 46 THEN json_extract_scalar(request_parameters, '$.tagKeys[46]')
          WHEN 47 THEN json_extract_scalar(request_parameters, '$.tagKeys[47]')
          WHEN 48 THEN json_extract_scalar(request_parameters, '$.tagKeys[48]')
          WHEN 49 THEN json_extract_scalar(request_parameters, '$.tagKeys[49]')
        END
      ELSE
        CASE n.n
          WHEN 0 THEN json_extract_scalar(request_parameters, '$.tags[0].key')
          WHEN 1 THEN json_extract_scalar(request_parameters, '$.tags[1].key')
          WHEN 2 THEN json_extract_scalar(request_parameters, '$.tags[2].key')
          WHEN 3 THEN json_extract_scalar(request_parameters, '$.tags[3].key')
          WHEN 4 THEN json_extract_scalar(request_parameters, '$.tags[4].key')
          WHEN 5 THEN json_extract_scalar(request_parameters, '$.tags[5].key')
          WHEN 6 THEN json_extract_scalar(request_parameters, '$.tags[6].key')
          WHEN 7 THEN json_extract_scalar(request_parameters, '$.tags[7].key')
          WHEN 8 THEN json_extract_scalar(request_parameters, '$.tags[8].key')
          WHEN 9 THEN json_extract_scalar(request_parameters, '$.tags[9].key')
          WHEN 10 THEN json_extract_scalar(request_parameters, '$.tags[10].key')
          WHEN 11 THEN json_extract_scalar(request_parameters, '$.tags[11].key')
          WHEN 12 THEN json_extract_scalar(request_parameters, '$.tags[12].key')
          WHEN 13 THEN json_extract_scalar(request_parameters, '$.tags[13].key')
          WHEN 14 THEN json_extract_scalar(request_parameters, '$.tags[14].key')
          WHEN 15 THEN json_extract_scalar(request_parameters, '$.tags[15].key')
          WHEN 16 THEN json_extract_scalar(request_parameters, '$.tags[16].key')
          WHEN 17 THEN json_extract_scalar(request_parameters, '$.tags[17].key')
          WHEN 18 THEN json_extract_scalar(request_parameters, '$.tags[18].key')
          WHEN 19 THEN json_extract_scalar(request_parameters, '$.tags[19].key')
          WHEN 20 THEN json_extract_scalar(request_parameters, '$.tags[20].key')
          WHEN 21 THEN json_extract_scalar(request_parameters, '$.tags[21].key')
          WHEN 22 THEN json_extract_scalar(request_parameters, '$.tags[22].key')
          WHEN 23 THEN json_extract_scalar(request_parameters, '$.tags[23].key')
          WHEN 24 THEN json_extract_scalar(request_parameters, '$.tags[24].key')
          WHEN 25 THEN json_extract_scalar(request_parameters, '$.tags[25].key')
          WHEN 26 THEN json_extract_scalar(request_parameters, '$.tags[26].key')
          WHEN 27 THEN json_extract_scalar(request_parameters, '$.tags[27].key')
          WHEN 28 THEN json_extract_scalar(request_parameters, '$.tags[28].key')
          WHEN 29 THEN json_extract_scalar(request_parameters, '$.tags[29].key')
          WHEN 30 THEN json_extract_scalar(request_parameters, '$.tags[30].key')
          WHEN 31 THEN json_extract_scalar(request_parameters, '$.tags[31].key')
          WHEN 32 THEN json_extract_scalar(request_parameters, '$.tags[32].key')
          WHEN 33 THEN json_extract_scalar(request_parameters, '$.tags[33].key')
          WHEN 34 THEN json_extract_scalar(request_parameters, '$.tags[34].key')
          WHEN 35 THEN json_extract_scalar(request_parameters, '$.tags[35].key')
          WHEN 36 THEN json_extract_scalar(request_parameters, '$.tags[36].key')
          WHEN 37 THEN json_extract_scalar(request_parameters, '$.tags[37].key')
          WHEN 38 THEN json_extract_scalar(request_parameters, '$.tags[38].key')
          WHEN 39 THEN json_extract_scalar(request_parameters, '$.tags[39].key')
          WHEN 40 THEN json_extract_scalar(request_parameters, '$.tags[40].key')
          WHEN 41 THEN json_extract_scalar(request_parameters, '$.tags[41].key')
          WHEN 42 THEN json_extract_scalar(request_parameters, '$.tags[42].key')
          WHEN 43 THEN json_extract_scalar(request_parameters, '$.tags[43].key')
          WHEN 44 THEN json_extract_scalar(request_parameters, '$.tags[44].key')
          WHEN 45 THEN json_extract_scalar(request_parameters, '$.tags[45].key')
          WHEN 46 THEN json_extract_scalar(request_parameters, '$.tags[46].key')
          WHEN 47 THEN json_extract_scalar(request_parameters, '$.tags[47].key')
          WHEN 48 THEN json_extract_scalar(request_parameters, '$.tags[48].key')
          WHEN 49 THEN json_extract_scalar(request_parameters, '$.tags[49].key')
        END
    END AS tag_key,
    CASE
      WHEN event_name <> 'UntagResource' THEN
        CASE n.n
          WHEN 0 THEN json_extract_scalar(request_parameters, '$.tags[0].value')
          WHEN 1 THEN json_extract_scalar(request_parameters, '$.tags[1].value')
          WHEN 2 THEN json_extract_scalar(request_parameters, '$.tags[2].value')
          WHEN 3 THEN json_extract_scalar(request_parameters, '$.tags[3].value')
          WHEN 4 THEN json_extract_scalar(request_parameters, '$.tags[4].value')
          WHEN 5 THEN json_extract_scalar(request_parameters, '$.tags[5].value')
          WHEN 6 THEN json_extract_scalar(request_parameters, '$.tags[6].value')
          WHEN 7 THEN json_extract_scalar(request_parameters, '$.tags[7].value')
          WHEN 8 THEN json_extract_scalar(request_parameters, '$.tags[8].value')
          WHEN 9 THEN json_extract_scalar(request_parameters, '$.tags[9].value')
          WHEN 10 THEN json_extract_scalar(request_parameters, '$.tags[10].value')
          WHEN 11 THEN json_extract_scalar(request_parameters, '$.tags[11].value')
          WHEN 12 THEN json_extract_scalar(request_parameters, '$.tags[12].value')
          WHEN 13 THEN json_extract_scalar(request_parameters, '$.tags[13].value')
          WHEN 14 THEN json_extract_scalar(request_parameters, '$.tags[14].value')
          WHEN 15 THEN json_extract_scalar(request_parameters, '$.tags[15].value')
          WHEN 16 THEN json_extract_scalar(request_parameters, '$.tags[16].value')
          WHEN 17 THEN json_extract_scalar(request_parameters, '$.tags[17].value')
          WHEN 18 THEN json_extract_scalar(request_parameters, '$.tags[18].value')
          WHEN 19 THEN json_extract_scalar(request_parameters, '$.tags[19].value')
          WHEN 20 THEN json_extract_scalar(request_parameters, '$.tags[20].value')
          WHEN 21 THEN json_extract_scalar(request_parameters, '$.tags[21].value')
          WHEN 22 THEN json_extract_scalar(request_parameters, '$.tags[22].value')
          WHEN 23 THEN json_extract_scalar(request_parameters, '$.tags[23].value')
          WHEN 24 THEN json_extract_scalar(request_parameters, '$.tags[24].value')
          WHEN 25 THEN json_extract_scalar(request_parameters, '$.tags[25].value')
          WHEN 26 THEN json_extract_scalar(request_parameters, '$.tags[26].value')
          WHEN 27 THEN json_extract_scalar(request_parameters, '$.tags[27].value')
          WHEN 28 THEN json_extract_scalar(request_parameters, '$.tags[28].value')
          WHEN 29 THEN json_extract_scalar(request_parameters, '$.tags[29].value')
          WHEN 30 THEN json_extract_scalar(request_parameters, '$.tags[30].value')
          WHEN 31 THEN json_extract_scalar(request_parameters, '$.tags[31].value')
          WHEN 32 THEN json_extract_scalar(request_parameters, '$.tags[32].value')
          WHEN 33 THEN json_extract_scalar(request_parameters, '$.tags[33].value')
          WHEN 34 THEN json_extract_scalar(request_parameters, '$.tags[34].value')
          WHEN 35 THEN json_extract_scalar(request_parameters, '$.tags[35].value')
          WHEN 36 THEN json_extract_scalar(request_parameters, '$.tags[36].value')
          WHEN 37 THEN json_extract_scalar(request_parameters, '$.tags[37].value')
          WHEN 38 THEN json_extract_scalar(request_parameters, '$.tags[38].value')
          WHEN 39 THEN json_extract_scalar(request_parameters, '$.tags[39].value')
          WHEN 40 THEN json_extract_scalar(request_parameters, '$.tags[40].value')
          WHEN 41 THEN json_extract_scalar(request_parameters, '$.tags[41].value')
          WHEN 42 THEN json_extract_scalar(request_parameters, '$.tags[42].value')
          WHEN 43 THEN json_extract_scalar(request_parameters, '$.tags[43].value')
          WHEN 44 THEN json_extract_scalar(request_parameters, '$.tags[44].value')
          WHEN 45 THEN json_extract_scalar(request_parameters, '$.tags[45].value')
          WHEN 46 THEN json_extract_scalar(request_parameters, '$.tags[46].value')
          WHEN 47 THEN json_extract_scalar(request_parameters, '$.tags[47].value')
          WHEN 48 THEN json_extract_scalar(request_parameters, '$.tags[48].value')
          WHEN 49 THEN json_extract_scalar(request_parameters, '$.tags[49].value')
        END
    END AS value_after
  FROM lives l
  CROSS JOIN numbers n
  WHERE event_name NOT IN ('DeleteTable', 'DeleteCluster')
),
compared AS (
  SELECT
    k.*,
    -- failed calls do not stand between successful ones
    lag(value_after) OVER (
      PARTITION BY recipient_account_id, aws_region, event_source, table_name, cluster_name, tag_key, life_began_ms, is_done
      ORDER BY event_time_ms NULLS LAST, event_id NULLS LAST
    ) AS set_before
  FROM keyed k
  WHERE tag_key IS NOT NULL
)
SELECT
  event_time,
  recipient_account_id,
  aws_region,
  table_name,
  cluster_name,
  event_name,
  tag_key,
  CASE
    WHEN is_done = 0 THEN 'none'
    WHEN event_name IN ('CreateTable', 'CreateCluster') THEN 'created with'
    WHEN event_name = 'UntagResource' THEN 'removed'
    WHEN set_before IS NULL THEN 'added'
    WHEN set_before = value_after THEN 'same'
    ELSE 'changed'
  END AS change,
  CASE WHEN is_done = 1 THEN set_before END AS value_before,
  value_after,
  outcome,
  principal,
  session_name,
  invoked_by,
  access_key_id,
  source_ip_address,
  user_agent,
  event_id
FROM compared
WHERE dt >= /*:since*/ '2000-01-01'
  AND /*:table*/ '' IN ('', table_name)
  AND /*:principal*/ '' IN ('', principal)
ORDER BY event_time NULLS LAST, recipient_account_id NULLS LAST, event_id NULLS LAST, tag_key NULLS LAST
