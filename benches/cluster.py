#!/usr/bin/env python3
"""Measures what a cluster adds to a conversion, and what a second executor brings, and prints a table.

usage: benches/cluster.py [--work DIR] [--mb 4000] [--days 64] [--runs 5]

Over the mixed archive in a folder: plain conversion on one core and on two, against a cluster of one
executor of one core, and of two, each held to a core of its own (taskset); client and scheduler run on
the same cores. Needs two cores, and the binary built with the feature `cluster`. Ratios are medians of
the rounds, in each of which all four run one after another.
"""
import argparse
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
BINARY = TARGET / "dynatrail"


def on(cores, command):
    return ["taskset", "-c", cores, *[str(word) for word in command]]


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Cluster:
    """A scheduler and executors of one core each."""

    def __init__(self, executors):
        port = free_port()
        self.address = f"df://127.0.0.1:{port}"
        cores = ",".join(str(core) for core in range(executors))
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.processes = [subprocess.Popen(on(cores, [
            BINARY, "cluster", "scheduler", "--listen", f"127.0.0.1:{port}"]), **silent)]
        for core in range(executors):
            self.processes.append(subprocess.Popen(on(str(core), [
                BINARY, "cluster", "executor", "--scheduler", f"127.0.0.1:{port}", "--port", 0,
                "--task-port", 0, "--threads", 1]), **silent))
        time.sleep(3)

    def peak_mb(self):
        """The largest executor's peak memory so far."""
        def peak(process):
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
            return int(line.split()[1]) / 1000
        return max(peak(process) for process in self.processes[1:])

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()


def convert(archive, lake, cores, *more):
    shutil.rmtree(lake, ignore_errors=True)
    begin = time.monotonic()
    subprocess.run(on(cores, [BINARY, "convert", "--quiet", archive, "--lake", lake, *more]),
                   check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin


def bytes_of(lake):
    files = (path for path in pathlib.Path(lake).rglob("*") if path.is_file())
    return {path.relative_to(lake): path.read_bytes() for path in files if path.name != "lock"}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/dynatrail-cluster"))
    parser.add_argument("--mb", default="4000")
    parser.add_argument("--days", default="64")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    archive = (args.work / f"mixed-{args.mb}-{args.days}").resolve()
    if not archive.exists():
        args.work.mkdir(parents=True, exist_ok=True)
        subprocess.run([TARGET / "examples/generate", "bench", "--share", "0.2", "--object-mb", "8",
                        "--total-mb", args.mb, "--days", args.days, "--out", archive], check=True)
    archive = archive / "AWSLogs"
    lake = args.work.resolve() / "lake"
    rounds = []
    peaks = []
    for _ in range(args.runs):
        times = {"plain 1": convert(archive, lake / "plain1", "0", "--threads", "1"),
                 "plain 2": convert(archive, lake / "plain2", "0,1", "--threads", "2")}
        for executors in (1, 2):
            cores = "0" if executors == 1 else "0,1"
            cluster = Cluster(executors)
            name = f"cluster {executors}"
            times[name] = convert(archive, lake / f"cluster{executors}", cores, "--cluster",
                                  cluster.address)
            peaks.append(cluster.peak_mb())
            cluster.end()
        rounds.append(times)
    same = all(bytes_of(lake / "plain1") == bytes_of(lake / other)
               for other in ("plain2", "cluster1", "cluster2"))
    if not same:
        sys.exit("the lakes differ")

    def ratio(over, under):
        return statistics.median(times[over] / times[under] for times in rounds)

    def seconds(name):
        return f"{statistics.median(times[name] for times in rounds):.2f} s"

    print("| measure | must | ratio | |")
    print("|---|---|---|---|")
    for what, must, over, under in [
        ("one executor ÷ two", "≥ 1.8", "cluster 1", "cluster 2"),
        ("one executor ÷ plain, one core", "≤ 1.1", "cluster 1", "plain 1"),
        ("two executors ÷ plain, two cores", "≤ 1.1", "cluster 2", "plain 2"),
        ("plain, one core ÷ two", "", "plain 1", "plain 2"),
    ]:
        print(f"| {what} | {must} | {ratio(over, under):.2f} | {seconds(over)}, {seconds(under)} |")
    print(f"\nan executor's peak memory: {max(peaks):.0f} MB; the four lakes are the same, byte for byte")


if __name__ == "__main__":
    main()
