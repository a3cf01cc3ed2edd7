"use strict";
// Light, dark, or what the system says. The choice is kept in this browser.
(() => {
  const aveo3 = globalThis.aveo3;
  const { el, icon } = aveo3;
  const NAMES = ["auto", "light", "dark"];
  const KEY = "aveo3-theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const listeners = [];

  function kept() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage is switched off
    }
  }

  function choose(name) {
    root.dataset.theme = name;
    try {
      localStorage.setItem(KEY, name);
    } catch {
      // it lasts as long as the page
    }
    listeners.forEach((call) => call());
  }

  const isDark = () => (root.dataset.theme === "auto" ? system.matches : root.dataset.theme === "dark");

  function start() {
    root.dataset.theme = NAMES.includes(kept()) ? kept() : "auto";
    const word = el("span", {});
    const button = el("button", { type: "button", class: "quiet" }, icon("theme"), word);
    const show = () => {
      word.textContent = `Theme: ${root.dataset.theme}`;
    };
    button.addEventListener("click", () => {
      choose(NAMES[(NAMES.indexOf(root.dataset.theme) + 1) % NAMES.length]);
      show();
    });
    show();
    document.getElementById("tools").append(button);
    system.addEventListener("change", () => listeners.forEach((call) => call()));
  }

  aveo3.theme = { isDark, on: (call) => listeners.push(call), start };
})();
