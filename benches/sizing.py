#!/usr/bin/env python3
"""Computes the tables of docs/cluster-sizing.md; put your own figures in.

usage: benches/sizing.py [--tb 1 10 100] [--object-kb 100] [--share mixed] [--partitions 8] ...

What is measured stands in docs/benchmarks.md; everything else is an assumption and an option here.
GB is 10^9 bytes, TB 10^12, both of gzip as it lies in the archive unless it says inflated.
"""
import argparse
import math

# docs/benchmarks.md: an archive of 504 MB inflated; CPU seconds and MB of parts.
INFLATED_GB = 0.504
SHARES = {"sparse": (0.33, 1.0), "mixed": (0.72, 12.8), "full": (1.79, 49.4)}
# 100,000 keys listed in 0.86 CPU seconds.
CPU_S_A_KEY = 0.86 / 100_000
# Where a unit is cut (docs/lake.md).
UNIT_GB, UNIT_OBJECTS = (256 << 20) / 1e9, 50_000
KEYS_A_PAGE = 1000
LISTS_IN_FLIGHT = 32
UPLOAD_GB = (8 << 20) / 1e9
# Machines and folders of each size, where they are not given.
SIZES = {1: (1, 10 * 4 * 365), 10: (4, 50 * 4 * 365), 100: (8, 200 * 8 * 365)}


def arguments():
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("--tb", type=float, nargs="+", default=[1, 10, 100])
    add("--share", choices=SHARES, default="mixed")
    add("--object-kb", type=float, default=100)
    add("--machines", type=int, help="executors' machines; else by size")
    add("--folders", type=int, help="day folders: accounts x regions x days; else by size")
    add("--ratio", type=float, default=11, help="inflated bytes for one of gzip")
    add("--s3-factor", type=float, default=1.5, help="CPU for TLS and HTTP, times that of a folder")
    add("--get-ms", type=float, default=0.2, help="CPU milliseconds of a GET itself")
    add("--use", type=float, default=0.85, help="share of the vCPUs that is used")
    add("--vcpus", type=int, default=16)
    add("--gbit", type=float, default=6.25, help="network of a machine that it has for hours")
    add("--partitions", type=float, default=8, help="partitioned prefixes that share the GETs")
    add("--gets", type=float, default=5500, help="GETs a second of a partitioned prefix")
    add("--page-s", type=float, default=0.2, help="seconds of a page of a listing")
    add("--machine-usd", type=float, default=0.714, help="an hour of a machine")
    add("--others-usd", type=float, default=0.357, help="an hour of client and scheduler")
    add("--get-usd", type=float, default=0.0004, help="1000 GETs")
    add("--put-usd", type=float, default=0.005, help="1000 PUTs or LISTs")
    add("--kms-usd", type=float, default=0.003, help="1000 requests to KMS")
    add("--store-usd", type=float, default=0.023, help="a GB for a month")
    return parser.parse_args()


def size(tb, a, share=None, object_kb=None, machines=None):
    """Everything of one archive, by the formulas of the page."""
    cpu, parts = (figure / INFLATED_GB for figure in SHARES[share or a.share])
    gb = tb * 1000
    objects = gb * 1e6 / (object_kb or a.object_kb)
    of_size = SIZES.get(tb, (max(1, round(tb / 2.5)), 1460 * int(tb)))
    machines = machines or a.machines or of_size[0]
    folders = a.folders or of_size[1]
    cpu_s = gb * a.ratio * cpu * a.s3_factor + objects * a.get_ms / 1000
    rate = machines * a.vcpus * a.use
    pages = objects / KEYS_A_PAGE + folders
    list_s = max(pages * a.page_s / LISTS_IN_FLIGHT, objects * CPU_S_A_KEY)
    bounds = {
        "CPU": cpu_s / rate,
        "network": gb / (machines * a.gbit / 8),
        "GETs": objects / (a.gets * a.partitions),
    }
    bound = max(bounds, key=bounds.get)
    units = max(gb / UNIT_GB, objects / UNIT_OBJECTS)
    lake_gb = gb * a.ratio * parts / 1000
    puts = lake_gb / UPLOAD_GB + 8 * units
    hours = (list_s + bounds[bound]) / 3600
    usd = {
        "machines": hours * (machines * a.machine_usd + a.others_usd),
        "GET": objects / 1000 * a.get_usd,
        "LIST": pages / 1000 * a.put_usd,
        "PUT": puts / 1000 * a.put_usd,
    }
    return {
        "tb": tb, "objects": objects, "units": units, "machines": machines, "cpu_h": cpu_s / 3600,
        "bounds": {name: seconds / 3600 for name, seconds in bounds.items()}, "bound": bound,
        "pages": pages, "folders": folders, "list_h": list_s / 3600, "hours": hours,
        "lake_gb": lake_gb, "puts": puts, "usd": usd, "sum": sum(usd.values()),
        "kms": objects / 1000 * a.kms_usd, "month": lake_gb * a.store_usd,
        "useful": fed_machines(objects, cpu_s, a),
    }


def fed_machines(objects, cpu_s, a):
    """Machines beyond which GETs bound."""
    return a.gets * a.partitions * (cpu_s / objects) / (a.vcpus * a.use)


def number(n):
    if n >= 1e6:
        power = math.floor(math.log10(n) + 1e-9)
        lead = n / 10**power
        return f"10^{power}" if abs(lead - 1) < 0.005 else f"{lead:.1f} × 10^{power}"
    return f"{n:,.0f}"


def hours(h):
    return f"{h * 60:.0f} min" if h < 1 else f"{h:.1f} h"


def usd(d):
    return f"${d:.2f}" if d < 10 else f"${d:,.0f}"


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def table(head, rows):
    row(*head)
    row("---", *["--:"] * (len(head) - 1))
    for cells in rows:
        row(*cells)
    print()


def main():
    a = arguments()
    sizes = [size(tb, a) for tb in a.tb]
    table(
        ["", *[f"{s['tb']:g} TB" for s in sizes]],
        [
            ["objects", *[number(s["objects"]) for s in sizes]],
            ["units", *[number(s["units"]) for s in sizes]],
            ["CPU hours", *[f"{s['cpu_h']:,.0f}" for s in sizes]],
            ["machines", *[s["machines"] for s in sizes]],
            ["listing: day folders", *[number(s["folders"]) for s in sizes]],
            ["listing: pages at most", *[number(s["pages"]) for s in sizes]],
            ["listing: time", *[hours(s["list_h"]) for s in sizes]],
            ["converting, by CPU", *[hours(s["bounds"]["CPU"]) for s in sizes]],
            ["converting, by network", *[hours(s["bounds"]["network"]) for s in sizes]],
            ["converting, by GETs", *[hours(s["bounds"]["GETs"]) for s in sizes]],
            ["what bounds it", *[s["bound"] for s in sizes]],
            ["listing and converting", *[hours(s["hours"]) for s in sizes]],
            ["machines that GETs can feed", *[f"{s['useful']:.1f}" for s in sizes]],
            ["lake", *[f"{s['lake_gb']:,.0f} GB" for s in sizes]],
            ["PUTs", *[number(s["puts"]) for s in sizes]],
        ],
    )
    table(
        ["money", *[f"{s['tb']:g} TB" for s in sizes]],
        [
            *[[name, *[usd(s["usd"][name]) for s in sizes]] for name in sizes[0]["usd"]],
            ["together, once", *[usd(s["sum"]) for s in sizes]],
            ["KMS, without S3 Bucket Keys", *[usd(s["kms"]) for s in sizes]],
            ["the lake, each month", *[usd(s["month"]) for s in sizes]],
        ],
    )
    shares = [size(10, a, share=share) for share in SHARES]
    table(
        ["10 TB, share of DynamoDB", "CPU hours", "bound", "time", "lake", "once", "each month"],
        [
            [share, f"{s['cpu_h']:,.0f}", s["bound"], hours(s["hours"]), f"{s['lake_gb']:,.0f} GB",
             usd(s["sum"]), usd(s["month"])]
            for share, s in zip(SHARES, shares)
        ],
    )
    means = [(kb, size(10, a, object_kb=kb)) for kb in (10, 100, 1000)]
    table(
        ["10 TB, mean object", "objects", "listing", "bound", "time", "GET", "KMS", "once"],
        [
            [f"{kb:g} KB", number(s["objects"]), hours(s["list_h"]), s["bound"], hours(s["hours"]),
             usd(s["usd"]["GET"]), usd(s["kms"]), usd(s["sum"])]
            for kb, s in means
        ],
    )


if __name__ == "__main__":
    main()
