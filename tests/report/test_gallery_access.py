"""The page for people who cannot see it, or not well: axe-core finds nothing serious, in light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import npm
from tests.support import report_views as views
from tests.support.browser import tab

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.real_time, pytest.mark.asyncio(loop_scope="session")]

AXE = Path(__file__).parents[1] / "data" / "axe"


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    return (npm.installed(AXE, "axe") / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


async def findings(page: Page) -> list[str]:
    """What axe-core finds serious or critical, with the first element of each."""
    found: dict[str, Any] = await page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']} ({each['impact']}): {each['nodes'][0]['html']}\n{each['nodes'][0]['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_axe_finds_nothing_serious(browser: Browser, tmp_path: Path, axe: str, dark: bool) -> None:
    async with tab(browser, dark=dark, reduced_motion="reduce") as page:
        for number in (0, 1, 40):
            made = views.with_films(views.view(views.clips(number)), tmp_path)
            file = tmp_path / f"{number}.html"
            file.write_text(views.page(made), "utf-8")
            await page.goto(file.as_uri())
            await page.evaluate(axe)
            await page.evaluate("() => document.querySelectorAll('details').forEach((each, n) => each.open = n < 8)")
            assert await findings(page) == [], number


async def test_axe_would_notice(browser: Browser, axe: str) -> None:
    async with tab(browser) as page:
        await page.set_content("<main><button></button></main>")
        await page.evaluate(axe)
        assert "button-name (critical)" in "".join(await findings(page))
