"""`aveo3.cli.shells`: what users are told to type can be typed."""

from __future__ import annotations

import shlex
from types import SimpleNamespace

import pytest

from aveo3.cli import shells

WORDS = ["clips", "my clips", "it's", 'a "b"', "$HOME", "a&b", "100%", "~/clips", "-x", "", "a;b", "(a)"]


@pytest.mark.parametrize("text", WORDS)
def test_unix_gets_one_argument(text: str) -> None:
    assert shlex.split(shells.quoted(text)) == [text]


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        (r"C:\clips", r"C:\clips"),
        (r"C:\my clips", r'"C:\my clips"'),
        (r"\\server\share\clips", r"\\server\share\clips"),
        (r"C:\a&b", r'"C:\a&b"'),
        (r"C:\it's (1)", '"C:\\it\'s (1)"'),
        ("", '""'),
    ],
)
def test_windows_gets_double_quotes(text: str, typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shells, "sys", SimpleNamespace(platform="win32"))
    assert shells.quoted(text) == typed


def test_variables_are_set_as_the_shell_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shells.with_variables(A="1", B="a b") == "export A=1 B='a b'"
    monkeypatch.setattr(shells, "sys", SimpleNamespace(platform="win32"))
    assert shells.with_variables(A="1", B="a b") == "$env:A='1'; $env:B='a b'"
