"""Checks that all processes of a shared journal see one directory: what one has written there, each other reads.

A file in the directory and a row in the database hold the same random token. Who opens a journal without one writes
both; where the file is missing or differs, the directory is another one, and videos would be lost to the others.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aveo3.config.settings import JOURNAL
from aveo3.errors import UsageError
from aveo3.files.directories import make_directory
from aveo3.files.syncing import sync_directory, sync_file
from aveo3.journal.journal import Journal
from aveo3.journal.moving.mark import KIND

FILE = JOURNAL.with_name("shared.json")
"""The file in the directory."""

NAME = "directory"
"""What the row in the database is called."""

PATIENCE = 3.0
"""Seconds to wait for a file that another machine has just written: file systems of networks show it late."""


def check_home(journal: Journal) -> None:
    """Raise `UsageError` unless the directory of `journal`, which is shared, is that of all its other processes.

    The first process to open the journal notes the directory. Blocks.
    """
    noted = _noted(journal)
    if noted is None:
        about = {
            "token": _read(journal.home) or _write(journal.home),
            "path": str(journal.home),
            "host": socket.gethostname(),
        }
        value = json.dumps({**about, "since_utc": datetime.now(UTC).isoformat()})
        journal._write((_NOTE, (KIND, NAME, value)), commit=True, sync=True)
        noted = _noted(journal) or about  # another process may have been first
    until = time.monotonic() + PATIENCE
    while (token := _read(journal.home)) is None and time.monotonic() < until:
        time.sleep(0.2)
    if token != noted["token"]:
        raise UsageError(_other(journal, noted, is_there=token is not None))


def why_not_home(journal: Journal) -> str | None:
    """`check_home` without writing anything: the sentence of its error; None if all is well, or nobody came yet."""
    if (noted := _noted(journal)) is None:
        return None
    try:
        token = _read(journal.home)
    except UsageError as error:
        return str(error)
    return None if token == noted["token"] else _other(journal, noted, is_there=token is not None)


def home_of_others(journal: Journal) -> tuple[str, str] | None:
    """The path and the host of whoever noted the directory first; None if nobody has."""
    noted = _noted(journal)
    return None if noted is None else (str(noted["path"]), str(noted["host"]))


def forget(home: Path) -> None:
    """Take the token out of a directory whose journal goes to another database."""
    (home / FILE).unlink(missing_ok=True)


def _noted(journal: Journal) -> dict[str, Any] | None:
    return journal.kept("", KIND).get(NAME)


def _read(home: Path) -> str | None:
    """The token in a directory; None without one. Raises `UsageError` if it cannot be read."""
    try:
        os.listdir(home / FILE.parent)  # noqa: PTH208 (file systems of networks look anew then)
        return str(json.loads((home / FILE).read_text("utf-8"))["token"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        why = getattr(error, "strerror", None) or "it is not what aveo3 wrote"
        raise UsageError(
            f"{home / FILE} cannot be read: {why}. See that all machines may read and write {home}."
        ) from error


def _write(home: Path) -> str:
    """Put a new token into a directory, on disk on return; or the one of who was quicker."""
    path = home / FILE
    token = secrets.token_hex(16)
    part = path.with_name(f"{path.name}.{token}.part")
    try:
        make_directory(path.parent)
        with part.open("x") as file:
            file.write(json.dumps({"token": token}))
            file.flush()
            sync_file(file.fileno())
        if (there := _read(home)) is None:
            part.replace(path)
            sync_directory(path.parent)
        else:
            part.unlink()
            token = there
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}. All machines must write to {home}.") from error
    return token


def _other(journal: Journal, noted: dict[str, Any], *, is_there: bool) -> str:
    if is_there:
        what = f"{journal.home} is the directory of another database"
    else:
        what = (
            f"{journal.home} on this machine is not the directory that the processes of {journal.place} share: its "
            f"file {FILE} is missing"
        )
    return (
        f"{what}. Theirs is {noted['path']}, as {noted['host']} sees it. Set VEO3_OUTPUT_DIR to that directory, "
        "mounted here; or, if it was moved, move all of it, with .aveo3."
    )


_NOTE = (
    "INSERT INTO memory (service, kind, name, value) VALUES ('', ?, ?, ?) ON CONFLICT (service, kind, name) DO NOTHING"
)
