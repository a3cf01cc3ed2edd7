"""A journal in a SQLite file, which one process at a time writes to and any number may read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from aveo3.errors import JournalError
from aveo3.files.directories import make_directory
from aveo3.journal.bell import Clockwork
from aveo3.journal.database import Damaged
from aveo3.journal.lane_locks import OwnLocks
from aveo3.journal.sqlite_connect import connect
from aveo3.journal.sqlite_errors import refused, unreadable
from aveo3.journal.sqlite_files import ballast_of, closed_mark, in_use, load_ballast, log_of, mark_closed, real
from aveo3.journal.sqlite_writer import SqliteWriter

LOCK_PATIENCE = 0.4
"""Seconds to wait for the lock: `aveo3 status` takes it for a moment to see whether it is free."""


class SqliteDatabase:
    """The journal in the file at `path`.

    A second writer is refused: it would have a gate of its own on the same quota, and each would draw refusals from
    Google for the other. The kernel holds the lock and frees it when the process ends, however that ends.
    """

    shared = False

    def __init__(self, path: Path, *, writes: bool, checks: bool) -> None:
        self.place = path
        self._writes = writes
        self._lock = FileLock(f"{real(path)}.lock", thread_local=False)
        with ExitStack() as undo:
            undo.callback(self._lock.release)
            if writes:
                self._take_lock()
            log_file = log_of(path)
            self.connection = connect(path, writes=writes, checks=checks)
            if writes:
                undo.callback(mark_closed, path)
            undo.callback(self.connection.close)
            self.writer = SqliteWriter(self.connection, path, log_file)
            undo.callback(self.writer.close)
            self._last_job = int(self.execute("SELECT coalesce(max(id), 0) FROM jobs")[0][0])
            if writes:
                try:
                    load_ballast(path)
                except (sqlite3.Error, OSError) as error:
                    raise refused(path, error) from error
            undo.pop_all()

    # ---- reading -----------------------------------------------------------------------------------------------

    def execute(self, query: str, values: Sequence[Any] = (), /) -> list[sqlite3.Row]:
        """The rows that `query` finds."""
        try:
            return self.connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise refused(self.place, error) from error

    @contextmanager
    def rows(self, query: str, values: Sequence[Any] = (), /) -> Iterator[Iterator[sqlite3.Row]]:
        """The same, read row by row while the `with` block lasts."""
        try:
            found = self.connection.execute(query, values)
            try:
                yield found
            finally:
                found.close()
        except sqlite3.Error as error:
            raise refused(self.place, error) from error

    def json_text(self, column: str, field: str) -> str:
        """SQL for the text of one field of a JSON object."""
        return f"json_extract({column}, '$.{field}')"

    def next_job(self) -> int:
        """The next number: no other process writes."""
        self._last_job += 1
        return self._last_job

    def now_utc(self) -> datetime:
        """The machine's time."""
        return datetime.now(UTC)

    def unreadable(self, why: object) -> Damaged:
        """The error for values that make no sense."""
        return unreadable(self.place, why)

    # ---- one writer --------------------------------------------------------------------------------------------

    def _take_lock(self) -> None:
        path = self.place
        try:
            make_directory(path.parent)
            self._lock.acquire(timeout=LOCK_PATIENCE, poll_interval=LOCK_PATIENCE / 4)
        except Timeout:
            raise JournalError(
                f"{path} is in use{self._holder()}. Wait for its end, or give this run an output directory (or "
                "VEO3_JOURNAL) of its own. To make more at once, put all prompts into one run: the quota is one, too."
            ) from None
        except OSError as error:
            raise JournalError(
                f"the journal {path} cannot be made: {error.strerror or error}. Mend the directory, name another "
                "with VEO3_OUTPUT_DIR or VEO3_JOURNAL, or do without one (VEO3_JOURNAL=none)."
            ) from error

    def _holder(self) -> str:
        """Who has the lock, in words; nothing if it has not noted its run yet, or that cannot be read."""
        query = "SELECT pid, host, started_utc, ended_utc FROM runs ORDER BY id DESC LIMIT 1"
        try:
            other = SqliteDatabase(self.place, writes=False, checks=True)
            try:
                for pid, host, started, ended in other.execute(query):
                    if ended is None:
                        return (
                            f" by process {pid} on {host} since {datetime.fromisoformat(started):%Y-%m-%d %H:%M:%S} UTC"
                        )
            finally:
                other.close()
        except (JournalError, ValueError, TypeError):
            pass
        return ""

    def run_begun(self) -> None:
        """From here on the file itself says that a run has begun: until its end, the log must be there, not empty."""
        try:
            self.connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
            closed_mark(self.place).unlink(missing_ok=True)
        except (sqlite3.Error, OSError) as error:
            raise refused(self.place, error) from error
        self.writer.watch()

    def run_ends(self) -> None:
        """Give back the room that was kept for the last steps."""
        self.writer.unwatch()
        if self._lock.is_locked:
            with suppress(OSError):
                ballast_of(self.place).unlink(missing_ok=True)

    def bell(self) -> Clockwork:
        """No other process writes."""
        return Clockwork()

    def lane_locks(self) -> OwnLocks:
        """No other process can lead."""
        return OwnLocks()

    def follows(self) -> None:
        """No other process can follow a job."""

    def in_use(self) -> bool:
        """True if a process has the journal open for writing."""
        return self._lock.is_locked or in_use(self.place)

    def close(self, *, in_order: bool = True) -> None:
        """Close the file, and free the lock."""
        with ExitStack() as last:
            last.callback(self._lock.release)
            if self._writes and not in_order:
                last.callback(mark_closed, self.place)
            last.callback(self.connection.close)
            self.writer.close()
