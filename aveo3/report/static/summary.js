"use strict";
// The head: what happens, what it costs, and how the lanes are.
(() => {
  const aveo3 = globalThis.aveo3;
  const { ENDED, announce, count, date, duration, el, icon, money, number, seconds, status, store, ticker, time, until } = aveo3;

  const IN_FLIGHT = new Set(["submitting", "running", "fetching"]);

  const countOf = (counts, names) => names.reduce((sum, name) => sum + (counts[name] ?? 0), 0);

  /** What a server's counters say of all of its requests. */
  function progressOfServer({ counts }) {
    const all = Object.values(counts).reduce((sum, many) => sum + many, 0);
    return { total: all, done: countOf(counts, [...ENDED]), here: counts.succeeded ?? 0, flying: countOf(counts, [...IN_FLIGHT]), waiting: counts.waiting ?? 0 };
  }

  function progress(view) {
    if (view.server) return progressOfServer(view.server);
    const ended = view.clips.filter((clip) => ENDED.has(clip.status)).length;
    const total = view.run?.active && view.run.total !== null ? view.run.total : view.clips.length;
    const here = view.clips.filter((clip) => clip.status === "succeeded").length;
    const flying = view.clips.filter((clip) => IN_FLIGHT.has(clip.status)).length;
    return { total, done: Math.min(ended, total), here, flying }; // prompts that are not read yet have no row
  }

  function state(run, server) {
    if (!run) return null;
    if (server?.not_ready) return { word: "Takes no requests", icon: "warning", tone: "warn" };
    if (!run.active) return { word: "Ended", icon: "check", tone: "wait" };
    if (run.stopping === "leave") return { word: "Stopping now", icon: "stop", tone: "warn" };
    if (run.stopping) return { word: "Stopping after what runs", icon: "stop", tone: "warn" };
    if (run.paused) return { word: "Paused", icon: "pause", tone: "warn" };
    if (server?.held) return { word: "Sends nothing", icon: "warning", tone: "warn" };
    return { word: "Running", icon: "play", tone: "run" };
  }

  const separated = (parts) => parts.filter(Boolean).flatMap((part, place) => (place ? [el("span", { class: "dot", text: " · " }), part] : [part]));

  function headline(view) {
    const { total, done, here, flying } = progress(view);
    const run = view.run;
    if (!run?.active) {
      return [el("strong", { text: `${number(here)} of ${number(total)}` }), ` ${total === 1 ? "clip is" : "clips are"} here`];
    }
    const next = date(run.next_submit_utc);
    if (view.server) return serverHeadline(view, next);
    return separated([
      el("strong", { text: `${number(done)} of ${number(total)}` }),
      flying ? `${number(flying)} in flight` : null,
      run.paused && !run.stopping ? "nothing more is sent until you go on" : null,
      next && !run.paused && !run.stopping ? nextSubmit(run.next_submit_utc) : null,
      run.done_utc ? el("span", {}, "done about ", time(run.done_utc)) : null,
    ]);
  }

  function serverHeadline(view, next) {
    const { run, server } = view;
    const { waiting, flying } = progress(view);
    return separated([
      el("span", {}, el("strong", { text: number(waiting) }), " waiting"),
      flying ? `${number(flying)} in flight` : null,
      run.paused ? "nothing more is sent until you go on" : null,
      next && waiting ? nextSubmit(run.next_submit_utc) : null,
      run.done_utc && waiting ? el("span", {}, "all sent about ", time(run.done_utc)) : null,
      server.not_ready ?? server.held,
    ]);
  }

  function nextSubmit(utc) {
    if (!aveo3.live) return el("span", {}, "next submit at ", time(utc));
    return ticker(() => (until(utc) < 1 ? "next submit now" : `next submit in ${duration(Math.ceil(until(utc)))}`));
  }

  /** The number of clips by status, in the order of the bar. */
  function byStatus(view) {
    const counts = new Map(Object.entries(view.server?.counts ?? {}));
    if (!view.server) for (const clip of view.clips) counts.set(clip.status, (counts.get(clip.status) ?? 0) + 1);
    const order = ["succeeded", "fetching", "running", "submitting", "unfinished", "filtered", "rejected", "failed", "uncertain", "deferred", "cancelled", "waiting", "planned"];
    return [...counts].sort(([a], [b]) => order.indexOf(a) - order.indexOf(b));
  }

  function bar(view) {
    const said = ([name, many]) => `${number(many)} ${status(name).word.toLowerCase()}`;
    const counts = byStatus(view);
    const words = counts.map(said).join(", ");
    const made = el("div", { class: "bar", role: "img", "aria-label": `${view.server ? "Requests" : "Clips"}: ${words}` });
    for (const each of counts) {
      const part = el("span", { class: `tone-${status(each[0]).tone}`, title: said(each) });
      part.style.flexGrow = each[1];
      made.append(part);
    }
    return counts.length ? made : null;
  }

  function when(run, server) {
    if (!run?.begun_utc) return null;
    if (run.active) return el("span", {}, server ? "runs since " : "began ", time(run.begun_utc));
    const took = seconds(run.begun_utc, run.ended_utc);
    return el("span", {}, "last run ", time(run.begun_utc), took === null ? "" : `, ${duration(took)} long`);
  }

  function figure(name, value, note, tone) {
    return el("div", { class: `figure ${tone ? `tone-${tone}` : ""}` }, el("dt", { text: name }), el("dd", {}, value), note ? el("dd", { class: "note" }, note) : null);
  }

  function moneyFigures(view) {
    const sum = view.money;
    const owed = sum.spent_usd + sum.in_flight_usd + sum.may_be_paid_usd;
    const made = [
      figure("Spent", money(sum.spent_usd), sum.unpriced ? `and ${count(sum.unpriced, "clip")} of unknown price` : null),
      figure("In flight", money(sum.in_flight_usd), sum.in_flight_usd ? "is paid when it succeeds" : null),
      figure("May be paid", money(sum.may_be_paid_usd), sum.may_be_paid_usd ? "their answers were lost" : null, sum.may_be_paid_usd ? "odd" : null),
    ];
    if (sum.budget_usd === null) return [...made, figure("Budget", "none", null)];
    const left = sum.budget_usd - owed;
    const short = (sum.rest_usd ?? 0) > Math.max(0, left) + 0.005; // what is left does not pay for the rest
    const said = [left >= 0 ? `${money(left)} left` : `${money(-left)} over`, short ? `the rest costs about ${money(sum.rest_usd)}` : null];
    const note = [meter(owed, sum.budget_usd), said.filter(Boolean).join("; ")];
    return [...made, figure("Budget", money(sum.budget_usd), note, left <= 0 || short ? "warn" : null)];
  }

  /** A thin bar; the words beside it say the same. */
  function meter(used, limit) {
    const full = limit > 0 ? Math.min(1, used / limit) : 1;
    const inner = el("span", { class: full >= 1 ? "full" : "" });
    inner.style.inlineSize = `${full * 100}%`;
    return el("span", { class: "meter", "aria-hidden": "true" }, inner);
  }

  const BREAKERS = {
    closed: { word: "Ready", icon: "check", tone: "good" },
    open: { word: "Breaker open", icon: "pause", tone: "bad" },
    half_open: { word: "Trying one", icon: "question", tone: "warn" },
  };

  const WAITS = { quota: "Waits for its quota", clips: "Waits for a clip to end" };

  function laneState(lane, run) {
    if (lane.closed) return { word: store.view.server ? "Closed" : "Closed for this run", icon: "cross", tone: "bad" };
    if (!run?.active || lane.breaker === null) return null;
    if (lane.breaker === "closed" && lane.opens_utc && until(lane.opens_utc) > 0) return { word: "Paused", icon: "pause", tone: "warn" };
    if (run.stopping) return { word: "Sends nothing more", icon: "stop", tone: "warn" };
    if (run.paused) return { word: "Paused", icon: "pause", tone: "warn" };
    if (lane.breaker === "closed" && WAITS[lane.waits]) return { word: WAITS[lane.waits], icon: "clock", tone: "wait" };
    return BREAKERS[lane.breaker] ?? { word: lane.breaker, icon: "dots", tone: "wait" };
  }

  function laneOpens(utc, held) {
    const again = held ? "may send again" : "sends again"; // it waits for a person, too
    if (!aveo3.live) return el("span", {}, `${again} at `, time(utc));
    return el("span", {}, ticker(() => (until(utc) < 1 ? `${again} now` : `${again} in ${duration(Math.ceil(until(utc)))}`)), " (", time(utc), ")");
  }

  const atMost = (lane) => `${number(lane.limit)} in ${lane.period === 60 ? "a minute" : duration(lane.period)}`;

  function lane(row, run) {
    const active = Boolean(run?.active);
    const now = laneState(row, run);
    const used = active ? row.used : null; // of a run that has ended nobody asks it
    const quota = row.limit === null || row.period === null ? [] : [
      used === null ? null : meter(used, row.limit),
      el("span", { text: used === null ? `at most ${atMost(row)}` : `${number(used)} of ${atMost(row)}` }),
      row.learnt ? el("span", { class: "muted", text: " (learnt)" }) : null,
    ];
    return el(
      "li", { class: "lane" },
      el("div", { class: "row" }, el("span", { class: "name", text: row.name }), now ? el("span", { class: `status tone-${now.tone}` }, icon(now.icon), now.word) : null),
      row.model && row.model !== row.name ? el("p", { class: "muted", text: row.model }) : null,
      quota.length ? el("p", { class: "quota" }, quota) : null,
      row.running ? el("p", { class: "muted", text: `${number(row.running)} running` }) : null,
      row.closed ? el("p", { class: "reason", text: row.closed }) : null,
      !row.closed && active && row.opens_utc && until(row.opens_utc) > 0 ? el("p", {}, laneOpens(row.opens_utc, run.paused || run.stopping)) : null,
      !row.closed && row.reason ? el("p", { class: "reason", text: row.reason }) : null,
    );
  }

  // Only what a person waits for is read out; never a countdown.
  let told = null;

  function tell(view) {
    const active = Boolean(view.run?.active);
    const lanes = new Map(view.lanes.map((row) => [row.name, row.closed ? "closed" : row.breaker]));
    if (told && told.active && !active) announce(`The run has ended. ${headline(view).map((part) => part.textContent ?? part).join("")}.`);
    else if (told && active) {
      for (const [name, now] of lanes) {
        const before = told.lanes.get(name);
        if (now === before) continue;
        if (now === "open") announce(`The breaker of lane ${name} is open.`);
        else if (now === "closed" && view.lanes.find((row) => row.name === name).closed) announce(view.server ? `Lane ${name} is closed.` : `Lane ${name} sends nothing more in this run.`);
        else if (before === "open" && now === "closed") announce(`Lane ${name} sends again.`);
      }
    }
    told = { active, lanes };
  }

  function fill(id, value, parts) {
    const place = document.getElementById(id);
    const signature = JSON.stringify(value);
    if (place.signature === signature) return;
    place.signature = signature;
    place.replaceChildren(...parts().filter(Boolean));
  }

  function show(view) {
    const run = view.run;
    const now = state(run, view.server);
    const counted = progress(view);
    fill("headline", [counted, run, view.server?.not_ready, view.server?.held], () => [
      now ? el("span", { class: `status tone-${now.tone}` }, icon(now.icon), now.word) : null,
      el("span", { class: "words" }, headline(view)),
    ]);
    fill("progress", byStatus(view), () => [bar(view)]);
    const made = aveo3.live ? null : el("span", {}, "made ", time(view.made_utc));
    const service = { mock: "emulator: nothing is paid", local: "a local server", custom: "a custom service" }[view.service];
    fill("about", [view.directory, view.service, run?.begun_utc, run?.ended_utc, run?.active, view.made_utc, view.server?.url], () =>
      separated([view.server ? el("code", { text: view.server.url }) : null, el("code", { text: view.directory }), service ? el("span", { text: service }) : null, when(run, view.server), made]));
    fill("money", view.money, () => moneyFigures(view));
    fill("lanes", [view.lanes, run?.active, run?.stopping, run?.paused], () => view.lanes.map((row) => lane(row, run)));
    document.getElementById("lanes-section").hidden = view.lanes.length === 0;
    if (aveo3.live && view.server) document.title = `${number(counted.waiting)} waiting · ${view.title}`;
    else if (aveo3.live && run) document.title = run.active ? `${counted.done} of ${counted.total} · ${view.title}` : view.title;
    tell(view);
  }

  function start() {
    store.on(show);
  }

  aveo3.summary = { start };
  aveo3.meter = meter;
})();
