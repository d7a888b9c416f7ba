// What is asked of the server. The key that it may want is kept for this tab, and goes
// with each request there.
const slot = "key";

const ask = (path, how = {}) => {
  const key = sessionStorage.getItem(slot);
  return fetch(path, key ? { ...how, headers: { ...how.headers, Authorization: "Bearer " + key } } : how);
};

// hear tells of the events of a stream, an empty line behind each, until it ends.
const hear = async (body, kinds, event, stop) => {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { done, value } = await reader.read();
    if (done || stop.aborted) return;
    const parts = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const fields = part.split("\n").map((line) => /^(\w+): ?(.*)$/.exec(line) ?? []);
      const kind = fields.find((f) => f[1] === "event")?.[2];
      if (kinds.includes(kind)) event(kind, fields.filter((f) => f[1] === "data").map((f) => f[2]).join("\n"));
    }
  }
};

globalThis.server = {
  fetch: ask,
  key(k) {
    if (k) sessionStorage.setItem(slot, k);
    else sessionStorage.removeItem(slot);
  },
  // watch tells of the events of some kinds, and of the end of their stream.
  watch(path, kinds, event, ended) {
    const c = new AbortController();
    ask(path, { headers: { Accept: "text/event-stream" }, signal: c.signal })
      .then((r) => r.ok && hear(r.body, kinds, event, c.signal))
      .catch(() => {})
      .then(() => c.signal.aborted || ended());
    return () => c.abort();
  },
};
