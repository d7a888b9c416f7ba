// What the page measures of itself: bytes that were sent, and long tasks of the main
// thread.
let longest = 0;
try {
  new PerformanceObserver((list) => {
    for (const e of list.getEntries()) longest = Math.max(longest, e.duration);
  }).observe({ type: "longtask", buffered: true });
} catch { /* a browser that does not know them */ }

let sent = 0;
const sizeOf = (b) => (b == null ? 0 : typeof b === "string" ? b.length : b.size ?? b.byteLength ?? 0);
const plain = globalThis.fetch;
globalThis.fetch = (what, how) => {
  sent += sizeOf(how?.body);
  return plain(what, how);
};
const send = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function (body) {
  sent += sizeOf(body);
  return send.call(this, body);
};

globalThis.tasks = {
  longest: () => longest,
  forget: () => { longest = 0; },
  sent: () => sent,
  heap: () => globalThis.program.exports.mem.buffer.byteLength, // start.js has put it there
};

const kept = ["maxBufferSize", "maxStorageBufferBindingSize", "maxComputeWorkgroupStorageSize", "maxComputeInvocationsPerWorkgroup"];
const count = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u2009"); // thin spaces at the thousands
const bytes = (n) => (n >= 1 << 20 ? count(Math.floor(n / (1 << 20))) + " MiB" : count(n / 1024) + " KiB");
globalThis.tasks.gpu = async () => {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter) return JSON.stringify({ Info: [["WebGPU", navigator.gpu ? "no adapter" : "not in this browser"]], Limits: [] });
  const i = adapter.info ?? {};
  const yes = (name) => (adapter.features.has(name) ? "yes" : "no");
  return JSON.stringify({
    Info: [["Adapter", [i.vendor, i.description || i.device].filter(Boolean).join(" ") || "not named"], ["Architecture", i.architecture || "not named"],
      ["16-bit (shader-f16)", yes("shader-f16")], ["Subgroups", yes("subgroups")], ["Timestamps", yes("timestamp-query")]],
    Limits: kept.map((k) => [k, k.endsWith("Size") ? bytes(adapter.limits[k]) : count(adapter.limits[k])]),
  });
};
