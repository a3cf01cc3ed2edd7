"""What a person sees on a real terminal, and what goes to files beside it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aveo3
from aveo3.cli.exit_codes import Exit
from tests.support.terminal import on_a_pty

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform == "win32", reason="no pty"),
]


def boats(number: int) -> str:
    Path("boats.txt").write_text("".join(f"boat {n}\n" for n in range(number)), "utf-8")
    return "boats.txt"


def manifest() -> list[str]:
    lines = Path("clips/manifest.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["status"] for line in lines]


def test_a_terminal_that_is_taken_away_costs_no_clip() -> None:
    code, _ = on_a_pty("generate", boats(8), "--mock", leave_at=b"succeeded")
    assert (code, manifest()) == (Exit.ALL_MADE, ["succeeded"] * 8)


def test_json_goes_to_the_file_that_standard_output_is_and_the_bars_to_the_terminal() -> None:
    code, screen = on_a_pty("generate", boats(2), "--mock", "--json", stdout=Path("out.jsonl"))
    assert code == Exit.ALL_MADE
    assert len([json.loads(line) for line in Path("out.jsonl").read_text("utf-8").splitlines()]) == 2
    assert "finished" in screen
    assert '"status"' not in screen


def test_json_on_the_terminal_has_whole_lines_and_no_bars() -> None:
    code, screen = on_a_pty("generate", boats(2), "--mock", "--json", "--quiet")
    assert code == Exit.ALL_MADE
    assert [json.loads(line)["status"] for line in screen.splitlines()] == ["succeeded"] * 2
    _, screen = on_a_pty("generate", boats(2), "--mock", "--json")
    assert "━" not in screen
    assert len(re.findall(r'(?m)^\{.*"status": "succeeded".*\}\r?$', screen)) == 2


def test_a_pipe_that_closes_leaves_the_exit_code() -> None:
    command = [sys.executable, "-c", "from aveo3.cli import app; app()", "generate", boats(2), "--mock"]
    environment = {**os.environ, "PYTHONPATH": str(Path(aveo3.__file__).parents[1])}
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(command, env=environment, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (process.returncode, manifest()) == (Exit.ALL_MADE, ["succeeded"] * 2)
    assert b"Traceback" not in process.stderr
    assert b"Exception ignored" not in process.stderr


def test_an_interrupt_counts_what_was_not_sent_in_one_line() -> None:
    code, screen = on_a_pty("generate", boats(300), "--mock", "--rate", "5/min", typed={b"succeeded": b"\x03"})
    assert code == Exit.INTERRUPTED
    plain = re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", screen)
    assert len(re.findall(r"cancelled +29\d prompts were not sent: the run was stopped", plain)) == 1, plain
    assert "cancelled  'boat" not in plain
    assert manifest().count("cancelled") >= 290


def test_no_word_is_broken_at_80_columns() -> None:
    name = "a-directory-that-goes-on-and-on-to-the-end-of-the-line-of-a-terminal"
    _, screen = on_a_pty("generate", boats(1), "--mock", "-o", name)
    assert f"\nin {name}\r\n" in screen or f"\n{name}\r\n" in screen, screen
