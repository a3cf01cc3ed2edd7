"""The README: short, with the two commands that are run elsewhere, and true about statuses, exit codes and figures."""

from __future__ import annotations

import re

from aveo3 import ClipStatus
from aveo3.cli.exit_codes import Exit
from tests.support.guide import README, blocks

TEXT = README.read_text("utf-8")

SET_UP = {
    "main job": """\
python3 -m venv .venv && .venv/bin/pip install -q '.[video]' &&
  VEO3_RATE_LIMIT=4 VEO3_RATE_PERIOD=5 .venv/bin/aveo3 generate tests/data/prompts.txt --mock --output-dir clips
""",
    "tests": "python3 -m venv .venv && .venv/bin/pip install -q '.[test,video]' && .venv/bin/pytest -q -n auto\n",
}


def test_it_is_read_in_five_minutes() -> None:
    assert len(TEXT.splitlines()) <= 220


def test_the_two_commands_of_a_fresh_clone_are_marked() -> None:
    assert {block.comment: block.text for block in blocks(TEXT) if block.comment in SET_UP} == SET_UP


def test_it_promises_the_exit_codes_and_statuses_there_are() -> None:
    assert [status for status in ClipStatus if f"| `{status}` |" not in TEXT] == []
    assert [code for code in Exit if not re.search(rf"\b{code:d}\s+\(", TEXT)] == []
