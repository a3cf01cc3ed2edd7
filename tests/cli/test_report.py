"""`aveo3 report` writes what a directory holds as one file; `generate --report` does so after a run."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from aveo3.cli import report_file
from aveo3.cli import run as running
from aveo3.config.settings import Settings
from aveo3.report import html
from tests.support.reports import Past
from tests.support.terminal import run

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


@pytest.fixture
def clips() -> Path:
    directory = Path("clips")
    directory.mkdir()
    past = Past(directory)
    past.make(past.plan("a boat"))
    past.journal.close()
    return directory


def data_of(text: str) -> list[str]:
    """The addresses of the films that a report plays."""
    begin = '<script type="application/json" id="view">'
    view = json.loads(text.partition(begin)[2].partition("</script>")[0])
    return [video["src"] for row in view["clips"] for video in row["videos"]]


def test_a_report_is_a_file_in_the_directory_and_says_where(clips: Path) -> None:
    before = {path.name for path in (clips / ".aveo3").iterdir()}
    assert run("report", "clips") == (0, f"{clips / 'report.html'}\n", "")
    assert data_of((clips / "report.html").read_text("utf-8")) == ["1.mp4"]
    assert {path.name for path in (clips / ".aveo3").iterdir()} == before | {"posters"}


def test_a_report_can_lie_elsewhere_and_bring_a_contact_sheet(clips: Path) -> None:
    code, out, _ = run("report", "clips", "--output", "web/monday.html", "--sheet", "web/sheet.png")
    assert (code, out.split()) == (0, [str(Path("web/monday.html")), str(Path("web/sheet.png"))])
    assert data_of(Path("web/monday.html").read_text("utf-8")) == ["../clips/1.mp4"]
    assert Path("web/sheet.png").is_file()
    run("report", "clips", "--output", "web")
    assert data_of(Path("web/report.html").read_text("utf-8")) == ["../clips/1.mp4"]


def test_a_report_on_standard_output_has_whole_addresses(clips: Path) -> None:
    code, out, err = run("report", "clips", "--output", "-", "--sheet", "sheet.png")
    assert (code, err) == (0, "sheet.png\n")
    assert data_of(out) == [(clips.absolute() / "1.mp4").as_uri()]
    assert out.startswith("<!doctype html>")
    assert not (clips / "report.html").exists()
    assert run("report", "clips", "--output", "-", "--open")[0] == 2


def test_a_report_is_shown_in_the_browser(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def browse(address: str) -> bool:
        shown.append(address)
        return len(shown) == 1

    monkeypatch.setattr("webbrowser.open", browse)
    assert run("report", "clips", "--open")[2] == ""
    assert shown == [(clips.absolute() / "report.html").as_uri()]
    assert "no browser was found" in run("report", "clips", "--open")[2]


def test_while_a_run_is_active_there_is_a_report_of_what_is_there() -> None:
    Path("clips").mkdir()
    past = Past(Path("clips"))
    past.make(past.plan("a boat"))
    assert run("report", "clips")[0] == 0
    past.make(past.plan("another"))  # the run goes on
    past.journal.close()
    assert data_of(Path("clips", "report.html").read_text("utf-8")) == ["1.mp4"]


def test_without_a_journal_or_the_extra_there_is_a_message(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run("report", "nowhere")
    assert (code, "nowhere does not exist" in err) == (2, True)
    monkeypatch.setattr(html, "find_spec", lambda name: None)
    for arguments in (("report", "clips"), ("generate", "--prompt", "a boat", "--mock", "--report")):
        code, out, err = run(*arguments)
        assert (code, out, "pip install 'aveo3[report]'" in err) == (2, "", True)


@pytest.mark.usefixtures("time_jumps")
def test_a_run_makes_its_report() -> None:
    code, _, err = run("generate", "--prompt", "a boat", "--mock", "--report", "-o", "clips")
    assert (code, f"report: {Path('clips', 'report.html')}" in err) == (0, True)
    [film] = data_of(Path("clips", "report.html").read_text("utf-8"))
    assert (Path("clips") / film).is_file()
    Path("clips", "report.html").unlink()
    assert run("generate", "--prompt", "a boat", "--mock", "--report", "-o", "clips", "--dry-run")[0] == 0
    assert not Path("clips", "report.html").exists()


@pytest.mark.usefixtures("time_jumps")
@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt(), RuntimeError("a bug"), RecursionError()])
def test_a_report_that_fails_costs_neither_clips_nor_the_exit_code(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise error

    monkeypatch.setattr(html, "report_of", fail)
    code, _, err = run("generate", "--prompt", "a boat", "--mock", "--report", "-o", "clips")
    assert (code, "the report was not made" in err) == (0, True)
    assert list(Path("clips").glob("*.mp4"))


class Lost:
    """A standard error that is gone."""

    encoding = "utf-8"

    def write(self, _: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


@pytest.mark.parametrize("stream", [Lost(), None], ids=["gone", "closed from the start"])
def test_a_standard_error_that_is_lost_changes_no_exit_code(
    stream: object, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    report_file.after_run(Settings(output_dir=clips), quiet=False)
    assert (clips / "report.html").is_file()


def test_where_all_lines_are_json_those_of_the_report_are_too(
    clips: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(output_dir=clips, log_format="json")
    report_file.after_run(settings, quiet=False)
    monkeypatch.setattr(html, "report_of", None)
    report_file.after_run(settings, quiet=False)
    made, failed = map(json.loads, capsys.readouterr().err.splitlines())
    assert (made["level"], made["message"]) == ("info", f"report: {clips / 'report.html'}")
    assert (failed["level"], "the report was not made" in failed["message"]) == ("error", True)


@pytest.mark.usefixtures("time_jumps")
def test_a_run_that_was_stopped_makes_its_report_too(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = running.Interrupts.__init__

    def stopped(self: running.Interrupts, *values: Any, **more: Any) -> None:
        prepare(self, *values, **more)
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)

    monkeypatch.setattr(running.Interrupts, "__init__", stopped)
    prompts = [part for n in range(3) for part in ("--prompt", f"boat {n}")]
    assert run("generate", *prompts, "--mock", "--report", "-o", "clips", "--rate", "1/60s")[0] == 130
    assert Path("clips", "report.html").is_file()
