"""A film on the live page, in a real browser: a click picks a take, and says what hangs on it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aveo3 import Settings
from aveo3.film import record
from aveo3.server.page.journal_view import JournalView
from aveo3.server.page.server import PageServer
from tests.support import boards
from tests.support.browser import tab
from tests.support.page import Browser as Client
from tests.support.reports import Past

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [pytest.mark.real_time, pytest.mark.asyncio(loop_scope="session")]

PLAYED = "() => { const video = document.querySelector('#film video'); return video && video.currentTime > 0.1 }"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    past = Past(tmp_path)
    boards.write(tmp_path, boards.film(past))
    past.journal.close()
    return tmp_path


async def test_a_click_picks_a_take_and_says_what_hangs_on_it(browser: Browser, home: Path) -> None:
    async with PageServer(JournalView(Settings(output_dir=home))) as server, tab(browser) as page:
        posts: list[str] = []
        page.on("request", lambda asked: posts.append(asked.url) if asked.method == "POST" else None)
        await page.goto(server.link)
        scenes = page.locator(".scene")
        await scenes.nth(2).wait_for()
        assert "The <b>Last</b> Boat" in await page.locator("#film-title").inner_text()
        await scenes.nth(1).filter(has_text="Google filtered it.").wait_for()
        assert "it begins from beam, which has no clip yet" in await scenes.nth(2).inner_text()
        assert "Picked" in await scenes.nth(0).locator(".take").nth(0).inner_text()
        assert re.findall(r"null|undefined|NaN", await page.locator("body").inner_text()) == []
        await page.get_by_role("button", name="Pick take 2 of storm").click()
        said = page.locator("#picked").filter(has_text="storm: take 2 is picked. Nothing was sent.")
        await said.wait_for()
        assert "beam and harbour begin from it" in await said.inner_text()
        assert "aveo3 film make" in await said.inner_text()
        await scenes.nth(0).locator(".take.is-picked").filter(has_text="Take 2").wait_for()
        await page.locator("#film-state").filter(has_text="older than what you picked for storm").wait_for()
        assert record.read_picks(home) == {"storm": 2}
        record.pick(home, "storm", 1)  # in a terminal
        await scenes.nth(0).locator(".take.is-picked").filter(has_text="Take 1").wait_for()
        await page.get_by_role("button", name="Play the film").click()
        await page.wait_for_function(PLAYED)
        assert [url.rpartition("/picks/")[2] for url in posts] == ["storm/2"]


async def test_only_takes_of_the_film_are_picked_and_only_by_its_page(home: Path) -> None:
    async with PageServer(JournalView(Settings(output_dir=home))) as server, Client(server) as client:
        for place in ("storm/3", "storm/0", "storm/x", "gone/1", "..%2Fstorm/1"):
            async with client.post(f"picks/{place}") as answer:
                assert answer.status == 409, place
        async with client.post("picks/storm/2", Origin="http://127.0.0.1:1") as answer:
            assert answer.status == 403
        async with client.get("picks/storm/2") as answer:
            assert answer.status == 405
        assert record.read_picks(home) == {}
        folder = home / ".aveo3"
        (folder / record.PICKS).write_text("broken")
        async with client.post("picks/storm/2") as answer:
            assert answer.status == 409
            assert "restore or remove it" in await answer.text()
        (folder / record.PICKS).unlink()
        async with client.post("picks/storm/2") as answer:
            assert answer.status == 200
        assert json.loads((folder / record.PICKS).read_text("utf-8")) == {"storm": 2}
