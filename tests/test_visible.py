"""Words that others wrote are shown, never obeyed: on terminals, in logs, files and exceptions."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from aveo3 import verdicts
from aveo3._visible import visible
from aveo3.backends.base import PollError, Video
from aveo3.cli.terminal import LineFormatter, ScreenHandler
from aveo3.errors import AveoError, FetchError, UsageError
from aveo3.verdicts import VerdictKind
from aveo3.verdicts.verdict import LONGEST_NAME

CLEAR = "\x1b[2J\x1b]0;pwned\x07"
SHOWN = r"\x1b[2J\x1b]0;pwned\x07"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (CLEAR, SHOWN),
        ("a\x9b31mb", r"a\x9b31mb"),  # the same as ESC [ in one character
        ("done\rfailed", r"done\rfailed"),
        ("a\u202eb\u2066c\u2028d", r"a\u202eb\u2066c\u2028d"),
        ("\0\x7f", r"\x00\x7f"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("ein Bär, ein 👩‍🚀, עברית", "ein Bär, ein 👩‍🚀, עברית"),
        ("", ""),
    ],
)
def test_control_characters_are_spelled_out_and_nothing_else_is(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize("kind", [AveoError, FetchError, PollError, UsageError])
def test_no_exception_of_ours_carries_them(kind: type[AveoError]) -> None:
    assert str(kind(f"HTTP 500: {CLEAR}")) == f"HTTP 500: {SHOWN}"


def test_no_verdict_carries_them() -> None:
    body = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": CLEAR}}
    assert verdicts.from_answer(400, body).message == SHOWN
    assert verdicts.uncertain(CLEAR).message == SHOWN


@pytest.mark.parametrize("name", ["x" * 150_000_000, "x" * (LONGEST_NAME + 1), f"operations/{CLEAR}", "a\nb"])
def test_what_cannot_be_the_name_of_an_operation_is_uncertain_and_named_in_short(name: str) -> None:
    verdict = verdicts.accepted(name)
    assert (verdict.kind, verdict.operation) == (VerdictKind.UNCERTAIN, None)
    assert len(verdict.message) < 600
    assert "\x1b" not in verdict.message
    assert verdicts.accepted("x" * LONGEST_NAME).operation


def test_no_address_of_a_video_carries_them() -> None:
    assert Video(uri=f"https://files.test/{CLEAR}").uri == f"https://files.test/{SHOWN}"


def test_no_line_of_the_log_carries_them_on_a_screen_or_in_a_file() -> None:
    screen, file = io.StringIO(), io.StringIO()
    plain = logging.StreamHandler(file)
    plain.setFormatter(LineFormatter())
    log = logging.getLogger("aveo3.test_visible")
    log.propagate = False
    for handler in (plain, ScreenHandler(Console(file=screen, force_terminal=False, width=200))):
        log.addHandler(handler)
    try:
        try:
            raise ValueError(CLEAR)
        except ValueError:
            log.exception("polling %s raised", CLEAR)
    finally:
        log.handlers.clear()
    for stream in (screen, file):
        assert "\x1b" not in stream.getvalue()
        assert stream.getvalue().count(SHOWN) >= 2, "in the message and in the traceback"
