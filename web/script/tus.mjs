// Uploads by tus 1.0.0: a piece at a time, and after an interruption from where the
// server has got to.
const version = { "Tus-Resumable": "1.0.0" };
const pieceBytes = 4 << 20, mostWait = 30000;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const text = (s) => btoa(String.fromCharCode(...new TextEncoder().encode(s)));

const refused = async (r) => {
  const p = await r.json().catch(() => ({}));
  return Object.assign(new Error(p.detail ?? `the server says ${r.status}`), { refused: r.status < 500 });
};
const ask = async (url, how, stop) => {
  const r = await fetch(url, { ...how, headers: { ...version, ...how.headers }, signal: stop });
  if (!r.ok) throw await refused(r);
  return r;
};

// upload is the id of the upload. told gets the bytes that have arrived, and whether
// the server is waited for.
const upload = async (at, name, file, told, stop) => {
  let location = null, arrived = 0, tries = 0;
  for (;;) {
    try {
      if (!location) {
        const r = await ask(at, { method: "POST", headers: { "Upload-Length": file.size, "Upload-Metadata": "filename " + text(name) } }, stop);
        location = new URL(r.headers.get("Location"), r.url).href;
      } else if (tries > 0) {
        arrived = Number((await ask(location, { method: "HEAD" }, stop)).headers.get("Upload-Offset"));
      }
      while (arrived < file.size) {
        const r = await ask(location, {
          method: "PATCH", headers: { "Content-Type": "application/offset+octet-stream", "Upload-Offset": arrived }, body: file.slice(arrived, arrived + pieceBytes),
        }, stop);
        arrived = Number(r.headers.get("Upload-Offset"));
        tries = 0;
        told(arrived, false);
      }
      return location.split("/").pop();
    } catch (e) {
      if (stop.aborted && location) fetch(location, { method: "DELETE", headers: version }).catch(() => {}); // else it expires there
      if (stop.aborted || e.refused) throw e;
      told(arrived, true);
      await wait(Math.min(500 * 2 ** tries++, mostWait));
    }
  }
};

globalThis.tus = {
  upload(at, name, file, told) {
    const c = new AbortController();
    return { done: upload(at, name, file, told, c.signal), stop: () => c.abort() };
  },
};
