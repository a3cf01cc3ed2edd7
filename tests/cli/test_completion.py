"""Shell completion: a script for each shell, and what it gets when it asks aveo3."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aveo3
from aveo3.cli.commands.completion import VARIABLE, Shell
from tests.support.terminal import run

PROGRAM = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(Path(aveo3.__path__[0]).parent)!r})
from aveo3.cli import app
app()
"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment with `aveo3` on its path."""
    program = tmp_path / "bin" / "aveo3"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize("shell", Shell)
def test_there_is_a_script_for_each_shell(shell: Shell) -> None:
    code, stdout, stderr = run("completion", shell)
    assert (code, stderr) == (0, "")
    assert VARIABLE in stdout
    assert f"complete_{shell}" in stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("words", "offers"),
    [
        ("aveo3 ge", ["generate"]),
        ("aveo3 generate --neg", ["--negative-prompt"]),
        ("aveo3 generate --model veo-3.1-f", ["veo-3.1-fast-generate-001"]),
        ("aveo3 generate --lines ", ["ask", "strip", "keep"]),
        ("aveo3 mock-server --rp", ["--rpm", "--rpd"]),
        ("aveo3 config t", ["template"]),
        ("aveo3 generate --image ", []),  # bash offers files then
    ],
)
def test_bash_gets_what_may_follow(words: str, offers: list[str], installed: dict[str, str]) -> None:
    ask = (
        'eval "$(aveo3 completion bash)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        '_aveo3_completion aveo3; printf "%s\\n" "${COMPREPLY[@]}"; complete -p aveo3'
    )
    command = ["bash", "--norc", "-c", ask, "bash", *words.split(" ")]
    answer = subprocess.run(command, env=installed, capture_output=True, text=True, check=True)
    *offered, rule = answer.stdout.splitlines()
    assert [offer for offer in offered if offer] == offers
    assert rule == "complete -o default -F _aveo3_completion aveo3"


@pytest.mark.parametrize(
    ("shell", "words"), [("zsh", '"--negative-prompt":"What not'), ("fish", "--negative-prompt\tWhat not")]
)
def test_other_shells_get_the_help_as_well(shell: str, words: str, installed: dict[str, str]) -> None:
    asked = {
        VARIABLE: f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "aveo3 generate --neg",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    answer = subprocess.run(["aveo3"], env={**installed, **asked}, capture_output=True, text=True, check=True)
    assert words in answer.stdout
    assert answer.stderr == ""
