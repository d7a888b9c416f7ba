// Uploads by tus 1.0.0: a piece at a time, and after an interruption from where the
// server has got to.
const version = { "Tus-Resumable": "1.0.0" };
const pieceBytes = 4 << 20, mostWait = 30000;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const text = (s) => btoa(String.fromCharCode(...new TextEncoder().encode(s)));

// Not refused is what another request that is not over yet is in the way of.
const busy = [409, 423], gone = [404, 410];
const refused = async (r) => {
  const p = await r.json().catch(() => ({}));
  return Object.assign(new Error(p.detail ?? `the server says ${r.status}`), { refused: r.status < 500 && !busy.includes(r.status), gone: gone.includes(r.status) });
};
const ask = async (url, how, stop) => {
  const r = await fetch(url, { ...how, headers: { ...version, ...how.headers }, signal: stop });
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
// is one. told gets its id, the bytes that have arrived, and whether the server is
// waited for; −1 while nobody knows what has arrived. That stays there if a stop keeps it.
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
      told(idOf(location), arrived, false);
      while (arrived < file.size) {
        const r = await ask(location, {
          method: "PATCH", headers: { "Content-Type": "application/offset+octet-stream", "Upload-Offset": arrived }, body: file.slice(arrived, arrived + pieceBytes),
        }, stop);
        arrived = Number(r.headers.get("Upload-Offset"));
        tries = 0;
        told(idOf(location), arrived, false);
      }
      return idOf(location);
    } catch (e) {
      if (stop.aborted && location && !keeps()) fetch(location, { method: "DELETE", headers: version }).catch(() => {}); // else it expires there
      if (stop.aborted || e.refused) throw e;
      told(idOf(location), known ? arrived : -1, true);
      await wait(Math.min(500 * 2 ** tries++, mostWait));
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
