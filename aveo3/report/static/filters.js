"use strict";
// Which clips are shown, and in which order. The state lives in the address after the #.
(() => {
  const aveo3 = globalThis.aveo3;
  const { ENDED, STATUSES, count, dayKey, dayName, el, icon, number, problem, seconds, status, store } = aveo3;

  const began = (clip) => clip.submitted_utc ?? clip.queued_utc;
  const FACETS = [
    { name: "caller", label: "Caller", of: (clip) => [clip.caller], more: (view) => view.server?.callers.map((each) => each.name) },
    { name: "model", label: "Model", of: (clip) => [clip.model] },
    { name: "lane", label: "Lane", of: (clip) => [clip.lane] },
    { name: "project", label: "Project", of: (clip) => [clip.project_id] },
    { name: "label", label: "Label", of: (clip) => Object.entries(clip.labels ?? {}).map(([key, value]) => `${key}=${value}`) },
    { name: "day", label: "Day", of: (clip) => [dayKey(began(clip))], show: dayName, newestFirst: true },
    { name: "error", label: "Error", of: (clip) => [problem(clip)] },
  ];
  const last = (clip) => clip.fetched_utc ?? clip.finished_utc ?? began(clip) ?? "";
  const took = (clip) => seconds(clip.submitted_utc, clip.finished_utc) ?? -1;
  const compared = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  const inOrder = (a, b) => compared(a.queued_utc, b.queued_utc) || a.index - b.index; // they come as they end
  const stage = (clip) => (ENDED.has(clip.status) ? 2 : clip.status === "waiting" ? 1 : 0);
  /** Of a server: what runs, what waits, then what ended last. */
  const byStage = (a, b) => stage(a) - stage(b) || (stage(a) === 2 ? compared(last(b), last(a)) : inOrder(a, b));
  const SORTS = {
    order: { label: "Prompt order", compare: (a, b) => (store.view.server ? byStage(a, b) : inOrder(a, b)) },
    newest: { label: "Newest first", compare: (a, b) => compared(last(b), last(a)) },
    cost: { label: "Highest cost first", compare: (a, b) => (b.cost_usd ?? -1) - (a.cost_usd ?? -1) },
    slowest: { label: "Slowest first", compare: (a, b) => took(b) - took(a) },
  };

  const listeners = [];
  let state = parse("");
  let written = null; // the hash that this page wrote last

  function parse(hash) {
    const given = new URLSearchParams(hash.replace(/^#/, ""));
    const read = { q: given.get("q") ?? "", status: new Set((given.get("status") ?? "").split(",").filter(Boolean)) };
    for (const { name } of FACETS) read[name] = given.get(name) ?? "";
    read.sort = Object.hasOwn(SORTS, given.get("sort")) ? given.get("sort") : "order";
    read.tab = given.get("tab") === "charts" ? "charts" : "clips";
    return read;
  }

  function asHash() {
    const given = new URLSearchParams();
    if (state.q) given.set("q", state.q);
    if (state.status.size) given.set("status", [...state.status].join(","));
    for (const { name } of FACETS) if (state[name]) given.set(name, state[name]);
    if (state.sort !== "order") given.set("sort", state.sort);
    if (state.tab !== "clips") given.set("tab", state.tab);
    return given.toString();
  }

  /** Changes the state, the address and what is shown. */
  function change(changes) {
    Object.assign(state, changes);
    written = asHash();
    history.replaceState(null, "", written ? `#${written}` : location.pathname + location.search);
    show();
  }

  const clear = () => change({ ...parse(""), sort: state.sort, tab: state.tab });
  const isOn = () => Boolean(state.q || state.status.size || FACETS.some(({ name }) => state[name]));

  const texts = new WeakMap(); // what the search looks at, by clip

  function text(clip) {
    let found = texts.get(clip);
    if (found === undefined) {
      const parts = [clip.text, clip.prompt_id, clip.key, clip.project_id, clip.model, clip.lane, clip.operation, clip.error_kind];
      parts.push(clip.error_message, ...Object.entries(clip.labels ?? {}).map(([key, value]) => `${key}=${value}`));
      found = parts.filter(Boolean).join("\n").toLowerCase();
      texts.set(clip, found);
    }
    return found;
  }

  /** A test for clips; `except` leaves out one part of the state, so that its own choices can be counted. */
  function test(except) {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const facets = FACETS.filter(({ name }) => state[name] && name !== except);
    return (clip) =>
      (except === "status" || !state.status.size || state.status.has(clip.status)) &&
      facets.every((facet) => facet.of(clip).includes(state[facet.name])) &&
      words.every((word) => text(clip).includes(word));
  }

  /** The clips to show, in order. */
  function selected() {
    return store.view.clips.filter(test()).sort(SORTS[state.sort].compare);
  }

  // ---- the controls ---------------------------------------------------------------------------------------------------

  const parts = {};

  function build(place) {
    parts.search = el("input", {
      id: "search", type: "search", placeholder: "Text or ID", autocomplete: "off", spellcheck: "false",
      on: { input: () => change({ q: parts.search.value }) },
    });
    const facets = el("div", { id: "facets", class: "facets" });
    for (const facet of FACETS) {
      const select = el("select", { id: `filter-${facet.name}`, on: { change: () => change({ [facet.name]: select.value }) } });
      parts[facet.name] = { select, field: el("label", { class: "field" }, el("span", { text: facet.label }), select) };
      facets.append(parts[facet.name].field);
    }
    parts.sort = el("select", { id: "sort", on: { change: () => change({ sort: parts.sort.value }) } });
    for (const [value, sort] of Object.entries(SORTS)) parts.sort.append(el("option", { value, text: sort.label }));
    // Only a narrow page shows this button, and hides the facets until it is pressed.
    parts.toggle = el("button", { type: "button", class: "toggle", "aria-controls": "facets", "aria-expanded": "false", text: "Filters" });
    parts.toggle.addEventListener("click", () => {
      const open = facets.classList.toggle("open");
      parts.toggle.setAttribute("aria-expanded", String(open));
    });
    const fields = [
      el("label", { class: "field wide" }, el("span", { text: "Search" }), parts.search),
      parts.toggle,
      facets,
      el("label", { class: "field sort" }, el("span", { text: "Sort" }), parts.sort),
    ];
    parts.statuses = el("div", { class: "chips", role: "group", "aria-label": "Filter by status" });
    parts.shown = el("p", { class: "shown", role: "status" });
    parts.clear = el("button", { type: "button", class: "quiet link", text: "Clear filters", hidden: true, on: { click: clear } });
    place.append(parts.statuses, el("div", { class: "fields" }, fields), el("div", { class: "row" }, parts.shown, parts.clear));
  }

  function tally(values) {
    const counts = new Map();
    for (const value of values) if (value) counts.set(value, (counts.get(value) ?? 0) + 1);
    return counts;
  }

  function showFacet(facet) {
    const { select, field } = parts[facet.name];
    const counts = tally(store.view.clips.filter(test(facet.name)).flatMap(facet.of));
    for (const value of tally(store.view.clips.flatMap(facet.of)).keys()) if (!counts.has(value)) counts.set(value, 0);
    for (const value of facet.more?.(store.view) ?? []) if (!counts.has(value)) counts.set(value, 0);
    if (state[facet.name] && !counts.has(state[facet.name])) counts.set(state[facet.name], 0); // from an old address
    const values = [...counts.keys()].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    if (facet.newestFirst) values.reverse();
    field.hidden = values.length < 2 && !state[facet.name];
    const options = values.map((value) => [value, store.view.server ? (facet.show ?? String)(value) : `${(facet.show ?? String)(value)} (${number(counts.get(value))})`]);
    const signature = JSON.stringify(options);
    if (select.dataset.options !== signature) {
      select.dataset.options = signature;
      select.replaceChildren(el("option", { value: "", text: "All" }), ...options.map(([value, text]) => el("option", { value, text })));
    }
    select.value = state[facet.name];
  }

  function showStatuses() {
    const counts = tally(store.view.clips.filter(test("status")).map((clip) => clip.status));
    const names = new Set([...Object.keys(STATUSES), ...tally(store.view.clips.map((clip) => clip.status)).keys()]);
    const all = tally(store.view.clips.map((clip) => clip.status));
    const shown = [...names].filter((name) => all.has(name) || state.status.has(name));
    parts.statuses.hidden = shown.length < 2 && !state.status.size;
    const old = new Map([...parts.statuses.children].map((chip) => [chip.dataset.status, chip]));
    for (const [place, name] of shown.entries()) {
      const chip = old.get(name) ?? statusChip(name);
      old.delete(name);
      chip.setAttribute("aria-pressed", String(state.status.has(name)));
      chip.lastChild.textContent = store.view.server ? "" : number(counts.get(name) ?? 0); // of a part they would mislead
      if (parts.statuses.children[place] !== chip) parts.statuses.insertBefore(chip, parts.statuses.children[place] ?? null);
    }
    for (const chip of old.values()) chip.remove();
  }

  function statusChip(name) {
    const { word, icon: drawing, tone } = status(name);
    const chip = el(
      "button", { type: "button", class: `chip tone-${tone}`, "data-status": name },
      icon(drawing), el("span", { text: word }), el("span", { class: "number" }),
    );
    chip.addEventListener("click", () => {
      const chosen = new Set(state.status);
      if (!chosen.delete(name)) chosen.add(name);
      change({ status: chosen });
    });
    return chip;
  }

  function show() {
    const clips = selected();
    if (parts.search.value !== state.q) parts.search.value = state.q;
    parts.sort.value = state.sort;
    FACETS.forEach(showFacet);
    showStatuses();
    const chosen = FACETS.filter(({ name }) => state[name]).length;
    parts.toggle.textContent = chosen ? `Filters (${chosen})` : "Filters";
    parts.toggle.hidden = FACETS.every(({ name }) => parts[name].field.hidden);
    const all = store.view.clips.length;
    const server = store.view.server;
    parts.sort.firstChild.textContent = server ? "Queue order" : SORTS.order.label;
    const said = server ? saidOfServer(clips.length, server) : isOn() ? `Showing ${number(clips.length)} of ${count(all, "clip")}` : count(all, "clip");
    if (parts.shown.textContent !== said) parts.shown.textContent = said;
    parts.clear.hidden = !isOn();
    for (const call of listeners) call(clips, state);
  }

  function saidOfServer(shown, server) {
    const all = Object.values(server.counts).reduce((sum, many) => sum + many, 0);
    const listed = store.view.clips.length;
    const of = listed < all ? `${count(listed, "request")} listed here: those that run, go next or ended last, of ${number(all)}` : count(all, "request");
    return isOn() ? `Showing ${number(shown)} of ${of}` : of;
  }

  function start() {
    build(document.getElementById("filters"));
    state = parse(location.hash);
    addEventListener("hashchange", () => {
      if (location.hash.replace(/^#/, "") === written) return;
      state = parse(location.hash);
      show();
    });
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input, select, textarea, video, dialog");
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        parts.search.focus();
      }
    });
    store.on(show);
  }

  aveo3.filters = { change, clear, isOn, on: (call) => listeners.push(call), start };
})();
