"""Checks a script of `dynatrail ddl athena`: athena_check.py SCRIPT DUCKDB_SCRIPT; prints JSON.

There is no Athena to run it in. sqlglot parses it, and translates the view to DuckDB, which runs
it over the tables of DUCKDB_SCRIPT. That shows that the names, JSON paths and types are right; it
does not show that Athena's functions do what their documentation says.
"""

import json
import sys
from pathlib import Path

import duckdb_check
import published
import sqlglot
from sqlglot import exp

# What a column of DuckDB is in Hive's DDL.
HIVE_TYPES = {"VARCHAR": "string", "BOOLEAN": "boolean", "INTEGER": "int", "BIGINT": "bigint", "TIMESTAMP": "timestamp"}


def assert_same_columns(create, connection):
    """The table declares what the lake's files have."""
    name = create.this.this.name
    relation = connection.table(name)
    expected = [(column, HIVE_TYPES[str(kind)]) for column, kind in zip(relation.columns, relation.types)]
    declared = [
        (column.name, column.args["kind"].sql(dialect="hive").lower())
        for column in create.find_all(exp.ColumnDef)
    ]
    assert declared == expected, f"{name} declares {declared}, the files have {expected}"


def main(athena_script, duckdb_script):
    connection = duckdb_check.connected()
    connection.execute(duckdb_script)
    creates = [sqlglot.parse_one(text, read="athena") for text in published.statements(athena_script)]
    assert [create.kind for create in creates] == ["TABLE"] * 4 + ["VIEW"] * 2, creates
    for create in creates[:4]:
        assert_same_columns(create, connection)
    # Athena's own zone, which the translation of from_unixtime with a zone does not keep.
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("DROP VIEW cloudtrail")
    connection.execute(creates[-2].sql(dialect="duckdb"))
    connection.execute("DROP VIEW sightings")
    connection.execute(creates[-1].sql(dialect="duckdb"))
    return duckdb_check.answers(connection)


print(json.dumps(main(Path(sys.argv[1]).read_text(), Path(sys.argv[2]).read_text())))
