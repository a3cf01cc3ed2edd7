"""The page in a real browser: what a reader sees, plays, filters, searches and copies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aveo3.report.view import View
from tests.support import report_views as views
from tests.support.browser import tab

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.real_time, pytest.mark.asyncio(loop_scope="session")]

CARDS = ".card"


def saved(made: View, home: Path, **more: Any) -> str:
    """The address of the page, as a file in `home`."""
    file = home / "report.html"
    file.write_text(views.page(made, **more), "utf-8")
    return file.as_uri()


async def keys(page: Page) -> list[str]:
    """The clips that are shown, in order."""
    found: list[str] = await page.locator(CARDS).evaluate_all("cards => cards.map(card => card.dataset.key)")
    return found


async def frames(page: Page) -> None:
    """Wait until the page has drawn twice."""
    await page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def focused(page: Page) -> str:
    name: str = await page.evaluate(
        "() => { const at = document.activeElement; return at.id || at.getAttribute('aria-label') || at.textContent }"
    )
    return name


# ---- videos ----------------------------------------------------------------------------------------------------------

PLAYED = "() => { const video = document.querySelector('video'); return video && video.currentTime > 0.2 }"


async def test_a_click_plays_the_video_in_place_and_escape_brings_its_poster_back(
    browser: Browser, tmp_path: Path
) -> None:
    url = saved(views.with_films(views.view(views.clips(2)), tmp_path), tmp_path)
    async with tab(browser) as page:
        await page.goto(url)
        assert await page.locator("video").count() == 0
        await page.get_by_role("button", name="Play clip 1: a paper boat").click()
        await page.wait_for_function(PLAYED)
        assert await page.locator(f"{CARDS} >> nth=0 >> video").count() == 1
        await page.keyboard.press("Escape")
        assert await page.locator("video").count() == 0
        assert (await focused(page)).startswith("Play clip 1: a paper boat")


async def test_everything_can_be_reached_and_played_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    url = saved(views.with_films(views.view(views.clips(2)), tmp_path), tmp_path)
    async with tab(browser) as page:
        await page.goto(f"{url}#sort=cost")
        await page.keyboard.press("Tab")
        assert await focused(page) == "Skip to the content"
        await page.keyboard.press("Enter")
        assert await focused(page) == "gallery-title"
        assert page.url.endswith("#sort=cost")
        seen: list[str] = []
        while "Play" not in (seen[-1] if seen else ""):
            await page.keyboard.press("Tab")
            seen.append(await focused(page))
        assert seen[:1] == ["search"]
        await page.keyboard.press("Enter")
        await page.wait_for_function(PLAYED)
        await page.keyboard.press("Escape")
        await page.keyboard.press("/")
        assert await focused(page) == "search"
        await page.keyboard.type("kite")
        assert await keys(page) == ["job-1"]
        await page.get_by_role("tab", name="Clips").focus()
        await page.keyboard.press("ArrowRight")
        assert await focused(page) == "tab-charts"
        assert await page.locator("#panel-charts").is_visible()


async def test_at_most_three_players_stand_on_the_page_and_one_plays(browser: Browser, tmp_path: Path) -> None:
    url = saved(views.with_films(views.view(views.clips(5)), tmp_path), tmp_path)
    async with tab(browser, size=(1900, 900)) as page:
        await page.goto(url)
        for number in range(1, 6):
            await page.get_by_role("button", name=f"Play clip {number}:").click()
        assert await page.locator("video").count() == 3
        await page.wait_for_function("() => [...document.querySelectorAll('video')].some(video => !video.paused)")
        playing = await page.locator("video").evaluate_all("videos => videos.map(video => !video.paused)")
        assert playing == [False, False, True]


async def test_a_video_that_is_missing_unplayable_or_elsewhere_is_told_in_words(
    browser: Browser, tmp_path: Path
) -> None:
    made = views.view(views.clips(4))
    made["clips"][0]["videos"][0]["missing"] = True
    made["clips"][1]["videos"][0]["src"] = "https://example.com/film.mp4"
    made["clips"][2]["videos"][0]["src"] = "javascript:alert(1)"
    made["clips"][3]["videos"][0]["poster"] = "https://example.com/poster.png"
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "3.mp4").write_bytes(b"no film")
    async with tab(browser) as page:
        await page.goto(saved(made, tmp_path))
        words = await page.locator(".frame").all_inner_texts()
        assert words[:3] == ["The file is missing", *["The file lies where this page cannot reach it"] * 2]
        await page.get_by_role("button", name="Play clip 4").click()
        await page.get_by_text("The browser cannot play this file").wait_for()
        for number in range(3):
            await page.get_by_text("Details").nth(number).click()
            await page.locator(".pairs").nth(number).locator("dl").wait_for()
        assert await page.locator("a[href^='http'], a[href^='java'], img").count() == 0
        group = page.locator(".group")
        assert "file_missing" in await group.inner_text()


async def test_a_clip_with_two_videos_offers_both(browser: Browser, tmp_path: Path) -> None:
    made = views.with_films(views.view(views.clips(1)), tmp_path)
    first = made["clips"][0]["videos"][0]
    made["clips"][0]["videos"].append({**first, "missing": True})
    async with tab(browser) as page:
        await page.goto(saved(made, tmp_path))
        await page.get_by_role("button", name="Video 2").click()
        assert await page.locator(".frame").inner_text() == "The file is missing"
        assert await focused(page) == "Video 2"
        await page.get_by_role("button", name="Video 1").click()
        assert await page.locator(".frame .play").count() == 1


# ---- finding ---------------------------------------------------------------------------------------------------------


async def test_filters_search_and_sort_show_the_clips_that_they_name_and_say_how_many(
    browser: Browser, tmp_path: Path
) -> None:
    made = views.view(views.clips(22))
    async with tab(browser) as page:
        await page.goto(saved(made, tmp_path))
        shown = page.locator(".shown")
        assert await shown.inner_text() == "22 clips"

        def wanted(**values: str) -> list[str]:
            return [row["key"] for row in made["clips"] if all(row[name] == value for name, value in values.items())]  # type: ignore[literal-required]

        chips = page.get_by_role("group", name="Filter by status")
        await chips.get_by_role("button", name="Filtered").click()
        assert await keys(page) == wanted(status="filtered")
        assert await shown.inner_text() == "Showing 2 of 22 clips"
        await chips.get_by_role("button", name="Failed").click()
        assert set(await keys(page)) == {*wanted(status="filtered"), *wanted(status="failed")}
        await page.get_by_role("button", name="Clear filters").click()
        assert len(await keys(page)) == 22

        await page.get_by_label("Model").select_option("veo-3.1-fast-generate-001")
        assert await keys(page) == wanted(model="veo-3.1-fast-generate-001")
        await page.get_by_label("Project").select_option("spring")
        assert await keys(page) == []
        assert "No clip matches." in await page.locator("#empty").inner_text()
        await page.locator("#empty").get_by_role("button", name="Clear filters").click()
        await page.get_by_label("Label").select_option("team=green")
        assert await keys(page) == [row["key"] for row in made["clips"] if row["labels"]["team"] == "green"]
        await page.get_by_label("Label").select_option("")
        await page.get_by_label("Lane").select_option("vertex europe-west4")
        assert await keys(page) == wanted(lane="vertex europe-west4")
        await page.get_by_role("button", name="Clear filters").click()

        await page.get_by_label("Search").fill("ROBOTS park")
        assert await keys(page) == [row["key"] for row in made["clips"] if "robots" in row["text"]]
        await page.get_by_label("Search").fill("shot-017")
        assert await keys(page) == ["job-17"]
        await page.get_by_label("Search").fill("")

        await page.get_by_label("Sort").select_option("slowest")
        assert (await keys(page))[:2] == ["job-5", "job-11"]
        await page.get_by_label("Sort").select_option("newest")
        assert (await keys(page))[0] == "job-17"
        await page.get_by_label("Sort").select_option("cost")
        prices = {row["key"]: row["cost_usd"] for row in made["clips"]}
        assert [prices[key] for key in await keys(page)] == sorted(prices.values(), reverse=True)  # type: ignore[type-var]


async def test_the_day_of_a_clip_is_that_of_the_reader(browser: Browser, tmp_path: Path) -> None:
    late = views.clip(0, submitted_utc="2026-11-27T23:30:00+00:00")
    made = views.view([late, views.clip(1)])
    url = saved(made, tmp_path)
    async with tab(browser) as page:  # Berlin
        await page.goto(url)
        await page.get_by_label("Day").select_option("2026-11-28")
        assert await keys(page) == ["job-0"]
    async with tab(browser, timezone_id="America/New_York") as page:
        await page.goto(url)
        assert await page.get_by_label("Day").is_hidden()  # both on the 27th
        await page.get_by_text("Details").first.click()
        assert "18:30" in await page.locator(".pairs dl").first.inner_text()


async def test_the_address_holds_the_state_and_restores_it(browser: Browser, tmp_path: Path) -> None:
    url = saved(views.view(views.clips(22)), tmp_path)
    async with tab(browser) as page:
        await page.goto(url)
        await page.get_by_label("Search").fill("kite & dunes")
        await page.get_by_label("Search").fill("kite")
        await page.get_by_role("button", name="Succeeded").click()
        await page.get_by_label("Sort").select_option("newest")
        address, before = page.url, await keys(page)
        assert "#" in address
        assert before
        await page.goto("about:blank")
        await page.goto(address)
        assert await keys(page) == before
        assert await page.get_by_label("Search").input_value() == "kite"
        assert await page.get_by_label("Sort").input_value() == "newest"
        await page.evaluate("location.hash = 'status=filtered'")
        await page.wait_for_function("() => document.querySelectorAll('.card').length === 2")
        await page.evaluate("location.hash = 'status=constructor&sort=toString&model=__proto__'")
        await page.get_by_text("No clip matches.").wait_for()
        await page.evaluate("location.hash = ''")
        await page.wait_for_function("() => document.querySelectorAll('.card').length === 22")


async def test_five_thousand_clips_stay_a_small_page(browser: Browser, tmp_path: Path) -> None:
    url = saved(views.view(views.clips(5000)), tmp_path)
    async with tab(browser) as page:
        await page.goto(url)
        assert await page.locator(".shown").inner_text() == "5,000 clips"
        assert await page.locator("video").count() == 0
        assert len(await keys(page)) <= 150
        assert await page.locator("*").count() < 8000
        before = len(await keys(page))
        await page.locator("#more").scroll_into_view_if_needed()
        await page.wait_for_function("before => document.querySelectorAll('.card').length > before", arg=before)
        await page.get_by_label("Search").fill("shot-4999")
        assert await keys(page) == ["job-4999"]


# ---- reading ---------------------------------------------------------------------------------------------------------

COPIED = "() => navigator.clipboard.readText()"


async def test_copy_buttons_copy_the_prompt_and_the_command(browser: Browser, tmp_path: Path) -> None:
    made = views.view([views.clip(0, "failed", text="line one\nline “two”")])
    async with tab(browser, permissions=["clipboard-read", "clipboard-write"]) as page:
        await page.goto(saved(made, tmp_path))
        await page.get_by_role("button", name="Copy prompt of clip 1").click()
        await page.get_by_text("Copied", exact=True).wait_for()
        assert await page.evaluate(COPIED) == "line one\nline “two”"
        await page.locator(".group").get_by_role("button", name="Copy the command").click()
        await page.locator(".group").get_by_text("Copied", exact=True).wait_for()
        assert await page.evaluate(COPIED) == made["clips"][0]["command"]


HOSTILE = """</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 2"><!--<script>"""


async def test_text_never_becomes_markup(browser: Browser, tmp_path: Path) -> None:
    row = views.clip(
        0,
        "failed",
        text=HOSTILE,
        prompt_id=HOSTILE,
        project_id=HOSTILE,
        model=HOSTILE,
        lane=HOSTILE,
        labels={HOSTILE: HOSTILE},
        parameters={HOSTILE: HOSTILE},
        error_kind=HOSTILE,
        error_message=HOSTILE,
        next_move=HOSTILE,
        command=HOSTILE,
        operation=HOSTILE,
        key=HOSTILE,
    )
    lane = views.lane(HOSTILE, model=HOSTILE, reason=HOSTILE)
    made = views.view([row, views.clip(1, HOSTILE)], title=HOSTILE, directory=HOSTILE, lanes=[lane])
    async with tab(browser) as page:
        await page.goto(saved(made, tmp_path, charts={"docs": {}, "columns": {HOSTILE: {}}}))
        await page.get_by_text("Details").first.click()
        await page.get_by_role("tab", name="Timeline").click()
        await frames(page)
        assert await page.title() == HOSTILE
        assert await page.locator(".prompt").first.inner_text() == HOSTILE
        assert await page.locator("main img, main script").count() == 0
        assert await page.evaluate("() => window.hacked") is None


async def test_the_head_says_what_came_of_the_run_what_it_cost_and_what_to_do(browser: Browser, tmp_path: Path) -> None:
    made = views.view(views.clips(11))
    async with tab(browser) as page:
        await page.goto(saved(made, tmp_path))
        assert await page.locator("#headline").inner_text() == "Ended\n5 of 11 clips are here"
        assert re.findall(r"null|undefined|NaN", await page.locator("body").inner_text()) == []
        figures = await page.locator("#money").inner_text()
        assert "Spent\n$14.00" in figures
        assert "May be paid\n$3.20\ntheir answers were lost" in figures
        assert "Budget\n$100.00\n$82.80 left" in figures
        groups = page.locator(".group")
        assert "Uncertain" in await groups.first.inner_text()  # money first
        assert "aveo3 resume --output-dir clips" in await groups.first.inner_text()
        await page.get_by_role("button", name="Show all 6 kinds").click()
        assert await groups.count() == 6
        await groups.filter(has_text="Filtered").get_by_role("button", name="Show").click()
        assert await keys(page) == ["job-5"]
        assert await focused(page) == "gallery-title"


async def test_the_theme_follows_the_system_until_the_reader_chooses(browser: Browser, tmp_path: Path) -> None:
    paper = "() => getComputedStyle(document.body).backgroundColor"
    url = saved(views.view(views.clips(1)), tmp_path)
    async with tab(browser, dark=True) as page:
        await page.goto(url)
        dark = await page.evaluate(paper)
        await page.get_by_role("button", name="Theme: auto").click()
        light = await page.evaluate(paper)
        assert light != dark
        await page.reload()
        assert await page.evaluate(paper) == light
        await page.get_by_role("button", name="Theme: light").click()
        assert await page.evaluate(paper) == dark


async def test_no_width_scrolls_sideways(browser: Browser, tmp_path: Path) -> None:
    made = views.view(views.clips(22), directory="/a/very/long/path" * 12, title="a-title-without-a-space" * 6)
    rows: list[Any] = made["clips"]
    rows[0].update(text="word" * 200, prompt_id="id" * 80, model="model" * 30)
    rows[7].update(error_message="x" * 400, command="aveo3 " + "y" * 300)
    made["lanes"] = [views.lane("lane" * 40, reason="z" * 300)]
    sideways = """() => [...document.querySelectorAll("main *")].filter(each => each.checkVisibility()
        && !each.closest(".off-screen, svg") && each.getBoundingClientRect().right > innerWidth + 1)
        .map(each => each.outerHTML.slice(0, 200))"""
    async with tab(browser) as page:
        await page.goto(saved(made, tmp_path))
        await page.evaluate("() => document.querySelectorAll('details').forEach(each => each.open = true)")
        for width in (390, 768, 1920):
            await page.set_viewport_size({"width": width, "height": 844})
            await frames(page)
            assert await page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth"), width
            assert await page.evaluate(sideways) == [], width


async def test_a_page_without_clips_says_how_to_make_one(browser: Browser, tmp_path: Path) -> None:
    async with tab(browser) as page:
        await page.goto(saved(views.view([], run=None), tmp_path))
        assert "No clips yet." in await page.locator("#empty").inner_text()
        assert await page.locator("#trouble").is_hidden()
        await page.get_by_role("tab", name="Timeline").click()
        assert await page.locator("#no-charts").inner_text() == (
            "There are no charts: they need the extra aveo3[report], or there is nothing to draw yet."
        )
