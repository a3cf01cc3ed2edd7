"use strict";
// Timeline and money, drawn by Bokeh from what Python has made; the live page's news go into its columns.
(() => {
  const aveo3 = globalThis.aveo3;
  const { tabs, theme } = aveo3;
  let data = null; // {docs: {name: item of Bokeh}, columns: {source: {column: values}}, texts: {name: sentence}}
  let shown = false; // the tab is open
  let drawing = false;
  let none = false; // there will be no charts
  let late = {}; // columns that came while it was drawing
  const drawn = new Map(); // documents of Bokeh, by the names of the charts

  /** The page's own colours, so that charts follow its theme. */
  function colours() {
    const style = getComputedStyle(document.documentElement);
    const probe = document.getElementById("colour-probe");
    const read = (name) => {
      probe.style.color = style.getPropertyValue(name); // light-dark() becomes a plain colour
      return getComputedStyle(probe).color;
    };
    return { ink: read("--ink"), muted: read("--muted"), line: read("--line"), surface: read("--surface") };
  }

  /** Properties for the models whose type ends so. */
  function dresses({ ink, muted, line, surface }) {
    const font = getComputedStyle(document.body).fontFamily;
    const narrow = document.documentElement.clientWidth < 600;
    return {
      Figure: { background_fill_color: null, border_fill_color: null, outline_line_color: null },
      Axis: {
        axis_line_color: line, major_tick_line_color: line, minor_tick_line_color: null, major_label_text_color: muted,
        axis_label_text_color: muted, major_label_text_font: font, axis_label_text_font: font, axis_label_text_font_style: "normal",
      },
      Grid: { grid_line_color: line, minor_grid_line_color: null },
      DatetimeTicker: { desired_num_ticks: narrow ? 3 : 6 },
      Text: { text_color: ink, text_font: font },
      Title: { text_color: ink, text_font: font },
      Legend: {
        background_fill_color: surface, background_fill_alpha: 0.85, border_line_color: null, label_text_color: ink, label_text_font: font,
      },
    };
  }

  const QUOTA = { height: 250, row: 20, letter: 6.2, sign: 44, around: 96 }; // pixels: of the chart, its legend, what stands around

  /** Room for the names of the lanes above their chart: as many beside each other as fit, and rows for the rest. */
  function roomForLanes() {
    const sources = [...drawn.values()].map((each) => each.get_model_by_name("timeline-used")).filter(Boolean);
    const names = sources.flatMap((source) => [...(source.data.legend ?? [])]);
    const longest = Math.max("refused".length, ...names.map((name) => name.length)) * QUOTA.letter + QUOTA.sign;
    const ncols = Math.max(1, Math.min(names.length + 1, Math.floor((document.documentElement.clientWidth - QUOTA.around) / longest)));
    const rows = Math.ceil((names.length + 1) / ncols);
    return { lanes: { ncols }, quota: { height: QUOTA.height + QUOTA.row * (rows - 1) } };
  }

  const dressOf = (all, type) => Object.entries(all).find(([end]) => type.endsWith(end))?.[1];

  function follow() {
    const [all, room] = [dresses(colours()), roomForLanes()];
    for (const each of drawn.values()) {
      for (const root of each.roots()) for (const model of root.references()) model.setv({ ...dressOf(all, model.type), ...room[model.name] });
    }
  }

  // Python's instants are UTC, and Bokeh writes instants as if they were: those of the timeline are moved by what the
  // reader's zone is ahead at that very instant. Where a clock is put back, an hour lies upon the one before. Days of
  // money are days of UTC for everybody.
  const ZONE = new Intl.DateTimeFormat().resolvedOptions().timeZone ?? "your zone";
  const INSTANTS = new Set(["x", "xs", "left", "right"]);
  const SAID = /(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)/g;
  const ofTimeline = (name) => name.startsWith("timeline");

  function local(instant) {
    if (Array.isArray(instant)) return instant.map(local);
    return typeof instant === "number" ? instant - new Date(instant).getTimezoneOffset() * 60_000 : instant;
  }

  const localColumn = ([name, values]) => [name, INSTANTS.has(name) ? local(values) : values];
  const localSource = (name, columns) =>
    ofTimeline(name) ? Object.fromEntries(Object.entries(columns).map(localColumn)) : columns;
  const localColumns = (sources) =>
    Object.fromEntries(Object.entries(sources ?? {}).map(([name, columns]) => [name, localSource(name, columns)]));

  /** The sentence of a chart, whose first instants are followed by "UTC". */
  function localSentence(name, text) {
    const end = text.indexOf(" UTC");
    if (!ofTimeline(name) || end < 0) return text;
    const written = (_, day, time) => new Date(local(Date.parse(`${day}T${time}Z`))).toISOString().slice(0, 19).replace("T", " ");
    return `${text.slice(0, end).replace(SAID, written)} ${ZONE}${text.slice(end + " UTC".length)}`;
  }

  /** Puts a model of the timeline, still JSON, into the reader's zone. */
  function localize(type, attributes) {
    if (type === "Range1d") Object.assign(attributes, { start: local(attributes.start), end: local(attributes.end) });
    else if (type === "ColumnDataSource") attributes.data.entries = attributes.data.entries.map(localColumn);
    else if (type === "HoverTool") attributes.tooltips = attributes.tooltips.map(([word, value]) => [word === "UTC" ? ZONE : word, value]);
    else if (attributes.axis_label) attributes.axis_label = attributes.axis_label.replace("(UTC)", `(${ZONE})`);
  }

  /** Puts columns, colours and zone into a chart that is still JSON: nothing is drawn empty, or white, first. */
  function prepare(part, chart, columns, all) {
    if (part === null || typeof part !== "object") return;
    if (part.type === "object" && part.attributes) {
      const { attributes } = part;
      Object.assign(attributes, dressOf(all, part.name));
      if (ofTimeline(chart)) localize(part.name, attributes);
      if (part.name === "ColumnDataSource" && Object.hasOwn(columns, attributes.name)) {
        attributes.data = { type: "map", entries: Object.entries(columns[attributes.name]) };
        return;
      }
    }
    for (const each of Object.values(part)) prepare(each, chart, columns, all);
  }

  function update(columns) {
    for (const each of drawn.values()) {
      for (const [name, news] of Object.entries(columns)) {
        const source = each.get_model_by_name(name);
        if (source) source.data = news;
      }
      const room = roomForLanes();
      for (const name of Object.keys(room)) each.get_model_by_name(name)?.setv(room[name]);
    }
  }

  /** Later columns replace earlier ones, also before anything is drawn. */
  function news(made, texts = {}) {
    if (!data) return;
    Object.assign((data.texts ??= {}), texts);
    for (const name of Object.keys(texts)) say(name);
    const columns = localColumns(made);
    Object.assign((data.columns ??= {}), columns);
    if (drawing) Object.assign(late, columns);
    else {
      update(columns);
      if (shown) draw();
    }
  }

  /** Whether a chart has anything to show: the money's have a source of their own name. */
  function filled(name) {
    const own = data.columns?.[name];
    return !own || Object.values(own).some((values) => values.length > 0);
  }

  function without(sentence) {
    none = true;
    document.getElementById("charts").hidden = true;
    const place = document.getElementById("no-charts");
    place.textContent = sentence;
    place.hidden = false;
  }

  /** Says in words, for those who cannot see it, what a chart shows. */
  function say(name) {
    const place = document.getElementById(`chart-${name}`)?.previousElementSibling.lastChild;
    const words = localSentence(name, data.texts?.[name] ?? "");
    if (place && place.textContent !== words) place.textContent = words;
  }

  /** Draws each chart once, as soon as it has something to show. */
  async function draw() {
    if (drawing || none) return;
    const docs = Object.entries(data?.docs ?? {});
    if (!docs.length) return without("There are no charts: they need the extra aveo3[report], or there is nothing to draw yet.");
    if (!globalThis.Bokeh) return without("The charts are not shown: the chart library Bokeh is missing from this page.");
    if (aveo3.live && !Object.keys(data.columns ?? {}).length) return; // the first news draw them
    drawing = true;
    try {
      for (const [name, item] of docs) {
        const place = document.getElementById(`chart-${name}`);
        if (!place || drawn.has(name) || !filled(name)) continue;
        place.closest("figure").hidden = false;
        say(name);
        prepare(item.doc, name, data.columns ?? {}, dresses(colours()));
        const made = await globalThis.Bokeh.embed.embed_item(item, place.id);
        drawn.set(name, [...(made.roots ?? made)][0].model.document);
        follow();
      }
      update(late);
      late = {};
    } catch (error) {
      console.warn("The charts cannot be drawn.", error);
      return without("The charts cannot be drawn by this browser.");
    } finally {
      drawing = false;
    }
    document.getElementById("no-money").hidden = docs.some(([name]) => name !== "timeline" && drawn.has(name));
  }

  function start() {
    const given = document.getElementById("charts-data")?.textContent.trim();
    data = given ? JSON.parse(given) : null;
    if (data) data.columns = localColumns(data.columns);
    tabs.on((name) => {
      shown = name === "charts";
      if (shown) draw(); // a hidden place has no size to draw in
    });
    theme.on(follow);
  }

  aveo3.charts = { start, news };
})();
