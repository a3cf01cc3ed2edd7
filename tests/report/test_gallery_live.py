"""The page as a live one: it follows a run by server-sent events, survives a lost connection, and has buttons."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiohttp import web

from aveo3.report import assets
from aveo3.report.view import RunRow, View
from tests.support import report_views as views
from tests.support.browser import tab

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.real_time, pytest.mark.asyncio(loop_scope="session")]

SELF = ("script-src", "style-src", "media-src", "connect-src")
POLICY = "; ".join(["default-src 'none'", "img-src 'self' data:", *(f"{source} 'self'" for source in SELF)])
TOKEN = "a-token"


class Run:
    """A live page's server, told by a test what to say. `acted` is what its buttons have asked for."""

    def __init__(self, view: View, films: Path | None) -> None:
        self.view = view
        self.films = films
        self.acted: list[tuple[str, str | None]] = []
        self.refusal: str | None = None
        self.tokens: list[str | None] = []
        self.url = ""
        self._viewers: dict[asyncio.Queue[bytes | None], None] = {}

    def send(self, event: str, data: object) -> None:
        for viewer in self._viewers:
            viewer.put_nowait(f"event: {event}\ndata: {json.dumps(data)}\n\n".encode())

    def patch(self, **fields: object) -> None:
        self.view = cast(View, {**self.view, **{k: v for k, v in fields.items() if k not in ("clips", "lanes")}})
        self.send("patch", fields)

    def cut(self) -> None:
        for viewer in self._viewers:
            viewer.put_nowait(None)

    async def page(self, request: web.Request) -> web.Response:
        text = assets.page_template().render(
            title=self.view["title"],
            live=True,
            token=TOKEN,
            scripts=[f"static/{name}" for name in assets.SCRIPTS],
            styles=[f"static/{name}" for name in assets.STYLES],
        )
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": POLICY})

    async def events(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.query.get("token"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        viewer: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._viewers[viewer] = None
        try:
            await response.write(f"event: view\ndata: {json.dumps(self.view)}\n\n".encode())
            while (text := await viewer.get()) is not None:
                await response.write(text)
        finally:
            del self._viewers[viewer]
        return response

    async def act(self, request: web.Request) -> web.Response:
        if self.refusal is not None:
            return web.Response(status=409, text=self.refusal)
        self.acted.append((request.match_info["name"], request.headers.get("X-Aveo3-Token")))
        return web.Response(text="done")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Run]:
        app = web.Application()
        app.add_routes(
            [
                web.get("/", self.page),
                web.get("/events", self.events),
                web.post("/actions/{name}", self.act),
                web.static("/static", assets.STATIC),
            ]
        )
        if self.films is not None:
            app.router.add_static("/clips", self.films)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
            yield self
        finally:
            self.cut()
            await runner.cleanup()


def after(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def run_row(**changes: Any) -> RunRow:
    row: dict[str, Any] = {
        "active": True,
        "begun_utc": after(-60),
        "ended_utc": None,
        "total": 3,
        "done_utc": after(600),
    }
    row |= {"next_submit_utc": after(14.5), "stopping": None, "paused": False}
    return cast(RunRow, row | changes)


@asynccontextmanager
async def running(films: Path | None = None, **changes: Any) -> AsyncIterator[Run]:
    rows = [views.clip(0), views.clip(1, "running", submitted_utc=after(-20)), views.clip(2, "waiting")]
    made = views.view(rows, **{"live": True, "run": run_row(), "lanes": [views.lane(breaker="closed")], **changes})
    async with Run(made, films).serving() as run:
        yield run


async def says(page: Page, place: str, words: str) -> None:
    await page.locator(place).filter(has_text=words).first.wait_for()


async def test_clips_move_through_their_states_and_play_when_they_are_there(browser: Browser, tmp_path: Path) -> None:
    ready = views.with_films(views.view([views.clip(1)]), tmp_path)["clips"][0]
    async with running(tmp_path / "clips") as run, tab(browser) as page:
        await page.goto(run.url)
        await says(page, "#headline", "1 of 3 · 1 in flight · next submit in 1")
        assert await page.title() == "1 of 3 · Spring campaign"
        assert run.tokens == [TOKEN]
        second = page.locator(".card >> nth=1")
        assert "for 2" in await second.inner_text()  # it counts the seconds
        assert await second.get_attribute("data-status") == "running"
        await second.get_by_text("Details").click()
        run.patch(clips=[ready])
        await second.get_by_role("button", name="Play clip 2").click()
        assert await second.locator("details").get_attribute("open") is not None
        news = [views.clip(2, "submitting"), views.clip(4, "filtered"), views.clip(3, "planned")]
        run.patch(clips=news, run=run_row(total=9))
        await says(page, "#headline", "3 of 9")  # others are not read yet
        order = await page.locator(".card").evaluate_all("cards => cards.map(card => card.dataset.key)")
        assert order == [f"job-{number}" for number in range(5)]  # of the prompts, not of the news
        await page.wait_for_function("() => document.querySelector('video').currentTime > 0.2")  # it plays on


async def test_the_head_counts_down_and_tells_the_breaker_the_quota_and_the_money(browser: Browser) -> None:
    async with running() as run, tab(browser) as page:
        await page.goto(run.url)
        await says(page, "#lanes", "7 of 10 in a minute")
        await says(page, "#lanes", "Ready")
        run.patch(lanes=[views.lane(breaker="closed", waits="quota")])
        await says(page, "#lanes", "Waits for its quota")
        run.patch(lanes=[views.lane(breaker="closed", waits="clips")])
        await says(page, "#lanes", "Waits for a clip to end")
        run.patch(run=run_row(paused=True))
        await says(page, "#lanes", "Paused")
        run.patch(run=run_row())
        opened = views.lane(breaker="open", opens_utc=after(250), reason="Quota exceeded for requests per minute.")
        run.patch(lanes=[opened])
        await says(page, "#lanes", "Breaker open")
        await says(page, "#lanes", "sends again in 4 min")
        await says(page, "#lanes", "Quota exceeded for requests per minute.")
        assert await page.locator("#announcements").inner_text() == "The breaker of lane vertex us-central1 is open."
        before = await page.locator("#lanes .ticking").inner_text()
        await page.wait_for_function(
            "before => document.querySelector('#lanes .ticking').textContent !== before", arg=before
        )
        assert "sends again" not in await page.locator("#announcements").inner_text()  # a countdown is not read out
        wide = {"spent_usd": 9.6, "in_flight_usd": 3.2, "may_be_paid_usd": 0.0, "unpriced": 0, "budget_usd": 20.0}
        run.patch(money={**wide, "rest_usd": 6.4})
        await says(page, "#money", "$7.20 left")
        assert "the rest" not in await page.locator("#money").inner_text()
        run.patch(money={**wide, "rest_usd": 9.6})
        await says(page, "#money", "$7.20 left; the rest costs about $9.60")
        assert await page.locator("#money .tone-warn").count() == 1
        money = {"spent_usd": 9.6, "in_flight_usd": 3.2, "may_be_paid_usd": 0.0, "unpriced": 0, "budget_usd": 12.0}
        run.patch(money=money)
        await says(page, "#money", "$0.80 over")
        run.patch(run=run_row(active=False, ended_utc=after(0)))
        await says(page, "#announcements", "The run has ended. 1 of 3 clips are here.")


async def test_a_run_that_a_person_has_paused_says_so_and_promises_no_submit(browser: Browser) -> None:
    lane = views.lane(breaker="closed", opens_utc=after(250), reason="Quota exceeded.")
    async with running(lanes=[lane], run=run_row(paused=True)) as run, tab(browser) as page:
        await page.goto(run.url)
        await says(page, "#headline", "nothing more is sent until you go on")
        await says(page, "#lanes", "may send again in 4 min")
        run.patch(run=run_row())
        await says(page, "#lanes", "sends again in 4 min")
        assert "until you go on" not in await page.locator("#headline").inner_text()


async def test_what_a_killed_run_has_not_sent_is_told_with_its_next_move(browser: Browser) -> None:
    left = [views.clip(number, "planned", next_move="run the same prompts again") for number in range(2)]
    left[1] |= {"error_kind": "minute_quota", "error_message": "Quota exceeded."}
    async with running(clips=left) as run, tab(browser) as page:
        await page.goto(run.url)
        await says(page, "#headline", "0 of 3")
        assert await page.locator("#trouble").is_hidden()  # the run sends them
        run.patch(run=run_row(active=False, ended_utc=after(0)))
        await says(page, "#groups", "run the same prompts again")
        [group] = await page.locator("#groups > li").all_inner_texts()
        assert "2 clips" in group
        assert "uota" not in group  # it is over


async def test_a_lost_connection_is_told_and_made_again(browser: Browser) -> None:
    async with running() as run, tab(browser, expected="ERR_|Failed to load") as page:
        await page.goto(run.url)
        await says(page, "#headline", "1 of 3")
        run.view["clips"] = [views.clip(0)]  # a server sends a long list in pieces
        run.cut()
        await says(page, "#connection", "Connection lost, trying again.")
        assert await page.get_by_role("button", name="Stop now").is_disabled()
        await page.locator("#connection").wait_for(state="hidden")
        assert len(run.tokens) == 2
        assert await page.locator(".card").count() == 3
        run.patch(run=run_row(active=False, ended_utc=after(0)))
        await says(page, "#headline", "Ended")
        run.cut()
        await says(page, "#connection", "The run has ended, and its page with it")


ACTIONS: Mapping[str, str] = {"Pause": "pause", "Stop after what runs": "stop", "Stop now": "leave"}


async def test_each_button_asks_once_and_acts_once(browser: Browser) -> None:
    async with running() as run, tab(browser, expected="status of 409") as page:
        await page.goto(run.url)
        dialog = page.get_by_role("dialog")
        actions = page.get_by_role("group", name="This run")
        for word, name in ACTIONS.items():
            await actions.get_by_role("button", name=word, exact=True).click()
            await dialog.get_by_role("button", name="Back").click()
            await actions.get_by_role("button", name=word, exact=True).click()
            await page.keyboard.press("Escape")
            await actions.get_by_role("button", name=word, exact=True).click()
            assert await dialog.get_by_role("button", name="Back").evaluate("each => each === document.activeElement")
            await dialog.get_by_role("button", name=word, exact=True).dblclick()
            await says(page, "#announcements", f"{word}: done.")
            assert run.acted.pop() == (name, TOKEN)
            assert run.acted == []
        run.patch(run=run_row(paused=True))
        await says(page, "#headline", "Paused")
        await actions.get_by_role("button", name="Go on").click()
        run.refusal = "This page cannot do that: the run has ended."
        await dialog.get_by_role("button", name="Go on").click()
        await says(page, "#action-failed", "the run has ended. Press Ctrl-C in its terminal instead.")
        run.patch(run=run_row(stopping="stop"))
        await says(page, "#headline", "Stopping after what runs")
        assert await actions.get_by_role("button", name="Pause").is_disabled()
        assert await actions.get_by_role("button", name="Stop now").is_enabled()


async def test_a_run_of_another_process_has_no_buttons(browser: Browser) -> None:
    async with running(live=False) as run, tab(browser) as page:
        await page.goto(run.url)
        await says(page, "#read-only", "Read-only: another process runs this.")
        assert await page.get_by_role("button", name="Stop now").count() == 0
