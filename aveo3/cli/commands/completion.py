"""`aveo3 completion`: prints the script that completes commands and options in a shell. The script calls aveo3."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

VARIABLE = "_AVEO3_COMPLETE"
"""With this variable in its environment aveo3 prints completions, and runs nothing."""


class Shell(StrEnum):
    """The shells that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def completion(shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.")]) -> None:
    """Print the script that completes commands in a shell.

    bash: add `eval "$(aveo3 completion bash)"` to ~/.bashrc. zsh: the same with zsh in ~/.zshrc, after compinit. fish:
    write it to ~/.config/fish/completions/aveo3.fish. PowerShell: add it to $PROFILE.

    Examples:

      aveo3 completion bash

      aveo3 completion fish > aveo3.fish
    """
    stand_in = typer.Typer(add_completion=True)
    stand_in.command()(lambda: None)
    os.environ[VARIABLE] = f"source_{shell}"  # how a shell asks for the script
    try:
        typer.main.get_command(stand_in).main([], prog_name="aveo3", complete_var=VARIABLE)
    finally:
        del os.environ[VARIABLE]


def model_ids(incomplete: str) -> list[str]:
    """The models of the catalog whose IDs begin so, for completion."""
    from aveo3.config import catalog

    return [name for name in catalog.load().models if name.startswith(incomplete)]
