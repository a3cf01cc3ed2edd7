"use strict";
// The list of cards. It grows while one scrolls, so that thousands of clips cost no more than those seen.
(() => {
  const aveo3 = globalThis.aveo3;
  const { card, count, el, filters, number } = aveo3;
  const STEP = 48; // cards
  const PRINTED = 500;

  const cards = new Map(); // by key
  let clips = [];
  let room = STEP;
  let list, empty, more, end;

  function show() {
    const wanted = clips.slice(0, room);
    const keys = new Set(wanted.map((clip) => clip.key));
    for (const [key, each] of cards) {
      if (keys.has(key)) continue;
      each.release();
      each.root.remove();
      cards.delete(key);
    }
    let next = list.firstChild; // cards that stand right stay untouched: one that moves would stop its video
    for (const clip of wanted) {
      let each = cards.get(clip.key);
      if (!each) cards.set(clip.key, (each = card(clip)));
      else each.update(clip);
      if (each.root === next) next = next.nextSibling;
      else list.insertBefore(each.root, next);
    }
    const left = clips.length - wanted.length;
    more.hidden = left <= 0;
    more.textContent = `Show more (${number(left)} left)`;
    showEmpty();
  }

  function showEmpty() {
    empty.hidden = clips.length > 0;
    if (clips.length) return;
    const filtered = aveo3.store.view.clips.length > 0;
    if (!filtered && aveo3.store.view.server) {
      empty.replaceChildren(el("p", { class: "big", text: "No requests yet." }), el("p", {}, "Programs send them to ", el("code", { text: aveo3.store.view.server.url })));
      return;
    }
    empty.replaceChildren(
      el("p", { class: "big", text: filtered ? "No clip matches." : "No clips yet." }),
      filtered
        ? el("p", { text: `${count(aveo3.store.view.clips.length, "clip")} ${aveo3.store.view.clips.length === 1 ? "is" : "are"} here; the filters hide all of them.` })
        : el("p", {}, "Make the first: ", el("code", { text: 'aveo3 generate --prompt "a paper boat on a river"' })),
      filtered ? el("button", { type: "button", text: "Clear filters", on: { click: filters.clear } }) : "",
    );
  }

  function grow() {
    if (room >= clips.length) return;
    room += STEP;
    show();
    // The end may still be in sight on a tall screen, which the observer tells only once.
    watcher.unobserve(end);
    watcher.observe(end);
  }

  const watcher = new IntersectionObserver((seen) => seen.some((each) => each.isIntersecting) && grow(), { rootMargin: "900px" });

  function start() {
    list = document.getElementById("cards");
    empty = document.getElementById("empty");
    more = document.getElementById("more");
    end = document.getElementById("end");
    more.addEventListener("click", () => {
      const from = list.children.length;
      grow();
      list.children[from]?.querySelector("article").focus();
    });
    let before = "";
    filters.on((found, state) => {
      const question = JSON.stringify([state.q, [...state.status], state.sort, state.caller, state.model, state.lane, state.project, state.label, state.day, state.error]);
      if (question !== before) room = STEP; // another question: the answer is read from its top
      before = question;
      clips = found;
      show();
    });
    watcher.observe(end);
    addEventListener("beforeprint", () => {
      room = Math.max(room, Math.min(clips.length, PRINTED));
      show();
    });
  }

  aveo3.gallery = { start };
})();
