"""The file that `aveo3 report` writes, opened from the disk in a real browser: an odd journal, its films and charts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aveo3 import Settings
from aveo3.cli.report_file import write
from aveo3.lifecycle import State
from tests.support.browser import tab
from tests.support.reports import Past

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [pytest.mark.real_time, pytest.mark.asyncio(loop_scope="session")]

EVIL = "</script><script>document.title = 'taken'</script><img src=x onerror=alert(1)> \u2028 日本語 🚤 \ud83d"
PLAYED = "() => { const video = document.querySelector('video'); return video && video.currentTime > 0.2 }"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with clips in odd files, of two services, refused, lost, missing and left at Google."""
    place = tmp_path / "clips #1 100% <b>"
    place.mkdir()
    past = Past(place)
    past.make(past.plan(EVIL, id=EVIL, project_id=EVIL, labels={"a": EVIL}), "a boat #1 100% 'ü' 🎬.mp4")
    refused = past.plan("refused")
    past.submit(refused)
    words: dict[str, Any] = {"attempts": 1, "retries": 0, "error_kind": EVIL, "error_message": EVIL}
    past.journal.move(refused, State.SUBMITTING, State.PLANNED, **words)
    past.make(past.plan("missing", service="mock"), film=b"")
    past.make(past.plan("broken"), film=b"no film")
    past.end(past.plan("lost"), State.UNCERTAIN, "answer_lost", EVIL, after=State.RUNNING)
    past.run(past.plan("left at Google"))
    past.journal.close()
    return place


async def test_an_odd_journal_is_a_page_that_plays_and_draws(directory: Path, browser: Browser) -> None:
    made = write(Settings(output_dir=directory), directory / "report.html")
    assert [row["status"] for row in made.view["clips"]] == [
        *("succeeded", "planned", "succeeded", "succeeded", "uncertain", "unfinished")
    ]
    async with tab(browser) as page:
        await page.goto((directory / "report.html").as_uri())
        assert await page.title() == "clips #1 100% <b>"
        assert await page.locator(".card").count() == 6
        first = page.locator(".card").first
        assert "<img src=x onerror=alert(1)>" in await first.inner_text()
        assert await page.locator("img[src=x]").count() == 0
        assert (await first.locator("img").get_attribute("src") or "").startswith("data:image/webp")
        await first.locator("button.play").click()
        await page.wait_for_function(PLAYED)
        await page.click("#tab-charts")
        await page.wait_for_function("() => globalThis.Bokeh && Bokeh.documents.length === 5")
        for name in ("timeline", "money-model", "money-day", "money-label", "money-project"):
            assert await page.locator(f"#chart-{name}").is_visible()
        assert await page.evaluate(_HELD) == [6, 3]
        text = await page.locator("figure", has=page.locator("#chart-timeline")).locator("figcaption").inner_text()
        assert "6 requests" in text
        assert await page.title() == "clips #1 100% <b>"


_HELD = """() => {
    const source = (name) => Bokeh.documents.map((each) => each.get_model_by_name(name)).find(Boolean);
    return [Math.max(...source("timeline-used").data.ys[0]), source("timeline-made").data.y.at(-1)];
}"""
