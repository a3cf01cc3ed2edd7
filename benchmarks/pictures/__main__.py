"""Makes the guide's pictures of report and live pages: `python -m benchmarks.pictures`.

A run on the emulator, in virtual time, is stopped in the middle for the live page, then goes on to its end for the
report. A server in front of the emulator is stopped in the middle, too. A real Chromium looks at all of them. Needs the
extras `report` and `test`, and Chromium.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

import aveo3
from aveo3 import Settings, VeoClient, VideoPrompt
from aveo3.cli import report_file
from aveo3.mock import Latency, MockOptions, MockServer
from aveo3.report.from_journal import Film
from aveo3.server.page.answers import Actions, Source
from aveo3.server.page.live_view import LiveView
from aveo3.server.page.server import PageServer
from aveo3.server.page.shown import Shown
from aveo3.testing import run_virtual
from benchmarks.pictures.server import serve

if TYPE_CHECKING:
    from playwright.async_api import Browser

HOME = Path(aveo3.__path__[0]) / "guide" / "pictures"
BEGIN = datetime.now(UTC) - timedelta(minutes=6)
"""The run ends before the report is made."""
HALFWAY = 88.0
"""Seconds after the begin at which the live page is seen."""
SERVED = 200.0
"""Seconds after its begin at which the server is seen."""
MOST = 150_000
"""Bytes of a picture."""
FAULTS = ("filtered-safety@3", "error-14@6", "500-after@8", "filtered-input@15")
TEXTS = (
    "a paper boat on a river at dawn, mist over the water, slow dolly in",
    "a kite over the dunes, seen from below",
    "rain on a tin roof, close up",
    "two robots play chess in a park",
    "a lighthouse in a storm, seen from a small boat",
    "an owl lands in fresh snow",
    "a street market in the evening, lanterns are lit one by one",
    "a cat looks out of a train window",
)


def _prompts() -> list[VideoPrompt]:
    films = ("spring", "autumn")
    return [
        VideoPrompt(
            text=f"{text}, {season}",
            id=f"{season}-{number:02d}",
            project_id=season,
            labels={"team": ("film", "web")[number % 2]},
            aspect_ratio="16:9",
            duration_seconds=8,
            resolution="720p",
        )
        for season in films
        for number, text in enumerate(TEXTS, 1)
    ]


def _now_utc() -> datetime:
    return BEGIN + timedelta(seconds=asyncio.get_running_loop().time())


class _Steering:
    """The page has its buttons; nobody presses them."""

    stopping: str | None = None

    def pause(self) -> None: ...
    def go_on(self) -> None: ...
    def stop(self) -> None: ...
    def leave(self) -> None: ...


class _Still:
    """A live page as it was at one moment."""

    def __init__(self, live: Source) -> None:
        self.home = live.home
        self.shown = Shown(**live.shown.fields)
        self._films: dict[str, tuple[Film, ...]] = {}
        view = live.shown.view()
        for lane in view["lanes"]:
            self.shown.put_lane(lane)
        for clip in view["clips"]:
            self.shown.put_clip(clip, ended=False)
            self._films[clip["key"]] = live.films_of(clip["key"])

    async def refresh(self) -> None:
        pass

    def films_of(self, key: str) -> tuple[Film, ...]:
        return self._films[key]

    def actions(self) -> Actions:
        return {}


async def _run(settings: Settings) -> _Still:
    """Make the clips; return the live page of a moment in between."""
    live = LiveView(settings.output_dir, budget=settings.budget, now_utc=_now_utc)
    live.steer(_Steering())
    options = MockOptions(rpm=4, latency=Latency(law="lognormal", a=40, b=0.3), faults=FAULTS, films="drawn", seed=3)
    still: _Still | None = None
    async with MockServer(options) as server:
        settings = settings.model_copy(update={"base_url": server.url})
        async with VeoClient(settings, on_event=live.take, now_utc=_now_utc, rng=random.Random(1)) as veo:
            live.attach(veo, usual=45.0)
            making = asyncio.create_task(veo.generate_many(_prompts()))
            await asyncio.sleep(HALFWAY)
            for _ in range(20):  # stills and films are read a few at a time
                await live.refresh()
            still = _Still(live)
            await making
    return still


async def _look(
    browser: Browser,
    url: str,
    name: str,
    size: tuple[int, int],
    *,
    dark: bool = False,
    top: str = "body",
    now: float = HALFWAY,
) -> None:
    """Write the picture `name` of a page, from its element `top` downwards."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
    )
    page = await context.new_page()
    await page.clock.set_fixed_time(BEGIN + timedelta(seconds=now))
    await page.goto(url)
    await page.locator(".card, figure canvas").locator("visible=true").first.wait_for()
    await page.locator(top).evaluate("top => top.scrollIntoView()")
    await page.wait_for_timeout(500)
    picture = io.BytesIO()
    with Image.open(io.BytesIO(await page.screenshot())) as shot:
        shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(picture, "PNG", optimize=True)
    await context.close()
    if len(picture.getvalue()) > MOST:
        raise SystemExit(f"{name} has {len(picture.getvalue()):,} bytes, more than {MOST:,}: make it smaller")
    (HOME / name).write_bytes(picture.getvalue())
    print(f"{HOME / name}: {len(picture.getvalue()):,} bytes")


async def _pictures(report: Path, still: _Still, served: _Still) -> None:
    from playwright.async_api import async_playwright

    root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium's sandbox refuses to work for root
    async with async_playwright() as playwright, PageServer(still) as server, PageServer(served) as door:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"] if root else []
        )
        await _look(browser, report.as_uri(), "report.png", (1280, 1280))
        await _look(browser, server.link, "page.png", (1280, 1280), dark=True)
        await _look(browser, door.link, "serve.png", (1280, 1100), now=SERVED)
        await _look(browser, f"{report.as_uri()}#status=succeeded", "phone.png", (390, 844), top=".tabs")
        await _look(browser, f"{report.as_uri()}#tab=charts", "charts.png", (1280, 1000), top=".tabs")
        await browser.close()


def main() -> None:
    """Write the pictures into the guide."""
    HOME.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "campaign"
        settings = Settings(
            backend="vertex",
            api_key="emulator",
            base_url="http://127.0.0.1",
            output_dir=directory,
            rate_limit=5,
            rate_period=60,
            budget=60,
            _env_file=None,
        )
        still = run_virtual(_run(settings))
        path = settings.output_dir / report_file.REPORT
        report_file.write(settings, path)
        served = run_virtual(serve(Path(place) / "videos", TEXTS, SERVED, _now_utc, _Still))
        asyncio.run(_pictures(path, still, served))


if __name__ == "__main__":
    main()
