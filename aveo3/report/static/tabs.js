"use strict";
// Clips or charts: two tabs, as the ARIA practices have them. Which one is open stands in the address.
(() => {
  const aveo3 = globalThis.aveo3;
  const { filters } = aveo3;
  const NAMES = ["clips", "charts"];
  const listeners = [];
  let open = null;

  function show(name) {
    if (name === open) return;
    open = name;
    for (const each of NAMES) {
      const tab = document.getElementById(`tab-${each}`);
      tab.setAttribute("aria-selected", String(each === name));
      tab.tabIndex = each === name ? 0 : -1;
      document.getElementById(`panel-${each}`).hidden = each !== name;
    }
    for (const call of listeners) call(name);
  }

  function start() {
    for (const name of NAMES) {
      const tab = document.getElementById(`tab-${name}`);
      tab.addEventListener("click", () => filters.change({ tab: name }));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const next = NAMES[(NAMES.indexOf(name) + step + NAMES.length) % NAMES.length];
        filters.change({ tab: next });
        document.getElementById(`tab-${next}`).focus();
      });
    }
    document.querySelector(".skip").addEventListener("click", (event) => {
      event.preventDefault(); // the address holds the filters
      document.querySelector(`#panel-${open} h2`).focus();
    });
    filters.on((_, state) => show(state.tab));
  }

  aveo3.tabs = { on: (call) => listeners.push(call), start };
})();
