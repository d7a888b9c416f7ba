// Keeps one whole version of the page, so that it works without a network and never
// mixes two. The bundler fills in what belongs to the version.
"use strict";
const version = "VERSION";
const parts = PARTS;

self.addEventListener("install", (e) => e.waitUntil((async () => {
  const cache = await caches.open(version);
  await cache.addAll(parts.map((p) => new Request(p, { cache: "reload" })));
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
  if (!parts.includes(name)) return;
  e.respondWith((async () => (await (await caches.open(version)).match(name)) ?? fetch(e.request))());
});
