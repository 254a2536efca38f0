"""Runs the cases of reports in an engine: reports_check.py duckdb|spark CASES.

CASES is a JSON list of objects: the lake's DDL, a report's SQL and the rows it must give.
"""

import datetime
import decimal
import json
import math
import sys
from pathlib import Path

import published


def plain(value):
    """A value as dynatrail writes it in JSON."""
    match value:
        case datetime.datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
        case datetime.date():
            return value.isoformat()
        case decimal.Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case float() if not math.isfinite(value):
            return None
    return value


class DuckDb:
    def __init__(self):
        import duckdb

        self.connection = duckdb.connect()
        # A zone where some hours do not exist, to see that it does not matter.
        self.connection.execute("SET TimeZone = 'Europe/Berlin'")

    def declare(self, ddl):
        self.connection.execute(ddl)

    def rows(self, sql):
        found = self.connection.execute(sql)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


class Spark:
    def __init__(self):
        from pyspark.sql import SparkSession

        self.session = (
            SparkSession.builder.master("local[2]")
            # date_trunc follows the session's zone, as docs/reports.md says.
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.shuffle.partitions", "1")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .getOrCreate()
        )
        self.session.sparkContext.setLogLevel("ERROR")

    def declare(self, ddl):
        for statement in published.statements(ddl):
            self.session.sql(statement)

    def rows(self, sql):
        return [row.asDict() for row in self.session.sql(sql).collect()]


def main(engine, cases):
    engine = {"duckdb": DuckDb, "spark": Spark}[engine]()
    agreeing = 0
    for case in cases:
        try:
            engine.declare(case["ddl"])
            found = [
                {name: plain(value) for name, value in row.items()} for row in engine.rows(case["sql"])
            ]
        except Exception as error:
            print(f"{case['name']}: {str(error)[:1000]}")
            continue
        if found == case["rows"]:
            agreeing += 1
            continue
        print(f"{case['name']}: rows differ")
        for row in [row for row in found if row not in case["rows"]][:3]:
            print(f"  found    {row}")
        for row in [row for row in case["rows"] if row not in found][:3]:
            print(f"  expected {row}")
    print(f"{agreeing} of {len(cases)} agree")
    return agreeing == len(cases)


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1], json.loads(Path(sys.argv[2]).read_text())))
