"""Links between the README, the guides and the benchmarks lead somewhere, on a code host as on disk."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.guide import BENCHMARKS, GUIDES, README, blocks

PAGES = {"README": README, "benchmarks": BENCHMARKS, **GUIDES}


def prose(text: str) -> str:
    """A Markdown text without its fenced blocks."""
    for block in blocks(text):
        text = text.replace(f"```{block.language}\n{block.text}```", "")
    return text


def links(text: str) -> list[str]:
    """Where the relative links and pictures of a text lead to."""
    return re.findall(r"\]\((?!https?:)([^)\s]*)\)", prose(text))


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a text, as code hosts make them."""
    titles = re.findall(r"(?m)^#+ (.+)$", prose(text))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dead(page: Path) -> list[str]:
    found = []
    for link in links(page.read_text("utf-8")):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.is_file() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    assert dead(PAGES[page]) == []


def test_a_dead_link_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b`: c\n[x](page.md#a-b-c) [y](page.md#d) [z](gone.md)\n```sh\n[w](gone)\n```\n", "utf-8")
    assert dead(page) == ["page.md#d", "gone.md"]


def test_the_readme_leads_to_every_guide() -> None:
    assert [guide for guide in GUIDES if f"aveo3/guide/{guide}.md" not in links(README.read_text("utf-8"))] == []


def test_no_guide_is_out_of_reach_of_the_others() -> None:
    reached = {link.partition("#")[0] for path in GUIDES.values() for link in links(path.read_text("utf-8"))}
    assert sorted(set(GUIDES) - {name.removesuffix(".md") for name in reached} - {"changelog", "architecture"}) == []
