// Runs a Go program for js/wasm in node as wasm_exec_node.js does, with navigator.gpu.
(async () => {
  const { create, globals } = await import(process.env.GOUNET_DAWN);
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: create([]) }, configurable: true });
  require(`${process.env.GOUNET_GOROOT}/lib/wasm/wasm_exec_node.js`);
})();
