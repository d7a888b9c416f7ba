#!/usr/bin/env python3
"""Runs gounet's WebAssembly kernels and onnxruntime-web's by turns in one Chromium.

    bench/peers/wasm.py [--threads 1,2] [--nets small,unet64] [--rounds 3] [--runs 3] [--isa wasm]

Both predict one tile of the same networks with the same weights: the small golden
model's, and a U-Net of 32, 64 and 128 channels at 64x64x64. A row of the result is the
fastest run of all rounds on both sides, and the processor time of a run, of all
threads of the browser, in the round where it was least: other load on the machine
disturbs it less. The sums of the logits must be the same to 1e-3 of their size, or the
script ends with an error.

Needs Chromium (CHROMIUM names it), Go and Python's onnx (pip install onnx==1.23.2
numpy). onnxruntime-web goes to .tools/peers by npm, unless ORT names its folder dist.
"""
import argparse
import functools
import http.server
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
NETS = {"small": ((40, 56, 40), (8, 16, 32, 64), 3), "unet64": ((64, 64, 64), (32, 64, 128), 4)}
CLOSE = 1e-3
VERSION = "1.30.0"  # of onnxruntime-web


def hashed(seed, n):
    """The first n numbers in [-1, 1) of a seed; backend_cpu/wasm_bench_js_test.go has the same function."""
    with np.errstate(over="ignore"):
        h = np.arange(n, dtype=np.uint32) * np.uint32(2654435761) ^ np.uint32(seed * 0x9E3779B9 & 0xFFFFFFFF)
        h = (h ^ h >> np.uint32(16)) * np.uint32(0x85EBCA6B)
        h = (h ^ h >> np.uint32(13)) * np.uint32(0xC2B2AE35)
        h ^= h >> np.uint32(16)
    return (h >> np.uint32(8)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)


class Model:
    """nnU-Net's plain U-Net as ONNX. Parameters are numbered in the order in which gounet declares them."""

    def __init__(self, patch, features, classes):
        import onnx.helper
        self.onnx, self.nodes, self.weights, self.count = onnx, [], [], 0
        x, ci, skips = "x", 1, []
        for i, co in enumerate(features):
            x = self.block(x, ci, co, 1 if i == 0 else 2)
            x = self.block(x, co, co, 1)
            skips.append(x)
            ci = co
        for co, skip in zip(reversed(features[:-1]), reversed(skips[:-1])):
            w, b = self.weight((ci, co, 2, 2, 2), (6 / ci) ** 0.5), self.vector(co)
            up = self.node("ConvTranspose", [x, w, b], kernel_shape=[2] * 3, strides=[2] * 3)
            x = self.block(self.node("Concat", [up, skip], axis=1), 2 * co, co, 1)
            x = self.block(x, co, co, 1)
            ci = co
        w, b = self.weight((classes, ci, 1, 1, 1), (6 / ci) ** 0.5), self.vector(classes)
        y = self.node("Conv", [x, w, b], kernel_shape=[1] * 3)
        value = functools.partial(onnx.helper.make_tensor_value_info, elem_type=onnx.TensorProto.FLOAT)
        graph = onnx.helper.make_graph(self.nodes, "unet", [value("x", shape=(1, 1) + patch)],
                                       [value(y, shape=(1, classes) + patch)], self.weights)
        self.bytes = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8).SerializeToString()

    def node(self, op, inputs, **attributes):
        out = f"v{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [out], **attributes))
        return out

    def weight(self, shape, scale):
        name = f"w{self.count}"
        values = (np.float32(scale) * hashed(self.count, int(np.prod(shape)))).reshape(shape)
        self.weights.append(self.onnx.numpy_helper.from_array(values, name))
        self.count += 1
        return name

    def vector(self, n, one=0):
        name = f"w{self.count}"
        self.weights.append(self.onnx.numpy_helper.from_array(np.float32(0.1) * hashed(self.count, n) + np.float32(one), name))
        self.count += 1
        return name

    def block(self, x, ci, co, stride):
        w, b = self.weight((co, ci, 3, 3, 3), (6 / (27 * ci)) ** 0.5), self.vector(co)
        x = self.node("Conv", [x, w, b], kernel_shape=[3] * 3, pads=[1] * 6, strides=[stride] * 3)
        gamma, beta = self.vector(co, 1), self.vector(co)
        return self.node("LeakyRelu", [self.node("InstanceNormalization", [x, gamma, beta], epsilon=1e-5)], alpha=0.01)


class Browser:
    """A headless Chromium with a page, and the processor time of all its processes."""

    def __init__(self, url, folder):
        path = os.environ.get("CHROMIUM", "chromium")
        self.process = subprocess.Popen(
            [path, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
             "--disable-background-timer-throttling", "--disable-renderer-backgrounding", f"--user-data-dir={folder}", url],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def milliseconds(self):
        ticks = 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid:
                ticks += int(fields[11]) + int(fields[12])
        return 1000 * ticks / os.sysconf("SC_CLK_TCK")

    def close(self):
        self.process.terminate()
        self.process.wait()


def serve(files, messages, browser):
    """Files by their path, /cpu, and what the page reports; isolated, so that memory can be shared."""
    types = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, body, kind="application/octet-stream", status=200):
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"),
                                ("Cross-Origin-Opener-Policy", "same-origin"), ("Cross-Origin-Embedder-Policy", "require-corp"),
                                ("Cross-Origin-Resource-Policy", "same-origin")):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            path = self.path.split("?")[0]
            path = "/index.html" if path == "/" else path
            if path == "/cpu":
                self.answer(str(browser[0].milliseconds()).encode(), "text/plain")
                return
            body = files.get(path)
            if body is None and path.startswith("/ort/"):
                name = os.path.join(files["ort"], os.path.basename(path))
                body = open(name, "rb").read() if os.path.exists(name) else None
            if body is None:
                self.answer(b"", status=404)
                return
            self.answer(body, types.get(os.path.splitext(path)[1], "application/octet-stream"))

        def do_POST(self):
            messages.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.answer(b"")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def peer():
    """The folder dist of onnxruntime-web, where ort_webgpu/run.sh has it too."""
    prefix = os.path.join(ROOT, ".tools", "peers", "ort_webgpu")
    dist = os.environ.get("ORT", os.path.join(prefix, "node_modules", "onnxruntime-web", "dist"))
    if "ORT" not in os.environ and not os.path.exists(dist):
        os.makedirs(prefix, exist_ok=True)
        subprocess.run(["npm", "install", "--prefix", prefix, "--ignore-scripts", "--no-audit", "--no-fund", "--silent",
                        "onnxruntime-web@" + VERSION], check=True)
    if not os.path.exists(os.path.join(dist, "ort.wasm.min.mjs")):
        sys.exit(f"wasm: no ort.wasm.min.mjs in {dist}: ORT names the folder dist of onnxruntime-web's npm package")
    return dist


def prepare(nets, ort, folder):
    """What the page loads."""
    files = {f"/{name}": read(HERE, "wasm", name) for name in os.listdir(os.path.join(HERE, "wasm"))}
    files["ort"] = ort
    for name in nets:
        files[f"/{name}.onnx"] = Model(*NETS[name]).bytes
    patches = {name: NETS[name][0] for name in nets}
    files["/nets.json"] = json.dumps(patches).encode()
    goroot = subprocess.run(["go", "env", "GOROOT"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    files["/wasm_exec.js"] = read(goroot, "lib", "wasm", "wasm_exec.js")
    binary = os.path.join(folder, "bench.wasm")
    env = dict(os.environ, GOOS="js", GOARCH="wasm")
    subprocess.run(["go", "test", "-c", "-o", binary, "./backend_cpu"], check=True, cwd=ROOT, env=env, stdout=sys.stderr)
    files["/bench.wasm"] = read(binary)
    return files


def parse(text):
    """A row of Go's benchmark."""
    values = {unit: float(v) for v, unit in re.findall(r"([-+.\de]+) (best-ms|cpu-ms|sum|abs)\b", text)}
    if len(values) != 4:
        sys.exit(f"wasm: no result in what the benchmark printed:\n{text}")
    return {"ms": values["best-ms"], "cpu": values["cpu-ms"], "sum": values["sum"], "abs": values["abs"]}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--threads", default="1,2")
    p.add_argument("--nets", default="small,unet64")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--runs", type=int, default=3, help="of a round; ten times as many of the small network")
    p.add_argument("--isa", default="", help="of gounet: wasm-fma, or wasm for browsers without relaxed SIMD; the fastest if not given")
    a = p.parse_args()
    nets, threads = a.nets.split(","), [int(t) for t in a.threads.split(",")]
    for net in nets:
        if net not in NETS:
            sys.exit(f"wasm: network {net}: wanted one of {', '.join(NETS)}")
    messages, browser = queue.Queue(), []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        files = prepare(nets, peer(), folder)
        server = serve(files, messages, browser)
        query = f"threads={a.threads}&nets={a.nets}&rounds={a.rounds}&runs={a.runs}&isa={a.isa}"
        browser.append(Browser(f"http://127.0.0.1:{server.server_port}/?{query}", os.path.join(folder, "profile")))
        try:
            best = collect(messages)
        finally:
            browser[0].close()
    print(f"{'network':8} {'threads':>7} {'gounet ms':>10} {'ort ms':>10} {'faster':>7} {'gounet cpu':>11} {'ort cpu':>9} {'less':>7}")
    for net in nets:
        for t in threads:
            g, o = best["gounet", net, t], best["ort", net, t]
            for field in ("sum", "abs"):
                if abs(g[field] - o[field]) > CLOSE * o["abs"]:
                    sys.exit(f"wasm: {net}: {field} of the logits is {g[field]} in gounet and {o[field]} in onnxruntime-web")
            print(f"{net:8} {t:7} {g['ms']:10.1f} {o['ms']:10.1f} {o['ms'] / g['ms']:6.2f}x {g['cpu']:11.1f} {o['cpu']:9.1f} {o['cpu'] / g['cpu']:6.2f}x")


def collect(messages):
    """The best of all rounds, by engine, network and threads."""
    best = {}
    while True:
        m = json.loads(messages.get(timeout=600))
        if "error" in m:
            sys.exit(f"wasm: {m['error']}")
        if "end" in m:
            return best
        row = parse(m["text"]) if m["engine"] == "gounet" else m
        print(m["engine"], m["net"], m["threads"], "threads:", f"{row['ms']:.1f} ms, {row['cpu']:.1f} ms of processor time,",
              f"sum {row['sum']:.2f}, abs {row['abs']:.2f}", file=sys.stderr, flush=True)
        key = m["engine"], m["net"], m["threads"]
        old = best.setdefault(key, row)
        for field in ("ms", "cpu"):
            old[field] = min(old[field], row[field])


if __name__ == "__main__":
    main()
