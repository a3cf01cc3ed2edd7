"""The question before a run that costs much: when it is asked, who answers, and that nothing is sent without one."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from aveo3 import VideoPrompt
from aveo3.cli import confirm
from aveo3.cli.exit_codes import Exit
from aveo3.lifecycle import State
from tests.support.desk import Desk
from tests.support.terminal import on_a_pty, run


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many prompts each run would have sent, on Vertex AI in project p."""

    async def note(*_: Any, to_send: int, **__: Any) -> Exit:
        runs.append(to_send)
        return Exit.ALL_MADE

    runs: list[int] = []
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    monkeypatch.setattr("aveo3.cli.run.run", note)
    return runs


class Keyboard(io.StringIO):
    """What a person types. Each answer is one line, and `^C` is Ctrl-C."""

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        if (line := super().readline(-1 if size is None else size)) == "^C\n":
            raise KeyboardInterrupt
        if line == "gone\n":
            raise OSError(5, "Input/output error")
        return line


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a person at the terminal, who types this."""

    def at_the_terminal(text: str) -> None:
        monkeypatch.setattr(confirm, "keyboard", lambda: nullcontext(Keyboard(text)))

    return at_the_terminal


def boats(number: int) -> str:
    Path("boats.txt").write_text("".join(f"boat {n}\n" for n in range(number)), "utf-8")
    return "boats.txt"


@pytest.mark.parametrize(
    ("answer", "code", "submits"),
    [
        ("y\n", Exit.ALL_MADE, [300]),
        ("YES\n", Exit.ALL_MADE, [300]),
        ("what?\ny\n", Exit.ALL_MADE, [300]),
        ("n\n", Exit.SOME_NOT, []),
        ("\n", Exit.SOME_NOT, []),
        ("", Exit.USAGE, []),
        ("perhaps\n", Exit.USAGE, []),
        ("gone\n", Exit.USAGE, []),
        ("^C\n", Exit.INTERRUPTED, []),
    ],
)
def test_a_dear_run_on_a_terminal_waits_for_a_yes(
    answer: str, code: Exit, submits: list[int], sent: list[int], types: Callable[[str], None]
) -> None:
    types(answer)
    got, stdout, stderr = run("generate", boats(300))
    assert (got, sent, stdout) == (code, submits, "")
    assert "This run sends 300 new clips for about US$ 960.00 at list price." in stderr
    assert "VEO3_CONFIRM_ABOVE=20" in stderr
    assert ("nothing was sent" in stderr) == (code is not Exit.ALL_MADE)


@pytest.mark.parametrize("arguments", [["--yes"], ["-y"], ["--dry-run"], ["--mock"]])
def test_yes_a_dry_run_and_mock_mode_ask_nothing(
    arguments: list[str], sent: list[int], types: Callable[[str], None]
) -> None:
    types("n\n")
    code, _, stderr = run("generate", boats(300), *arguments)
    assert (code, "Continue?" in stderr) == (Exit.ALL_MADE, False)
    assert sent == ([] if "--dry-run" in arguments else [300])


def test_without_a_terminal_nothing_is_asked(sent: list[int]) -> None:
    assert run("generate", boats(300))[0] == Exit.ALL_MADE
    assert sent == [300]


@pytest.mark.parametrize(
    ("limit", "clips", "asks"),
    [
        ("20", 6, False),  # US$ 19.20
        ("20", 7, True),
        ("22.40", 7, False),
        ("0", 1, True),
        ("none", 300, False),
        ("off", 300, False),
        (None, 7, True),
    ],
)
def test_the_sum_above_which_it_asks_can_be_set(
    limit: str | None,
    clips: int,
    asks: bool,
    sent: list[int],
    types: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if limit is not None:
        monkeypatch.setenv("VEO3_CONFIRM_ABOVE", limit)
    types("n\n")
    assert run("generate", boats(clips))[0] == (Exit.SOME_NOT if asks else Exit.ALL_MADE)
    assert sent == ([] if asks else [clips])


def test_a_wrong_sum_is_refused(sent: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_CONFIRM_ABOVE", "much")
    code, _, stderr = run("generate", boats(1))
    assert (code, sent) == (Exit.USAGE, [])
    assert "VEO3_CONFIRM_ABOVE=much" in stderr


def test_what_the_budget_keeps_from_being_sent_does_not_count(sent: list[int], types: Callable[[str], None]) -> None:
    types("n\nn\n")
    assert run("generate", boats(300), "--budget", "15")[0] == Exit.ALL_MADE
    code, _, stderr = run("generate", boats(300), "--budget", "50")
    assert (code, sent) == (Exit.SOME_NOT, [300])
    assert "the budget leaves US$ 50.00" in stderr


def test_what_earlier_runs_have_paid_does_not_count(sent: list[int], types: Callable[[str], None]) -> None:
    desk = Desk()
    for n in range(8):
        prompt = VideoPrompt(text=f"boat {n}")
        desk.job(State.RUNNING, prompt.text, digest=prompt.digest("veo-3.1-generate-001"))
    desk.killed()
    types("n\n")
    assert run("generate", boats(12))[0] == Exit.ALL_MADE, "8 of 12 are under way, the others cost US$ 12.80"
    assert sent == [4]


def test_a_dearer_fallback_counts(sent: list[int], types: Callable[[str], None]) -> None:
    types("n\n")
    code, _, stderr = run(
        "generate", boats(10), "--model", "veo-3.1-fast-generate-001", "--fallback", "veo-3.1-generate-001"
    )
    assert (code, sent) == (Exit.SOME_NOT, [])
    assert "up to US$ 32.00 on other lanes or fallbacks" in stderr


def test_prompts_that_will_be_rejected_cost_nothing(sent: list[int], types: Callable[[str], None]) -> None:
    types("n\n")
    Path("a.jsonl").write_text('{"text": "a", "duration_seconds": 5}\n' * 50, "utf-8")
    assert run("generate", "a.jsonl")[0] == Exit.ALL_MADE
    assert sent == [50]


@pytest.mark.real_time
@pytest.mark.skipif(sys.platform == "win32", reason="no pty")
@pytest.mark.parametrize("piped", [None, b"boat\n" * 300])
@pytest.mark.parametrize(
    ("typed", "code"), [(b"n\n", Exit.SOME_NOT), (b"\x04", Exit.USAGE), (b"\x03", Exit.INTERRUPTED)]
)
def test_a_real_terminal_asks_and_a_stop_sends_nothing(
    typed: bytes, code: Exit, piped: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    monkeypatch.setenv("VEO3_BASE_URL", "http://127.0.0.1:9")
    got, screen = on_a_pty("generate", boats(300) if piped is None else "-", typed={b"[y/N]": typed}, piped=piped)
    assert got == code, screen
    assert "This run sends 300 new clips for about US$ 960.00" in screen
    assert not Path("clips").exists()
