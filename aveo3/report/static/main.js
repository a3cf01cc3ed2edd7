"use strict";
// Starts the page once all of it is there.
(() => {
  const aveo3 = globalThis.aveo3;

  function start() {
    for (const part of ["theme", "gallery", "summary", "trouble", "tabs", "charts", "filters", "liveRun"]) aveo3[part].start();
    const view = document.getElementById("view").textContent.trim();
    if (view) aveo3.store.set(JSON.parse(view));
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
