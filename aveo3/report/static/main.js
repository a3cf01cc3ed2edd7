"use strict";
// Starts the page once all of it is there.
(() => {
  const aveo3 = globalThis.aveo3;

  function start() {
    for (const part of ["theme", "gallery", "storyboard", "summary", "trouble", "callers", "tabs", "charts", "filters", "liveRun"]) aveo3[part].start();
    const view = document.getElementById("view").textContent.trim();
    if (!view) return;
    aveo3.store.set(JSON.parse(view));
    aveo3.store.flush(); // drawn before the page counts as loaded
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
