"""The journal's SQLite file: opened, checked, brought to the schema of this version, and written to in steps that come
to stand there whole or not at all. What stands in it is the journal's business."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from aveo3.errors import JournalError
from aveo3.journal.wal_sync import SYNCS_LATER, WalSync

log = logging.getLogger(__name__)

Statement = tuple[str, tuple[Any, ...]]
Step = tuple[Statement, ...]
"""Statements that belong together, each of which changes one row."""

BUSY_PATIENCE = 5.0
"""Seconds to wait for a program that looks into the journal with something else than aveo3, and has it locked."""

BATCH = 1000
"""Steps that nobody waits for before they are committed together."""

BALLAST = 1 << 18
"""Bytes that are set aside beside the journal: room for some hundred steps."""

APPLICATION_ID = 0x6176_656F  # "aveo", in the file's header: what else ends in .db is not ours to touch

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE jobs (
            id INTEGER PRIMARY KEY,
            service TEXT NOT NULL, digest TEXT NOT NULL, ordinal INTEGER NOT NULL,
            position INTEGER NOT NULL, model TEXT NOT NULL, prompt TEXT NOT NULL, queued_utc TEXT NOT NULL,
            state TEXT NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0, retries INTEGER NOT NULL DEFAULT 0,
            operation TEXT, place TEXT, output_uri TEXT, cost_usd REAL, error_kind TEXT, error_message TEXT,
            uris TEXT, files TEXT, submitted_utc TEXT, finished_utc TEXT, fetched_utc TEXT,
            UNIQUE (service, digest, ordinal)
        )""",
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES jobs (id),
            at_utc TEXT NOT NULL, state TEXT NOT NULL, changes TEXT NOT NULL
        )""",
        "CREATE INDEX events_by_job ON events (job)",
        """CREATE TABLE runs (
            id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, host TEXT NOT NULL,
            started_utc TEXT NOT NULL, ended_utc TEXT
        )""",
    ),
    (
        "ALTER TABLE jobs ADD COLUMN sent_as TEXT",
        "ALTER TABLE jobs ADD COLUMN instead_of TEXT",
        "ALTER TABLE jobs ADD COLUMN translated TEXT",
        "ALTER TABLE jobs ADD COLUMN sunk_usd REAL",
        "CREATE INDEX jobs_by_sent_as ON jobs (service, sent_as) WHERE sent_as IS NOT NULL",
    ),
    (
        """CREATE TABLE memory (
            service TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (service, kind, name)
        ) WITHOUT ROWID""",
    ),
)
"""What makes version n+1 of the schema out of version n, each in a transaction of its own. Never edit one: add one."""


def connect(path: Path, *, writes: bool) -> sqlite3.Connection:
    """Open the journal at `path`, making or migrating it if `writes`.

    Raises `JournalError` naming the file if it is not a journal, damaged, or of a newer version.
    """
    try:
        if not writes and not path.is_file():
            raise JournalError(f"{path}: there is no journal. Nothing was generated into this directory yet.")
        logged = _size(Path(f"{real(path)}-wal"))
        if logged and _size(path) == 0:  # SQLite would throw away what is left of it
            raise unreadable(path, f"it is empty, and {path.name}-wal is not")
    except OSError as error:
        why = error.strerror or error
        raise JournalError(f"the journal {path} cannot be reached: {why}. Mend the directory.") from error
    how = "mode=rwc" if writes else _to_be_read(path, logged)
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
        try:
            _prepare(db, path, writes=writes)
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise refused(path, error) from error
    return db


def _to_be_read(path: Path, logged: int | None) -> str:
    """How to open the journal at `path`, whose log is so long, for reading, so that nothing is left or taken away.

    Who may not write leaves the log behind that SQLite makes for it; who may tidies up whatever log there is.
    """
    if logged is None and all(os.access(place, os.W_OK) for place in (path, path.parent)):
        return "mode=rw"
    return "mode=ro" if logged or os.access(path.parent, os.W_OK) else "immutable=1"  # the latter sees no log


def real(path: Path) -> Path:
    """The file itself: what lies next to it is called by its name, not by a link's."""
    return Path(os.path.realpath(path))


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def refused(path: Path, error: sqlite3.Error) -> JournalError:
    """The error of a journal that SQLite cannot work with: damaged, locked, or what holds it is full or protected."""
    kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
        return unreadable(path, error)
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JournalError(f"the journal {path} is locked. Close the program that has it open, then run it again.")
    return JournalError(
        f"the journal {path} cannot be used: {error}. See that the disk has room and that the file may be written, "
        "then run it again; or name another with VEO3_JOURNAL."
    )


def unreadable(path: Path, why: object) -> JournalError:
    """The error of a journal that is there and cannot be read."""
    return JournalError(
        f"the journal {path} cannot be read: {why}. Nothing was sent. It says what was paid for: restore it from a "
        "copy; or move it away, see in the Google Cloud console what may have been made, and begin anew."
    )


def _prepare(db: sqlite3.Connection, path: Path, *, writes: bool) -> None:
    db.row_factory = sqlite3.Row
    db.execute(f"PRAGMA busy_timeout = {BUSY_PATIENCE * 1000:.0f}")
    [tables] = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    [application] = db.execute("PRAGMA application_id").fetchone()
    [version] = db.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID and (tables or application):
        raise JournalError(f"{path} is a database, but no journal of aveo3. Name another with VEO3_JOURNAL.")
    if version > len(MIGRATIONS):
        raise JournalError(
            f"{path} was written by a newer aveo3 (schema {version}, this one knows {len(MIGRATIONS)}). Update aveo3 "
            "(pip install -U aveo3), or use another output directory. Nothing was changed or sent."
        )
    [verdict] = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise unreadable(path, verdict)
    if writes:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'NORMAL' if SYNCS_LATER else 'FULL'}")
        _migrate(db, version)
        return
    db.execute("PRAGMA query_only = ON")
    if version < len(MIGRATIONS):
        raise JournalError(f"{path} was written by an older aveo3, and must be opened by a run once.")


def _migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring the schema up to date, each step and its number in one transaction."""
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # SQLite may have ended it already
                db.execute("ROLLBACK")
            raise


_WRONG = (  # with what is to be written; all else is the disk's doing
    *(sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError),
    *(OverflowError, ValueError),
)


def ballast_of(path: Path) -> Path:
    """The file beside the journal at `path` that a full disk has to give back."""
    return path.with_name(f"{path.name}-ballast")


def load_ballast(path: Path) -> None:
    """Set room aside for the last notes of a run whose disk has become full. Does what it can."""
    with contextlib.suppress(OSError):
        ballast_of(path).write_bytes(bytes(BALLAST))


class Writer:
    """Writes steps into `db`, the journal at `path`: committed at once, or with what comes later.

    What is not committed yet is in an open transaction, and in `waiting` too: if the disk refuses, the transaction is
    gone, and the next one begins with all that waits. What is committed outlives this process; `durable` sees to it
    that what must outlive a power cut does that, too.
    """

    def __init__(self, db: sqlite3.Connection, path: Path, log_file: Path) -> None:
        self.waiting: list[Step] = []
        self.broken: str | None = None
        self.durable = WalSync(path, log_file)
        self._to_sync = False  # some of what is not committed yet must outlive a power cut
        self._db = db
        self._path = path
        self._full = BATCH  # as many may wait before a commit is tried

    def write(self, step: Step, *, commit: bool = False, sync: bool = False, keep: bool = False) -> None:
        """Take `step`, whole or not at all; with `sync` a sync of it is begun as soon as it is committed.

        Raises `JournalError` if a row is not where it should be, and if the disk refuses, unless `keep` is given: then
        the step is kept for the next commit, and shows in `broken`.
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
                raise JournalError(f"{self.broken}. Free the disk or mend the file, then run it again.") from error
            self.waiting.append(step)
            self._to_sync |= sync
            self._throw_ballast()
        except BaseException:  # Ctrl-C, most likely while the disk was syncing
            if committing and not self._db.in_transaction:
                self._committed()
            else:
                self._roll_back()
                if keep:
                    self.waiting.append(step)
                    self._to_sync |= sync
            raise

    def _throw_ballast(self) -> None:
        """Make room for what must not be forgotten: the names of operations that run. It still shows in `broken`."""
        with contextlib.suppress(OSError, sqlite3.Error, JournalError):
            ballast_of(self._path).unlink()
            why = self.broken
            self.begin()
            self._db.execute("COMMIT")
            self._committed()
            self.broken = why
            return
        self._roll_back()

    def begin(self) -> None:
        """Be in a transaction that holds all that waits, also what was rolled back when the disk refused."""
        if self._db.in_transaction:
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for step in self.waiting[:]:
                try:
                    self._execute(step)
                except JournalError as error:  # what can never be written must not hold up the rest
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
            self.durable.ask()
