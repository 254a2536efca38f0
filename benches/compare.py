#!/usr/bin/env python3
"""Measures conversion against its floor and its peers, and prints a table of ratios.

usage: benches/compare.py [--work DIR] [--mb 500] [--runs 5] [--peers] [--s3] [--ten]

Makes its archives with the generator (once; kept in DIR), builds in release, and runs whole
processes: CPU seconds are user + system of the process, peak memory is its largest resident set.
Each figure is the median over the runs, with floor and conversion in turn, so that a machine that
drifts does not favour one of them. Peers (--peers) need the packages duckdb and chdb; --s3 compares
a server that answers every GET at once with one that waits 50 ms; --ten adds ten times the mixed
archive.
"""
import argparse
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
SHARES = {"sparse": "0.01", "mixed": "0.2", "full": "1.0"}
MUST = {"sparse": 2.0, "mixed": 3.5, "full": 9.0}


def measure(command, env=None):
    """Runs a command; returns its CPU seconds, wall seconds and peak memory in MB."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    if status:
        sys.exit(f"{command} failed: {errors.decode(errors='replace')}")
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1000


def size(folder, ending=".parquet"):
    return sum(f.stat().st_size for f in pathlib.Path(folder).rglob(f"*{ending}"))


def convert(archive, lake, env=None):
    shutil.rmtree(lake, ignore_errors=True)
    command = [TARGET / "dynatrail", "convert", "--quiet", str(archive), "--lake", str(lake)]
    return measure(command, env)


def in_turn(runs, *actions):
    """Medians of what the actions return, run one after another in rounds."""
    rounds = [[action() for action in actions] for _ in range(runs)]
    return [
        tuple(statistics.median(r[a][f] for r in rounds) for f in range(len(rounds[0][a])))
        for a in range(len(actions))
    ]


def generate(work, name, *arguments):
    """An archive made by the generator, whose truth stands beside it."""
    folder = work / name
    if not folder.exists():
        subprocess.run([TARGET / "examples/generate", *arguments, "--out", folder], check=True)
    return folder / "AWSLogs"


def row(*cells):
    print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


def sizes_and_floor(work, options):
    print("| archive | floor CPU s | CPU s | ÷ floor | must | wall ÷ CPU | peak MB | parts MB |")
    print("|---|---|---|---|---|---|---|---|")
    figures = {}
    for name, share in SHARES.items():
        archive = generate(work, f"{name}-{options.mb}", "bench", "--share", share,
                           "--object-mb", "8", "--total-mb", str(options.mb))
        lake = work / f"lake-{name}"
        floor, ours = in_turn(
            options.runs,
            lambda: measure([TARGET / "examples/floor", str(archive)]),
            lambda: convert(archive, lake),
        )
        figures[name] = (archive, ours, size(lake / "events") + size(lake / "operations"))
        row(name, f"{floor[0]:.2f}", f"{ours[0]:.2f}", f"{ours[0] / floor[0]:.2f}", MUST[name],
            f"{ours[1] / ours[0]:.2f}", f"{ours[2]:.0f}", f"{figures[name][2] / 1e6:.1f}")
    return figures


def tiny(work, options):
    archive = generate(work, "tiny", "tiny", "--objects", "20000", "--records", "2")
    (ours,) = in_turn(options.runs, lambda: convert(archive, work / "lake-tiny"))
    print(f"\ntiny: 20000 objects of 2 records, {20000 / ours[0]:.0f} objects per CPU second "
          f"(must 15000), peak {ours[2]:.0f} MB")


def ten_times(work, options):
    archive = generate(work, f"mixed-{options.mb * 10}", "bench", "--share", SHARES["mixed"],
                       "--object-mb", "8", "--total-mb", str(options.mb * 10))
    small, large = [], []
    for _ in range(options.runs):
        small.append(convert(work / f"mixed-{options.mb}" / "AWSLogs", work / "lake-mixed")[2])
        large.append(convert(archive, work / "lake-ten")[2])
    small, large = statistics.median(small), statistics.median(large)
    print(f"\nten times the mixed archive: peak {large:.0f} MB against {small:.0f} MB, "
          f"{large / small:.2f} times (must 1.10)")


def peers(work, figures):
    print("\n| archive | DuckDB CPU s | ÷ ours | ClickHouse CPU s | ÷ ours | our parts ÷ DuckDB's |")
    print("|---|---|---|---|---|---|")
    for name, (archive, ours, bytes_written) in figures.items():
        cells, sizes = [name], {}
        for peer in ("duckdb", "clickhouse"):
            out = work / f"{peer}-{name}.parquet"
            cpu, _, _ = measure([sys.executable, HERE / f"peers/{peer}_peer.py", archive, out])
            sizes[peer] = out.stat().st_size
            cells += [f"{cpu:.1f}", f"{cpu / ours[0]:.1f}"]
        row(*cells, f"{bytes_written / sizes['duckdb']:.2f}")


def s3(work, options):
    """Converts from a server that answers at once, and from one that waits before each GET."""
    sizes = [options.mb, options.mb * 10] if options.ten else [options.mb]
    for mb in sizes:
        walls = {}
        for delay in (0, 50):
            server = subprocess.Popen(
                [TARGET / "examples/serve", work, "--delay-ms", str(delay)],
                stdout=subprocess.PIPE, text=True)
            endpoint = server.stdout.readline().strip()
            env = os.environ | {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "AK",
                                "AWS_SECRET_ACCESS_KEY": "SK", "AWS_REGION": "us-east-1"}
            source = f"s3://mixed-{mb}/AWSLogs/"
            (walls[delay],) = in_turn(options.runs, lambda: convert(source, work / "lake-s3", env))
            server.send_signal(signal.SIGTERM)
            server.wait()
        print(f"\nfrom S3, mixed of {mb} MB: wall {walls[50][1]:.2f} s with 50 ms before every GET ÷ "
              f"{walls[0][1]:.2f} s without = {walls[50][1] / walls[0][1]:.2f} (must 1.15)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target/bench")
    parser.add_argument("--mb", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    for name in ("peers", "s3", "ten"):
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cargo", "build", "--release", "--locked", "--bins", "--examples"],
                   cwd=ROOT, check=True)
    figures = sizes_and_floor(options.work, options)
    tiny(options.work, options)
    if options.ten:
        ten_times(options.work, options)
    if options.s3:
        s3(options.work, options)
    if options.peers:
        peers(options.work, figures)


if __name__ == "__main__":
    main()
