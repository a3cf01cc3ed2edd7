"""Opens the journal's SQLite file: checks it, and brings it to the schema of this version."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from aveo3.errors import JournalError
from aveo3.journal import sqlite_schema
from aveo3.journal.sqlite_errors import refused, unreadable
from aveo3.journal.sqlite_files import check_log, log_of, size_of, uri_of
from aveo3.journal.sqlite_schema import APPLICATION_ID, migrate
from aveo3.journal.wal_sync import SYNCS_LATER

BUSY_PATIENCE = 20.0
"""Seconds to wait for a program other than aveo3 that has the journal locked. The event loop stands still meanwhile, so
it must stay below the timeouts of requests."""


def connect(path: Path, *, writes: bool, checks: bool = True) -> sqlite3.Connection:
    """Open the journal at `path`, making or migrating it if `writes`. To read one of an older version, a copy of it in
    memory is migrated: it stays as it was then, and so does the file.

    Raises `JournalError` naming the file if it is not a journal, damaged, or of a newer version.
    """
    try:
        logged = size_of(log_of(path))
        if logged is not None and not path.exists():  # SQLite would delete the log with what was written last
            raise unreadable(path, f"it is missing, and its log {log_of(path).name} is there")
        if not writes and not path.is_file():
            raise JournalError(f"{path}: there is no journal. Nothing was generated into this directory yet.")
        if logged and size_of(path) == 0:  # the same
            raise unreadable(path, f"it is empty, and {path.name}-wal is not")
        if writes:
            check_log(path)
    except OSError as error:
        why = error.strerror or error
        raise JournalError(f"the journal {path} cannot be reached: {why}. Mend the directory.") from error
    how = "mode=rwc" if writes else _to_be_read(path, logged)
    try:
        db = sqlite3.connect(f"{uri_of(path)}?{how}", uri=True, isolation_level=None)
        try:
            version = _prepare(db, path, writes=writes, checks=checks)
            if version < len(sqlite_schema.MIGRATIONS):
                db = _newer_copy(db, version)
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise refused(path, error) from error
    return db


def _to_be_read(path: Path, logged: int | None) -> str:
    """The URI parameters to open the journal at `path` for reading, whose log has `logged` bytes (None: no log).

    Reading must neither leave a file behind nor remove one. SQLite makes a log for every reader. A reader that may not
    write leaves that log behind; one that may write removes whatever log there is.
    """
    if logged is None and all(os.access(place, os.W_OK) for place in (path, path.parent)):
        return "mode=rw"
    return "mode=ro" if logged or os.access(path.parent, os.W_OK) else "immutable=1"  # which reads no log


def _prepare(db: sqlite3.Connection, path: Path, *, writes: bool, checks: bool) -> int:
    """Check the database, and migrate it if `writes`. Returns the version of its schema."""
    db.row_factory = sqlite3.Row
    db.execute(f"PRAGMA busy_timeout = {BUSY_PATIENCE * 1000:.0f}")
    [tables] = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    [application] = db.execute("PRAGMA application_id").fetchone()
    [version] = db.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID and (tables or application):
        raise JournalError(f"{path} is a database, but no journal of aveo3. Name another with VEO3_JOURNAL.")
    known = len(sqlite_schema.MIGRATIONS)
    if version > known:
        raise JournalError(
            f"{path} was written by a newer aveo3 (schema {version}, this one knows {known}). Update aveo3 "
            "(pip install -U aveo3), or use another output directory. Nothing was changed or sent."
        )
    if checks:  # reads the whole file
        [verdict] = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise unreadable(path, verdict)
    if writes:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'NORMAL' if SYNCS_LATER else 'FULL'}")
        db.execute("PRAGMA fullfsync = ON")  # on macOS, past the drive's cache; elsewhere it changes nothing
        db.execute("PRAGMA checkpoint_fullfsync = ON")
        migrate(db, version)
        return known
    db.execute("PRAGMA query_only = ON")
    if not version:
        raise JournalError(f"{path} is empty, and must be opened by a run once.")
    return int(version)


def _newer_copy(db: sqlite3.Connection, version: int) -> sqlite3.Connection:
    """A copy of an older journal in memory, brought up to date. Closes `db`."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    try:
        with closing(db):
            db.backup(copy)
        copy.row_factory = sqlite3.Row
        migrate(copy, version)
        copy.execute("PRAGMA query_only = ON")
    except BaseException:
        copy.close()
        raise
    return copy
