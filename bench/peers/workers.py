#!/usr/bin/env python3
"""gounet serve and two gounet worker beside a NATS server and an S3 store of their own,
one of the workers killed while it works.

    bench/peers/workers.py bin/gounet MODELS MODEL SCAN.nii.gz NATS S3

NATS is the program nats-server; S3 one of minio, versitygw (their programs) and
moto_server. All listen on the loopback. 40 jobs are submitted; when the first worker has begun with one
it is killed, and a third is started. Every job has to be done, with the labels of
`gounet predict` in a result that has its checksum. Of PyPI it needs boto3, nibabel,
numpy and requests.
"""
import contextlib
import gzip
import hashlib
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import boto3
import nibabel
import numpy as np
import requests

gounet, models, model, scan, nats, s3 = sys.argv[1:7]
JOBS = 40
KEY, SECRET, BUCKET = "gounet", "of-this-test-only", "gounet"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait(what, ready):
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with contextlib.suppress(OSError, requests.ConnectionError):
            if x := ready():
                return x
        time.sleep(0.1)
    raise SystemExit(f"{what}: not within two minutes")


class Peers:
    """Processes that end with the block."""

    def __init__(self, folder):
        self.folder, self.all = folder, []

    def start(self, name, *command, **env):
        with open(self.folder / f"{name}.log", "w") as log:
            p = subprocess.Popen([str(c) for c in command], stdout=log, stderr=subprocess.STDOUT, env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder), **env})
        self.all.append(p)
        return p

    def stop(self):
        for p in reversed(self.all):
            p.terminate()
            p.wait(60)


def run(folder, peers):
    queue, store, here = free_port(), free_port(), free_port()
    (folder / "nats.conf").write_text(f'listen: "127.0.0.1:{queue}"\njetstream {{ store_dir: "{folder}/nats", sync_interval: always }}\n')
    peers.start("nats", nats, "-c", folder / "nats.conf")
    wait("NATS", lambda: socket.create_connection(("127.0.0.1", queue), 1))
    if pathlib.Path(s3).name.startswith("minio"):
        peers.start("s3", s3, "server", "--address", f"127.0.0.1:{store}", folder / "minio", MINIO_ROOT_USER=KEY, MINIO_ROOT_PASSWORD=SECRET)
    elif pathlib.Path(s3).name.startswith("versitygw"):
        (folder / "versitygw").mkdir()
        peers.start("s3", s3, "--port", f"127.0.0.1:{store}", "posix", folder / "versitygw", ROOT_ACCESS_KEY=KEY, ROOT_SECRET_KEY=SECRET)
    else:
        peers.start("s3", s3, "-H", "127.0.0.1", "-p", store)
    wait("S3", lambda: socket.create_connection(("127.0.0.1", store), 1))
    boto3.client("s3", endpoint_url=f"http://127.0.0.1:{store}", aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1").create_bucket(Bucket=BUCKET)
    shared = ["--nats", f"nats://127.0.0.1:{queue}", "--blobs", f"s3+http://{KEY}:{SECRET}@127.0.0.1:{store}/{BUCKET}", "--models", models]
    peers.start("serve", gounet, "serve", "--device", "none", "--listen", f"127.0.0.1:{here}", "--data", folder / "serve", "--rate", 0, *shared)
    worker = lambda name: peers.start(name, gounet, "worker", "--device", "cpu", "--threads", 1, "--data", folder / name, *shared)
    url = f"http://127.0.0.1:{here}"
    wait("gounet serve", lambda: requests.get(f"{url}/readyz").ok)
    first, _ = worker("worker1"), worker("worker2")

    predict = ["--model", pathlib.Path(models) / model, "--input", scan, "--output", folder / "want", "--device", "cpu"]
    subprocess.run([gounet, "predict", *predict], check=True, stdout=subprocess.DEVNULL)
    want = np.asarray(nibabel.load(next((folder / "want").glob("*.nii.gz"))).dataobj)
    with open(scan, "rb") as f:
        upload = requests.post(f"{url}/api/v1/uploads", params={"name": pathlib.Path(scan).name}, data=f).json()["id"]
    ids = [requests.post(f"{url}/api/v1/jobs", json={"model": model, "inputs": [{"upload": upload}], "formats": ["nifti"]}).json()["id"] for _ in range(JOBS)]
    jobs = lambda: [requests.get(f"{url}/api/v1/jobs/{i}").json() for i in ids]
    name = wait("worker1", lambda: next((line.split()[2] for line in (folder / "worker1.log").read_text().splitlines() if line.startswith("working")), ""))
    wait("a job of worker1", lambda: any(j["state"] == "running" and j.get("worker") == name for j in jobs()))
    first.kill()
    worker("worker3")
    began = time.monotonic()
    wait("the jobs", lambda: all(j["state"] not in ("queued", "running") for j in jobs()))
    all_jobs = jobs()
    for j in all_jobs:
        assert j["state"] == "done", j
        result = j["results"][0]
        b = requests.get(url + result["url"]).content
        assert hashlib.sha256(b).hexdigest() == result["sha256"], j
        assert (np.asarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(b)).dataobj) == want).all(), "other labels"
    by = {}
    for j in all_jobs:
        by[j["worker"]] = by.get(j["worker"], 0) + 1
    again = sum(j["attempts"] - 1 for j in all_jobs)
    assert again >= 1, "the killed worker had nothing in hand"
    print(f"{len(all_jobs)} jobs done by {len(by)} workers ({sorted(by.values())}), {again} begun again, {time.monotonic() - began:.0f} s after the kill; labels of gounet predict in all")


with tempfile.TemporaryDirectory() as tmp:
    peers = Peers(pathlib.Path(tmp))
    try:
        run(peers.folder, peers)
    except BaseException:
        for log in sorted(peers.folder.glob("*.log")):
            print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-8:], sep="\n", file=sys.stderr)
        raise
    finally:
        peers.stop()
