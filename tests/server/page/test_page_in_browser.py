"""The live page in a real browser: a run of the emulator is seen as it happens, and its buttons do what Ctrl-C does."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import aveo3
from aveo3 import VeoClient
from aveo3.server.page.live_view import LiveView
from aveo3.server.page.server import PageServer
from aveo3.testing import ScriptedBackend
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.browser import tab
from tests.support.settings import settings

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to a child"),
]

MARKUP = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'> & a boat"
PLAYED = "() => { const video = document.querySelector('video'); return video && video.currentTime > 0.2 }"


QUICK = """
from aveo3 import mock_mode
mock_mode.FASTEST, mock_mode.SLOWEST = 0.1, 0.3
from aveo3.cli import app
app()
"""
"""The command, with an emulator whose clips are made at once."""


class Command:
    """A command of aveo3 in a child process, and what it says."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child
        self.said = ""
        assert child.stderr is not None
        self._reader = asyncio.create_task(self._read(child.stderr))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.said += line.decode()

    async def says(self, pattern: str) -> str:
        while not (found := re.search(pattern, self.said)):
            assert not self._reader.done(), self.said
            await asyncio.sleep(0.02)
        return found[0]

    async def link(self) -> str:
        return await self.says(r"http://127\.0\.0\.1:\d+/\?token=[\w-]+")

    async def ends(self) -> int:
        async with asyncio.timeout(20):
            await self._reader
            return await self.child.wait()


@asynccontextmanager
async def command(home: Path, *arguments: str) -> AsyncIterator[Command]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VEO3_")}
    environment |= {"PYTHONPATH": str(Path(aveo3.__path__[0]).parent), "VEO3_POLL_INTERVAL": "0.2"}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", QUICK, *arguments),
        cwd=home,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Command(child)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


def generate(home: Path, clips: int, *more: str) -> Any:
    """A run of the emulator: four clips at once, and then it waits for its quota."""
    (home / "prompts.jsonl").write_text(
        "".join(f'{{"text": "boat {number}"}}\n' for number in range(clips - 1)) + f'{{"text": "{MARKUP}"}}\n'
    )
    return command(home, "generate", "prompts.jsonl", "-o", "clips", "--mock", "--rate", "4/3600s", *more)


async def says(page: Page, place: str, words: str) -> None:
    await page.locator(place).filter(has_text=words).first.wait_for()


async def statuses(page: Page) -> list[str]:
    found: list[str] = await page.locator(".card").evaluate_all("cards => cards.map(card => card.dataset.status)")
    return sorted(found)


async def press(page: Page, button: str, answer: str) -> None:
    await page.get_by_role("button", name=button, exact=True).click()
    await page.locator("#ask").get_by_role("button", name=answer, exact=True).click()


async def test_a_run_is_seen_and_steered_and_each_button_acts_once(browser: Browser, tmp_path: Path) -> None:
    async with generate(tmp_path, 7, "--page") as run, tab(browser, expected="ERR_|Failed to load") as page:
        posts: list[str] = []
        page.on("request", lambda asked: posts.append(asked.url) if asked.method == "POST" else None)
        await page.goto(await run.link())
        await page.wait_for_url(re.compile(r"^http://127\.0\.0\.1:\d+/$"))  # the token has gone
        await says(page, "#headline", "4 of 7 · next submit in 1 h")
        await says(page, "#about", "emulator")
        await says(page, ".card", "<script>window.hacked = 1</script>")  # it is text
        await page.get_by_role("button", name="Play clip 1: boat 0").click()
        await page.wait_for_function(PLAYED)
        assert await page.evaluate("() => window.hacked") is None

        await press(page, "Pause", "Back")
        assert posts == []
        await press(page, "Pause", "Pause")
        await says(page, "#headline", "Paused")
        await run.says("paused on the page")
        await press(page, "Go on", "Go on")
        await says(page, "#headline", "next submit in 1 h")
        await press(page, "Stop after what runs", "Stop after what runs")
        assert await run.ends() == 130
        assert [url.rpartition("/")[2] for url in posts] == ["pause", "go-on", "stop"]
        assert run.said.count("stopping: nothing more is submitted") == 1
        await says(page, "#connection", "The run has ended, and its page with it")
        await says(page, "#headline", "4 of 7 clips are here")
        assert await statuses(page) == ["cancelled"] * 3 + ["succeeded"] * 4


async def test_another_process_is_followed_and_cannot_be_touched(browser: Browser, tmp_path: Path) -> None:
    async with (
        command(tmp_path, "page", "clips") as shown,
        tab(browser, expected="ERR_|Failed to load") as page,
    ):
        await page.goto(await shown.link())
        await says(page, "#empty", "")
        async with generate(tmp_path, 7) as run:  # it begins later
            await says(page, "#read-only", "another process runs this")
            await page.locator('.card[data-status="succeeded"] >> nth=3').wait_for()
            assert await page.locator("#actions").is_hidden()
            for name in ("Pause", "Go on", "Stop after what runs", "Stop now"):
                button = page.get_by_role("button", name=name, exact=True, include_hidden=True)
                assert await button.is_disabled(), name
            await page.get_by_role("button", name="Play clip 1: boat 0").click()
            await page.wait_for_function(PLAYED)
            run.child.send_signal(signal.SIGINT)
            assert await run.ends() == 130
        await says(page, "#headline", "4 of 7 clips are here")
        assert await statuses(page) == ["cancelled"] * 3 + ["succeeded"] * 4
        shown.child.send_signal(signal.SIGINT)
        assert await shown.ends() == 130


@asynccontextmanager
async def in_this_process(directory: Path, backend: ScriptedBackend, **values: Any) -> AsyncIterator[PageServer]:
    """A run of two clips, and its page."""
    view = LiveView(directory)
    own = settings(output_dir=directory, **values)
    async with VeoClient(own, backend=backend, on_event=view.take) as veo:
        view.attach(veo)
        async with PageServer(view) as server, veo.stream(["a boat", "a train"]):
            yield server


async def test_an_open_breaker_counts_down_and_says_why(browser: Browser, tmp_path: Path) -> None:
    refused = Verdict(VerdictKind.REFUSED, "<b>Quota</b> exceeded", refusal=Refusal.UNKNOWN, retry_after=120.0)
    backend = ScriptedBackend(answer=lambda _: refused)
    values = {"consecutive_failure_threshold": 1, "rate_limit": 10}
    async with in_this_process(tmp_path, backend, **values) as server, tab(browser) as page:
        await page.goto(server.link)
        await says(page, "#lanes", "Breaker open")
        await says(page, "#lanes", "<b>Quota</b> exceeded")
        await says(page, "#lanes", "sends again in 1 min")
        before = await page.locator("#lanes .ticking").inner_text()
        changed = "before => document.querySelector('#lanes .ticking').textContent !== before"
        await page.wait_for_function(changed, arg=before)


async def test_the_charts_are_drawn_and_keep_to_the_policy(browser: Browser, tmp_path: Path) -> None:
    async with in_this_process(tmp_path, ScriptedBackend(latency=60.0)) as server, tab(browser) as page:
        await page.goto(server.link)
        await says(page, "#headline", "2 in flight")
        await page.get_by_role("tab", name="Timeline and money").click()
        await page.locator("#chart-timeline canvas").first.wait_for()
        await says(page, "figcaption", "2 requests from ")
        await says(page, "figcaption", "at most 2 clips at Google at once; 0 clips made.")


async def test_a_stranger_gets_nothing(browser: Browser, tmp_path: Path) -> None:
    async with in_this_process(tmp_path, ScriptedBackend(latency=60.0)) as server:
        port = server.guard.url.rstrip("/").rpartition(":")[2]
        async with tab(browser, expected="403") as page:
            for address in (server.guard.url, f"{server.guard.url}?token=wrong", f"{server.guard.url}events"):
                answer = await page.goto(address)
                assert answer is not None
                assert answer.status == 403
            context = await browser.new_context()  # `tab` would take the name for another machine's
            assert "aveo3 has printed" in await page.content()
            for host, status in (("localhost", 200), ("evil.localhost", 403)):
                answer = await (await context.new_page()).goto(f"http://{host}:{port}/?token={server.guard.token}")
                assert answer is not None
                assert answer.status == status, host
            await context.close()


async def test_another_page_of_this_machine_cannot_read_or_act(browser: Browser, tmp_path: Path) -> None:
    """It is of the same site, so that the cookie goes along."""
    async with in_this_process(tmp_path, ScriptedBackend(latency=60.0)) as server:
        other = await asyncio.start_server(_empty_page, "127.0.0.1", 0)
        port = other.sockets[0].getsockname()[1]
        async with other, tab(browser, expected="403|CORS|ERR_|blocked") as page:
            await page.goto(server.link)
            await says(page, "#headline", "2 in flight")
            await page.goto(f"http://127.0.0.1:{port}/")
            tried = """async (url) => {
                const answers = [];
                for (const mode of ["no-cors", "cors"]) {
                    for (const [path, method] of [["events", "GET"], ["actions/stop", "POST"]]) {
                        const asked = fetch(url + path, { method, mode, credentials: "include" });
                        answers.push(await asked.then((answer) => answer.status, () => "blocked"));
                    }
                }
                return answers;
            }"""
            assert set(await page.evaluate(tried, server.guard.url)) <= {"blocked", 0, 403}
            framed = """(url) => new Promise((done) => {
                const frame = document.createElement("iframe");
                frame.src = url;
                frame.onload = () => done(frame.contentDocument?.title ?? "closed");
                document.body.append(frame);
            })"""
            assert await page.evaluate(framed, server.guard.url) == "closed"


async def _empty_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<!doctype html><title>other</title><body>")
    await writer.drain()
    writer.close()
