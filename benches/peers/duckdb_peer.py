"""DuckDB on the same work: an archive to one Parquet file of DynamoDB's events, in the fastest form
found (typed STRUCT columns were seven times slower).

usage: duckdb_peer.py ARCHIVE OUT [THREADS]
"""
import sys

import duckdb

archive, out = sys.argv[1], sys.argv[2]
threads = int(sys.argv[3]) if len(sys.argv) > 3 else 2
db = duckdb.connect()
db.execute(f"SET threads={threads}; SET preserve_insertion_order=false")
TEXTS = ["eventVersion", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "userAgent",
         "errorCode", "errorMessage", "requestID", "eventID", "recipientAccountId", "eventCategory",
         "readOnly"]
VALUES = ["userIdentity", "requestParameters", "responseElements", "resources"]
columns = [f"r->>'{name}' AS {name}" for name in TEXTS] + [f"r->'{name}' AS {name}" for name in VALUES]
db.execute(f"""
COPY (SELECT CAST(r->>'eventTime' AS TIMESTAMP) AS eventTime, {', '.join(columns)}
      FROM (SELECT unnest(CAST(json->'Records' AS JSON[])) AS r
            FROM read_json_objects('{archive}/**/*.json.gz', maximum_object_size=67108864,
                                   format='newline_delimited'))
      WHERE r->>'eventSource' = 'dynamodb.amazonaws.com')
TO '{out}' (FORMAT parquet, COMPRESSION zstd)""")
