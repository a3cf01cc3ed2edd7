"""How commands end: exit codes, and error messages instead of tracebacks."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer


class Exit(IntEnum):
    """Exit codes of the command line."""

    ALL_MADE = 0
    SOME_NOT = 1
    USAGE = 2
    DEFERRED = 3
    INTERRUPTED = 130


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """Turn an error of aveo3 into a message on stderr and an exit code: 2 for a `UsageError`, else 1."""
    from aveo3.errors import AveoError, UsageError

    try:
        yield
    except AveoError as error:
        typer.echo(wrapped(f"aveo3: {_as_typed(str(error))}"), err=True)
        raise typer.Exit(Exit.USAGE if isinstance(error, UsageError) else Exit.SOME_NOT) from None


def _as_typed(text: str) -> str:
    """`text` with each `name=value (as an argument)` written as the option that the user typed: `--name value`."""
    return re.sub(
        r"\b(\w+)=(.*?) \(as an argument\)",
        lambda match: f"--{match[1].replace('_', '-')} {match[2] or repr('')}",
        text,
    )


def wrapped(text: str) -> str:
    """`text` wrapped between words on a terminal, unchanged elsewhere."""
    if not sys.stderr.isatty():
        return text
    from aveo3.cli.terminal import folded

    return folded(text, shutil.get_terminal_size().columns)
