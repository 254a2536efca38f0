"""Runs a script of `dynatrail ddl duckdb` in DuckDB: duckdb_check.py SCRIPT; prints JSON."""

import json
import sys
from pathlib import Path

import duckdb
import published


def plain_type(kind):
    """A type of DuckDB as nested plain values."""
    if kind.id == "struct":
        return ("struct", [(name, plain_type(field)) for name, field in kind.children])
    if kind.id == "list":
        return ("array", plain_type(kind.children[0][1]))
    if kind.id == "map":
        return ("map", [plain_type(part) for _, part in kind.children])
    return "text" if kind.id == "varchar" else str(kind)


def rows(connection, query):
    found = connection.sql(query)
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def answers(connection):
    """What the queries answer, once the view is seen to be as documented."""
    view = connection.sql("SELECT * FROM cloudtrail")
    types = [plain_type(kind) for kind in view.types]
    published.assert_documented(list(zip(view.columns, types, strict=True)))
    queries = published.QUERIES | published.TABLES
    return {name: rows(connection, query) for name, query in queries.items()}


def connected():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'Europe/Berlin'")
    return connection


if __name__ == "__main__":
    connection = connected()
    connection.execute(Path(sys.argv[1]).read_text())
    print(json.dumps(answers(connection)))
