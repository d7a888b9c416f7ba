// Starts the program of the page, and the service worker that keeps it for later.
"use strict";
(async () => {
  // vugu evaluates its helper, which vugu.js has: nothing here may evaluate text.
  const helper = globalThis.vuguRender;
  if (!helper) throw new Error("vugu.js is missing");
  globalThis.eval = () => {};
  globalThis.pinned = JSON.parse(document.querySelector("meta[name=pinned]").content);
  const go = new Go();
  const { instance } = await WebAssembly.instantiateStreaming(fetch("app.wasm", { integrity: pinned["app.wasm"] }), go.importObject);
  performance.mark("started");
  globalThis.program = instance;
  go.run(instance).then(() => { throw new Error("the program of the page has ended"); });
  if ("serviceWorker" in navigator && isSecureContext) {
    navigator.serviceWorker.register("service.js").catch(() => {}); // without it the page needs the network
  }
})().catch((e) => {
  const p = document.getElementById("starting") ?? document.body;
  p.textContent = "The page could not be started: " + e.message + ". Reload it, or use a current Chrome, Edge, Firefox or Safari.";
});
