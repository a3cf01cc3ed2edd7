"""Opens the journal's SQLite file: checks it, and brings it to the schema of this version. `writer` writes to it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

from aveo3.errors import JournalError
from aveo3.journal import stored_files_schema, totals
from aveo3.journal.wal_sync import SYNCS_LATER

BUSY_PATIENCE = 20.0
"""Seconds to wait for a program other than aveo3 that has the journal locked. The event loop stands still meanwhile, so
it must stay below the timeouts of requests."""

LOG_HEADER, LOG_MAGIC = 32, (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
"""Bytes of the header that each log begins with, and the two numbers that the header may begin with."""

APPLICATION_ID = 0x6176_656F  # "aveo", in the file's header: aveo3 touches no other database

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
    (
        """CREATE TABLE batches (
            id INTEGER PRIMARY KEY, service TEXT NOT NULL, begun_utc TEXT NOT NULL, ended_utc TEXT
        )""",
        "ALTER TABLE jobs ADD COLUMN fresh_batch INTEGER",
        "CREATE INDEX jobs_by_fresh_batch ON jobs (fresh_batch) WHERE fresh_batch IS NOT NULL",
    ),
    ("ALTER TABLE jobs ADD COLUMN sunk_unpriced INTEGER",),
    ("CREATE INDEX jobs_by_operation ON jobs (operation) WHERE operation IS NOT NULL",),
    (
        """CREATE TABLE requests (
            job INTEGER PRIMARY KEY REFERENCES jobs (id),
            caller TEXT NOT NULL, request_key TEXT, body TEXT NOT NULL, priority INTEGER NOT NULL,
            door_name TEXT NOT NULL UNIQUE, resource TEXT NOT NULL, storage_uri TEXT,
            UNIQUE (caller, request_key)
        )""",
    ),
    ("ALTER TABLE requests ADD COLUMN deleted_utc TEXT",),
    (
        """CREATE TABLE lane_events (
            id INTEGER PRIMARY KEY, service TEXT NOT NULL, lane TEXT NOT NULL, at_utc TEXT NOT NULL, kind TEXT NOT NULL,
            breaker TEXT, until_utc TEXT, quota_limit REAL, quota_period REAL, quota_before REAL,
            reason TEXT, message TEXT
        )""",
        """CREATE TRIGGER lane_events_kept AFTER INSERT ON lane_events BEGIN
            DELETE FROM lane_events WHERE id <= NEW.id - 10000;
        END""",
    ),
    (
        """CREATE TABLE callbacks (
            job INTEGER PRIMARY KEY REFERENCES requests (job),
            url TEXT NOT NULL, base TEXT NOT NULL,
            attempts INTEGER NOT NULL, next_utc TEXT, closed_utc TEXT, outcome TEXT
        )""",
        "CREATE INDEX callbacks_open ON callbacks (job) WHERE closed_utc IS NULL",
    ),
    totals.MIGRATION,
    stored_files_schema.MIGRATION,
    (
        "ALTER TABLE requests ADD COLUMN merge_key TEXT",
        "CREATE INDEX requests_by_merge_key ON requests (caller, merge_key) WHERE merge_key IS NOT NULL",
    ),
    ("ALTER TABLE jobs ADD COLUMN usage TEXT",),
)
"""Item n makes version n+1 of the schema out of version n, in a transaction of its own. Never edit one: add one."""


def connect(path: Path, *, writes: bool, checks: bool = True) -> sqlite3.Connection:
    """Open the journal at `path`, making or migrating it if `writes`. To read one of an older version, a copy of it in
    memory is migrated: it stays as it was then, and so does the file.

    Raises `JournalError` naming the file if it is not a journal, damaged, or of a newer version.
    """
    try:
        logged = _size(log_of(path))
        if logged is not None and not path.exists():  # SQLite would delete the log with what was written last
            raise unreadable(path, f"it is missing, and its log {log_of(path).name} is there")
        if not writes and not path.is_file():
            raise JournalError(f"{path}: there is no journal. Nothing was generated into this directory yet.")
        if logged and _size(path) == 0:  # the same
            raise unreadable(path, f"it is empty, and {path.name}-wal is not")
        if writes:
            _check_log(path)
    except OSError as error:
        why = error.strerror or error
        raise JournalError(f"the journal {path} cannot be reached: {why}. Mend the directory.") from error
    how = "mode=rwc" if writes else _to_be_read(path, logged)
    try:
        db = sqlite3.connect(f"{uri_of(path)}?{how}", uri=True, isolation_level=None)
        try:
            version = _prepare(db, path, writes=writes, checks=checks)
            if version < len(MIGRATIONS):
                db = _newer_copy(db, version)
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise refused(path, error) from error
    return db


def _check_log(path: Path) -> None:
    """Raise `JournalError` if the last run was killed and its log has been lost since.

    A run writes its beginning from the log into the file, and the log keeps its header: from there until the end of the
    run it is never empty. `closed_mark` says that the log was closed in order although the run has no end.
    """
    log_file, mark = log_of(path), closed_mark(path)
    with log_file.open("rb") if log_file.exists() else BytesIO() as file:
        header = file.read(LOG_HEADER)
    if (len(header) == LOG_HEADER and header[:4] in LOG_MAGIC) or mark.exists() or not _size(path):
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{uri_of(path)}?immutable=1", uri=True)) as db:
        if db.execute("SELECT ended_utc IS NULL FROM runs ORDER BY id DESC LIMIT 1").fetchone() == (1,):
            state = "missing" if not log_file.exists() else "no log of SQLite" if header else "empty"
            raise JournalError(
                f"{log_file} is {state}: the last run was killed, and what it noted last stood there. Without it "
                f"clips may be paid twice: restore {path.parent} from a copy. If nothing is lost (another program, "
                f"such as sqlite3, has opened the journal since, and tidied it up), make an empty file {mark}."
            )


def _to_be_read(path: Path, logged: int | None) -> str:
    """The URI parameters to open the journal at `path` for reading, whose log has `logged` bytes (None: no log).

    Reading must neither leave a file behind nor remove one. SQLite makes a log for every reader. A reader that may not
    write leaves that log behind; one that may write removes whatever log there is.
    """
    if logged is None and all(os.access(place, os.W_OK) for place in (path, path.parent)):
        return "mode=rw"
    return "mode=ro" if logged or os.access(path.parent, os.W_OK) else "immutable=1"  # which reads no log


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


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def refused(path: Path, error: sqlite3.Error | OSError) -> JournalError:
    """The error for a journal that SQLite cannot use: damaged, locked, on a full disk, or write-protected."""
    if isinstance(error, sqlite3.ProgrammingError):
        return JournalError(f"the journal {path} cannot be used from here: {error}. It belongs to one thread.")
    kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF if isinstance(error, sqlite3.Error) else 0
    if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
        return unreadable(path, error)
    if is_locked(error):
        return JournalError(f"the journal {path} is locked. {WHO_LOCKS}")
    return JournalError(
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


def unreadable(path: Path, why: object) -> JournalError:
    """The error for a journal that exists and cannot be read."""
    return JournalError(
        f"the journal {path} cannot be read: {why}. Nothing was sent. It says what was paid for: restore it from a "
        "copy; or move it away with its log, see in the Google Cloud console what may have been made, and begin anew."
    )


def _prepare(db: sqlite3.Connection, path: Path, *, writes: bool, checks: bool) -> int:
    """Check the database, and migrate it if `writes`. Returns the version of its schema."""
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
    if checks:  # reads the whole file
        [verdict] = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise unreadable(path, verdict)
    if writes:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'NORMAL' if SYNCS_LATER else 'FULL'}")
        db.execute("PRAGMA fullfsync = ON")  # on macOS, past the drive's cache; elsewhere it changes nothing
        db.execute("PRAGMA checkpoint_fullfsync = ON")
        _migrate(db, version)
        return len(MIGRATIONS)
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
        _migrate(copy, version)
        copy.execute("PRAGMA query_only = ON")
    except BaseException:
        copy.close()
        raise
    return copy


def _migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring the schema up to date; each step and its version number go into one transaction."""
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
