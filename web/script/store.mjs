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

globalThis.store = {
  put: (name, key, value) => act(name, "readwrite", (s) => s.put(value, key)),
  get: (name, key) => act(name, "readonly", (s) => s.get(key)),
  all: (name) => act(name, "readonly", (s) => s.getAll()),
  remove: (name, key) => act(name, "readwrite", (s) => s.delete(key)),
  clear: (name) => act(name, "readwrite", (s) => s.clear()),
  estimate: () => navigator.storage?.estimate?.() ?? Promise.resolve({}),
};
