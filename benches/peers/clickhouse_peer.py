"""ClickHouse (chDB) on the same work: an archive to one Parquet file of DynamoDB's events.

usage: clickhouse_peer.py ARCHIVE OUT [THREADS]
"""
import os
import sys

import chdb

archive, out = sys.argv[1], sys.argv[2]
threads = int(sys.argv[3]) if len(sys.argv) > 3 else 2
if os.path.exists(out):
    os.remove(out)
TEXTS = ["eventVersion", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "userAgent",
         "errorCode", "errorMessage", "requestID", "eventID", "eventType", "recipientAccountId",
         "eventCategory"]
VALUES = ["userIdentity", "requestParameters", "responseElements", "additionalEventData", "resources",
          "tlsDetails"]
columns = [f"JSONExtractString(r, '{name}') AS {name}" for name in TEXTS]
columns += [f"JSONExtractRaw(r, '{name}') AS {name}" for name in VALUES]
columns += ["JSONExtractBool(r, 'readOnly') AS readOnly",
            "JSONExtractBool(r, 'managementEvent') AS managementEvent",
            "parseDateTimeBestEffort(JSONExtractString(r, 'eventTime')) AS eventTime"]
chdb.query(f"""
INSERT INTO FUNCTION file('{out}', 'Parquet')
SETTINGS max_threads={threads}, output_format_parquet_compression_method='zstd'
SELECT {', '.join(columns)}
FROM (SELECT arrayJoin(JSONExtractArrayRaw(line, 'Records')) AS r
      FROM file('{archive}/**/*.json.gz', 'LineAsString', 'line String'))
WHERE JSONExtractString(r, 'eventSource') = 'dynamodb.amazonaws.com'""")
