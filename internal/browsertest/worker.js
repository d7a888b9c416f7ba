// Runs the program: what it writes to standard output and its exit code go to the
// server by POST, the files that it reads come from there. Requests are synchronous,
// which workers may do: the order of the output is that of the writes.
"use strict";

const request = (method, what, query = {}, body = null, type = "") => {
  const r = new XMLHttpRequest();
  r.open(method, what + "?" + new URLSearchParams(query), false);
  r.responseType = type;
  r.send(body);
  return r.status === 200 ? r.response : null;
};
const json = (what, query) => JSON.parse(request("GET", what, query));

// Standard output: sent when much has gathered or some time has gone by.
let pending = [], gathered = 0, sent = performance.now();
const flush = () => {
  if (gathered > 0) {
    request("POST", "output", {}, new Blob(pending));
    pending = [];
    gathered = 0;
  }
  sent = performance.now();
};
const print = (bytes) => {
  pending.push(bytes.slice());
  gathered += bytes.length;
  if (gathered > 16384 || performance.now() - sent > 100) {
    flush();
  }
};
const finish = (code) => {
  flush();
  request("POST", "exit", { code });
};
const fail = (e) => {
  print(new TextEncoder().encode("browsertest: " + ((e && e.stack) || e) + "\n"));
  finish(2);
};
self.addEventListener("error", (e) => fail(e.error || e.message));
self.addEventListener("unhandledrejection", (e) => fail(e.reason));

const program = json("start");

// A file system to read from. Go's syscall package calls the functions of node's fs.
const coded = (code) => Object.assign(new Error(code), { code });
const resolve = (...parts) => {
  const path = parts.reduce((a, b) => (b.startsWith("/") ? b : a + "/" + b), program.dir);
  const names = [];
  for (const n of path.split("/")) {
    if (n === "..") {
      names.pop();
    } else if (n !== "" && n !== ".") {
      names.push(n);
    }
  }
  return "/" + names.join("/");
};
const answered = (callback, f) => {
  let result;
  try {
    result = f();
  } catch (e) {
    callback(e.code ? e : coded("EIO"));
    return;
  }
  callback(null, result);
};
const stat = (path) => {
  const s = json("stat", { path: resolve(path) });
  if (s === null) {
    throw coded("ENOENT");
  }
  return {
    dev: 0, ino: 0, mode: s.dir ? 0o040555 : 0o100444, nlink: 1, uid: 0, gid: 0, rdev: 0, size: s.size,
    blksize: 4096, blocks: Math.ceil(s.size / 512), atimeMs: s.time, mtimeMs: s.time, ctimeMs: s.time,
    isDirectory: () => s.dir,
  };
};
const open = new Map(); // by descriptor
let next = 3;
const file = (fd) => {
  const f = open.get(fd);
  if (!f) {
    throw coded("EBADF");
  }
  return f;
};
const readOnly = (...args) => args.at(-1)(coded("EROFS"));
const fs = {
  constants: { O_WRONLY: 1, O_RDWR: 2, O_CREAT: 64, O_TRUNC: 512, O_APPEND: 1024, O_EXCL: 128, O_DIRECTORY: 65536 },
  writeSync(fd, bytes) {
    print(bytes);
    return bytes.length;
  },
  write(fd, bytes, offset, length, position, callback) {
    if (fd !== 1 && fd !== 2) {
      callback(coded("EBADF"));
      return;
    }
    print(bytes.subarray(offset, offset + length));
    callback(null, length);
  },
  open(path, flags, mode, callback) {
    answered(callback, () => {
      if (flags & (1 | 2 | 64)) {
        throw coded("EROFS");
      }
      open.set(next, { path, info: stat(path), bytes: null, at: 0 });
      return next++;
    });
  },
  close(fd, callback) { answered(callback, () => open.delete(fd)); },
  fstat(fd, callback) { answered(callback, () => file(fd).info); },
  stat(path, callback) { answered(callback, () => stat(path)); },
  lstat(path, callback) { answered(callback, () => stat(path)); },
  read(fd, buffer, offset, length, position, callback) {
    answered(callback, () => {
      const f = file(fd);
      f.bytes ??= new Uint8Array(request("GET", "read", { path: resolve(f.path) }, null, "arraybuffer"));
      const from = position ?? f.at;
      const part = f.bytes.subarray(from, from + length);
      buffer.set(part, offset);
      f.at = position === null ? from + part.length : f.at;
      return part.length;
    });
  },
  readdir(path, callback) { answered(callback, () => json("list", { path: resolve(path) })); },
  readlink(path, callback) { callback(coded("EINVAL")); },
  fsync(fd, callback) { callback(null); },
};
for (const name of ["chmod", "chown", "fchmod", "fchown", "ftruncate", "lchown", "link", "mkdir", "rename", "rmdir", "symlink", "truncate", "unlink", "utimes"]) {
  fs[name] = readOnly;
}
globalThis.fs = fs;
globalThis.path = { resolve };
globalThis.process = {
  pid: -1, ppid: -1, getuid: () => -1, getgid: () => -1, geteuid: () => -1, getegid: () => -1,
  getgroups() { throw coded("ENOSYS"); },
  umask() { throw coded("ENOSYS"); },
  cwd: () => program.dir,
  chdir(path) { program.dir = resolve(path); },
};

importScripts("wasm_exec.js");

(async () => {
  const go = new Go();
  go.argv = program.argv;
  go.env = program.env;
  let code = 0;
  go.exit = (c) => { code = c; };
  const { instance } = await WebAssembly.instantiateStreaming(fetch("program.wasm"), go.importObject);
  await go.run(instance);
  finish(code);
})().catch(fail);
