"""`--page` and `aveo3 page` on the command line: the link, the port, what is missing; and that buttons are Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import socket
import stat
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from aveo3.cli import live_page
from aveo3.cli.run import Interrupts
from aveo3.report import html
from aveo3.server.page.live_view import LiveView
from aveo3.server.page.server import PageServer
from tests.support.terminal import run

RUN = ("generate", "--prompt", "a boat", "--mock", "-o", "clips")
LINK = r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]{43})"


@pytest.mark.usefixtures("time_jumps")
def test_the_link_is_printed_once_and_stands_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        code, out, err = run(*RUN, "--page", "--json")
    assert code == 0
    [(_, token)] = re.findall(LINK, err)
    assert token not in out
    assert [record for record in caplog.records if token in record.getMessage()] == []
    assert [path for path in Path("clips").rglob("*") if path.is_file() and token.encode() in path.read_bytes()] == []


@pytest.mark.usefixtures("time_jumps")
def test_where_all_lines_are_json_the_link_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_LOG_FORMAT", "json")
    code, _, err = run(*RUN, "--page")
    [link] = [line["page"] for line in map(json.loads, err.splitlines()) if "page" in line]
    assert (code, bool(re.fullmatch(LINK, link))) == (0, True)


async def test_a_standard_error_that_is_lost_costs_the_link_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lost:
        def write(self, _: str) -> int:
            raise BrokenPipeError

        flush = write

    monkeypatch.setattr(sys, "stderr", Lost())
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    async with live_page.shown(LiveView(tmp_path), port=0, opens=True):
        pass


@pytest.mark.usefixtures("time_jumps")
@pytest.mark.parametrize("options", [[], ["--page", "--dry-run"]])
def test_there_is_no_page_that_nobody_asked_for(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(PageServer, "__init__", none)
    code, _, err = run(*RUN, *options)
    assert code == 0
    assert "http://" not in err


@pytest.mark.usefixtures("time_jumps")
@pytest.mark.parametrize("command", [RUN, ("page", "clips")])
def test_a_port_that_is_taken_is_told_before_anything_is_sent(command: tuple[str, ...]) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = run(*command, "--page-port", str(port))
    assert code == 2
    assert f"the page cannot use port {port} of 127.0.0.1" in err
    assert list(Path("clips").glob("*.mp4")) == []


@pytest.mark.parametrize("command", [(*RUN, "--page"), ("page", "clips")])
def test_what_is_missing_is_named_with_what_to_install(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "find_spec", lambda _: None)
    code, _, err = run(*command)
    assert code == 2
    assert "pip install 'aveo3[report]'" in err
    assert not Path("clips").exists()


def test_a_directory_that_keeps_no_journal_cannot_be_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_JOURNAL", "none")
    code, _, err = run("page", "clips")
    assert (code, "VEO3_JOURNAL=none" in err) == (2, True)


@pytest.mark.usefixtures("time_jumps")
def test_the_browser_is_opened_by_a_file_of_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody on the machine sees the arguments of a browser."""
    import webbrowser

    opened: list[tuple[str, int, str]] = []

    def opens(address: str) -> bool:
        path = Path(address.removeprefix("file://"))
        opened.append((address, stat.S_IMODE(path.stat().st_mode), path.read_text()))
        return True

    monkeypatch.setattr(webbrowser, "open", opens)
    code, _, err = run(*RUN, "--open")
    [(address, mode, text)] = opened
    [(_, token)] = re.findall(LINK, err)
    assert (code, token in address, token in text) == (0, False, True)
    assert mode == 0o600 or os.name == "nt"
    assert not Path(address.removeprefix("file://")).exists()


def test_without_a_browser_the_link_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    with live_page.Shortcut("http://127.0.0.1:1/?token=a"):
        assert "open the link yourself" in capsys.readouterr().err


# ---- what ends a run -----------------------------------------------------------------------------------------------


class Clips:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def stop(self) -> None:
        self.calls.append("stop")

    async def leave(self) -> None:
        self.calls.append("leave")


INT, TERM = signal.SIGINT, signal.SIGTERM


@pytest.mark.parametrize(
    ("steps", "calls", "stopping"),
    [
        ([INT], ["stop"], "stop"),
        ([INT, INT], ["stop", "leave"], "leave"),
        ([INT, INT, INT], ["stop", "leave"], "leave"),
        ([TERM], ["leave"], "leave"),
        (["stop"], ["stop"], "stop"),
        (["stop", "stop"], ["stop"], "stop"),  # a button that is pressed twice is no second Ctrl-C
        (["stop", INT], ["stop", "leave"], "leave"),
        ([INT, "stop"], ["stop"], "stop"),
        ([INT, "leave", "leave"], ["stop", "leave"], "leave"),
        (["leave", "stop", INT], ["leave"], "leave"),
        ([], [], None),
    ],
)
async def test_a_button_is_what_ctrl_c_is(steps: list[Any], calls: list[str], stopping: str | None) -> None:
    clips = Clips()
    interrupts = Interrupts(clips, keeps=True)  # type: ignore[arg-type]
    for step in steps:
        getattr(interrupts, step)() if isinstance(step, str) else interrupts(step)
        await asyncio.sleep(0)
    assert (clips.calls, interrupts.stopping) == (calls, stopping)
