"use strict";
// Holds the view. A whole one replaces it, a patch changes it, and what is shown listens.
(() => {
  const aveo3 = globalThis.aveo3;
  const listeners = [];
  const EMPTY = {
    v: 1, title: "", directory: "", service: "", made_utc: null, live: false, run: null,
    clips: [], lanes: [], money: { spent_usd: 0, in_flight_usd: 0, may_be_paid_usd: 0, unpriced: 0, budget_usd: null },
  };
  const UNUSED = { steps: [], lane_steps: [] }; // the charts get theirs from Python, and a long run has many
  const store = { view: EMPTY, on, set, renew, patch, flush };
  let asked = false;

  function on(call) {
    listeners.push(call);
  }

  /** Listeners run once for all changes before the next frame. */
  function changed() {
    if (asked) return;
    asked = true;
    // A page in the background gets no frames.
    if (document.visibilityState === "visible") requestAnimationFrame(flush);
    setTimeout(flush, 100);
  }

  /** Tells the listeners now. */
  function flush() {
    if (!asked) return;
    asked = false;
    for (const call of listeners) call(store.view);
  }

  function set(view) {
    store.view = { ...EMPTY, ...view, ...UNUSED };
    changed();
  }

  /** The view of a page that lost its connection: it comes in pieces, so clips that it lacks are kept until then. */
  function renew(view) {
    if (view.server) return set(view); // a bounded part comes whole
    const had = store.view.clips;
    set({ ...view, clips: merged(had, view.clips ?? [], "key") });
  }

  function merged(rows, news, name) {
    const all = [...rows];
    const found = new Map(all.map((row, place) => [row[name], place]));
    for (const row of news) {
      if (found.has(row[name])) all[found.get(row[name])] = row;
      else found.set(row[name], all.push(row) - 1);
    }
    return all;
  }

  function patch(part) {
    const view = store.view;
    const { gone, ...news } = part;
    const left = gone ? new Set(gone) : null;
    const clips = left ? view.clips.filter((clip) => !left.has(clip.key)) : view.clips;
    store.view = { ...view, ...news, ...UNUSED, clips };
    if (part.clips) store.view.clips = merged(clips, part.clips, "key");
    if (part.lanes) store.view.lanes = merged(view.lanes, part.lanes, "name");
    changed();
  }

  aveo3.store = store;
})();
