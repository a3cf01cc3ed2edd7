"""A file of SQLite as one end of a move. A new journal is made beside its place, and takes it when it is whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from aveo3.errors import JournalError
from aveo3.files.directories import make_directory
from aveo3.files.syncing import sync_directory, sync_file
from aveo3.journal.moving.mark import KIND, Mark
from aveo3.journal.moving.side import FORGET, KEEP, Row, Side, query
from aveo3.journal.sqlite_connect import connect
from aveo3.journal.sqlite_errors import refused
from aveo3.journal.sqlite_files import ballast_of, closed_mark, log_of, mark_closed, real
from aveo3.journal.sqlite_schema import migrate

_FENCE = "journal_moved"
"""The trigger that refuses the beginning of a run. Releases of aveo3 that know no mark obey it, too."""

BATCH = 1000
"""Rows that are written with one call."""


class SqliteSide:
    """The journal in the file at `path`."""

    def __init__(self, path: Path, *, made: bool) -> None:
        """`made`: it is a destination, and need not be there."""
        self.name = str(path.absolute())
        self._path = real(path)
        self._made = made
        self._lock = FileLock(f"{self._path}.lock", thread_local=False)
        self._db: sqlite3.Connection | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the lock of the journal, which ends with this process."""
        with ExitStack() as stack:
            stack.callback(self._lock.release)
            try:
                if self._made:
                    make_directory(self._path.parent)
                self._lock.acquire(timeout=0.4)
            except Timeout:
                raise JournalError(
                    f"{self.name} is in use: a run or a server works with it. Stop it first; nothing was changed."
                ) from None
            except OSError as error:
                raise JournalError(
                    f"{self.name} cannot be used: {error.strerror or error}. Mend the directory."
                ) from error
            is_there = self._path.exists() or log_of(self._path).exists()
            self._db = connect(self._path, writes=True) if is_there or not self._made else _nothing()
            stack.callback(self._close)
            yield

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()
            if self._path.exists():
                mark_closed(self._path)

    @property
    def _open(self) -> sqlite3.Connection:
        assert self._db is not None, "the side is not open"
        return self._db

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        with self._errors():
            return [tuple(row) for row in self._open.execute(statement, values)]

    def columns(self, table: str) -> list[str]:
        return [str(row[1]) for row in self.execute(f"PRAGMA table_info({table})")]

    @contextmanager
    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Iterator[Row]]:
        with self._errors(), closing(self._open.execute(query(table, columns))) as found:
            yield map(tuple, found)

    def mark(self, mark: Mark | None, identity: str) -> None:
        with self._errors():
            db = self._open
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            try:
                db.execute(f"DROP TRIGGER IF EXISTS {_FENCE}")
                if mark is None:
                    db.execute(FORGET, (KIND, "moved"))
                else:
                    db.execute(KEEP, (KIND, "identity", f'{{"id": "{identity}"}}'))
                    db.execute(KEEP, (KIND, "moved", mark.as_json()))
                    words = f"the journal was moved to {mark.to}".replace("'", "''")
                    db.execute(
                        f"CREATE TRIGGER {_FENCE} BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, '{words}'); END"
                    )
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def receiving(self) -> Iterator[Side]:
        """A journal beside the place. One that was moved away from here is kept as `journal.db.moved-…`."""
        beside = self._path.with_name(f"{self._path.name}.arriving")
        with self._errors():
            for leftover in (beside, log_of(beside), Path(f"{beside}-shm"), Path(f"{beside}-journal")):
                leftover.unlink(missing_ok=True)
            other = SqliteSide(beside, made=True)
            other._db = db = connect(beside, writes=True)
            try:
                db.execute("PRAGMA journal_mode = DELETE")  # one file at the end, without a log
                triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
                db.execute("BEGIN IMMEDIATE")
                for name, _ in triggers:
                    db.execute(f"DROP TRIGGER {name}")
                yield other
                for _, sql in triggers:
                    db.execute(sql)
                db.execute("COMMIT")
                unended = _last_run_is_open(db)
            except BaseException:
                db.close()
                beside.unlink(missing_ok=True)
                raise
            db.close()
            self._take_place(beside, unended=unended)

    def _take_place(self, beside: Path, *, unended: bool) -> None:
        """Put the whole new journal where it belongs. From the renaming on, it is there."""
        with beside.open("rb+") as file:
            sync_file(file.fileno())
        there = self._path.exists()
        self._close()  # what was there has no log any more
        if there:
            self._path.rename(f"{self._path}.moved-{datetime.now(UTC):%Y%m%dT%H%M%S}")
        for leftover in (log_of(self._path), Path(f"{self._path}-shm"), ballast_of(self._path)):
            leftover.unlink(missing_ok=True)
        if unended:
            closed_mark(self._path).touch()
        beside.replace(self._path)
        sync_directory(self._path.parent)
        self._db = connect(self._path, writes=True)

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> int:
        with self._errors():
            self._open.execute(f"DELETE FROM {table}")
            marks = ", ".join("?" * len(columns))
            statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
            number = 0

            def each() -> Iterator[Row]:
                nonlocal number
                for row in rows:
                    number += 1
                    yield row

            self._open.executemany(statement, each())
            return number

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise refused(self._path, error) from error


def _nothing() -> sqlite3.Connection:
    """A journal in memory, without anything in it."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db, 0)
    return db


def _last_run_is_open(db: sqlite3.Connection) -> bool:
    found = db.execute("SELECT ended_utc IS NULL FROM runs ORDER BY id DESC LIMIT 1").fetchone()
    return found is not None and bool(found[0])
