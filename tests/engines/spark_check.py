"""Runs a script of `dynatrail ddl spark` in Spark: spark_check.py SCRIPT; prints JSON."""

import json
import sys
from pathlib import Path

import published
from pyspark.sql import SparkSession


def plain_type(kind):
    """A type of Spark as nested plain values."""
    match kind.typeName():
        case "struct":
            return ("struct", [(field.name, plain_type(field.dataType)) for field in kind.fields])
        case "array":
            return ("array", plain_type(kind.elementType))
        case "map":
            return ("map", [plain_type(kind.keyType), plain_type(kind.valueType)])
        case "string":
            return "text"
        case name:
            return name


def main(script):
    # A zone where 2025-03-30T02:30 does not exist, to see that it does not matter.
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.sql.session.timeZone", "Europe/Berlin")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    for statement in published.statements(script):
        spark.sql(statement)
    fields = spark.table("cloudtrail").schema.fields
    published.assert_documented([(field.name, plain_type(field.dataType)) for field in fields])
    queries = published.QUERIES | published.SPARK | published.TABLES
    answers = {}
    for name, query in queries.items():
        answers[name] = [row.asDict(recursive=True) for row in spark.sql(query).collect()]
    spark.stop()
    return answers


print(json.dumps(main(Path(sys.argv[1]).read_text())))
