"""What SQLite's errors mean for a journal, and what a person does about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from aveo3.journal.database import Damaged, DatabaseError, KeyTaken, Unreachable, WrongValues


def refused(path: Path, error: sqlite3.Error | OSError) -> DatabaseError:
    """The error for a journal that SQLite cannot use: damaged, locked, on a full disk, or write-protected."""
    if isinstance(error, sqlite3.ProgrammingError):
        return DatabaseError(f"the journal {path} cannot be used from here: {error}. It belongs to one thread.")
    kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF if isinstance(error, sqlite3.Error) else 0
    if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
        return unreadable(path, error)
    if is_locked(error):
        return Unreachable(f"the journal {path} is locked. {WHO_LOCKS}")
    return Unreachable(
        f"the journal {path} cannot be used: {error}. See that the disk has room and that the file may be written, "
        "then run it again; or name another with VEO3_JOURNAL."
    )


WHO_LOCKS = (
    "Another program has had it open for writing for too long: a database browser, the sqlite3 shell, a backup, a "
    "virus scanner or a program that syncs files (`lsof` or `fuser` with the file's name tells which). Close that "
    "program, then run it again."
)


def is_locked(error: Exception) -> bool:
    """Whether SQLite gave up because another program has the journal locked."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def unreadable(path: Path, why: object) -> Damaged:
    """The error for a journal that exists and cannot be read."""
    return Damaged(
        f"the journal {path} cannot be read: {why}. Nothing was sent. It says what was paid for: restore it from a "
        "copy; or move it away with its log, see in the Google Cloud console what may have been made, and begin anew."
    )


def not_taken(path: Path, values: Sequence[object], error: Exception) -> WrongValues:
    """The error for a statement that the journal does not take, whatever the disk does."""
    message = f"{path} does not take {values!r:.200}: {error}"
    code = getattr(error, "sqlite_errorcode", 0)
    if code in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
        table, _, _ = str(error).rpartition(": ")[2].partition(".")  # UNIQUE constraint failed: table.column, …
        return KeyTaken(message, table)
    return WrongValues(message)


WRONG = (  # the values are wrong; other errors of SQLite come from the disk
    *(sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError),
    *(OverflowError, ValueError),
)
