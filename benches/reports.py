#!/usr/bin/env python3
"""Measures the packaged reports over a large lake, beside DuckDB with the same SQL on the same files.

usage: benches/reports.py [--work DIR] [--events 10000000] [--days 30] [--runs 3] [--each]

Makes its lake with the generator (once; kept in DIR), builds in release, and runs whole processes:
CPU seconds are user + system, peak memory is the largest resident set. --each times every report
alone, in both engines. DuckDB needs the package duckdb and has as many threads as there are cores.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
DYNATRAIL = TARGET / "dynatrail"

# Bytes of a record of the generator, inflated: the archive is given its size by them.
RECORD_BYTES = 1800


def measure(command, may_fail=False):
    """Runs a command; its CPU seconds, wall seconds and peak memory in MB."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    # 3 and 4 are outcomes of reports, not failures.
    if os.waitstatus_to_exitcode(status) not in (0, 3, 4):
        failed = f"{command[:3]} failed: {errors.decode(errors='replace')[:300]}"
        if not may_fail:
            sys.exit(failed)
        print(failed, file=sys.stderr)
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1000


def text(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def make_lake(work, events, days):
    lake = work / f"lake-{events}-{days}"
    if (lake / "_dynatrail/lake.json").exists():
        return lake
    archive = work / f"archive-{events}-{days}"
    if not archive.exists():
        megabytes = events * RECORD_BYTES / 1e6
        subprocess.run(
            [TARGET / "examples/generate", "bench", "--out", archive, "--share", "1.0"]
            + ["--object-mb", "8", "--total-mb", str(megabytes), "--days", str(days)],
            check=True,
        )
    subprocess.run([DYNATRAIL, "convert", archive, "--lake", lake, "--quiet"], check=True)
    return lake


def reports():
    """Names of the packaged reports in order, but those that run only if told what to look for."""
    listed = text(DYNATRAIL, "report", "--list").splitlines()
    names = [line.split()[0] for line in listed if line.startswith("  ")]
    asking = {path.stem for path in ROOT.glob("queries/*/*.sql") if "\nasks = " in path.read_text()}
    return [name for name in names if name not in asking]


def duckdb_script(lake, names, path):
    """A Python script that runs the reports in DuckDB and fetches every row."""
    statements = [text(DYNATRAIL, "report", "--sql", name, "--engine", "duckdb") for name in names]
    path.write_text(
        "import duckdb\n"
        "connection = duckdb.connect()\n"
        f"connection.execute('SET threads = {os.cpu_count()}')\n"
        f"connection.execute({text(DYNATRAIL, 'ddl', 'duckdb', '--lake', lake)!r})\n"
        f"for sql in {statements!r}:\n"
        "    result = connection.execute(sql)\n"
        # As many rows as a report keeps; the rest is counted.
        "    result.fetchmany(50000)\n"
        "    while result.fetchmany(50000): pass\n"
    )
    return [sys.executable, path]


def line(name, ours, theirs):
    ratio = ours[0] / theirs[0]
    print(
        f"| {name} | {ours[0]:.2f} | {theirs[0]:.2f} | {ratio:.2f} | {ours[1]:.2f} | "
        f"{theirs[1]:.2f} | {ours[2]:.0f} | {theirs[2]:.0f} |",
        flush=True,
    )


def median(rounds):
    return tuple(statistics.median(figures) for figures in zip(*rounds))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target/bench")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--each", action="store_true")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for example in ([], ["--example", "generate"]):
        subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", *example], check=True, cwd=ROOT)
    lake = make_lake(options.work, options.events, options.days)
    script = options.work / "duckdb_reports.py"
    names = reports()
    print("| | CPU s | DuckDB | ratio | wall s | DuckDB | peak MB | DuckDB |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    if options.each:
        for name in names:
            ours = [DYNATRAIL, "report", name, "--lake", lake, "--format", "ndjson"]
            line(name, measure(ours, True), measure(duckdb_script(lake, [name], script), True))
    pack = [DYNATRAIL, "report", *names, "--lake", lake, "--format", "ndjson"]
    theirs = duckdb_script(lake, names, script)
    rounds = [(measure(pack), measure(theirs)) for _ in range(options.runs)]
    line(f"{len(names)} reports", median([r[0] for r in rounds]), median([r[1] for r in rounds]))
    listing = median([measure([DYNATRAIL, "report", "--list"]) for _ in range(20)])
    print(f"\nreport --list: {listing[1] * 1000:.0f} ms")
    day = text(DYNATRAIL, "query", "SELECT max(dt) AS dt FROM events", "--lake", lake, "--format", "ndjson")
    question = f"SELECT count(*) FROM events WHERE dt = '{json.loads(day)['dt']}' AND outcome = 'denied'"
    plan = text(DYNATRAIL, "query", f"EXPLAIN {question}", "--lake", lake)
    dates = set(re.findall(r"dt=\d{4}-\d{2}-\d{2}", plan))
    ours = median([measure([DYNATRAIL, "query", question, "--lake", lake]) for _ in range(5)])
    print(f"a question about one day: {ours[1] * 1000:.0f} ms, reads {len(dates)} of {options.days} dates")


if __name__ == "__main__":
    main()
