// Uploads by tus 1.0.0: a piece at a time, and after an interruption from where the
// server has got to.
const version = { "Tus-Resumable": "1.0.0" };
const mostWait = 30000, longestWait = 300000; // ms: if the server does not say, if it does
const wait = (ms, stop) => new Promise((done) => {
  setTimeout(done, ms);
  stop.addEventListener("abort", done, { once: true });
});
// pieceOf is the size of a piece: a small file has several, so that it can be seen to move.
const pieceOf = (size) => Math.min(4 << 20, Math.max(1 << 20, Math.ceil(size / 4)));
const text = (s) => btoa(String.fromCharCode(...new TextEncoder().encode(s)));

// What passes is tried again: another request that is not over yet, a fault on the way,
// and what the server says to try again after.
const passing = [409, 423, 500, 502, 503, 504], gone = [404, 410];
const refused = async (r) => {
  const p = await r.json().catch(() => ({})), after = 1000 * Number(r.headers.get("Retry-After")) || 0;
  const why = p.detail ?? `the server says ${r.status}`;
  return Object.assign(new Error(why), { why, after, refused: !after && !passing.includes(r.status), gone: gone.includes(r.status) });
};
const ask = async (url, how, stop) => {
  const r = await globalThis.server.fetch(url, { ...how, headers: { ...version, ...how.headers }, signal: stop });
  if (!r.ok) throw await refused(r);
  return r;
};

// offset is where an upload goes on; −1: the server does not have it any more, or it is
// one of another file.
const offset = async (location, file, stop) => {
  const h = await ask(location, { method: "HEAD" }, stop).then((r) => r.headers, (e) => { if (e.gone) return null; throw e; });
  return h && Number(h.get("Upload-Length")) === file.size ? Number(h.get("Upload-Offset")) : -1;
};
const idOf = (location) => location?.split("/").pop() ?? "";

// upload is the id of the upload, which goes on in the one with the id begun, if there
// is one. told gets its id, the bytes that have arrived, −1 while nobody knows, whether
// the server is waited for, and what it has said if it did answer. What has arrived stays
// there if a stop keeps it.
const upload = async (at, name, file, begun, told, stop, keeps) => {
  let location = begun && new URL(at + "/" + begun, globalThis.location.href).href, known = !begun, arrived = 0, tries = 0;
  for (;;) {
    try {
      if (location && (tries > 0 || !known)) {
        arrived = await offset(location, file, stop);
        if (arrived < 0) [location, arrived] = ["", 0];
        known = true;
      }
      if (!location) {
        const r = await ask(at, { method: "POST", headers: { "Upload-Length": file.size, "Upload-Metadata": "filename " + text(name) } }, stop);
        location = new URL(r.headers.get("Location"), r.url).href;
      }
      told(idOf(location), arrived, false, "");
      while (arrived < file.size) {
        const r = await ask(location, {
          method: "PATCH", headers: { "Content-Type": "application/offset+octet-stream", "Upload-Offset": arrived }, body: file.slice(arrived, arrived + pieceOf(file.size)),
        }, stop);
        arrived = Number(r.headers.get("Upload-Offset"));
        tries = 0;
        told(idOf(location), arrived, false, "");
      }
      return idOf(location);
    } catch (e) {
      if (stop.aborted && location && !keeps()) globalThis.server.fetch(location, { method: "DELETE", headers: version }).catch(() => {}); // else it expires there
      if (stop.aborted || e.refused) throw e;
      told(idOf(location), known ? arrived : -1, true, e.why ?? "");
      await wait(e.after ? Math.min(e.after, longestWait) : Math.min(500 * 2 ** tries, mostWait), stop);
      tries++;
    }
  }
};

globalThis.tus = {
  upload(at, name, file, begun, told) {
    const c = new AbortController();
    let kept = false;
    return { done: upload(at, name, file, begun, told, c.signal, () => kept), stop: (keep) => { kept = keep; c.abort(); } };
  },
};
