// The benchmark of backend_cpu, a program for go test, on one network.
"use strict";
importScripts("wasm_exec.js");
const now = () => {
  const r = new XMLHttpRequest();
  r.open("GET", "/cpu", false);
  r.send();
  return +r.responseText;
};
globalThis.gounetProcessorTime = now;
onmessage = async ({ data: { net, threads, runs, isa } }) => {
  try {
    let text = "";
    const decoder = new TextDecoder();
    globalThis.fs.writeSync = (fd, bytes) => {
      text += decoder.decode(bytes);
      return bytes.length;
    };
    globalThis.fs.write = (fd, bytes, offset, length, position, callback) => {
      text += decoder.decode(bytes.subarray(offset, offset + length));
      callback(null, length);
    };
    const go = new Go();
    go.argv = ["bench", "-test.run=^$", `-test.bench=^BenchmarkNetworks$/^${net}$`, `-test.benchtime=${runs}x`];
    go.env = { GOUNET_THREADS: String(threads), GOUNET_ISA: isa };
    const { instance } = await WebAssembly.instantiateStreaming(fetch("bench.wasm"), go.importObject);
    await go.run(instance);
    postMessage({ text });
  } catch (e) {
    postMessage({ error: String((e && e.stack) || e) });
  }
};
