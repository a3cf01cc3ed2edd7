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
  const buttons = {};
  let asked = null; // the action that its dialog asks about

  function possible(name) {
    const { run, live } = store.view;
    if (!live || connected !== true || !run?.active || run.stopping === "leave") return false;
    return name === "leave" || !run.stopping;
  }

  function show() {
    const { run, live } = store.view;
    for (const [name, button] of Object.entries(buttons)) button.disabled = !possible(name);
    buttons.pause.hidden = Boolean(run?.paused);
    buttons["go-on"].hidden = !run?.paused;
    document.getElementById("actions").hidden = !live || !run?.active;
    document.getElementById("read-only").hidden = live || !run?.active;
    const bar = document.getElementById("connection");
    bar.hidden = connected !== false;
    bar.classList.toggle("calm", Boolean(run) && !run.active);
    const words = connected === false ? lostWords() : "";
    if (bar.textContent !== words) bar.textContent = words;
    const dialog = document.getElementById("ask");
    if (dialog.open && asked && !possible(asked)) dialog.close(); // the run has moved on
  }

  function ask(name) {
    const action = ACTIONS[name];
    const dialog = document.getElementById("ask");
    asked = name;
    document.getElementById("ask-title").textContent = action.title;
    document.getElementById("ask-text").textContent = action.text;
    document.getElementById("ask-yes").textContent = action.word;
    dialog.returnValue = "";
    dialog.showModal();
  }

  async function act(name) {
    buttons[name].disabled = true;
    const failed = document.getElementById("action-failed");
    failed.hidden = true;
    try {
      const answer = await fetch(`actions/${name}`, { method: "POST", headers: { "X-Aveo3-Token": token() } });
      if (!answer.ok) throw new Error((await answer.text()).trim() || `status ${answer.status}`);
      announce(`${ACTIONS[name].word}: done.`);
    } catch (error) {
      failed.textContent = `“${ACTIONS[name].word}” did not reach the run: ${error.message.replace(/\.$/, "")}. Press Ctrl-C in its terminal instead.`;
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
      const name = asked;
      asked = null;
      if (dialog.returnValue === "yes" && possible(name)) act(name);
      (buttons[name]?.hidden ? buttons.stop : buttons[name])?.focus();
    });
    store.on(show);
    connect();
  }

  aveo3.liveRun = { start };
})();
