"""The charts of report and live page, drawn by Bokeh: the timeline, and the money by model, day, label and project.

Why Bokeh: its wheel ships its JavaScript (1.3 MB), which needs neither network nor `eval`, so that it works under a
strict content security policy; and a page changes a chart by new columns for a named source. Altair would need
vl-convert, a binary that does not fit a slim image, to get at Vega's JavaScript, which compiles its expressions.

`columns` is pure and needs no Bokeh: a live page computes it again and again. `documents` makes the charts once, with
the columns of then; later ones replace them by the names of the sources. Colours of axes, grid and text come from the
page, which knows its theme.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aveo3.report import spending, timeline
from aveo3.report.timeline import Columns
from aveo3.report.view import View

if TYPE_CHECKING:
    from bokeh.model import Model
    from bokeh.models import ColumnDataSource
    from bokeh.plotting import figure

SPENT, FLYING, MAYBE = "#3b82f6", "#a855f7", "#f59e0b"
"""Colours of money that is spent, in flight, and that may be paid, too: legible on white and on black."""
WORDS = "#7d8590"
"""Colour of words in a chart, until the page sets its own."""
ROW = 38
"""Pixels of a bar with its name."""
NAMES = ("timeline", "money-model", "money-day", "money-label", "money-project")


def columns(view: View) -> Columns:
    """The columns of every data source, by its name. Pure and cheap; see `documents`."""
    return timeline.columns(view) | spending.columns(view)


def texts(view: View) -> dict[str, str]:
    """Each chart in words, by its name, for those who cannot see it."""
    return {"timeline": timeline.sentence(view), **spending.sentences(view)}


def news(view: View) -> dict[str, dict[str, Any]]:
    """What a live page sends of its charts: their `columns` by source, and their `texts` by chart. As pure."""
    return {"columns": columns(view), "texts": texts(view)}


def charts(view: View) -> dict[str, Any]:
    """What the page has under `charts-data`. Needs Bokeh.

    `docs`: the charts, with their columns. `columns`: later ones, by source; none yet. `texts`: the charts in words.
    """
    return {"docs": documents(view), "columns": {}, "texts": texts(view)}


def script() -> str:
    """Bokeh's JavaScript, without what draws tables and widgets."""
    import bokeh

    return Path(bokeh.__file__).with_name("server").joinpath("static", "js", "bokeh.min.js").read_text("utf-8")


def documents(view: View) -> dict[str, Any]:
    """Bokeh's JSON of each chart, for `Bokeh.embed.embed_item`, by its name.

    A report has no chart that shows nothing; on a live page it may yet fill. A report of an ended run begins with the
    last run; earlier ones are there to zoom out to.
    """
    from bokeh.core.types import ID
    from bokeh.embed import json_item

    data = columns(view)
    found = {}
    for name in NAMES:
        if view["live"] or any(
            column for source in data if source.startswith(name) for column in data[source].values()
        ):
            if name == "timeline":
                drawn: Model = _timeline(data, _begin(view))
            else:
                drawn = _days(data) if name == "money-day" else _bars(data, name)
            found[name] = json_item(drawn, ID(f"chart-{name}"))
    return found


def _begin(view: View) -> tuple[float, float] | None:
    """The instants between which the last run was; None if all is to be seen."""
    run, steps = view["run"], view["steps"]
    if view["live"] or run is None or run["active"] or run["begun_utc"] is None or not steps:
        return None
    begin, end = timeline.ms(run["begun_utc"]), timeline.ms(steps[-1]["at_utc"])
    if timeline.ms(steps[0]["at_utc"]) >= begin or end <= begin:
        return None
    margin = (end - begin) * 0.03
    return begin - margin, end + margin


def _source(data: Columns, name: str) -> ColumnDataSource:
    from bokeh.models import ColumnDataSource

    return ColumnDataSource(data[name], name=name)


def _figure(height: int, *, tools: str, **more: Any) -> figure:
    from bokeh.models import WheelZoomTool
    from bokeh.plotting import figure

    drawn = figure(
        height=height,
        sizing_mode="stretch_width",
        tools=f"{tools},zoom_in,zoom_out,reset",
        active_drag=None,  # a finger scrolls the page, until a tool is chosen
        active_scroll=None,
        toolbar_location="above",
        output_backend="canvas",
        **more,
    )
    drawn.toolbar.logo = None
    drawn.update(min_border_left=8, min_border_right=8, outline_line_color=None, border_line_color=None)
    drawn.update(background_fill_color=None, border_fill_color=None)  # the page shines through
    # With Ctrl, so that the wheel alone scrolls the page.
    drawn.add_tools(wheel := WheelZoomTool(dimensions="width", modifiers={"ctrl": True}))
    drawn.toolbar.active_scroll = wheel
    return drawn


# ---- the timeline ----------------------------------------------------------------------------------------------------


def _timeline(data: Columns, window: tuple[float, float] | None) -> Model:
    from bokeh.layouts import column
    from bokeh.models import Range1d

    quota = _quota(data)
    if window is not None:
        quota.x_range = Range1d(start=window[0], end=window[1])
    clips = _clips(data, quota.x_range)
    return column(quota, clips, sizing_mode="stretch_width")


def _quota(data: Columns) -> figure:
    """Requests of each lane in its period, against its limit; refusals, and the pauses that they brought."""
    from bokeh.models import BasicTicker, HoverTool, VStrip

    drawn = _figure(250, tools="xpan,xbox_zoom", x_axis_type="datetime")
    drawn.yaxis.axis_label = "Requests in a period"
    drawn.yaxis.ticker = BasicTicker(min_interval=1)
    pauses = _source(data, "timeline-pauses")
    strip = VStrip(x0="left", x1="right", fill_color="color", fill_alpha=0.18, line_color=None)
    bands = drawn.add_glyph(pauses, strip)
    lines = _source(data, "timeline-used")
    used = drawn.multi_line("xs", "ys", source=lines, line_color="color", line_width=2, legend_field="legend")
    limits = _source(data, "timeline-limit")
    limit = drawn.multi_line("xs", "ys", source=limits, line_color="color", line_width=2, line_dash="dashed")
    refusals = _source(data, "timeline-refused")
    refused = drawn.scatter(
        "x", "y", source=refusals, marker="x", size=10, line_color="color", line_width=2, legend_label="refused"
    )
    at: Any = {"$data_x": "datetime"}
    drawn.add_tools(
        HoverTool(
            renderers=[used],
            tooltips=[("lane", "@lane"), ("requests", "$data_y{0}"), ("UTC", "$data_x{%F %T}")],
            formatters=at,
        ),
        HoverTool(renderers=[limit], tooltips=[("limit of", "@lane"), ("requests", "$data_y{0}")]),
        HoverTool(
            renderers=[refused], tooltips=[("refused on", "@lane"), ("UTC", "@x{%F %T}")], formatters={"@x": "datetime"}
        ),
        HoverTool(
            renderers=[bands],
            tooltips=[("paused", "@lane"), ("why", "@reason"), ("until", "@right{%F %T}")],
            formatters={"@right": "datetime"},
        ),
    )
    drawn.y_range.update(start=0, range_padding=0.2)
    _legend(drawn)
    drawn.name, drawn.legend[0].name = "quota", "lanes"  # the page makes room for the names
    return drawn


def _clips(data: Columns, x_range: Any) -> figure:
    """Clips at Google, and clips that are made."""
    from bokeh.models import BasicTicker, DataRange1d, HoverTool, LinearAxis

    drawn = _figure(230, tools="xpan,xbox_zoom", x_axis_type="datetime", x_range=x_range)
    drawn.yaxis.axis_label = "Clips at Google"
    drawn.yaxis.ticker = BasicTicker(min_interval=1)
    drawn.xaxis.axis_label = "Time (UTC)"
    drawn.y_range.update(start=0, range_padding=0.2)
    running = drawn.line(
        "x",
        "y",
        source=_source(data, "timeline-running"),
        line_color=FLYING,
        line_width=2,
        legend_label="at Google",
    )
    drawn.y_range.renderers = [running]  # type: ignore[attr-defined]
    made_range = DataRange1d(start=0, range_padding=0.2)
    drawn.extra_y_ranges = {"made": made_range}
    drawn.add_layout(
        LinearAxis(y_range_name="made", axis_label="Clips made", ticker=BasicTicker(min_interval=1)), "right"
    )
    made = drawn.line(
        "x",
        "y",
        source=_source(data, "timeline-made"),
        y_range_name="made",
        line_color="#0d9488",
        line_width=2,
        legend_label="made",
    )
    made_range.renderers = [made]
    for line, words in ((running, "at Google"), (made, "made")):
        tooltips = [(words, "@y{0}"), ("UTC", "@x{%F %T}")]
        drawn.add_tools(HoverTool(renderers=[line], tooltips=tooltips, formatters={"@x": "datetime"}))
    _legend(drawn)
    return drawn


def _legend(drawn: figure) -> None:
    """The legend above the chart, where it covers nothing."""
    [legend] = drawn.legend
    legend.update(orientation="horizontal", click_policy="hide", label_text_font_size="11px", padding=0, margin=4)
    drawn.add_layout(legend, "above")


# ---- the money -------------------------------------------------------------------------------------------------------

_PARTS = (("t0", "t1", SPENT, "spent"), ("t1", "t2", FLYING, "in flight"), ("t2", "t3", MAYBE, "may be paid"))


def _bars(data: Columns, name: str) -> figure:
    """A bar for each key, its name above it: names are long, and axes cut them."""
    from bokeh.models import HoverTool, NumeralTickFormatter

    source = _source(data, name)
    rows = len(data[name]["y"]) or spending.MOST
    drawn = _figure(110 + ROW * rows, tools="pan,box_zoom", y_range=(0.5 - rows, 0.75))
    parts: list[Any] = [
        drawn.hbar(
            y="y",
            left=left,
            right=right,
            height=0.3,
            source=source,
            legend_label=words,
            fill_color=colour,
            line_color=None,  # else a part that is nothing is a speck
        )
        for left, right, colour, words in _PARTS
    ]
    for text, align, x, offset in (("name", "left", "t0", 2), ("words", "left", "t3", 6)):
        y, baseline = ("label_y", "middle") if text == "name" else ("y", "middle")
        drawn.text(
            x=x, y=y, text=text, source=source, text_align=align, text_baseline=baseline, x_offset=offset,
            text_color=WORDS, text_font_size="12px",
        )  # fmt: skip
    drawn.add_tools(HoverTool(renderers=parts, tooltips=_tooltips("@name")))
    drawn.yaxis.visible = False
    drawn.ygrid.visible = False
    drawn.x_range.update(start=0, range_padding=0.7)  # room for the sum behind a bar
    drawn.xaxis.formatter = NumeralTickFormatter(format="$0,0.[00]")
    _legend(drawn)
    return drawn


def _days(data: Columns) -> figure:
    from bokeh.models import DatetimeTickFormatter, HoverTool, NumeralTickFormatter

    source = _source(data, "money-day")
    days = data["money-day"]["x"] or [time.time() * 1000]
    window = (days[0] - spending.DAY, max(days[-1], days[0] + 6 * spending.DAY) + spending.DAY)  # one bar fills no page
    drawn = _figure(300, tools="xpan,xbox_zoom", x_axis_type="datetime", x_range=window)
    parts: list[Any] = [
        drawn.vbar(
            x="x",
            bottom=low,
            top=high,
            width=spending.DAY * 0.7,
            source=source,
            legend_label=words,
            fill_color=colour,
            line_color=None,
        )
        for low, high, colour, words in _PARTS
    ]
    drawn.add_tools(HoverTool(renderers=parts, tooltips=_tooltips("@x{%F} UTC"), formatters={"@x": "datetime"}))
    drawn.xaxis.axis_label = "Day (UTC)"
    drawn.xaxis.formatter = DatetimeTickFormatter(days="%b %d", months="%b %Y")
    drawn.y_range.update(start=0, range_padding=0.2)
    drawn.yaxis.formatter = NumeralTickFormatter(format="$0,0.[00]")
    _legend(drawn)
    return drawn


def _tooltips(name: str) -> list[tuple[str, str]]:
    return [("", name), ("in all", "@words")]
