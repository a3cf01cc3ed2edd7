"use strict";
// Builds elements. Text is only ever set as text, and an address only if it stays where the page is.
(() => {
  const aveo3 = (globalThis.aveo3 ??= {});
  const SVG = "http://www.w3.org/2000/svg";
  const PICTURE = /^data:image\/(?:png|jpeg|webp|gif|avif);base64,[A-Za-z0-9+/=]+$/;

  /** The address if it is a picture in itself or lies on the page's own host (or disk), else null. */
  function safeUrl(url) {
    if (typeof url !== "string" || !url) return null;
    if (url.startsWith("data:")) return PICTURE.test(url) ? url : null;
    try {
      const here = new URL(document.baseURI);
      const there = new URL(url, here);
      return there.protocol === here.protocol && there.host === here.host ? url : null;
    } catch {
      return null;
    }
  }

  /** `el("p", {class: "muted", text: "…"}, ...children)`. A null attribute or child is left out. */
  function el(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (key === "text") made.textContent = value;
      else if (key === "on") for (const [kind, call] of Object.entries(value)) made.addEventListener(kind, call);
      else if (key.startsWith("on")) throw new Error(`${key}: handlers are added by "on"`);
      else if (key === "href" || key === "src" || key === "poster") {
        const url = safeUrl(value);
        if (url !== null) made.setAttribute(key, url);
      } else made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return made;
  }

  const ICONS = {
    check: "M3.5 8.5l3 3 6-7",
    cross: "M4.5 4.5l7 7m0-7l-7 7",
    shield: "M8 2l5 2v4c0 3-2 5-5 6-3-1-5-3-5-6V4z",
    warning: "M8 2.5L14.5 13.5h-13zM8 7v3m0 1.8v.2",
    question: "M5.8 6a2.2 2.2 0 1 1 3.3 1.9c-.8.5-1.1.9-1.1 1.7m0 2.2v.2",
    clock: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M8 5v3l2 1.5",
    stop: "M4.5 4.5h7v7h-7z",
    dots: "M3.5 8h.01M8 8h.01M12.5 8h.01",
    up: "M8 13V3.5m-4 4l4-4 4 4",
    down: "M8 3v9.5m-4-4l4 4 4-4",
    spin: "M8 2.5a5.5 5.5 0 1 1-5.5 5.5",
    play: "M5 3.2l8 4.8-8 4.8z",
    pause: "M5.5 3.5v9m5-9v9",
    copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
    missing: "M3 2.5h6l4 4v7H3zM6 8l4 3.5M10 8l-4 3.5",
    theme: "M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11",
  };

  /** A drawing of 16 by 16; words beside it say the same, so screen readers skip it. */
  function icon(name) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 16 16");
    svg.setAttribute("aria-hidden", "true");
    svg.setAttribute("class", `icon icon-${name}`);
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", ICONS[name]);
    svg.append(path);
    return svg;
  }

  /** Tells screen readers one sentence. Only for what a person waits for. */
  function announce(sentence) {
    const place = document.getElementById("announcements");
    place.textContent = place.textContent === sentence ? `${sentence}\u00a0` : sentence;
  }

  function copyTheOldWay(text) {
    const field = el("textarea", { class: "off-screen", "aria-hidden": "true" });
    field.value = text;
    const before = document.activeElement;
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    before?.focus();
    return copied;
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return copyTheOldWay(text); // the page is not on a secure origin, or the browser asks first
    }
  }

  /** A button that copies `text`. `label` names it for screen readers if its word alone would not. */
  function copyButton(text, word, label = word) {
    const said = el("span", { text: word });
    const button = el("button", { type: "button", class: "quiet copy", "aria-label": label }, icon("copy"), said);
    button.addEventListener("click", async () => {
      const copied = await copy(text);
      said.textContent = copied ? "Copied" : "Not copied";
      announce(copied ? "Copied." : "The browser did not allow the copy.");
      setTimeout(() => (said.textContent = word), 1600);
    });
    return button;
  }

  /** A command to paste, with its copy button. */
  function command(text) {
    const words = text.split(" ").flatMap((word, place) => [place ? " " : "", el("span", { text: word })]); // never broken at a hyphen
    return el("div", { class: "command" }, el("code", {}, words), copyButton(text, "Copy", `Copy the command ${text}`));
  }

  Object.assign(aveo3, { announce, command, copyButton, el, icon, safeUrl });
})();
