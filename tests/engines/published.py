"""Queries in the manner of those that are published for CloudTrail tables, run by every engine.

They are Athena's text. An engine that spells something otherwise has its own text beside it.
"""

import re
from pathlib import Path

QUERIES = {
    "calls_by_principal": """
        SELECT useridentity.arn, eventname, count(*) AS calls
        FROM cloudtrail
        WHERE eventsource = 'dynamodb.amazonaws.com' AND eventtime >= '2025-03-01T00:00:00Z'
        GROUP BY useridentity.arn, eventname
        ORDER BY useridentity.arn NULLS FIRST, eventname""",
    "calls_by_role": """
        SELECT useridentity.sessioncontext.sessionissuer.username AS role, count(*) AS calls
        FROM cloudtrail
        WHERE useridentity.type = 'AssumedRole'
        GROUP BY useridentity.sessioncontext.sessionissuer.username
        ORDER BY role""",
    "denied": """
        SELECT eventid, errorcode, errormessage, useridentity.accesskeyid, sourceipaddress
        FROM cloudtrail
        WHERE errorcode IN ('AccessDenied', 'AccessDeniedException')
        ORDER BY eventid""",
    "without_mfa": """
        SELECT eventid, useridentity.sessioncontext.attributes.creationdate
        FROM cloudtrail
        WHERE useridentity.sessioncontext.attributes.mfaauthenticated = 'false'
        ORDER BY eventid""",
    "writes_of_a_day": """
        SELECT eventid, eventtime
        FROM cloudtrail
        WHERE "timestamp" = '2025/03/30' AND readonly = 'false'
        ORDER BY eventid""",
    "scans_of_a_table": """
        SELECT eventid
        FROM cloudtrail
        WHERE eventname IN ('Scan', 'Query', 'GetItem') AND requestparameters LIKE '%Orders%'
          AND eventtime BETWEEN '2025-03-01T00:00:00Z' AND '2025-03-31T00:00:00Z'
        ORDER BY eventid""",
    "resources": """
        SELECT eventid, resource.arn, resource.accountid, resource.type
        FROM cloudtrail CROSS JOIN UNNEST(resources) AS t (resource)
        ORDER BY eventid, resource.arn""",
    "federated": """
        SELECT eventid, useridentity.sessioncontext.webidfederationdata.federatedprovider,
          useridentity.sessioncontext.webidfederationdata.attributes['app:Sub'] AS subject
        FROM cloudtrail
        WHERE useridentity.sessioncontext.webidfederationdata.federatedprovider IS NOT NULL
        ORDER BY eventid""",
    "old_tls": """
        SELECT eventid, tlsdetails.clientprovidedhostheader
        FROM cloudtrail
        WHERE tlsdetails.tlsversion IN ('TLSv1', 'TLSv1.1')
        ORDER BY eventid""",
    "everything": "SELECT * FROM cloudtrail ORDER BY eventid",
}

SPARK = {
    "writes_of_a_day": QUERIES["writes_of_a_day"].replace('"timestamp"', "`timestamp`"),
    "resources": """
        SELECT eventid, resource.arn, resource.accountid, resource.type
        FROM cloudtrail LATERAL VIEW explode(resources) AS resource
        ORDER BY eventid, resource.arn""",
}

# The rows of the lake's own tables and of its view, as far as the engine can read them.
TABLES = {
    "events": "SELECT event_id, event_time_ms, read_only, dt FROM events ORDER BY event_id",
    "receipts": "SELECT source, status, records_seen, dt FROM receipts ORDER BY source",
    "operations": "SELECT event_id, table_name, position, dt FROM operations ORDER BY event_id, position",
    "sightings": """
        SELECT dt, recipient_account_id, aws_region, table_name, kind, value, principal, is_service_made, operations,
          succeeded, refused, item_reads, item_writes, item_deletes, changes, on_control, on_data, on_streams, event_id
        FROM sightings
        ORDER BY dt, recipient_account_id NULLS LAST, aws_region NULLS LAST, table_name, kind, value NULLS LAST,
          principal NULLS LAST, is_service_made""",
}


def statements(script: str) -> list[str]:
    """The statements of a script of `dynatrail ddl`, which ends each with ; at a line's end."""
    return [text for text in re.split(r";\s*\n", script) if text.strip()]


def documented_types() -> list[tuple]:
    """Names and types of the documented columns, in order."""
    import sqlglot

    text = (Path(__file__).parent / "documented.sql").read_text()
    table = sqlglot.parse_one(text, read="hive")
    columns = [
        definition
        for definition in table.find_all(sqlglot.exp.ColumnDef)
        if definition.find_ancestor(sqlglot.exp.DataType) is None
    ]
    return [(column.name, glot_type(column.args["kind"])) for column in columns]


def glot_type(kind):
    """A type of sqlglot as nested plain values."""
    from sqlglot import exp

    inner = kind.expressions
    if kind.is_type("struct"):
        return ("struct", [(field.name, glot_type(field.args["kind"])) for field in inner])
    if kind.is_type("array"):
        return ("array", glot_type(inner[0]))
    if kind.is_type("map"):
        return ("map", [glot_type(part) for part in inner])
    if kind.is_type(*exp.DataType.TEXT_TYPES):
        return "text"
    return kind.sql()


def assert_documented(found: list[tuple]) -> None:
    """Ends the check where the view's columns are not the documented ones."""
    for found_column, column in zip(found, documented_types(), strict=True):
        assert found_column == column, f"the view has {found_column}, documented is {column}"
