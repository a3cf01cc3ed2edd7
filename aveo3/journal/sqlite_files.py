"""The files of a journal in SQLite: the journal itself, its log, and what lies beside them.

`…-wal` is SQLite's log, which holds what was written last; `….lock` tells that a process writes; `…-ballast` is room
for a full disk; `…-closed` says that a log was closed in order.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from aveo3.errors import JournalError

LOG_HEADER, LOG_MAGIC = 32, (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
"""Bytes of the header that each log begins with, and the two numbers that the header may begin with."""

BALLAST = 1 << 18
"""Bytes that are reserved beside the journal: room for some hundred steps on a full disk."""


def uri_of(path: Path) -> str:
    """The address of a file as SQLite takes it, every sign quoted.

    `Path.as_uri` puts the server of `\\\\server\\share` where SQLite allows no server.
    """
    return f"file:{quote(os.fsencode(path.absolute()), safe='')}"


def real(path: Path) -> Path:
    """The file itself, links resolved: SQLite names the log after it, not after a link."""
    return Path(os.path.realpath(path))


def log_of(path: Path) -> Path:
    """The log of the journal at `path`, which holds what was written last."""
    return Path(f"{real(path)}-wal")


def closed_mark(path: Path) -> Path:
    """The empty file that says: the last run has no end in the journal, but its log was closed in order."""
    return Path(f"{real(path)}-closed")


def size_of(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def identity_of(path: Path) -> tuple[int, int] | None:
    """What tells the file at `path` from any other that may lie there later; None if none is there."""
    try:
        found = os.stat(path)  # noqa: PTH116 (`Path.stat` takes twice as long)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def mark_closed(path: Path) -> None:
    """Say beside the journal that SQLite has removed the log in order, although no end of a run is noted."""
    with suppress(OSError):
        if path.exists() and not log_of(path).exists():
            closed_mark(path).touch()


def check_log(path: Path) -> None:
    """Raise `JournalError` if the last run was killed and its log has been lost since.

    A run writes its beginning from the log into the file, and the log keeps its header: from there until the end of the
    run it is never empty. `closed_mark` says that the log was closed in order although the run has no end.
    """
    log_file, mark = log_of(path), closed_mark(path)
    with log_file.open("rb") if log_file.exists() else BytesIO() as file:
        header = file.read(LOG_HEADER)
    if (len(header) == LOG_HEADER and header[:4] in LOG_MAGIC) or mark.exists() or not size_of(path):
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{uri_of(path)}?immutable=1", uri=True)) as db:
        if db.execute("SELECT ended_utc IS NULL FROM runs ORDER BY id DESC LIMIT 1").fetchone() == (1,):
            state = "missing" if not log_file.exists() else "no log of SQLite" if header else "empty"
            raise JournalError(
                f"{log_file} is {state}: the last run was killed, and what it noted last stood there. Without it "
                f"clips may be paid twice: restore {path.parent} from a copy. If nothing is lost (another program, "
                f"such as sqlite3, has opened the journal since, and tidied it up), make an empty file {mark}."
            )


def in_use(path: Path) -> bool:
    """True if a process has the journal at `path` open for writing. Opens no journal."""
    lock = FileLock(f"{real(path)}.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # the directory cannot be written to
        return False
    lock.release()
    return False


def ballast_of(path: Path) -> Path:
    """The file beside the journal at `path` whose room a full disk gives back."""
    return path.with_name(f"{path.name}-ballast")


def load_ballast(path: Path) -> None:
    """Reserve room for the last steps of a run whose disk has become full. Does nothing if that fails."""
    with suppress(OSError):
        ballast_of(path).unlink(missing_ok=True)  # a link, or what a kill has left
        with ballast_of(path).open("xb") as file:
            file.write(bytes(BALLAST))
