#!/usr/bin/env python3
"""One large volume into gounet serve, through and out, and the memory that it took.

    bench/serve_large.py http://localhost:8080 MODEL --pid PID [--shape 512,512,800] [--spacing 0.8] [--step 1]

Prints what the program states for the job, the largest memory of the server's process
and their quotient, which has to stay below 1.5. The volume is int16: a ball of noise,
made here. Only Python's own library is used.
"""
import argparse
import array
import gzip
import json
import random
import struct
import time
import urllib.request


def planes(shape, spacing):
    """The bytes of a NIfTI-1 file, a plane at a time."""
    x, y, z = shape
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, x, y, z, 1, 1, 1, 1)
    struct.pack_into("<2h", head, 70, 4, 16)
    struct.pack_into("<8f", head, 76, 1, spacing, spacing, spacing, 0, 0, 0, 0)
    struct.pack_into("<3f", head, 108, 352, 1, 0)
    head[123] = 2  # mm
    struct.pack_into("<h", head, 254, 1)
    for row in range(3):
        struct.pack_into("<4f", head, 280 + 16 * row, *(spacing if i == row else 0 for i in range(4)))
    head[344:348] = b"n+1\0"
    yield bytes(head)
    r = random.Random(0)
    noise = array.array("h", (r.randrange(200, 1200) for _ in range(x * y)))
    for k in range(z):
        shift = 977 * k % len(noise)
        plane = noise[shift:] + noise[:shift]
        for j in range(y):
            inside = 1 - (2 * j / y - 1) ** 2 - (2 * k / z - 1) ** 2
            half = int(x / 2 * max(inside, 0) ** 0.5)
            for a, b in ((0, x // 2 - half), (x // 2 + half, x)):
                plane[j * x + a : j * x + b] = array.array("h", bytes(2 * (b - a)))
        yield plane.tobytes()


def status(pid, key):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith(key))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("url"), p.add_argument("model")
    p.add_argument("--pid", type=int, required=True, help="of the server, to read its memory")
    p.add_argument("--shape", default="512,512,800")
    p.add_argument("--spacing", type=float, default=0.8, help="in mm")
    p.add_argument("--step", type=float, default=1)
    a = p.parse_args()
    shape = [int(n) for n in a.shape.split(",")]

    def call(method, path, body=None, **head):
        return urllib.request.urlopen(urllib.request.Request(a.url + path, method=method, data=body, headers=head), timeout=3600)

    size = 352 + 2 * shape[0] * shape[1] * shape[2]
    begun = time.monotonic()
    head = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
    upload = json.load(call("POST", "/api/v1/uploads?name=large.nii", planes(shape, a.spacing), **head))
    print(f"upload    {size / 1e6:.0f} MB, {time.monotonic() - begun:.0f} s")
    submit = {"model": a.model, "inputs": [{"upload": upload["id"]}], "formats": ["nifti"], "mirror": False, "step": a.step}
    job = json.load(call("POST", "/api/v1/jobs", json.dumps(submit).encode(), **{"Content-Type": "application/json"}))
    begun = time.monotonic()
    while job["state"] in ("queued", "running"):
        time.sleep(0.5)
        job = json.load(call("GET", "/api/v1/jobs/" + job["id"]))
    if job["state"] != "done":
        raise SystemExit(job)
    labels = gzip.decompress(call("GET", job["results"][0]["url"]).read())
    voxels = len(labels) - int(struct.unpack_from("<f", labels, 108)[0])
    print(f"job       {job['state']}, {time.monotonic() - begun:.0f} s; labels of {voxels} voxels")
    device, host = job["memory"]["device_bytes"], job["memory"]["host_bytes"]
    largest = status(a.pid, "VmHWM")
    print(f"stated    {device / 1e6:.0f} MB on the device, {host / 1e6:.0f} MB beside it")
    print(f"process   {largest / 1e6:.0f} MB at most: {largest / (device + host):.2f} of what is stated")


main()
