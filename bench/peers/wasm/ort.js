// onnxruntime-web's wasm provider on one network.
import * as ort from "/ort/ort.wasm.min.mjs";

// hashed is the number of a seed and an index that wasm.py and the Go benchmark have.
const hashed = (seed, i) => {
  let h = (Math.imul(i, 2654435761) ^ Math.imul(seed, 0x9E3779B9)) >>> 0;
  h = Math.imul(h ^ h >>> 16, 0x85EBCA6B);
  h = Math.imul(h ^ h >>> 13, 0xC2B2AE35);
  h = (h ^ h >>> 16) >>> 0;
  return (h >>> 8) / (1 << 23) - 1;
};
const cpu = async () => +await (await fetch("/cpu")).text();

onmessage = async ({ data: { net, threads, runs } }) => {
  try {
    ort.env.wasm.wasmPaths = "/ort/";
    ort.env.wasm.numThreads = threads;
    const patch = (await (await fetch("nets.json")).json())[net];
    const model = new Uint8Array(await (await fetch(`${net}.onnx`)).arrayBuffer());
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
    const x = Float32Array.from({ length: patch[0] * patch[1] * patch[2] }, (_, i) => hashed(1000, i));
    const run = async () => Object.values(await session.run({ x: new ort.Tensor("float32", x, [1, 1, ...patch]) }))[0];
    let y = await run(), best = Infinity;
    let used = await cpu();
    for (let i = 0; i < runs; i++) {
      const start = performance.now();
      y = await run();
      best = Math.min(best, performance.now() - start);
    }
    used = await cpu() - used;
    let sum = 0, abs = 0;
    for (const v of y.data) {
      sum += v;
      abs += Math.abs(v);
    }
    postMessage({ ms: best, cpu: used / runs, sum, abs });
  } catch (e) {
    postMessage({ error: String((e && e.stack) || e) });
  }
};
