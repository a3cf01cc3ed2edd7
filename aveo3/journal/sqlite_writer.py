"""Writes steps into the journal's SQLite file, each whole or not at all, and keeps them if the disk refuses."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from pathlib import Path

from aveo3.errors import JournalError
from aveo3.journal.database import RowChanged, Unreachable
from aveo3.journal.sqlite_errors import WHO_LOCKS, WRONG, is_locked, not_taken, refused
from aveo3.journal.sqlite_files import ballast_of, identity_of, log_of
from aveo3.journal.wal_sync import WalSync
from aveo3.journal.writer import Step

log = logging.getLogger(__name__)

BATCH = 1000
"""Steps without `commit` that are committed together."""


class SqliteWriter:
    """Writes steps into `db`, the journal at `path`: committed at once, or together with later ones.

    A step that is not committed yet is in an open transaction, and in `waiting` too: if the disk refuses, SQLite drops
    the transaction, and the next one begins with all that waits. Committed steps outlive this process; `wal_sync` makes
    those that must outlive a power cut do so. What goes into a file that nobody will find outlives nothing.
    """

    def __init__(self, db: sqlite3.Connection, path: Path, log_file: Path) -> None:
        self.waiting: list[Step] = []
        self.wal_sync = WalSync(path, log_file)
        self._refused: str | None = None
        self._moved: str | None = None
        self._identities: list[tuple[Path, tuple[int, int] | None]] = []
        self._to_sync = False  # a step that is not committed yet must outlive a power cut
        self._db = db
        self._path = path
        self._full = BATCH  # a commit is tried when so many wait

    @property
    def broken(self) -> str | None:
        """Why nothing more can be written; None if all is well."""
        return self._moved or self._refused or self.wal_sync.broken

    def write(
        self, step: Step, *, commit: bool = False, sync: bool = False, keep: bool = False, fenced: bool = False
    ) -> None:
        """Write `step`, whole or not at all; with `sync`, a sync begins as soon as it is committed.

        Raises `JournalError` if a row is not in the state that the step expects, and if the disk refuses. With `keep`,
        a step that the disk refuses waits for the next commit instead, and `broken` says so. The journal's lock fences
        each step.
        """
        committing = False
        try:
            self.begin()
            self._execute(step)
            self._to_sync |= sync
            committing = commit or len(self.waiting) >= self._full
            if committing:
                self._db.execute("COMMIT")
                self._committed()
            else:
                self.waiting.append(step)
        except JournalError:
            self._roll_back()
            raise
        except sqlite3.Error as error:
            self._roll_back()
            self._full = len(self.waiting) + BATCH
            if self._refused is None:
                log.error("the journal %s cannot be written: %s; what happens now is kept in memory", self._path, error)
            self._refused = f"the journal {self._path} cannot be written: {error}"
            if not keep:
                way_out = WHO_LOCKS if is_locked(error) else "Free the disk or mend the file, then run it again."
                raise Unreachable(f"{self._refused}. {way_out}") from error
            self.waiting.append(step)
            self._to_sync |= sync
            self._free_ballast()
        except BaseException:  # Ctrl-C, most likely while the disk was syncing
            if committing and not self._db.in_transaction:
                self._committed()
            else:
                self._roll_back()
                if keep:
                    self.waiting.append(step)
                    self._to_sync |= sync
            raise

    def _free_ballast(self) -> None:
        """Free the ballast and commit what waits: the names of running operations above all. `broken` stays set."""
        with suppress(OSError, sqlite3.Error, JournalError):
            ballast_of(self._path).unlink()
            why = self._refused
            self.begin()
            self._db.execute("COMMIT")
            self._committed()
            self._refused = why
            return
        self._roll_back()

    def settle(self) -> None:
        """Have the next reads see what waits."""
        if self.waiting:
            try:
                self.begin()
            except sqlite3.Error as error:
                raise refused(self._path, error) from error

    async def on_disk(self) -> None:
        """Return when all that was committed by now outlives a power cut. Raises `JournalError` if it may not."""
        await self.wal_sync.wait()
        if self._moved is None:
            for path, identity in self._identities:  # costs two `stat` calls
                if identity_of(path) != identity:
                    self._moved = f"{path} was moved or removed while the run worked with it"
                    log.error("%s: what happens now is noted in a file that the next run may not find", self._moved)
        if self._moved is not None:
            raise JournalError(f"{self._moved}. Move it back to its place, then run it again.")

    def watch(self) -> None:
        """From now on `on_disk` sees that the open file and its log still lie at their paths."""
        # No descriptor of our own: on closing one, POSIX drops the locks that SQLite holds on the file.
        files = (self._path, log_of(self._path))
        self._identities = [(file.absolute(), identity_of(file)) for file in files]

    def unwatch(self) -> None:
        """No longer: closing removes the log."""
        self._identities = []

    def close(self) -> None:
        """Sync what is left."""
        self.wal_sync.close()

    def begin(self) -> None:
        """Open a transaction unless one is open, and put all waiting steps into it."""
        if self._db.in_transaction:
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for step in self.waiting[:]:
                try:
                    self._execute(step)
                except JournalError as error:  # a step that can never be written must not block the others
                    log.error("%s", error)
                    self.waiting.remove(step)
        except BaseException:
            self._roll_back()
            raise

    def _execute(self, step: Step) -> None:
        for statement, values in step:
            try:
                found = self._db.execute(statement, values).rowcount
            except WRONG as error:
                raise not_taken(self._path, values, error) from error
            if found != 1:
                raise RowChanged(f"{self._path}: a job is not where this process left it: {values!r:.200}")

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _committed(self) -> None:
        self.waiting, self._full, self._refused = [], BATCH, None
        if self._to_sync:
            self._to_sync = False
            self.wal_sync.request()
