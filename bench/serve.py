#!/usr/bin/env python3
"""Load on gounet serve: clients that submit and follow jobs at the same time.

    bench/serve.py http://localhost:8080 MODEL SCAN [--clients 200] [--seconds 60] [--pid PID] [--step]

Prints how many jobs were done, every answer by its status, the percentiles of
status calls in ms and of the script's own delay, which is in them, and the memory of
the server's process before, in the middle and after. --step: all ask at the same
moment, each half second. Start the server with --rate 0 --user-jobs 1000 --user-streams 1000: all
clients are one user. Only Python's own library is used.
"""
import argparse
import asyncio
import collections
import json
import os
import random
import time
import urllib.parse


class Client:
    """One connection at a time, HTTP/1.1 with keep-alive."""

    def __init__(self, url):
        u = urllib.parse.urlparse(url)
        self.host, self.port, self.r, self.w = u.hostname, u.port or 80, None, None

    async def call(self, method, path, body=b"", headers=()):
        for again in (True, False):
            try:
                if self.w is None:
                    self.r, self.w = await asyncio.open_connection(self.host, self.port)
                head = f"{method} {path} HTTP/1.1\r\nHost: localhost:{self.port}\r\nContent-Length: {len(body)}\r\n"
                self.w.write((head + "".join(f"{k}: {v}\r\n" for k, v in headers) + "\r\n").encode() + body)
                await self.w.drain()
                return await self.answer()
            except (ConnectionError, asyncio.IncompleteReadError):
                self.w = None
                if not again:
                    raise

    async def answer(self):
        status = int((await self.r.readuntil(b"\r\n")).split()[1])
        fields = {}
        while (line := await self.r.readuntil(b"\r\n")) != b"\r\n":
            k, _, v = line.decode().partition(":")
            fields[k.lower()] = v.strip()
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while n := int(await self.r.readuntil(b"\r\n"), 16):
                body += (await self.r.readexactly(n + 2))[:-2]
            await self.r.readexactly(2)
        else:
            body = await self.r.readexactly(int(fields.get("content-length", 0)))
        return status, fields, body


def memory(pid):
    if not pid:
        return 0
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) // 1024 for line in f if line.startswith("VmRSS"))


async def pause(a):
    """Between two calls of a client: people do not ask in step."""
    await asyncio.sleep(0.5 - time.monotonic() % 0.5 if a.step else random.uniform(0.25, 0.75))


async def delays(until, late):
    """How late this program, not the server, is: in ms, every 10 ms."""
    while (now := time.monotonic()) < until:
        await asyncio.sleep(0.01)
        late.append((time.monotonic() - now - 0.01) * 1000)


async def client(a, scan, until, statuses, times, done):
    c = Client(a.url)
    await asyncio.sleep(random.random())
    while time.monotonic() < until:
        status, _, body = await c.call("POST", "/api/v1/uploads?name=" + urllib.parse.quote(os.path.basename(a.scan)), scan)
        statuses["upload", status] += 1
        if status != 201:
            await asyncio.sleep(1)
            continue
        submit = json.dumps({"model": a.model, "inputs": [{"upload": json.loads(body)["id"]}], "mirror": False}).encode()
        status, fields, body = await c.call("POST", "/api/v1/jobs", submit)
        statuses["submit", status] += 1
        if status != 201:
            await asyncio.sleep(float(fields.get("retry-after", 1)))
            continue
        job = json.loads(body)["id"]
        while time.monotonic() < until:
            await pause(a)
            begun = time.monotonic()
            status, _, body = await c.call("GET", "/api/v1/jobs/" + job)
            times.append((time.monotonic() - begun) * 1000)
            statuses["status", status] += 1
            if status != 200:
                continue
            state = json.loads(body)["state"]
            if state in ("done", "failed", "cancelled"):
                done[state] += 1
                break


async def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("url"), p.add_argument("model"), p.add_argument("scan")
    p.add_argument("--clients", type=int, default=200)
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--pid", type=int, help="of the server, to read its memory")
    p.add_argument("--step", action="store_true", help="all clients ask at the same moments")
    a = p.parse_args()
    with open(a.scan, "rb") as f:
        scan = f.read()
    statuses, times, late, done = collections.Counter(), [], [], collections.Counter()
    sizes = [memory(a.pid)]
    until = time.monotonic() + a.seconds
    work = [asyncio.create_task(client(a, scan, until, statuses, times, done)) for _ in range(a.clients)]
    work.append(asyncio.create_task(delays(until, late)))
    await asyncio.sleep(a.seconds / 2)
    sizes.append(memory(a.pid))
    for result in await asyncio.gather(*work, return_exceptions=True):
        if result is not None:
            statuses["error", repr(result)] += 1
    sizes.append(memory(a.pid))
    print(f"{a.clients} clients, {a.seconds:g} s: jobs over {dict(done)}")
    for (what, status), n in sorted(statuses.items(), key=str):
        print(f"  {what:7} {status}: {n}")
    for what, all in ("status calls", times), ("this script", late):
        all.sort()
        at = lambda q: all[min(int(q * len(all)), len(all) - 1)] if all else 0
        print(f"  {what}, ms: p50 {at(.5):.1f}  p95 {at(.95):.1f}  p99 {at(.99):.1f}  largest {at(1):.1f}")
    print(f"  memory of the server, MiB: {sizes[0]} before, {sizes[1]} in the middle, {sizes[2]} after")


asyncio.run(main())
