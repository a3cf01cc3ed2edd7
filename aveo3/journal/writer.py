"""Writes steps into the journal's database, each whole or not at all, and keeps them if the disk refuses."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from aveo3.errors import JournalError
from aveo3.journal.database import WHO_LOCKS, is_locked
from aveo3.journal.wal_sync import WalSync

log = logging.getLogger(__name__)

Statement = tuple[str, tuple[Any, ...]]
Step = tuple[Statement, ...]
"""Statements that belong together, each of which changes one row."""

BATCH = 1000
"""Steps without `commit` that are committed together."""

BALLAST = 1 << 18
"""Bytes that are reserved beside the journal: room for some hundred steps on a full disk."""

_WRONG = (  # the values are wrong; other errors of SQLite come from the disk
    *(sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError),
    *(OverflowError, ValueError),
)


def ballast_of(path: Path) -> Path:
    """The file beside the journal at `path` whose room a full disk gives back."""
    return path.with_name(f"{path.name}-ballast")


def load_ballast(path: Path) -> None:
    """Reserve room for the last steps of a run whose disk has become full. Does nothing if that fails."""
    with suppress(OSError):
        ballast_of(path).unlink(missing_ok=True)  # a link, or what a kill has left
        with ballast_of(path).open("xb") as file:
            file.write(bytes(BALLAST))


class Writer:
    """Writes steps into `db`, the journal at `path`: committed at once, or together with later ones.

    A step that is not committed yet is in an open transaction, and in `waiting` too: if the disk refuses, SQLite drops
    the transaction, and the next one begins with all that waits. Committed steps outlive this process; `wal_sync` makes
    those that must outlive a power cut do so.
    """

    def __init__(self, db: sqlite3.Connection, path: Path, log_file: Path) -> None:
        self.waiting: list[Step] = []
        self.broken: str | None = None
        self.wal_sync = WalSync(path, log_file)
        self._to_sync = False  # a step that is not committed yet must outlive a power cut
        self._db = db
        self._path = path
        self._full = BATCH  # a commit is tried when so many wait

    def write(self, step: Step, *, commit: bool = False, sync: bool = False, keep: bool = False) -> None:
        """Write `step`, whole or not at all; with `sync`, a sync begins as soon as it is committed.

        Raises `JournalError` if a row is not in the state that the step expects, and if the disk refuses. With `keep`,
        a step that the disk refuses waits for the next commit instead, and `broken` says so.
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
            if self.broken is None:
                log.error("the journal %s cannot be written: %s; what happens now is kept in memory", self._path, error)
            self.broken = f"the journal {self._path} cannot be written: {error}"
            if not keep:
                way_out = WHO_LOCKS if is_locked(error) else "Free the disk or mend the file, then run it again."
                raise JournalError(f"{self.broken}. {way_out}") from error
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
            why = self.broken
            self.begin()
            self._db.execute("COMMIT")
            self._committed()
            self.broken = why
            return
        self._roll_back()

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
            except _WRONG as error:
                raise JournalError(f"{self._path} does not take {values!r:.200}: {error}") from error
            if found != 1:
                raise JournalError(f"{self._path}: a job is not where this process left it: {values!r:.200}")

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _committed(self) -> None:
        self.waiting, self._full, self.broken = [], BATCH, None
        if self._to_sync:
            self._to_sync = False
            self.wal_sync.request()
