// Starts the program of the worker. The first message says where it is:
//
//   {glue: address of Go's wasm_exec.js, program: address of worker.wasm, integrity: its hash, or none}
//
// Later messages are kept until the program takes them.
"use strict";

self.early = [];
self.onmessage = (start) => {
  self.begun = performance.now();
  self.onmessage = (m) => self.early.push(m);
  importScripts(start.data.glue);
  const go = new Go();
  WebAssembly.instantiateStreaming(fetch(start.data.program, { integrity: start.data.integrity ?? "" }), go.importObject)
    .then(({ instance }) => go.run(instance))
    .then(() => { throw new Error("the program of the worker has ended"); })
    .catch((e) => setTimeout(() => { throw e; })); // the page's onerror hears of it
};
