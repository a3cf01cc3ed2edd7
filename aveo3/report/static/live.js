"use strict";
// The live page: follows the run by server-sent events, and hands its buttons' wishes to the server.
(() => {
  const aveo3 = globalThis.aveo3;
  const { announce, charts, el, icon, store } = aveo3;
  const FIRST_WAIT = 1; // seconds before the first new try; doubles up to LONGEST_WAIT
  const LONGEST_WAIT = 15;

  const token = () => document.documentElement.dataset.token || new URLSearchParams(location.search).get("token") || "";

  // ---- the stream of news -----------------------------------------------------------------------------------------------

  let wait = FIRST_WAIT;
  let connected = null; // null: not yet

  function connect() {
    const source = new EventSource(token() ? `events?token=${encodeURIComponent(token())}` : "events");
    const read = (call) => (event) => {
      call(JSON.parse(event.data));
      show();
    };
    source.addEventListener("open", () => {
      const lost = connected === false;
      wait = FIRST_WAIT;
      connected = true;
      if (lost) announce("The connection is back.");
      show();
    });
    source.addEventListener("view", read((view) => (store.view.made_utc ? store.renew(view) : store.set(view))));
    source.addEventListener("patch", read(store.patch));
    source.addEventListener("charts", read(({ columns, texts }) => charts.news(columns, texts)));
    source.addEventListener("error", () => {
      source.close();
      if (connected !== false) {
        connected = false;
        announce(lostWords());
      }
      show();
      setTimeout(connect, wait * 1000);
      wait = Math.min(LONGEST_WAIT, wait * 2);
    });
  }

  function lostWords() {
    const run = store.view.run;
    return run && !run.active
      ? "The run has ended, and its page with it: this is how it was last."
      : "Connection lost, trying again. What you see may be old.";
  }

  // ---- the buttons ------------------------------------------------------------------------------------------------------

  const ACTIONS = {
    pause: {
      word: "Pause", icon: "pause", title: "Pause this run?",
      text: "It sends nothing more until you go on. What runs at Google runs on, and its videos are fetched.",
    },
    "go-on": { word: "Go on", icon: "play", title: "Go on with this run?", text: "It sends again, as its quota allows. Each clip costs money." },
    stop: {
      word: "Stop after what runs", icon: "stop", title: "Stop after what runs?",
      text: "It sends nothing more, finishes the clips that run, and ends, as Ctrl-C once. The same command later makes the rest.",
    },
    leave: {
      word: "Stop now", icon: "cross", title: "Stop now?",
      text: "It ends at once, as Ctrl-C twice. What runs at Google runs on and is paid; the same command later fetches it and makes the rest.",
    },
  };
  const SERVER_TEXTS = {
    pause: { title: "Pause all submits?", text: "It sends nothing more until you go on. Requests are still taken, and wait. What runs at Google runs on, and its videos are fetched." },
    "go-on": { title: "Go on with the submits?", text: "It sends again, as its quota allows. Each clip costs money." },
  };
  const buttons = {};
  let asked = null; // what its dialog asks about: its `name`, and the `row` of a request to be cancelled

  function possible(name) {
    const { run, live } = store.view;
    if (!live || connected !== true || !run?.active || run.stopping === "leave") return false;
    if (store.view.server) return name in SERVER_TEXTS;
    return name === "leave" || !run.stopping;
  }

  function show() {
    const { run, live, server } = store.view;
    for (const [name, button] of Object.entries(buttons)) button.disabled = !possible(name);
    buttons.pause.hidden = Boolean(run?.paused);
    buttons["go-on"].hidden = !run?.paused;
    buttons.stop.hidden = buttons.leave.hidden = Boolean(server);
    document.getElementById("actions").hidden = !live || !run?.active;
    document.getElementById("read-only").hidden = live || !run?.active;
    const bar = document.getElementById("connection");
    bar.hidden = connected !== false;
    bar.classList.toggle("calm", Boolean(run) && !run.active);
    const words = connected === false ? lostWords() : "";
    if (bar.textContent !== words) bar.textContent = words;
    const dialog = document.getElementById("ask");
    if (dialog.open && asked && !(asked.row ? waits(asked.row) : possible(asked.name))) dialog.close(); // it has moved on
  }

  const waits = ({ key }) => connected === true && store.view.clips.some((clip) => clip.key === key && clip.status === "waiting");

  function ask(name) {
    open({ name }, { ...ACTIONS[name], ...(store.view.server ? SERVER_TEXTS[name] : {}) });
  }

  /** Asks whether a request that waits shall be cancelled. */
  function cancel(row) {
    const text = `“${row.text.slice(0, 80)}” of ${row.caller} is not sent and costs nothing. Its caller is told that it was cancelled.`;
    open({ name: "cancel", row }, { title: "Cancel this request?", text, word: "Cancel it" });
  }

  function open(what, { title, text, word }) {
    const dialog = document.getElementById("ask");
    asked = what;
    document.getElementById("ask-title").textContent = title;
    document.getElementById("ask-text").textContent = text;
    document.getElementById("ask-yes").textContent = word;
    dialog.returnValue = "";
    dialog.showModal();
  }

  async function act({ name, row }) {
    if (buttons[name]) buttons[name].disabled = true;
    const word = row ? "Cancel" : ACTIONS[name].word;
    const failed = document.getElementById("action-failed");
    failed.hidden = true;
    try {
      const answer = await fetch(row ? `cancel/${row.key}` : `actions/${name}`, { method: "POST", headers: { "X-Aveo3-Token": token() } });
      if (!answer.ok) throw new Error((await answer.text()).trim() || `status ${answer.status}`);
      announce(`${word}: done.`);
    } catch (error) {
      const why = error.message.replace(/\.$/, "");
      failed.textContent = row ? `The request was not cancelled: ${why}.`
        : store.view.server ? `“${word}” did not reach the server: ${why}.`
        : `“${word}” did not reach the run: ${why}. Press Ctrl-C in its terminal instead.`;
      failed.hidden = false;
    }
    show();
  }

  function start() {
    if (!aveo3.live) return;
    const place = document.getElementById("actions");
    for (const [name, action] of Object.entries(ACTIONS)) {
      buttons[name] = el("button", { type: "button", id: `action-${name}`, class: name === "leave" ? "danger" : null }, icon(action.icon), action.word);
      buttons[name].addEventListener("click", () => ask(name));
      place.append(buttons[name]);
    }
    const dialog = document.getElementById("ask");
    document.getElementById("ask-yes").addEventListener("click", () => dialog.close("yes"));
    document.getElementById("ask-no").addEventListener("click", () => dialog.close(""));
    dialog.addEventListener("close", () => {
      const what = asked;
      asked = null;
      if (dialog.returnValue === "yes" && what && (what.row ? waits(what.row) : possible(what.name))) act(what);
      const button = buttons[what?.name];
      (button?.hidden ? Object.values(buttons).find((each) => !each.hidden) : button)?.focus();
    });
    store.on(show);
    connect();
  }

  aveo3.liveRun = { cancel, start };
})();
