import "./store.mjs";
import "./files.mjs";
import "./tasks.mjs";
import "./server.mjs";
import "./tus.mjs";
