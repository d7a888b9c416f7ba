// The theme, before anything is drawn, and what is said where a part does not come.
"use strict";
addEventListener("error", (e) => {
  const p = document.getElementById("starting");
  if (p && e.target !== window) p.textContent = "The page has changed as it was loaded, or the network is gone. Reload it.";
}, true);
document.documentElement.dataset.theme = localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");
