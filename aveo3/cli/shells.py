"""Writes what users are to type as the shell of their system wants it."""

from __future__ import annotations

import re
import shlex
import sys


def quoted(text: str) -> str:
    """`text` as one argument: in the shells of Unix, or in PowerShell and `cmd`."""
    if sys.platform != "win32":
        return shlex.quote(text)
    from subprocess import list2cmdline  # lazy: most commands quote nothing

    argument = list2cmdline([text])
    plain = argument.startswith('"') or re.fullmatch(r"[\w.:/\\~+-]+", argument)
    return argument if plain else f'"{argument}"'


def with_variables(**variables: str) -> str:
    """A command that sets environment variables in the shell of this system."""
    if sys.platform == "win32":
        return "; ".join(f"$env:{name}='{value}'" for name, value in variables.items())
    return "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
