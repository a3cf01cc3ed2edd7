"""`aveo3.cli.streams`: every stream takes every character, and JSON stays JSON."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import pytest

from aveo3.cli import streams
from aveo3.cli.json_lines import in_json

WORDS = "a boat \N{SAILBOAT}, a smile \N{GRINNING FACE}, half \ud83d, caf\u00e9"


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Windows, whose pipes have the characters of Western Europe."""
    names = SimpleNamespace(platform="win32", stdout=io.TextIOWrapper(io.BytesIO(), "cp1252"), stderr=None)
    monkeypatch.setattr(streams, "sys", names)
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    return names


def written(system: SimpleNamespace, text: str) -> bytes:
    streams.prepare_streams()
    system.stdout.write(text)
    system.stdout.flush()
    raw = system.stdout.buffer.getvalue()
    assert isinstance(raw, bytes)
    return raw


def test_on_windows_files_and_pipes_are_utf8(system: SimpleNamespace) -> None:
    assert written(system, WORDS) == WORDS.encode("utf-8", "backslashreplace")


def test_an_encoding_that_was_asked_for_stays(system: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    assert written(system, WORDS) == WORDS.encode("cp1252", "backslashreplace")


@pytest.mark.parametrize("platform", ["win32", "linux"])
def test_a_terminal_keeps_its_encoding(system: SimpleNamespace, platform: str) -> None:
    system.platform, system.stdout = platform, Terminal(io.BytesIO(), "cp1252")
    assert written(system, WORDS) == WORDS.encode("cp1252", "backslashreplace")


def test_elsewhere_files_keep_theirs(system: SimpleNamespace) -> None:
    system.platform = "linux"
    assert written(system, WORDS) == WORDS.encode("cp1252", "backslashreplace")


def test_a_stream_that_is_not_there_or_holds_no_text_is_left_alone(system: SimpleNamespace) -> None:
    for stream in (None, io.BytesIO(), io.StringIO()):
        system.stdout = stream
        streams.prepare_streams()


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_json_is_json_whatever_the_stream_can_hold(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    streams.prepare_streams()
    print(in_json({"text": WORDS}), flush=True)
    assert json.loads(raw.getvalue().decode(encoding)) == {"text": WORDS}
