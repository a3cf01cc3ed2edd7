"use strict";
// The page of a server: its callers, with what each has waiting, running, done, spent and left.
(() => {
  const aveo3 = globalThis.aveo3;
  const { duration, el, filters, meter, money, number, seconds, store, ticker, time } = aveo3;
  const PERIODS = { day: "a day", all: "in all" };

  function left(caller) {
    if (!caller.left.length) return el("span", { class: "muted", text: "no budget" });
    return caller.left.map((budget) =>
      el("p", { class: budget.left_usd <= 0 ? "tone-warn" : null },
        el("span", { text: budget.left_usd >= 0 ? money(budget.left_usd) : `${money(-budget.left_usd)} over` }),
        el("span", { class: "muted", text: ` of ${money(budget.limit_usd)} ${PERIODS[budget.per] ?? budget.per}` }),
        meter(budget.limit_usd - budget.left_usd, budget.limit_usd)));
  }

  const waited = (utc) => ticker(() => `oldest ${duration(Math.floor(seconds(utc, new Date().toISOString())))}`);

  function name(caller, chosen, keys) {
    const button = el("button", {
      type: "button", class: "quiet link", "aria-pressed": String(chosen), "data-caller": caller.name, text: caller.name,
      on: { click: () => filters.change({ caller: chosen ? "" : caller.name }) },
    });
    return [button, keys && !caller.has_key ? el("span", { class: "muted", text: "key removed" }) : null];
  }

  // Roles stand by name: on a phone the table is laid out as blocks, which would take them away.
  const cell = (label, ...content) => el("td", { role: "cell", "data-label": label }, ...content);
  const note = (text) => (text ? el("span", { class: "note muted" }, text) : null);

  function row(caller, chosen, keys) {
    return el("tr", { role: "row" },
      el("th", { role: "rowheader", scope: "row" }, name(caller, chosen, keys)),
      cell("Waiting", number(caller.waiting), note(caller.waiting && caller.oldest_utc ? waited(caller.oldest_utc) : null)),
      cell("Running", number(caller.running)),
      cell("Done", number(caller.succeeded)),
      cell("Failed", el("span", { class: caller.failed ? "tone-bad" : null, text: number(caller.failed) }),
        note(caller.cancelled ? `${number(caller.cancelled)} cancelled` : null)),
      cell("Spent", money(caller.spent_usd)),
      cell("Budget left", left(caller)));
  }

  let signature = "";

  function show(view, chosen) {
    const server = view.server;
    document.getElementById("callers-section").hidden = !server;
    document.querySelector(".tabs").hidden = Boolean(server); // charts would show a part as if it were all
    if (!server) return;
    const news = JSON.stringify([server.callers, server.more_callers, chosen]);
    if (news === signature) return;
    signature = news;
    const body = document.getElementById("callers");
    const focused = body.contains(document.activeElement) ? document.activeElement.dataset.caller : null;
    const keys = server.callers.some((caller) => caller.has_key);
    body.replaceChildren(...server.callers.map((caller) => row(caller, caller.name === chosen, keys)));
    if (focused) [...body.querySelectorAll("button")].find((button) => button.dataset.caller === focused)?.focus();
    const more = document.getElementById("more-callers");
    more.hidden = !server.more_callers;
    more.textContent = `${number(server.more_callers)} more: aveo3 serve status shows all of them.`;
    const none = document.getElementById("no-callers");
    none.hidden = server.callers.length > 0;
  }

  function start() {
    filters.on((_, state) => show(store.view, state.caller));
  }

  aveo3.callers = { start };
})();
