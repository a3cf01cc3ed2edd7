"use strict";
// One clip as a card. An update writes anew only the parts that changed: a video plays on, a focus stays.
(() => {
  const aveo3 = globalThis.aveo3;
  const { command, copyButton, duration, el, icon, instant, money, player, seconds, status, time } = aveo3;

  const UNSENT = new Set(["planned", "waiting", "deferred", "cancelled"]); // nothing is paid

  function statusMark(row) {
    const { word, icon: drawing, tone } = status(row.status);
    return el("span", { class: `status tone-${tone}` }, icon(drawing), word);
  }

  function cost(row) {
    if (UNSENT.has(row.status)) return null;
    if (row.cost_usd === null) return "price unknown";
    const counted = [row.spent_usd, row.in_flight_usd, row.may_be_paid_usd];
    if (row.cost_usd > 0 && counted.every((usd) => usd === 0)) return `would cost ${money(row.cost_usd)}`; // the emulator's
    return row.status === "uncertain" ? `${money(row.cost_usd)} may be paid` : money(row.cost_usd);
  }

  function head(row) {
    const id = row.prompt_id ?? `no. ${row.index + 1}`;
    return [statusMark(row), el("span", { class: "id", title: id, text: id })];
  }

  function facts(row) {
    const took = seconds(row.submitted_utc, row.finished_utc);
    const shown = [row.caller, row.model, cost(row), took === null ? null : duration(took)];
    return shown.filter(Boolean).map((text) => el("span", { text }));
  }

  function trouble(row) {
    const parts = [];
    if (row.error_message) parts.push(el("p", { class: "error", text: row.error_message }));
    if (row.next_move) parts.push(el("p", { class: "next" }, el("strong", { text: "Next: " }), row.next_move));
    if (row.command) parts.push(command(row.command));
    return parts;
  }

  function pair(name, value) {
    return value === null || value === undefined || value === "" ? [] : [el("dt", { text: name }), el("dd", {}, value)];
  }

  const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

  function details(row) {
    const list = el("dl", {});
    const waited = seconds(row.queued_utc, row.submitted_utc);
    list.append(
      ...pair("Prompt", row.text),
      ...pair("Caller", row.caller),
      ...pair(row.caller ? "Name" : "Prompt ID", row.prompt_id),
      ...pair("Project", row.project_id),
      ...Object.entries(row.labels ?? {}).flatMap(([key, value]) => pair(`Label ${key}`, value)),
      ...Object.entries(row.parameters ?? {}).flatMap(([key, value]) => pair(key.replaceAll("_", " "), plain(value))),
      ...pair("Lane", row.lane),
      ...pair("Instead of", row.instead_of),
      ...pair("Queued", time(row.queued_utc)),
      ...pair("Submitted", row.submitted_utc && el("span", {}, time(row.submitted_utc), waited >= 1 ? `, after ${duration(waited)}` : "")),
      ...pair("Finished", time(row.finished_utc)),
      ...pair("Fetched", time(row.fetched_utc)),
      ...pair("Attempts", row.attempts ? String(row.attempts) : null),
      ...pair("Retries", row.retries ? String(row.retries) : null),
      ...pair("Error", row.error_kind),
      ...(row.uris ?? []).flatMap((uri) => pair("At Google", el("code", { text: uri }))),
      ...pair("Operation", row.operation && el("code", { text: row.operation })),
      ...row.videos.flatMap((video, place) =>
        pair(row.videos.length > 1 ? `Video ${place + 1}` : "Video", [
          video.missing ? el("span", { text: video.src }) : el("a", { href: video.src, text: video.src }),
          video.missing ? " (missing)" : ` (${player.described(video)})`,
        ])),
      ...pair("Job", el("code", { text: row.key })),
    );
    return list;
  }

  /** True if a person may cancel it: a request of a server that waits. */
  const cancels = (row) => Boolean(aveo3.live && row.caller && row.status === "waiting");

  const FOCUS = "button, video, a";

  /** Fills `place` again if `value` differs from last time; a focus inside it stays at the same place. */
  function renew(place, value, fill) {
    const signature = JSON.stringify(value);
    if (place.signature === signature) return;
    place.signature = signature;
    const focused = place.contains(document.activeElement) ? [...place.querySelectorAll(FOCUS)].indexOf(document.activeElement) : null;
    player.release(place);
    place.replaceChildren(...[fill()].flat().filter((child) => child !== null && child !== undefined)); // else it writes "null"
    if (focused === null) return;
    const now = place.querySelectorAll(FOCUS);
    (now[Math.max(0, focused)] ?? now[0] ?? place.closest("article"))?.focus();
  }

  /** A card: `root` for the page, `update(row)` when its clip has changed. */
  function card(row) {
    const title = `clip-${++card.made}`;
    const parts = {
      frame: el("div", { class: "frame" }),
      takes: el("div", { class: "takes", role: "group", "aria-label": "Videos of this clip" }),
      head: el("p", { class: "head" }),
      text: el("h3", { id: title, class: "prompt" }),
      facts: el("p", { class: "facts" }),
      trouble: el("div", { class: "trouble" }),
      copy: el("span", {}),
      details: el("div", { class: "pairs" }),
      more: el("details", { class: "more" }),
    };
    let shown = 0; // of its videos
    parts.more.append(el("summary", {}, "Details", el("span", { class: "off-screen" })), parts.details);
    parts.more.addEventListener("toggle", () => showDetails());
    const body = el("div", { class: "body" }, parts.head, parts.text, parts.facts, parts.trouble, el("div", { class: "foot" }, parts.more, parts.copy));
    const root = el("li", { class: "card" }, el("article", { "aria-labelledby": title, tabindex: "-1" }, parts.frame, parts.takes, body));

    function showDetails() {
      if (parts.more.open) renew(parts.details, row, () => details(row));
    }

    function showFrame() {
      renew(parts.frame, [row.videos[shown], row.videos.length ? null : [row.status, row.submitted_utc]], () => {
        const { tall, content } = player.picture(row, shown);
        parts.frame.classList.toggle("tall", tall);
        return content;
      });
      renew(parts.takes, [row.videos.length, shown], () =>
        row.videos.length < 2 ? [] : row.videos.map((_, place) => el("button", {
          type: "button", class: "quiet", text: `Video ${place + 1}`, "aria-pressed": String(place === shown),
          on: { click: () => ((shown = place), showFrame()) },
        })));
    }

    function update(news) {
      row = news;
      root.dataset.key = row.key;
      root.dataset.status = row.status;
      if (shown >= row.videos.length) shown = 0;
      showFrame();
      renew(parts.head, [row.status, row.prompt_id, row.index], () => head(row));
      renew(parts.text, row.text, () => row.text || "(no text)");
      parts.text.title = row.text.length > 120 ? row.text : "";
      renew(parts.facts, [row.caller, row.model, cost(row), row.submitted_utc, row.finished_utc], () => facts(row));
      renew(parts.trouble, [row.error_message, row.next_move, row.command], () => trouble(row));
      renew(parts.copy, [row.text, cancels(row)], () => [
        cancels(row) ? el("button", { type: "button", class: "quiet cancel", "aria-label": `Cancel ${player.named(row)}`, on: { click: () => aveo3.liveRun.cancel(row) } }, icon("cross"), "Cancel") : null,
        copyButton(row.text, "Copy prompt", `Copy prompt of ${player.named(row)}`),
      ].filter(Boolean));
      parts.more.firstChild.lastChild.textContent = ` of ${player.named(row)}`;
      showDetails();
    }

    update(row);
    return { root, update, release: () => player.release(root) };
  }

  card.made = 0;
  Object.assign(aveo3, { card, cost, renew, statusMark });
})();
