"use strict";
// Timeline and money, drawn by Bokeh from what Python has made; the live page's news go into its columns.
(() => {
  const aveo3 = globalThis.aveo3;
  const { tabs, theme } = aveo3;
  let data = null; // {docs: {name: item of Bokeh}, columns: {source: {column: values}}, texts: {name: sentence}}
  let shown = false;
  let views = [];
  const late = {}; // columns that came while it was drawing
  let state = "waiting"; // then: drawing, drawn, or none

  const documents = () => [...new Set(views.map((view) => view.model.document))];

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
    return {
      Figure: { background_fill_color: null, border_fill_color: null, outline_line_color: null },
      Axis: {
        axis_line_color: line, major_tick_line_color: line, minor_tick_line_color: null, major_label_text_color: muted,
        axis_label_text_color: muted, major_label_text_font: font, axis_label_text_font: font, axis_label_text_font_style: "normal",
      },
      Grid: { grid_line_color: line, minor_grid_line_color: null },
      Title: { text_color: ink, text_font: font },
      Legend: {
        background_fill_color: surface, background_fill_alpha: 0.85, border_line_color: null, label_text_color: ink, label_text_font: font,
      },
    };
  }

  const dressOf = (all, type) => Object.entries(all).find(([end]) => type.endsWith(end))?.[1];

  function follow() {
    if (state !== "drawn") return;
    const all = dresses(colours());
    for (const each of documents()) {
      for (const root of each.roots()) for (const model of root.references()) model.setv(dressOf(all, model.type) ?? {});
    }
  }

  /** Puts columns and colours into a document that is still JSON: nothing is drawn empty, or white, first. */
  function prepare(part, columns, all) {
    if (part === null || typeof part !== "object") return;
    if (part.type === "object" && part.attributes) {
      const { attributes } = part;
      Object.assign(attributes, dressOf(all, part.name));
      if (part.name === "ColumnDataSource" && Object.hasOwn(columns, attributes.name)) {
        attributes.data = { type: "map", entries: Object.entries(columns[attributes.name]) };
        return;
      }
    }
    for (const each of Object.values(part)) prepare(each, columns, all);
  }

  function update(columns) {
    for (const each of documents()) {
      for (const [name, news] of Object.entries(columns)) {
        const source = each.get_model_by_name(name);
        if (source) source.data = news;
      }
    }
  }

  /** Later columns replace earlier ones, also before anything is drawn. */
  function news(columns) {
    if (state === "drawing") Object.assign(late, columns);
    else if (state === "drawn") update(columns);
    else if (data) {
      Object.assign((data.columns ??= {}), columns);
      if (shown) draw();
    }
  }

  function without(sentence) {
    state = "none";
    document.getElementById("charts").hidden = true;
    const place = document.getElementById("no-charts");
    place.textContent = sentence;
    place.hidden = false;
  }

  async function draw() {
    if (state !== "waiting") return;
    const docs = Object.entries(data?.docs ?? {});
    if (!docs.length) return without("There are no charts: they need the extra aveo3[report], or there is nothing to draw yet.");
    if (!globalThis.Bokeh) return without("The charts are not shown: the chart library Bokeh is missing from this page.");
    if (aveo3.live && !Object.keys(data.columns ?? {}).length) return undefined; // the first news draw them
    state = "drawing";
    try {
      for (const [name, item] of docs) {
        const place = document.getElementById(`chart-${name}`);
        if (!place) continue;
        place.replaceChildren();
        place.closest("figure").hidden = false;
        place.previousElementSibling.lastChild.textContent = data.texts?.[name] ?? "";
        prepare(item.doc, data.columns ?? {}, dresses(colours()));
        const made = await globalThis.Bokeh.embed.embed_item(item, place.id);
        views.push(...(made.roots ?? made));
      }
      state = "drawn";
      follow();
      update(late);
    } catch (error) {
      console.warn("The charts cannot be drawn.", error);
      without("The charts cannot be drawn by this browser.");
    }
  }

  function start() {
    const given = document.getElementById("charts-data")?.textContent.trim();
    data = given ? JSON.parse(given) : null;
    tabs.on((name) => {
      shown = name === "charts";
      if (shown) draw(); // a hidden place has no size to draw in
    });
    theme.on(follow);
  }

  aveo3.charts = { start, news, draw };
})();
