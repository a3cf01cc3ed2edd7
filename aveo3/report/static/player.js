"use strict";
// The picture of a clip: its poster, played in place; or what is to be seen while there is no video.
(() => {
  const aveo3 = globalThis.aveo3;
  const { ENDED, bytes, duration, el, icon, safeUrl, since, status, ticker } = aveo3;
  const KEPT = 3; // so many players may stand on the page; the oldest goes back to its poster
  const players = []; // oldest first

  function close(player, focus) {
    const place = players.indexOf(player);
    if (place >= 0) players.splice(place, 1);
    player.video.pause();
    player.video.removeAttribute("src");
    player.video.load(); // lets the file go
    player.video.replaceWith(player.button);
    if (focus) player.button.focus();
  }

  function play(button, name, video) {
    for (const other of players) other.video.pause();
    while (players.length >= KEPT) close(players[0], false);
    const element = el("video", { src: video.src, controls: true, playsinline: true, "aria-label": `Video of ${name}` });
    if (safeUrl(video.poster)) element.poster = video.poster;
    const player = { video: element, button };
    element.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !document.fullscreenElement) close(player, true);
    });
    element.addEventListener("play", () => {
      for (const other of players) if (other !== player) other.video.pause();
    });
    element.addEventListener("error", () => {
      if (!players.includes(player)) return;
      close(player, true);
      button.replaceChildren(...blank("missing", "The browser cannot play this file"));
    });
    players.push(player);
    button.replaceWith(element);
    element.focus();
    element.play().catch(() => {}); // the controls are there
  }

  /** Ends what plays in a card that leaves the page. */
  function release(root) {
    for (const player of [...players]) if (root.contains(player.video)) close(player, false);
  }

  function named(row) {
    const text = row.text.length > 80 ? `${row.text.slice(0, 80)}…` : row.text;
    return `clip ${row.index + 1}${text ? `: ${text}` : ""}`;
  }

  const blank = (drawing, words, more) => [icon(drawing), el("span", {}, words), more];

  function poster(name, video) {
    const badge = [video.seconds === null ? null : duration(video.seconds), video.height ? `${Math.min(video.width, video.height)}p` : null];
    const button = el("button", { type: "button", class: "play", "aria-label": `Play ${name}` });
    if (safeUrl(video.poster)) {
      button.append(el("img", {
        src: video.poster, alt: "", loading: "lazy", decoding: "async", width: video.width, height: video.height,
        on: { error: (event) => event.target.remove() },
      }));
    }
    button.append(el("span", { class: "triangle" }, icon("play")));
    button.addEventListener("click", () => play(button, name, video));
    return [button, badge.some(Boolean) ? el("span", { class: "badge", text: badge.filter(Boolean).join(" · ") }) : ""];
  }

  function shape(row) {
    const [width, height] = String(row.parameters?.aspect_ratio ?? "").split(":").map(Number);
    return height > width;
  }

  /** The content of a card's frame, for one of its videos. `name` is what screen readers call it. */
  function picture(row, number, name = named(row)) {
    const video = row.videos[number];
    if (video) {
      const tall = video.height > video.width;
      if (video.missing) return { tall, content: el("div", { class: "blank" }, blank("missing", "The file is missing")) };
      if (!safeUrl(video.src)) return { tall, content: el("div", { class: "blank" }, blank("missing", "The file lies where this page cannot reach it")) };
      return { tall, content: poster(name, video) };
    }
    const { word, icon: drawing, tone } = status(row.status);
    let more = null;
    if (row.submitted_utc && !ENDED.has(row.status) && aveo3.live) {
      more = el("span", { class: "muted" }, ticker(() => `for ${duration(Math.floor(since(row.submitted_utc)))}`));
    }
    return { tall: shape(row), content: el("div", { class: `blank tone-${tone}` }, blank(drawing, word, more)) };
  }

  /** "4 s, 720p, 1.2 MB" */
  function described(video) {
    const size = video.width && video.height ? `${video.width} × ${video.height}` : null;
    return [video.seconds === null ? null : duration(video.seconds), size, bytes(video.bytes)].filter(Boolean).join(", ");
  }

  Object.assign(aveo3, { player: { described, named, picture, release } });
})();
