import "./store.mjs";
import "./files.mjs";
import "./tasks.mjs";
import "./tus.mjs";
