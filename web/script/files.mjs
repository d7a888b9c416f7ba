// Files that are chosen or dropped, with the folders they lie in.
const mostFiles = 65536;

const chosen = (accept, folder, many) => new Promise((done) => {
  const i = document.createElement("input");
  i.type = "file";
  i.multiple = many;
  i.accept = accept;
  i.webkitdirectory = folder;
  i.hidden = true;
  i.id = "chooser";
  document.getElementById("chooser")?.remove();
  document.body.append(i);
  i.addEventListener("change", () => done([...i.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }))));
  i.addEventListener("cancel", () => done([]));
  i.click();
});

// walk adds the files of an entry to out, and the names of what cannot be read to unread.
const walk = async (entry, out, unread) => {
  if (out.length > mostFiles) return; // they are refused
  try {
    await read(entry, out, unread);
  } catch {
    unread.push(entry.name);
  }
};
const read = async (entry, out, unread) => {
  if (entry.isFile) {
    const file = await new Promise((done, fail) => entry.file(done, fail));
    out.push({ file, path: entry.fullPath.replace(/^\/+/, "") });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const part = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (part.length === 0) return;
    for (const e of part) await walk(e, out, unread);
  }
};

globalThis.files = {
  choose: chosen,
  // drops tells of what is dragged over the page and let go there.
  drops(listener) {
    let depth = 0;
    const has = (e) => e.dataTransfer?.types.includes("Files");
    addEventListener("dragenter", (e) => { if (has(e)) { e.preventDefault(); depth++; listener("over", e.dataTransfer.items.length); } });
    addEventListener("dragover", (e) => { if (has(e)) e.preventDefault(); });
    addEventListener("dragleave", (e) => { if (has(e) && --depth === 0) listener("leave"); });
    addEventListener("drop", async (e) => {
      if (!has(e)) return;
      e.preventDefault();
      depth = 0;
      listener("leave"); // a folder may take long
      const entries = [...e.dataTransfer.items].map((i) => i.webkitGetAsEntry?.()).filter(Boolean);
      const out = [], unread = [];
      if (entries.length === 0) {
        for (const file of e.dataTransfer.files) out.push({ file, path: file.name });
      }
      for (const entry of entries) await walk(entry, out, unread);
      listener("drop", out, unread);
    });
  },
  save(name, blob) {
    const a = document.createElement("a");
    a.href = URL.createObjectURL(blob);
    a.download = name;
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 60000);
  },
};
