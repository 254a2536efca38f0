"""Runs the aws CLI's validate-logs and dynatrail on one bucket of moto, and prints what both say.

Usage: validate_logs_check.py DYNATRAIL FOLDER
FOLDER holds `objects/` (a bucket), `metadata.json` (user metadata by key), `keys.json` (the answer
of ListPublicKeys) and `runs.json` (bucket, trail, home region, and pairs of account and region).
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from moto.server import ThreadedMotoServer

START, END = "2025-01-01T00:00:00Z", "2025-01-05T00:00:00Z"


def keys_server(answer):
    """Answers every request as CloudTrail answers ListPublicKeys; notes the regions signed for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            scope = self.headers["Authorization"].split("Credential=")[1].split(",")[0]
            asked.append((self.headers["X-Amz-Target"].split(".")[-1], scope.split("/")[2]))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, asked


def said(text):
    """The lines on what is wrong, and the counters that both programs have."""
    lines, counters = [], []
    for line in text.splitlines():
        if "\tINVALID: " in line or "No log files were delivered" in line:
            lines.append(line)
        elif re.match(r"^\d+/\d+ .*files valid", line):
            counters.append(line)
    return {"lines": sorted(lines), "counters": counters}


def run(command, environment):
    begin = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    seconds = time.monotonic() - begin
    return {
        **said(done.stdout + done.stderr),
        "code": done.returncode,
        "seconds": seconds,
        "output": done.stdout + done.stderr,
    }


def main():
    dynatrail, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    runs = json.loads((folder / "runs.json").read_text())
    metadata = json.loads((folder / "metadata.json").read_text())
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    keys, asked = keys_server((folder / "keys.json").read_bytes())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment.update(
        AWS_ACCESS_KEY_ID="AK",
        AWS_SECRET_ACCESS_KEY="SK",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_REGION="us-east-1",
        AWS_EC2_METADATA_DISABLED="true",
        AWS_ENDPOINT_URL=f"http://{host}:{port}",
        AWS_ENDPOINT_URL_CLOUDTRAIL=f"http://127.0.0.1:{keys.server_address[1]}",
    )
    s3 = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="AK",
        aws_secret_access_key="SK",
    )
    s3.create_bucket(Bucket=runs["bucket"])
    objects = folder / "objects"
    for path in sorted(objects.rglob("*")):
        if path.is_file():
            key = str(path.relative_to(objects))
            s3.put_object(
                Bucket=runs["bucket"],
                Key=key,
                Body=path.read_bytes(),
                Metadata=metadata.get(key, {}),
            )
    answers = []
    for account, region in runs["pairs"]:
        home = runs["home"]
        arn = f"arn:aws:cloudtrail:{home}:{account}:trail/{runs['trail']}"
        aws = [sys.executable, "-m", "awscli", "cloudtrail", "validate-logs", "--trail-arn", arn]
        aws += ["--s3-bucket", runs["bucket"], "--start-time", START, "--end-time", END]
        ours = [dynatrail, "verify", f"s3://{runs['bucket']}", "--since", START, "--until", END]
        ours += ["--account", account, "--region", region, "--trail", runs["trail"]]
        answer = {"account": account, "region": region}
        answer["aws"] = run(aws + ["--region", region], environment)
        asked.clear()
        answer["ours"] = run(ours, environment)
        answer["asked"] = sorted(set(asked))
        answers.append(answer)
    print(json.dumps(answers))


main()
