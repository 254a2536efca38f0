#!/usr/bin/env python3
"""Measures what nightly runs cost beside converting and reporting, and prints a table.

usage: benches/nightly.py [--work DIR] [--objects 100000] [--mb 500] [--runs 3] [--hours 24] [--logs 40]

- unchanged: a conversion of an archive in S3 that has not changed, against a bare listing of it (wall
  and CPU; the server runs beside, on the same cores);
- --verify: what hashing adds to a conversion, against hashing the same inflated bytes alone (CPU);
- verify: against `aws cloudtrail validate-logs` on the same bucket (wall), for a server that answers
  at once and one that waits 20 ms. Needs the packages awscli and cryptography in the Python that
  runs this.
"""
import argparse
import base64
import gzip
import hashlib
import http.server
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
BUCKET, ACCOUNT, REGION, TRAIL = "trail-logs", "111122223333", "us-east-1", "t"


def measure(command, env=None, codes=(0,)):
    """Runs a command; returns its CPU seconds, wall seconds, peak memory in MB and stdout."""
    begin = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, env=env)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    if os.waitstatus_to_exitcode(status) not in codes:
        sys.exit(f"{command} ended with {os.waitstatus_to_exitcode(status)}: {output.decode()}")
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1000, output.decode()


def median(runs, action, field):
    return statistics.median(action()[field] for _ in range(runs))


class Server:
    """The S3 server of the tests over a folder of buckets."""

    def __init__(self, root, delay_ms=0):
        self.process = subprocess.Popen([TARGET / "examples/serve", root, "--delay-ms", str(delay_ms)],
                                        stdout=subprocess.PIPE, text=True)
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.env.update(AWS_ACCESS_KEY_ID="AK", AWS_SECRET_ACCESS_KEY="SK", AWS_REGION=REGION,
                        AWS_DEFAULT_REGION=REGION, AWS_EC2_METADATA_DISABLED="true",
                        AWS_ENDPOINT_URL=self.process.stdout.readline().strip())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()


def unchanged(work, objects, runs):
    root = work / f"unchanged-{objects}"
    if not root.exists():
        measure([TARGET / "examples/generate", "tiny", "--out", root / "made", "--objects", objects,
                 "--records", 2, "--days", 10])
        shutil.move(root / "made", root / BUCKET)
        (root / BUCKET / "truth.json").unlink(missing_ok=True)
    lake = work / "lake-unchanged"
    source = f"s3://{BUCKET}/AWSLogs"
    with Server(root) as server:
        command = [TARGET / "dynatrail", "convert", "--quiet", source, "--lake", lake,
                   "--summary", "json"]
        shutil.rmtree(lake, ignore_errors=True)
        measure(command, server.env)
        done = json.loads(measure(command, server.env)[3])["objects"]
        assert done["converted"] == 0 and done["already_done"] >= objects, done
        bare, ours = [], []
        for _ in range(runs):
            bare.append(measure([TARGET / "examples/list", source], server.env))
            ours.append(measure(command, server.env))
    wall = [statistics.median(run[1] for run in of) for of in (bare, ours)]
    cpu = [statistics.median(run[0] for run in of) for of in (bare, ours)]
    # Each run against the one beside it: the machine is not equally fast all the time.
    ratio = statistics.median(our[1] / their[1] for our, their in zip(ours, bare))
    print(f"| unchanged archive of {objects} objects in S3 ÷ bare listing, wall | ≤ 1.2 | "
          f"{ratio:.2f} | {wall[1]:.2f} s, {wall[0]:.2f} s; CPU {cpu[1]:.2f} s, {cpu[0]:.2f} s |")


def hashing(work, mb, runs):
    archive = work / f"verify-{mb}"
    if not archive.exists():
        measure([TARGET / "examples/generate", "bench", "--out", archive, "--share", "0.2",
                 "--object-mb", 8, "--total-mb", mb])
    keys = work / "keys.json"
    keys.write_text(json.dumps({"PublicKeyList": [{
        "Value": "MIIBCgKCAQEAhJAtT4UN2W+5OGno4UDZ+1v0iSjFXzzlYTvvBnW/s0ByFRuHVyBf0BczetxmfYRnrh6GlWCZDatXHltyOlgQEGymlq5rOjUABgYCitT8QXuWNDEBQRHLg3HC6g1Dv/SqAcxTfuyXeRz9jkHorHSL+qFSOxW4SsaSFlQ9LfGbzuk96qNlsOu34l8yw/KsVSQUMVhzyWFawcYiF2/lycwJt7cdkHAJeXDihyc8tttMOLYCMRAn4ATH7U3nyAbgZtfpxHSaDwd8ynTNidUp1I+cKnQ88PH9h9w9epOJ+bga/SFmDvnOFHur6GD4dDtVfI5u5LIiEyYsn5oeiRo+Ayo0wwIDAQAB",
        "Fingerprint": "c79e6feebf30baa58deee62ab8273cb4",
        "ValidityStartTime": "2024-12-01T00:00:00Z", "ValidityEndTime": "2027-02-01T00:00:00Z"}]}))
    lake = work / "lake-verify"

    def convert(*more):
        shutil.rmtree(lake, ignore_errors=True)
        # Without digests there is nothing to be valid: exit code 3.
        return measure([TARGET / "dynatrail", "convert", "--quiet", archive / "AWSLogs", "--lake", lake,
                        *more], codes=(0, 3))[0]

    plain, verified, inflated, hashed = [], [], [], []
    for _ in range(runs):
        plain.append(convert())
        verified.append(convert("--verify", "--public-keys", keys))
        inflated.append(measure([TARGET / "examples/floor", archive])[0])
        hashed.append(measure([TARGET / "examples/floor", archive, "--hash"])[0])
    adds = statistics.median(verified) - statistics.median(plain)
    alone = statistics.median(hashed) - statistics.median(inflated)
    print(f"| CPU that --verify adds to convert ÷ hashing alone, {mb} MB inflated | ≤ 1.2 | "
          f"{adds / alone:.2f} | {adds:.2f} s, {alone:.2f} s; convert {statistics.median(plain):.2f} s |")


def digests(root, hours, logs):
    """An archive of one chain of digests; the key that signs is the tests'."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.serialization import (
        Encoding, PublicFormat, load_der_private_key)

    key = load_der_private_key((ROOT / "tests/it/integrity/signing.pk8").read_bytes(), None)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    fingerprint = hashlib.md5(public).hexdigest()
    answer = json.dumps({"PublicKeyList": [{
        "Value": base64.b64encode(public).decode(), "Fingerprint": fingerprint,
        "ValidityStartTime": 1735000000, "ValidityEndTime": 1841000000}]}).encode()
    if (root / BUCKET).exists():
        return answer

    def encoded(text):
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def put(name, body, metadata=None):
        path = root / BUCKET / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        if metadata:
            beside = root / f".bucket-{encoded(BUCKET)}.object-{encoded(name)}.metadata.json"
            beside.write_text(json.dumps({"user_metadata": metadata}))

    rows = [{"eventName": "GetItem", "requestID": f"{random.Random(n).getrandbits(128):032x}",
             "pad": "x" * 300} for n in range(200)]
    body = json.dumps({"Records": rows}).encode()
    previous = None
    for hour in range(hours):
        start = datetime(2025, 1, 2) + timedelta(hours=hour)
        end = start + timedelta(hours=1)
        named = []
        for number in range(logs):
            name = (f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/{start:%Y/%m/%d}/{ACCOUNT}_CloudTrail_{REGION}_"
                    f"{start:%Y%m%dT%H}05Z_{number:016d}.json.gz")
            text = body[:-2] + f',{{"n":"{hour}-{number}"}}]}}'.encode()
            put(name, gzip.compress(text, 1))
            named.append({"s3Bucket": BUCKET, "s3Object": name,
                          "hashValue": hashlib.sha256(text).hexdigest(), "hashAlgorithm": "SHA-256",
                          "newestEventTime": None, "oldestEventTime": None})
        name = (f"AWSLogs/{ACCOUNT}/CloudTrail-Digest/{REGION}/{end:%Y/%m/%d}/{ACCOUNT}_CloudTrail-Digest_"
                f"{REGION}_{TRAIL}_{REGION}_{end:%Y%m%dT%H%M%SZ}.json.gz")
        text = json.dumps({
            "awsAccountId": ACCOUNT, "digestStartTime": f"{start:%Y-%m-%dT%H:%M:%SZ}",
            "digestEndTime": f"{end:%Y-%m-%dT%H:%M:%SZ}", "digestS3Bucket": BUCKET, "digestS3Object": name,
            "digestPublicKeyFingerprint": fingerprint, "digestSignatureAlgorithm": "SHA256withRSA",
            "newestEventTime": None, "oldestEventTime": None,
            "previousDigestS3Bucket": previous and BUCKET, "previousDigestS3Object": previous and previous[0],
            "previousDigestHashValue": previous and previous[1],
            "previousDigestHashAlgorithm": previous and "SHA-256",
            "previousDigestSignature": previous and previous[2], "logFiles": named}).encode()
        digest = hashlib.sha256(text).hexdigest()
        signed = f"{end:%Y-%m-%dT%H:%M:%SZ}\n{BUCKET}/{name}\n{digest}\n{previous[2] if previous else 'null'}"
        signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()).hex()
        put(name, gzip.compress(text), {"signature": signature, "signature-algorithm": "SHA256withRSA"})
        previous = (name, digest, signature)
    return answer


def validation(work, hours, logs, runs):
    root = work / f"digests-{hours}-{logs}"
    answer = digests(root, hours, logs)

    class Keys(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    keys = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=keys.serve_forever, daemon=True).start()
    aws = [sys.executable, "-m", "awscli", "cloudtrail", "validate-logs", "--trail-arn",
           f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{TRAIL}", "--s3-bucket", BUCKET, "--start-time",
           "2025-01-01T00:00:00Z", "--end-time", "2026-01-05T00:00:00Z", "--region", REGION]
    ours = [TARGET / "dynatrail", "verify", f"s3://{BUCKET}"]
    for delay in (0, 20):
        with Server(root, delay) as server:
            server.env["AWS_ENDPOINT_URL_CLOUDTRAIL"] = f"http://127.0.0.1:{keys.server_address[1]}"
            theirs = measure(aws, server.env)
            assert f"{hours * logs}/{hours * logs} log files valid" in theirs[3], theirs[3]
            found = measure(ours, server.env)
            assert f"{hours * logs}/{hours * logs} log files valid" in found[3], found[3]
            wall = min([found[1]] + [measure(ours, server.env)[1] for _ in range(runs)])
        print(f"| aws cloudtrail validate-logs ÷ verify, {hours} digests and {hours * logs} log files, "
              f"GETs after {delay} ms | ≥ 10 | {theirs[1] / wall:.1f} | {theirs[1]:.2f} s, {wall:.2f} s; "
              f"CPU {theirs[0]:.2f} s, {found[0]:.2f} s |")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--work", type=pathlib.Path, default=ROOT / "target/bench-nightly")
    arguments.add_argument("--objects", type=int, default=100_000)
    arguments.add_argument("--mb", type=int, default=500)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--hours", type=int, default=24)
    arguments.add_argument("--logs", type=int, default=40)
    given = arguments.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cargo", "build", "--release", "--locked", "--bins", "--examples"], cwd=ROOT, check=True)
    print("| measure | must | ratio | |\n|---|---|---|---|")
    unchanged(given.work, given.objects, given.runs)
    hashing(given.work, given.mb, given.runs)
    validation(given.work, given.hours, given.logs, given.runs)


if __name__ == "__main__":
    main()
