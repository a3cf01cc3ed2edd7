"""The examples of README and guides run: Python blocks in mock mode; of command lines, the parsing."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import shlex
import ssl
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer

import aveo3.mock
from aveo3.cli import app
from aveo3.mock import MockOptions
from tests.support import telemetry
from tests.support.guide import PAGES, Block, blocks
from tests.support.ssl_context import SSL_CONTEXT

SHELLS = ("console", "sh", "bash", "shell")


def commands(block: str) -> list[list[str]]:
    """Every `aveo3 …` that a shell block runs: its arguments, without prompt, variables and directory."""
    found = []
    for line in block.replace("\\\n", " ").replace("&&\n", "&& ").splitlines():
        for part in re.split(r"&&|\|\||[;|]", line.removeprefix("$ ")):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"\w+=.*", words[0], re.DOTALL):
                words.pop(0)
            if words and Path(words[0]).name == "aveo3":
                found.append([*takewhile(lambda word: word not in "<>", words[1:])])
    return found


BLOCKS = [(page, block) for page, path in PAGES.items() for block in blocks(path.read_text("utf-8"))]
PLAIN = [(page, block) for page, block in BLOCKS if not (block.comment or "").startswith("recipe: ")]
"""Recipes have tests of their own."""
PYTHON = [
    pytest.param(PAGES[page], block, id=f"{page}-{block.line}") for page, block in PLAIN if block.language == "python"
]
COMMANDS = {
    f"{page}-{' '.join(words)}": words
    for page, block in PLAIN
    if block.language in SHELLS
    for words in commands(block.text)
}


def test_blocks_are_found_with_their_marks() -> None:
    text = (
        "```python\na\n```\n<!-- not run: costs money -->\n```python\nb\n```\n\n```sh\n$ X=1 bin/aveo3 go && ls\n```\n"
    )
    assert blocks(text) == [
        Block("python", 2, "a\n", None),
        Block("python", 6, "b\n", "not run: costs money"),
        Block("sh", 10, "$ X=1 bin/aveo3 go && ls\n", None),
    ]
    assert commands("$ X=1 .venv/bin/aveo3 go -x &&\n  Y='a b' aveo3 stay # not aveo3 this\npip install aveo3\n") == [
        ["go", "-x"],
        ["stay"],
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_fence_is_closed(page: str) -> None:
    text = PAGES[page].read_text("utf-8")
    assert text.count("\n```") == 2 * len(blocks(text))


# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
@pytest.mark.parametrize(("path", "block"), PYTHON)
def test_every_python_block_runs_in_mock_mode(
    path: Path, block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Empty lines before it have a traceback name the page's own line. A notebook's cells may await.
    source = "\n" * (block.line - 1) + block.text
    code = compile(source, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if (block.comment or "").startswith("not run: "):
        return

    def hasty(**options: Any) -> MockOptions:
        return MockOptions.model_validate({**options, "latency": "0.01", "films": "bundled"})

    monkeypatch.setattr(aveo3.mock, "MockOptions", hasty)  # mock mode's clips take up to two seconds
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: SSL_CONTEXT)
    monkeypatch.setenv("VEO3_MOCK_MODE", "true")
    if "run_virtual" not in block.text:  # there an interval costs no time
        monkeypatch.setenv("VEO3_POLL_INTERVAL", "0.01")
    telemetry.restored(monkeypatch)
    names: dict[str, Any] = {"__name__": "__main__"}
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(code, names))
    else:
        exec(code, names)
    for name, test in names.items():
        if name.startswith("test_"):
            test(tmp_path)
    shown = capsys.readouterr()
    assert shown.err == ""
    assert not re.search(r"\b(failed|rejected|uncertain|deferred|cancelled|None)\b", shown.out), shown.out


def mistake(words: list[str]) -> str | None:
    """What `aveo3 WORDS…` would be refused for; None if it would run. Parses as a call would, and runs nothing."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        if not words or words[0] == "--help":
            return None
        if command.invoke_without_command and words[0].startswith("-"):
            break
        name, *words = words
        if name not in command.commands:
            return f"{name} is not a command: {', '.join(command.commands)} are"
        command = command.commands[name]
    if "--help" in words:
        return None
    try:
        command.make_context("aveo3", words)
    except Exception as error:  # click's, whose home depends on typer's version
        return None if type(error).__name__ == "Exit" else str(error)  # an option that prints something and ends
    return None


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_every_command_line_is_one_that_aveo3_takes(words: list[str]) -> None:
    assert mistake(words) is None


@pytest.mark.parametrize("words", ["generat x", "generate x --colour", "generate x --budget much", "config shw"])
def test_a_command_line_that_aveo3_does_not_take_is_noticed(words: str) -> None:
    assert mistake(words.split()) is not None
