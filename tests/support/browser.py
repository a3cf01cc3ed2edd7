"""A real Chromium for tests: Debian's package, driven by Playwright, which brings no browser of its own here.

Why Playwright: it watches every request and console message, sets theme, size and zone of a page, and waits for what a
test expects instead of sleeping. Selenium is lighter (10 MB, not 165) but needs a driver beside the browser, and a
protocol of its own for each of these.

Test files that use the fixture `browser` have

    pytestmark = [pytest.mark.real_time, pytest.mark.asyncio(loop_scope="session")]

because there is one browser for all of them, on one event loop.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

REQUIRED = "TEST_BROWSER"
"""If this variable is `required`, a missing browser fails the tests instead of skipping them."""

PATIENCE = 5_000
"""Milliseconds that a test waits for what it expects."""

ELSEWHERE = re.compile(r"(?:https?|wss?|ftp)://(?!127\.0\.0\.1[:/]|localhost[:/])", re.IGNORECASE)
"""What begins an address on another machine."""


def missing() -> str | None:
    """Why no browser can be started; None if one can."""
    try:
        import playwright.async_api  # noqa: F401
    except ImportError:
        return "playwright is not installed: pip install 'aveo3[test]'"
    if shutil.which("chromium") is None:
        return "chromium is not on this machine: apt-get install chromium"
    return None


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A headless Chromium. Skips the test where there is none, or fails it if one is required."""
    if (why := missing()) is not None:
        (pytest.fail if os.environ.get(REQUIRED) == "required" else pytest.skip)(why)
    from playwright.async_api import async_playwright

    root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium's sandbox refuses to work for root
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"] if root else []
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def tab(
    browser: Browser, *, dark: bool = False, size: tuple[int, int] = (1280, 900), expected: str = "", **options: Any
) -> AsyncIterator[Page]:
    """A page in a context of its own. Afterwards it had no error in its console, and asked no other machine for
    anything. `expected` is a pattern of console errors that the test brings about."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        **{"locale": "en-GB", "timezone_id": "Europe/Berlin", **options},
    )
    try:
        context.set_default_timeout(PATIENCE)
        page = await context.new_page()
        errors: list[str] = []
        elsewhere: list[str] = []
        page.on("pageerror", lambda error: errors.append(f"{error}"))
        page.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
        context.on("request", lambda asked: elsewhere.append(asked.url) if ELSEWHERE.match(asked.url) else None)
        await context.route(ELSEWHERE, lambda route: route.abort())
        yield page
        assert not elsewhere, f"the page asked other machines: {elsewhere}"
        unexpected = [error for error in errors if not (expected and re.search(expected, error))]
        assert not unexpected, f"errors of the page: {unexpected}"
    finally:
        await context.close()
