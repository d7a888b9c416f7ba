// What the page keeps in this browser: models, and a segmentation that was
// interrupted. Values are what structured cloning takes, blobs among them.
let opened = null;
const open = () => opened ??= new Promise((done, fail) => {
  const r = indexedDB.open("gounet", 1);
  r.onupgradeneeded = () => { for (const n of ["models", "runs"]) r.result.createObjectStore(n); };
  r.onsuccess = () => done(r.result);
  r.onerror = () => fail(r.error);
});
const act = async (name, mode, f) => {
  const db = await open();
  return new Promise((done, fail) => {
    const t = db.transaction(name, mode);
    const r = f(t.objectStore(name));
    t.oncomplete = () => done(r.result ?? null);
    t.onerror = t.onabort = () => fail(t.error ?? r.error);
  });
};

// What one tab works on is not offered in another: a lock lives as long as its tab. A
// browser that has none here, as on a page without https, shows all.
const prefix = "gounet ", held = new Map(); // how to let go of keys of this tab
const hold = (key) => {
  if (!navigator.locks || held.has(key)) return;
  held.set(key, null);
  navigator.locks.request(prefix + key, () => held.has(key) && new Promise((done) => held.set(key, done))).catch(() => {});
};
const letGo = (key) => {
  held.get(key)?.();
  held.delete(key);
};
const elsewhere = async () => {
  const { held: all = [] } = await navigator.locks?.query().catch(() => ({})) ?? {};
  return new Set(all.map((l) => l.name.slice(prefix.length)).filter((key) => !held.has(key)));
};
const ending = 500; // ms: a page that is reloaded has let go by then
const free = async (list) => {
  let others = await elsewhere();
  if (list.some((s) => others.has(s.key))) {
    await new Promise((done) => setTimeout(done, ending));
    others = await elsewhere();
  }
  return list.filter((s) => !others.has(s.key));
};

globalThis.store = {
  hold,
  put(name, key, value) {
    if (name === "runs") hold(key);
    return act(name, "readwrite", (s) => s.put(value, key));
  },
  all: (name) => act(name, "readonly", (s) => s.getAll()).then(free),
  remove(name, key) {
    letGo(key);
    return act(name, "readwrite", (s) => s.delete(key));
  },
  clear: (name) => act(name, "readwrite", (s) => s.clear()),
  estimate: () => navigator.storage?.estimate?.() ?? Promise.resolve({}),
};
