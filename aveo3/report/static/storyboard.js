"use strict";
// A film: the assembled one, and its storyboard, the takes of each scene side by side. On the live page a click picks a take.
(() => {
  const aveo3 = globalThis.aveo3;
  const { announce, command, cost, count, el, icon, number, player, renew, statusMark, store } = aveo3;
  const FIRST = 60; // scenes; more are shown when asked for
  const STAGES = { final: "Film", draft: "Draft" };

  const scenes = new Map(); // by id
  let every = false; // all scenes are shown
  let stage = null; // of the film that is shown, once chosen
  let busy = false; // a pick is under way
  let said = null; // what the last pick says, or why there was none

  const part = (id) => document.getElementById(id);
  const listed = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);

  /** A function that finds the clip of a take: by its job, else the newest one that was sent for it since. */
  function finder({ clips, film, live }) {
    const byKey = new Map();
    const byId = new Map();
    const noted = Date.parse(film.noted_utc);
    for (const clip of clips) {
      byKey.set(clip.key, clip);
      const sent = Date.parse(clip.submitted_utc ?? clip.queued_utc);
      if (clip.prompt_id !== null && (live || sent >= noted)) byId.set(clip.prompt_id, clip);
    }
    return (take) => byId.get(take.id) ?? byKey.get(take.job) ?? null;
  }

  const isThere = (clip) => Boolean(clip?.videos[0]) && !clip.videos[0].missing;
  /** True if a take has a video: the page of a run does not list those of earlier runs. */
  const isMade = (take, clip) => (clip ? isThere(clip) : take?.status === "succeeded");
  const makes = (view) => view.film.command + (view.service === "mock" ? " --mock" : "");
  const pickedOf = (scene) => scene.takes.find((take) => take.stage === scene.stage && take.number === scene.picked);

  /** The take that the film shows, or would show: a final if there are finals. */
  function shownOf(scene, clipOf) {
    const finals = scene.takes.filter((take) => take.stage === "final" && (take.job !== null || clipOf(take)));
    return finals.length ? finals.find((take) => take.number === scene.picked) ?? null : pickedOf(scene);
  }

  /** Why a scene has no clip in the film; null if it has one. */
  function missing(scene, clipOf, byId) {
    const take = shownOf(scene, clipOf);
    const clip = take && clipOf(take);
    if (isMade(take, clip)) return null;
    if (clip?.error_message) return { text: clip.error_message, next: clip.next_move };
    if (clip?.videos[0]?.missing) return { text: "its file is missing", next: clip.next_move };
    if (clip) return { text: aveo3.status(clip.status).word.toLowerCase(), next: clip.next_move, calm: !aveo3.ENDED.has(clip.status) };
    const source = byId.get(scene.source);
    const before = source && shownOf(source, clipOf);
    if (source && !isMade(before, before && clipOf(before))) return { text: `it begins from ${source.id}, which has no clip yet`, calm: true };
    return { text: take ? "not made yet" : `the final of draft ${scene.picked} is not made yet`, calm: true };
  }

  // ---- the film ---------------------------------------------------------------------------------------------------------

  function showFilm(view, clipOf, byId) {
    const { film } = view;
    const made = Object.keys(STAGES).filter((name) => film.films[name]);
    const shown = made.includes(stage) ? stage : made[0];
    const video = film.films[shown];
    const without = film.scenes.filter((scene) => missing(scene, clipOf, byId));
    part("film-title").textContent = film.title || "Film";
    renew(part("film"), [video, film.title], () => {
      if (!video) return [];
      return player.picture({ text: film.title, index: 0, videos: [video], parameters: {}, status: "succeeded" }, 0, `the film ${film.title}`).content;
    });
    part("film").hidden = !video;
    part("film").classList.toggle("frame", Boolean(video));
    renew(part("film-stages"), [made, shown], () => (made.length < 2 ? [] : made.map((name) => el("button", {
      type: "button", class: "quiet", text: STAGES[name], "aria-pressed": String(name === shown), on: { click: () => ((stage = name), show(store.view)) },
    }))));
    const changed = film.scenes.filter((scene) => scene.changed);
    renew(part("film-state"), [film.scenes.length, without.map((scene) => scene.id), changed.map((scene) => scene.id), shown, video, makes(view)], () => [
      el("span", { class: "muted", text: [count(film.scenes.length, "scene"), video ? player.described(video) : null].filter(Boolean).join(" · ") }),
      changed.length && video
        ? el("span", {}, "The film is older than what you picked for ", some(changed), ". This makes it anew:", command(makes(view)))
        : video ? null
        : without.length ? el("span", {}, "The film is not made yet: ", some(without), without.length === 1 ? " has no clip." : " have no clip.")
        : film.scenes.length ? el("span", {}, "All clips are here; the film is not made yet. This makes it:", command(makes(view))) : null,
    ]);
    part("film-problem").hidden = !film.problem;
    part("film-problem").textContent = film.problem ? `${film.problem[0].toUpperCase()}${film.problem.slice(1)}.` : "";
  }

  function some(list) {
    const names = list.slice(0, 5).map((scene) => scene.id);
    return listed(list.length > 5 ? [...names, `${number(list.length - 5)} more`] : names);
  }

  // ---- scenes -----------------------------------------------------------------------------------------------------------

  function nameOf(scene, take) {
    if (take.stage === "draft") return `Draft ${take.number}`;
    return scene.stage === "draft" ? `Final of draft ${take.number}` : `Take ${take.number}`;
  }

  function takeTile(scene, take) {
    const name = nameOf(scene, take);
    const parts = {
      frame: el("div", { class: "frame" }),
      head: el("p", { class: "head" }, el("strong", { text: name })),
      facts: el("p", { class: "facts" }),
      pick: el("div", { class: "pick" }),
    };
    parts.mark = el("span", {});
    parts.head.append(parts.mark);
    const root = el("li", { class: "take" }, parts.frame, el("div", { class: "take-body" }, parts.head, parts.facts, parts.pick));

    function update(news, current, clip, picks) {
      [scene, take] = [news, current];
      const picked = take.stage === scene.stage && take.number === scene.picked;
      root.classList.toggle("is-picked", picked);
      renew(parts.frame, [clip?.videos[0], clip ? null : take.status ?? "", clip?.videos.length ? null : [clip?.status, clip?.submitted_utc]], () => {
        if (!clip) return el("div", { class: "blank tone-wait" }, icon("dots"), el("span", { text: take.status ? "Of an earlier run" : "Not made yet" }));
        const { tall, content } = player.picture(clip, 0, `${name.toLowerCase()} of ${scene.id}`);
        parts.frame.classList.toggle("tall", tall);
        return content;
      });
      renew(parts.mark, clip?.status, () => (clip ? statusMark(clip) : []));
      const price = clip && cost(clip);
      renew(parts.facts, [price, clip?.model], () => [clip?.model, price].filter(Boolean).map((text) => el("span", { text })));
      renew(parts.pick, [picked, picks, isMade(take, clip), busy], () => {
        if (picked) return el("span", { class: "status tone-good" }, icon("check"), "Picked");
        if (!picks || take.stage !== scene.stage || !isMade(take, clip)) return [];
        return el("button", {
          type: "button", text: "Pick", "aria-label": `Pick ${name.toLowerCase()} of ${scene.id}`, disabled: busy, on: { click: () => pick(scene, take) },
        });
      });
    }

    return { root, update };
  }

  function sceneRow(id) {
    const title = `scene-${++sceneRow.made}`;
    const parts = {
      name: el("h3", { id: title }),
      prompt: el("p", { class: "prompt" }),
      begins: el("p", { class: "muted begins" }),
      reason: el("div", { class: "reason" }),
      takes: el("ul", { class: "take-list", "aria-label": `Takes of ${id}` }),
    };
    const words = el("div", { class: "scene-words" }, parts.name, parts.prompt, parts.begins, parts.reason);
    const root = el("li", { class: "panel scene", "aria-labelledby": title, tabindex: "-1" }, words, parts.takes);
    const tiles = new Map();

    function update(scene, place, picks, clipOf, why) {
      renew(parts.name, [place, scene.id], () => [el("span", { class: "muted", text: `${place + 1} ` }), scene.id]);
      parts.prompt.textContent = scene.prompt || "(no text)";
      parts.prompt.title = scene.prompt.length > 120 ? scene.prompt : "";
      parts.begins.textContent = scene.begins ? `Begins from ${scene.begins}.` : "";
      renew(parts.reason, why, () => (why ? [
        el("p", { class: why.calm ? "muted" : "error" }, el("strong", { text: why.calm ? "No clip yet: " : "No clip: " }), why.text),
        why.next ? el("p", { class: "next" }, el("strong", { text: "Next: " }), why.next) : null,
      ].filter(Boolean) : []));
      const ids = new Set(scene.takes.map((take) => take.id));
      for (const [key, tile] of tiles) {
        if (ids.has(key)) continue;
        player.release(tile.root);
        tile.root.remove();
        tiles.delete(key);
      }
      for (const [at, take] of scene.takes.entries()) {
        if (!tiles.has(take.id)) tiles.set(take.id, takeTile(scene, take));
        const tile = tiles.get(take.id);
        tile.update(scene, take, clipOf(take), picks);
        if (parts.takes.children[at] !== tile.root) parts.takes.insertBefore(tile.root, parts.takes.children[at] ?? null);
      }
    }

    return { root, update };
  }
  sceneRow.made = 0;

  // ---- picking ----------------------------------------------------------------------------------------------------------

  async function pick(scene, take) {
    busy = true;
    show(store.view);
    try {
      const answer = await fetch(`picks/${encodeURIComponent(scene.id)}/${take.number}`, { method: "POST" });
      if (!answer.ok) throw new Error((await answer.text()).trim() || `status ${answer.status}`);
      said = { scene: scene.id, hangs: scene.hangs, name: nameOf(scene, take).toLowerCase(), drafts: scene.stage === "draft" };
    } catch (error) {
      said = { failed: `Nothing was picked for ${scene.id}: ${error.message.replace(/\.$/, "")}.` };
    }
    busy = false;
    show(store.view);
    announce(part("picked").firstElementChild.textContent);
  }

  /** What hangs on the last pick. */
  function showPicked(view) {
    const place = part("picked");
    place.hidden = said === null;
    place.classList.toggle("calm", !said?.failed);
    renew(place, [said, said && makes(view)], () => {
      if (said === null || said.failed) return el("p", { text: said?.failed ?? "" });
      const anew = [said.drafts ? `its final${said.hangs.length ? "," : ""}` : null, said.hangs.length ? listed(said.hangs) : null].filter(Boolean).join(" ");
      const what = said.hangs.length ? `${listed(said.hangs)} ${said.hangs.length === 1 ? "begins" : "begin"} from it. ` : "";
      const then = anew ? `Clips that are not there yet (${anew}) and the film are made anew by:` : "No clip begins from it. The film is made anew by:";
      return [el("p", { text: `${said.scene}: ${said.name} is picked. Nothing was sent. ${what}${then}` }), command(makes(view))];
    });
  }

  // ---- all of it --------------------------------------------------------------------------------------------------------

  function show(view) {
    const { film } = view;
    part("film-section").hidden = !film;
    part("storyboard-section").hidden = !film?.scenes.length;
    if (!film) return;
    const clipOf = finder(view);
    const byId = new Map(film.scenes.map((scene) => [scene.id, scene]));
    showFilm(view, clipOf, byId);
    showPicked(view);
    const wanted = every ? film.scenes : film.scenes.slice(0, FIRST);
    for (const [id, row] of scenes) {
      if (wanted.some((scene) => scene.id === id)) continue;
      player.release(row.root);
      row.root.remove();
      scenes.delete(id);
    }
    const list = part("scenes");
    for (const [place, scene] of wanted.entries()) {
      if (!scenes.has(scene.id)) scenes.set(scene.id, sceneRow(scene.id));
      const row = scenes.get(scene.id);
      row.update(scene, place, film.picks, clipOf, missing(scene, clipOf, byId));
      if (list.children[place] !== row.root) list.insertBefore(row.root, list.children[place] ?? null);
    }
    part("all-scenes").hidden = wanted.length === film.scenes.length;
    part("all-scenes").textContent = `Show all ${number(film.scenes.length)} scenes`;
  }

  function start() {
    part("all-scenes").addEventListener("click", () => {
      every = true;
      show(store.view);
      part("scenes").children[FIRST]?.focus();
    });
    store.on(show);
  }

  aveo3.storyboard = { start };
})();
