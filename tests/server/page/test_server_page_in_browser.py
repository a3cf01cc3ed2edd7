"""The page of a server in a real browser: figures by caller, a bounded list, and buttons that act once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aveo3.report.view import BudgetLeft, CallerRow, RunRow, ServerRow
from aveo3.server.page.server import PageServer
from aveo3.server.page.shown import Shown
from tests.support import axe
from tests.support import report_views as views
from tests.support.browser import tab
from tests.support.page import Shelf

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.real_time, pytest.mark.asyncio(loop_scope="session")]

LONG = "the-web-shop-of-the-northern-region-with-the-longest-name-there-is"
MARKUP = "<img src=x onerror='window.hacked = 1'>"


def caller(name: str, **values: Any) -> CallerRow:
    row: Any = {
        "name": name,
        "has_key": True,
        "waiting": 0,
        "oldest_utc": None,
        "running": 0,
        "succeeded": 0,
        "failed": 0,
        "cancelled": 0,
        "spent_usd": 0.0,
        "left": [],
        **values,
    }
    return row  # type: ignore[no-any-return]


class Desk(Shelf):
    """A server's page, as a test tells it. `refused` says why nothing is cancelled."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.refused: str | None = None
        now = datetime.now(UTC)
        whole: Any = {**views.view(views.clips(0)), "live": True}
        for name in ("clips", "lanes", "steps", "lane_steps"):
            whole.pop(name, None)
        whole["run"] = RunRow(
            active=True,
            begun_utc=now.isoformat(),
            ended_utc=None,
            total=None,
            next_submit_utc=(now + timedelta(seconds=300)).isoformat(),
            done_utc=(now + timedelta(hours=3)).isoformat(),
            stopping=None,
            paused=False,
        )
        budgets = [BudgetLeft(per="day", limit_usd=50, left_usd=12.5), BudgetLeft(per="all", limit_usd=90, left_usd=-1)]
        waits = (now - timedelta(hours=2)).isoformat()
        callers = [
            caller("film-team", waiting=99_990, oldest_utc=waits, running=3, succeeded=7, spent_usd=22.4, left=budgets),
            caller(LONG, waiting=10, oldest_utc=waits, failed=2, cancelled=1, has_key=False),
        ]
        counts = {"waiting": 100_000, "running": 3, "succeeded": 7, "failed": 2, "cancelled": 1}
        server = ServerRow(
            url="http://127.0.0.1:8790", not_ready=None, held=None, counts=counts, callers=callers, more_callers=4
        )
        self.shown = Shown(**{**whole, "server": server})
        for number in range(60):
            row: Any = views.clips(1)[0]
            who = ("film-team", LONG)[number % 2]
            row |= {"key": str(number), "caller": who, "status": "waiting", "text": f"{MARKUP} {number}", "videos": []}
            self.shown.put_clip(row, ended=False)

    async def cancel(self, key: str) -> str | None:
        self.acted.append(f"cancel {key}")
        if self.refused is None:
            self.shown.drop_clip(key)
        return self.refused


@asynccontextmanager
async def opened(browser: Browser, desk: Desk, **options: Any) -> AsyncIterator[Page]:
    async with PageServer(desk) as server, tab(browser, **options) as page:
        await page.goto(server.link)
        await page.locator(".card").first.wait_for()
        yield page


async def test_an_operator_reads_the_figures_of_each_caller_and_those_of_all(browser: Browser, tmp_path: Path) -> None:
    from playwright.async_api import expect

    desk = Desk(tmp_path)
    async with opened(browser, desk) as page:
        await expect(page.locator("#headline")).to_contain_text("100,000 waiting · 3 in flight · next submit in")
        await expect(page).to_have_title(re.compile("^100,000 waiting"))
        first = page.get_by_role("row", name="film-team")
        await expect(first).to_contain_text("99,990")
        await expect(first).to_contain_text("oldest 2 h")
        await expect(first).to_contain_text("$12.50 of $50.00 a day")
        await expect(first).to_contain_text("$1.00 over of $90.00 in all")
        await expect(page.get_by_role("row", name=LONG)).to_contain_text("key removed")
        await expect(page.locator("#more-callers")).to_have_text("4 more: aveo3 serve status shows all of them.")
        await expect(page.locator(".shown")).to_contain_text("60 requests listed here")
        await expect(page.locator(".shown")).to_contain_text("of 100,013")
        await expect(page.locator(".tabs")).to_be_hidden()
        await expect(page.get_by_role("button", name="Stop now")).to_be_hidden()
        await page.get_by_role("button", name=LONG).click()
        await expect(page.locator(".shown")).to_contain_text("Showing 30 of 60")
        assert await page.locator(".card .facts").all_text_contents() != []
        assert await page.evaluate("window.hacked") is None
        desk.shown.set(server={**desk.shown.fields["server"], "held": "little room is left on its disk"})
        await expect(page.locator("#headline")).to_contain_text("Sends nothing")
        await expect(page.locator("#headline")).to_contain_text("little room is left on its disk")


async def test_buttons_ask_once_and_act_once(browser: Browser, tmp_path: Path) -> None:
    from playwright.async_api import expect

    desk = Desk(tmp_path)
    async with opened(browser, desk, expected="409") as page:
        await page.get_by_role("button", name="Pause").click()
        await expect(page.locator("#ask-text")).to_contain_text("Requests are still taken")
        await page.locator("#ask-yes").click()
        card = page.locator('.card[data-key="7"]')
        await card.get_by_role("button", name="Cancel").click()
        await page.locator("#ask-no").click()
        await card.get_by_role("button", name="Cancel").click()
        await expect(page.locator("#ask-title")).to_have_text("Cancel this request?")
        await page.locator("#ask-yes").click()
        await expect(card).to_have_count(0)  # it is gone from the page of everybody
        assert desk.acted == ["pause", "cancel 7"]
        desk.refused = "It has been sent."
        await page.locator('.card[data-key="8"]').get_by_role("button", name="Cancel").click()
        await page.locator("#ask-yes").click()
        await expect(page.locator("#action-failed")).to_have_text("The request was not cancelled: It has been sent.")
        await expect(page.locator('.card[data-key="8"]')).to_have_count(1)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_it_fits_a_phone_and_axe_finds_nothing_serious(browser: Browser, tmp_path: Path, dark: bool) -> None:
    for size in ((1280, 900), (390, 844)):
        async with opened(
            browser, Desk(tmp_path), dark=dark, size=size, reduced_motion="reduce", bypass_csp=True
        ) as page:
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            await page.evaluate(axe.source())
            assert await axe.findings(page) == []
            assert await page.get_by_role("columnheader").count() == 7  # also where they are not seen
            assert await page.get_by_role("row").count() == 3
