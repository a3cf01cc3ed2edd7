"""The charts of the page: they come from Python's JSON, follow news, have the page's colours; and without Bokeh."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aveo3.report.view import Step, View
from tests.support import report_views as views
from tests.support.browser import tab

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [pytest.mark.real_time, pytest.mark.asyncio(loop_scope="session")]

SOURCE = """name => {
    for (const document of Bokeh.documents) {
        const source = document.get_model_by_name(name);
        if (source) return Object.fromEntries(Object.entries(source.data).map(([key, values]) => [key, [...values]]));
    }
}"""
GRID = """() => {
    for (const document of Bokeh.documents) for (const root of document.roots()) for (const model of root.references())
        if (model.type.endsWith("Grid")) return model.grid_line_color;
}"""
RANGE = """() => {
    const timeline = Bokeh.documents.find((each) => each.get_model_by_name("timeline-made"));
    const range = timeline.roots()[0].children[0].x_range;
    return [range.start, range.end];
}"""
LABELS = """() => Bokeh.documents.flatMap((each) => each.roots())
    .flatMap((root) => [...root.references()]).map((model) => model.axis_label)"""
NAMES = """() => [...new Set(Bokeh.documents.flatMap((each) => each.roots()).flatMap((root) => [...root.references()])
    .filter((model) => model.type === "Text").map((model) => model.text_color.value ?? model.text_color))]"""
INK = "() => getComputedStyle(document.body).color"
DRAWN = "() => globalThis.Bokeh && Bokeh.documents.length === 5"


def made(number: int) -> View:
    """A view with the steps of its clips."""
    view = views.view(views.clips(number))
    for row in view["clips"]:
        times = {"submitted": row["submitted_utc"], "accepted": row["submitted_utc"], "finished": row["finished_utc"]}
        for kind, at in (times | {"saved": row["fetched_utc"]}).items():
            if at is not None:
                view["steps"].append(Step(at_utc=at, key=row["key"], kind=kind, lane=row["lane"]))
    view["steps"].sort(key=lambda step: step["at_utc"])
    return view


async def test_charts_show_the_run_the_money_and_the_news_in_the_colours_of_the_page(
    browser: Browser, tmp_path: Path
) -> None:
    pytest.importorskip("bokeh")
    from aveo3.report.html import report_of

    file = tmp_path / "report.html"
    file.write_text(report_of(made(22)), "utf-8")
    async with tab(browser, dark=True) as page:
        await page.goto(file.as_uri())
        await page.evaluate("news => aveo3.charts.news(news)", {"timeline-refused": refused(1.0)})
        await page.get_by_role("tab", name="Timeline").click()
        await page.wait_for_function(DRAWN)
        models = ["veo-3.1-generate-001", "veo-3.1-fast-generate-001"]
        assert (await page.evaluate(SOURCE, "money-model"))["name"] == models
        assert max((await page.evaluate(SOURCE, "timeline-made"))["y"]) == 10
        hour = 3_600_000.0  # by which Berlin was ahead in 1970
        assert (await page.evaluate(SOURCE, "timeline-refused"))["x"] == [hour + 1]  # it came before the drawing
        assert "US$" in await page.locator("figure", has_text="Money by model").locator("figcaption").inner_text()

        await page.wait_for_function("() => document.querySelectorAll('figure:not([hidden])').length === 5")
        await page.evaluate("news => aveo3.charts.news(news)", {"timeline-refused": refused(2.0)})
        await page.wait_for_function(f"() => ({SOURCE})('timeline-refused').x[0] === {hour + 2}")
        assert await page.locator("#no-money").is_hidden()
        dark = await page.evaluate(GRID)
        assert await page.evaluate(NAMES) == [await page.evaluate(INK)]  # names of bars
        await page.get_by_role("button", name="Theme: auto").click()
        assert await page.evaluate(GRID) not in (dark, "#e5e5e5")
        assert await page.evaluate(NAMES) == [await page.evaluate(INK)]


def refused(x: float) -> dict[str, list[object]]:
    return {"x": [x], "y": [1], "lane": ["vertex us-central1"], "color": ["#ff0000"]}


@pytest.mark.parametrize(
    ("zone", "ahead", "later"), [("Asia/Kolkata", 5.5, 5.5), ("America/New_York", -5.0, -4.0), ("UTC", 0.0, 0.0)]
)
async def test_the_timeline_is_in_the_zone_of_the_reader_as_it_was_at_each_instant(
    zone: str, ahead: float, later: float, browser: Browser, tmp_path: Path
) -> None:
    """`later` is in summer, in news of a live page."""
    pytest.importorskip("bokeh")
    from aveo3.report import timeline
    from aveo3.report.html import report_of

    view = made(22)
    instants = [step["at_utc"] for step in view["steps"]]
    view["run"] = {**(view["run"] or {}), "active": False, "begun_utc": instants[4]}  # type: ignore[typeddict-item]
    file = tmp_path / "report.html"
    file.write_text(report_of(view), "utf-8")
    sources = timeline.columns(view)
    summer = timeline.ms("2026-07-01T12:00:00+00:00")
    async with tab(browser, timezone_id=zone) as page:
        await page.goto(f"{file.as_uri()}#tab=charts")
        await page.wait_for_function(DRAWN)
        for name, column in (("timeline-made", "x"), ("timeline-used", "xs"), ("timeline-limit", "xs")):
            shown = (await page.evaluate(SOURCE, name))[column]
            assert shown == moved(sources[name][column], ahead), name
        begin, end = await page.evaluate(RANGE)
        assert begin < moved(timeline.ms(instants[4]), ahead) < moved(timeline.ms(instants[-1]), ahead) < end
        named = await page.evaluate("() => Intl.DateTimeFormat().resolvedOptions().timeZone")  # Chromium: Asia/Calcutta
        assert (await page.evaluate(LABELS)).count(f"Time ({named})") == 1
        assert (await page.evaluate(LABELS)).count("Day (UTC)") == 1
        days = (await page.evaluate(SOURCE, "money-day"))["x"]
        assert [day % 86_400_000 for day in days] == [0] * len(days)
        first = datetime.fromisoformat(instants[0]) + timedelta(hours=ahead)
        sentence = await page.locator("figcaption", has_text="Timeline").inner_text()
        assert f"from {first:%Y-%m-%d %H:%M:%S} to " in sentence
        assert f" {named}, " in sentence
        pause = {"left": [summer], "right": [summer + 1], "lane": ["a"], "reason": ["b"], "color": ["#ff0000"]}
        await page.evaluate("news => aveo3.charts.news(news)", {"timeline-pauses": pause})
        shown = await page.evaluate(SOURCE, "timeline-pauses")
        assert (shown["left"], shown["right"]) == (moved([summer], later), moved([summer + 1], later))


def moved(instants: Any, hours: float) -> Any:
    return [moved(each, hours) for each in instants] if isinstance(instants, list) else instants + hours * 3_600_000


async def test_without_bokeh_a_sentence_stands_in_their_place(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(views.page(made(3), charts={"docs": {"timeline": {}}, "columns": {}}), "utf-8")
    async with tab(browser) as page:
        await page.goto(f"{file.as_uri()}#tab=charts")
        assert await page.locator("#no-charts").inner_text() == (
            "The charts are not shown: the chart library Bokeh is missing from this page."
        )
        assert await page.locator("figure").first.is_hidden()


async def test_a_chart_of_money_is_drawn_once_there_is_some(browser: Browser, tmp_path: Path) -> None:
    pytest.importorskip("bokeh")
    from aveo3.report.charts import columns, documents, script
    from aveo3.report.html import inline

    view = made(3)
    view["live"] = True  # a report has no chart that shows nothing
    for row in view["clips"]:
        row["spent_usd"] = 0.0
    charts = {"docs": documents(view), "columns": columns(view)}
    file = tmp_path / "page.html"
    file.write_text(views.page(view, charts=charts, bokeh=inline(script())), "utf-8")
    async with tab(browser) as page:
        await page.goto(f"{file.as_uri()}#tab=charts")
        await page.locator("#no-money").wait_for()
        assert await page.locator("figure:not([hidden])").count() == 1
        spent = {name: each for name, each in columns(made(3)).items() if name in ("money-model", "money-day")}
        await page.evaluate("news => aveo3.charts.news(news)", spent)
        await page.wait_for_function("() => document.querySelectorAll('figure:not([hidden])').length === 3")
        await page.locator("#no-money").wait_for(state="hidden")


LEGEND = """() => {
    for (const document of Bokeh.documents) {
        const legend = document.get_model_by_name("lanes");
        if (legend) return [legend.ncols, document.get_model_by_name("quota").height];
    }
}"""


@pytest.mark.parametrize(("width", "most"), [(390, 1), (1280, 6)])
async def test_long_names_of_lanes_have_room_above_their_chart(
    browser: Browser, tmp_path: Path, width: int, most: int
) -> None:
    names = ["the-project-of-the-film-team/us-central1/veo-3.1-generate-001", "europe-west4/veo-3.1-generate-001", "c"]
    view = made(9)
    keys = [clip["key"] for clip in view["clips"]]
    for step in view["steps"]:
        step["lane"] = names[keys.index(step["key"]) % 3]
    view["lanes"] = [views.lane(name) for name in names]
    charts = pytest.importorskip("aveo3.report.charts")
    file = tmp_path / "report.html"
    file.write_text(views.page(view, charts=charts.charts(view), bokeh=charts.script()), "utf-8")
    async with tab(browser, size=(width, 844)) as page:
        await page.goto(f"{file.as_uri()}#tab=charts")
        await page.wait_for_function(DRAWN)
        columns, height = await page.evaluate(LEGEND)
        rows = -(-4 // columns)  # three lanes, and what was refused
        assert 1 <= columns <= most
        assert columns * 240 < max(width, 241)  # pixels of a name of 32 letters, and of its sign
        assert height == 250 + 20 * (rows - 1)
        legend = (await page.evaluate(SOURCE, "timeline-used"))["legend"]
        assert max(len(name) for name in legend) <= 32
        assert len({*legend}) == 3
