"""axe-core, which looks for what people with a disability cannot use in a page."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import npm

if TYPE_CHECKING:
    from playwright.async_api import Page

AXE = Path(__file__).parents[1] / "data" / "axe"


@cache
def source() -> str:
    """The source of axe-core. Skips the test where npm cannot install it."""
    return (npm.installed(AXE, "axe") / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


async def findings(page: Page) -> list[str]:
    """What axe-core finds serious or critical, with the first element of each. Give the page its `source` first."""
    found: dict[str, Any] = await page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']} ({each['impact']}): {each['nodes'][0]['html']}\n{each['nodes'][0]['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
