// Keeps one whole version of the page, so that it works without a network and never
// mixes two. The bundler fills in what belongs to the version: SHA-256 by the names of
// parts.
"use strict";
const version = "VERSION";
const parts = PARTS;

const hex = (b) => [...new Uint8Array(b)].map((x) => x.toString(16).padStart(2, "0")).join("");

// get is a part of this version; a server that has another one by now is an error.
const get = async (name) => {
  const answer = await fetch(new Request(name, { cache: "reload" }));
  const body = await answer.clone().arrayBuffer();
  if (!answer.ok || hex(await crypto.subtle.digest("SHA-256", body)) !== parts[name]) throw new Error(`${name} is not of this version of the page`);
  return answer;
};

self.addEventListener("install", (e) => e.waitUntil((async () => {
  const cache = await caches.open(version);
  try {
    for (const name of Object.keys(parts)) await cache.put(name, await get(name));
  } catch (e) {
    await caches.delete(version);
    throw e; // the browser tries again when the page is opened next
  }
})()));

// A new version takes over when no page of the old one is open.
self.addEventListener("activate", (e) => e.waitUntil((async () => {
  for (const name of await caches.keys()) {
    if (name !== version) await caches.delete(name);
  }
  await self.clients.claim();
})()));

self.addEventListener("fetch", (e) => {
  const url = new URL(e.request.url);
  if (e.request.method !== "GET" || url.origin !== location.origin) return;
  const name = url.pathname.slice(new URL(self.registration.scope).pathname.length) || "./";
  if (!Object.hasOwn(parts, name)) return;
  e.respondWith((async () => (await (await caches.open(version)).match(name)) ?? fetch(e.request))());
});
