"""The page for people who cannot see it, or not well: axe-core finds nothing serious, in light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aveo3.report.view import FilmRow, SceneRow, TakeRow
from tests.support import report_views as views
from tests.support.axe import findings, source
from tests.support.browser import tab

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [pytest.mark.real_time, pytest.mark.asyncio(loop_scope="session")]


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    return source()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_axe_finds_nothing_serious(browser: Browser, tmp_path: Path, axe: str, dark: bool) -> None:
    async with tab(browser, dark=dark, reduced_motion="reduce") as page:
        for number in (0, 1, 40):
            made = views.with_films(views.view(views.clips(number)), tmp_path)
            made["film"] = _film([clip["key"] for clip in made["clips"]])
            file = tmp_path / f"{number}.html"
            file.write_text(views.page(made), "utf-8")
            await page.goto(file.as_uri())
            await page.evaluate(axe)
            await page.evaluate("() => document.querySelectorAll('details').forEach((each, n) => each.open = n < 8)")
            assert await findings(page) == [], number


def _film(jobs: list[str]) -> FilmRow:
    """A film that is not made yet, of a scene for each clip, and one without any."""
    scenes = [
        SceneRow(
            id=f"scene-{number}",
            prompt="a boat",
            begins="the last frame of scene-0",
            source="scene-0",
            stage="final",
            picked=1,
            changed=True,
            hangs=[],
            takes=[TakeRow(id=f"{number}.take-1", stage="final", number=1, job=job, status=None)],
        )
        for number, job in enumerate([*jobs, None])
    ]
    return FilmRow(
        title="A film",
        noted_utc="2026-11-27T09:00:00Z",
        films={},
        scenes=scenes,
        picks=True,
        command="aveo3 film make clips",
        problem="it is not whole",
    )


async def test_axe_would_notice(browser: Browser, axe: str) -> None:
    async with tab(browser) as page:
        await page.set_content("<main><button></button></main>")
        await page.evaluate(axe)
        assert "button-name (critical)" in "".join(await findings(page))
