"use strict";
// How instants, durations, money and states are written. Instants: the reader's zone and locale.
(() => {
  const aveo3 = globalThis.aveo3;
  const { el } = aveo3;

  const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
  const DAY_AND_YEAR = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
  const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
  const MONEY = new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol" });
  const SMALL_MONEY = new Intl.NumberFormat(undefined, {
    style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", maximumFractionDigits: 4,
  });
  const NUMBER = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });
  const COMPACT = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

  function date(utc) {
    const at = utc ? new Date(utc) : null;
    return at && !Number.isNaN(at.getTime()) ? at : null;
  }

  const sameDay = (one, other) => one.toDateString() === other.toDateString();

  function day(at) {
    return (at.getFullYear() === new Date().getFullYear() ? DAY : DAY_AND_YEAR).format(at);
  }

  /** "16:05" today, "27 Nov, 16:05" on other days. */
  function instant(utc) {
    const at = date(utc);
    if (!at) return "";
    return sameDay(at, new Date()) ? TIME.format(at) : `${day(at)}, ${TIME.format(at)}`;
  }

  /** A `<time>` whose title says the day, the second and the zone. */
  function time(utc) {
    const at = date(utc);
    return at ? el("time", { datetime: at.toISOString(), title: EXACT.format(at), text: instant(utc) }) : null;
  }

  /** Year, month and day in the reader's zone, e.g. "2026-11-27": sorts as text. */
  function dayKey(utc) {
    const at = date(utc);
    if (!at) return null;
    const two = (number) => String(number).padStart(2, "0");
    return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  }

  function dayName(key) {
    const [year, month, number] = key.split("-").map(Number);
    return day(new Date(year, month - 1, number));
  }

  function seconds(from, to) {
    const [one, other] = [date(from), date(to)];
    return one && other ? (other - one) / 1000 : null;
  }

  function duration(length) {
    if (length === null || length === undefined) return "";
    if (length < 10 && !Number.isInteger(length)) return `${COMPACT.format(Math.max(0, length))} s`;
    const whole = Math.max(0, Math.round(length));
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return [`${Math.floor(whole / 60)} min`, whole % 60 && `${whole % 60} s`].filter(Boolean).join(" ");
    const minutes = Math.round(whole / 60);
    if (minutes < 48 * 60) return [`${Math.floor(minutes / 60)} h`, minutes % 60 && `${minutes % 60} min`].filter(Boolean).join(" ");
    return `${COMPACT.format(whole / 86400)} days`;
  }

  function money(usd) {
    if (usd === null || usd === undefined) return "price unknown";
    return (usd !== 0 && Math.abs(usd) < 0.1 ? SMALL_MONEY : MONEY).format(usd);
  }

  function bytes(count) {
    for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
      if (count >= size) return `${COMPACT.format(count / size)} ${unit}`;
    }
    return `${count} bytes`;
  }

  const number = (value) => NUMBER.format(value);
  const count = (many, one, more = `${one}s`) => `${number(many)} ${many === 1 ? one : more}`;

  /** Every status: its word, drawing and colour, in the order in which a job can have them. */
  const STATUSES = {
    planned: { word: "Planned", icon: "dots", tone: "wait" },
    waiting: { word: "Waiting", icon: "clock", tone: "wait" },
    submitting: { word: "Submitting", icon: "up", tone: "run" },
    running: { word: "Running", icon: "spin", tone: "run" },
    fetching: { word: "Fetching", icon: "down", tone: "run" },
    succeeded: { word: "Succeeded", icon: "check", tone: "good" },
    filtered: { word: "Filtered", icon: "shield", tone: "warn" },
    rejected: { word: "Rejected", icon: "cross", tone: "bad" },
    failed: { word: "Failed", icon: "warning", tone: "bad" },
    unfinished: { word: "Unfinished", icon: "clock", tone: "warn" },
    uncertain: { word: "Uncertain", icon: "question", tone: "odd" },
    deferred: { word: "Deferred", icon: "pause", tone: "wait" },
    cancelled: { word: "Cancelled", icon: "stop", tone: "wait" },
  };
  const ENDED = new Set(["succeeded", "unfinished", "filtered", "rejected", "failed", "uncertain", "deferred", "cancelled"]);

  /** A status that this page does not know is shown by its own name. */
  const status = (name) => (Object.hasOwn(STATUSES, name) ? STATUSES[name] : { word: name, icon: "dots", tone: "wait" });

  /** What is wrong with a clip, in a word: its error, or that its file is gone. Null if nothing is. */
  const problem = (clip) => clip.error_kind ?? (clip.videos.some((video) => video.missing) ? "file_missing" : null);

  // What counts down or up: text that is written anew every second, and never read out.
  const ticking = new Map();

  /** A `<span>` whose text is `write()`, again every second while it is on the page that is followed live. */
  function ticker(write) {
    const span = el("span", { class: "ticking", text: write() });
    if (aveo3.live) ticking.set(span, { write, seen: false });
    return span;
  }

  function tick() {
    for (const [span, each] of ticking) {
      if (span.isConnected) {
        each.seen = true;
        const text = each.write();
        if (span.textContent !== text) span.textContent = text;
      } else if (each.seen) ticking.delete(span);
      else each.seen = true; // made a moment ago
    }
  }

  const until = (utc) => Math.max(0, (date(utc) - Date.now()) / 1000);
  const since = (utc) => Math.max(0, (Date.now() - date(utc)) / 1000);

  aveo3.live = document.documentElement.dataset.live === "true";
  if (aveo3.live) setInterval(tick, 1000);

  Object.assign(aveo3, {
    ENDED, STATUSES, bytes, count, date, dayKey, dayName, duration, instant, money, number, problem, seconds, since, status,
    ticker, time, until,
  });
})();
