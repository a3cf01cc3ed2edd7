"""Every guide can be read in a terminal of 80 columns: nothing is cut off, and no line of code is broken."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from aveo3.cli.commands.guide import index, read_guides, rendered
from tests.support.guide import GUIDES, blocks

PAGES = read_guides()
SHOWN = {guide: rendered(text, 80, color=False) for guide, text in PAGES.items()}


def test_every_guide_is_there() -> None:
    assert list(PAGES) == list(GUIDES)


@pytest.mark.parametrize("guide", PAGES)
def test_no_line_is_longer_than_the_terminal_is_wide(guide: str) -> None:
    assert [line for line in SHOWN[guide].splitlines() if cell_len(line) > 80] == []


@pytest.mark.parametrize("guide", PAGES)
def test_no_line_of_code_is_broken(guide: str) -> None:
    shown = [line.strip() for line in SHOWN[guide].splitlines()]
    code = [line.strip() for block in blocks(PAGES[guide]) for line in block.text.splitlines()]
    assert [line for line in code if line not in shown] == []


@pytest.mark.parametrize("guide", PAGES)
def test_nothing_is_cut_off(guide: str) -> None:
    assert SHOWN[guide].count("…") == PAGES[guide].count("…")


@pytest.mark.parametrize("guide", PAGES)
def test_comments_and_paths_of_other_guides_are_not_shown(guide: str) -> None:
    assert "<!--" not in SHOWN[guide]
    assert "](" not in SHOWN[guide]
    assert f"{guide}.md" not in SHOWN[guide]


def test_the_index_fits_too() -> None:
    assert [line for line in "\n".join(index(PAGES)).splitlines() if cell_len(line) > 80] == []
