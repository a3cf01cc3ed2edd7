"use strict";
// What went wrong: clips without a video, grouped by what happened, each group with its next move.
(() => {
  const aveo3 = globalThis.aveo3;
  const { command, count, el, filters, number, problem, status, statusMark, store } = aveo3;
  const BAD = ["uncertain", "unfinished", "failed", "rejected", "filtered", "deferred", "cancelled"]; // money first
  const LEFT = ["planned", "waiting"]; // of a run that has ended: a kill has left them
  const FIRST = 3; // groups
  const COMMANDS = 2; // of one group; the others stand at their clips
  let whole = false;

  function groups(view) {
    const found = new Map();
    for (const clip of view.clips) {
      const left = !view.run?.active && LEFT.includes(clip.status);
      const kind = left ? null : problem(clip); // what kept one waiting is over
      if (!left && !BAD.includes(clip.status) && kind !== "file_missing") continue;
      const name = JSON.stringify([clip.status, kind, clip.next_move]);
      if (!found.has(name)) found.set(name, { clip, kind, clips: [], commands: new Set() });
      const group = found.get(name);
      group.clips.push(clip);
      if (clip.command) group.commands.add(clip.command);
    }
    const order = ({ clip }) => [...BAD, ...LEFT].indexOf(clip.status);
    return [...found.values()].sort((a, b) => order(a) - order(b) || b.clips.length - a.clips.length);
  }

  function show({ clip, kind }) {
    filters.change({ q: "", status: new Set([clip.status]), error: kind ?? "", model: "", lane: "", project: "", caller: "", label: "", day: "", tab: "clips" });
    const title = document.getElementById("gallery-title");
    title.scrollIntoView();
    title.focus({ preventScroll: true });
  }

  function group(each) {
    const { clip, kind, clips, commands } = each;
    const left = commands.size - COMMANDS;
    return el(
      "li", { class: "group" },
      el("h3", { class: "row" }, statusMark(clip), el("span", { text: count(clips.length, store.view.server ? "request" : "clip") }), kind ? el("code", { class: "kind", text: kind }) : null),
      clip.error_message && !LEFT.includes(clip.status) ? el("p", { class: "error", text: clip.error_message }) : null,
      clip.next_move ? el("p", { class: "next" }, el("strong", { text: "Next: " }), clip.next_move) : null,
      [...commands].slice(0, COMMANDS).map((text) => command(text)),
      left > 0 ? el("p", { class: "muted", text: `${count(left, "more command")}: see the clips` }) : null,
      el("button", {
        type: "button", class: "quiet link", on: { click: () => show(each) },
      }, clips.length === 1 ? "Show it" : `Show these ${number(clips.length)}`,
      el("span", { class: "off-screen", text: `: ${[status(clip.status).word, kind].filter(Boolean).join(", ")}` })),
    );
  }

  let signature = "";

  function draw(view) {
    const found = groups(view);
    const news = JSON.stringify([whole, found.map(({ clip, kind, clips, commands }) => [clip.status, kind, clip.error_message, clip.next_move, clips.length, [...commands].slice(0, COMMANDS), commands.size])]);
    if (news === signature) return;
    signature = news;
    document.getElementById("trouble").hidden = found.length === 0;
    document.getElementById("groups").replaceChildren(...(whole ? found : found.slice(0, FIRST)).map(group));
    const all = document.getElementById("all-groups");
    all.hidden = whole || found.length <= FIRST;
    all.textContent = `Show all ${number(found.length)} kinds`;
  }

  function start() {
    document.getElementById("all-groups").addEventListener("click", () => {
      whole = true;
      draw(store.view);
      document.getElementById("groups").children[FIRST]?.querySelector("button").focus();
    });
    store.on(draw);
  }

  aveo3.trouble = { start };
})();
