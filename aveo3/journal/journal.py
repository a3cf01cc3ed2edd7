"""The journal: every job's life in one SQLite file, so that a run can be killed on any line and the next one goes on.

A job is a row that holds its state, and a list of events that led there; both change in one transaction, and
`lifecycle` says which moves are legal. Two facts are committed before anything else happens, and so outlive a kill:
that a request is about to leave, and the operation's name that came back. The first outlives a power cut, too, before
the request leaves (`on_disk`); all else that may mean money does so soon after. A step after which nothing is owed (a
job is planned, deferred, cancelled) waits for the next commit.

Commits are short and synchronous: they cannot be cancelled halfway. Keys and tokens are never stored; media are
referred to by hash and path. `reader` reads the journal, `claims` assigns its jobs to prompts.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from aveo3.errors import JournalError
from aveo3.events.kinds import LaneClosed, LaneEvent, LanePaused
from aveo3.files.directories import make_directory
from aveo3.journal.callbacks import Callbacks
from aveo3.journal.claims import EVENT, MET, Claims
from aveo3.journal.database import closed_mark, connect, log_of, real, refused
from aveo3.journal.lane_locks import LaneLocks, OwnLocks
from aveo3.journal.lane_steps import to_insert
from aveo3.journal.next_step import ANSWER_LOST
from aveo3.journal.reader import JournalReader
from aveo3.journal.requests import Requests
from aveo3.journal.rows import CHANGING, plain, storable, to_column
from aveo3.journal.stored_files import StoredFiles
from aveo3.journal.writer import Statement, Writer, ballast_of, load_ballast
from aveo3.lifecycle import FOUND_AGAIN, NEXT, REOPEN, UNSENT, IllegalMove, State, as_found

log = logging.getLogger(__name__)

LOCK_PATIENCE = 0.4
"""Seconds to wait for the lock: `aveo3 status` takes it for a moment to see whether it is free."""


class Journal(JournalReader):
    """The journal at `path`. One process writes at a time; any number may read (`writes=False`).

    A second writer is refused: it would have a gate of its own on the same quota, and each would draw refusals from
    Google for the other. The kernel holds the lock and frees it when the process ends, however that ends. Raises
    `JournalError` naming the file if it is not a journal, damaged, of a newer version, or in use. Without `checks` it
    does not look for damage, which reads the whole file: for who opens the same journal again and again.
    """

    def __init__(
        self,
        path: Path,
        *,
        writes: bool = True,
        checks: bool = True,
        now_utc: Callable[[], datetime] = lambda: datetime.now(UTC),
        without_secrets: Callable[[str], str] = str,
    ) -> None:
        self._now_utc = now_utc
        self._without_secrets = without_secrets
        self._process = os.getpid()
        self._lock = FileLock(f"{real(path)}.lock", thread_local=False)
        self._run: int | None = None
        self._moved: str | None = None
        self._identities: list[tuple[Path, tuple[int, int] | None]] = []
        with ExitStack() as undo:
            undo.callback(self._lock.release)
            if writes:
                self._take_lock(path)
            log_file = log_of(path)
            db = connect(path, writes=writes, checks=checks)
            if writes:
                undo.callback(_mark_closed, path)
            undo.callback(db.close)
            try:
                super().__init__(path, db, Writer(db, path, log_file))
                undo.callback(self._writer.wal_sync.close)
                self.claims = Claims(self, self._write, self._stamp)
                self.callbacks = Callbacks(self, self._write)
                self.stored_files = StoredFiles(self, self._write)
                self.requests = Requests(self, self._write, self.claims, self._stamp)
                if writes:
                    for table in MET:
                        db.execute(table)
                    load_ballast(path)
                    self._begin_run()
            except (sqlite3.Error, OSError) as error:
                raise refused(path, error) from error
            if writes:
                # No descriptor of our own: on closing one, POSIX drops the locks that SQLite holds on the file.
                self._identities = [(place.absolute(), _identity(place)) for place in (path, log_of(path))]
                atexit.register(self.close)  # a run that is not closed ends with the process
            undo.pop_all()

    shared = False
    """True if other processes write to it, too."""
    lease: float | None = None
    """Seconds after the intent to submit in which the request must leave: later another process may have taken the job
    for lost. None if no other process can."""

    def lane_locks(self) -> LaneLocks:
        """The locks of the lanes."""
        return OwnLocks()

    @property
    def broken(self) -> str | None:
        """Why nothing more can be written, and so nothing more may be submitted; None if all is well."""
        return self._moved or self._writer.broken or self._writer.wal_sync.broken

    # ---- opening and closing -----------------------------------------------------------------------------------

    def _take_lock(self, path: Path) -> None:
        try:
            make_directory(path.parent)
            self._lock.acquire(timeout=LOCK_PATIENCE, poll_interval=LOCK_PATIENCE / 4)
        except Timeout:
            raise JournalError(
                f"{path} is in use{self._holder(path)}. Wait for its end, or give this run an output directory (or "
                "VEO3_JOURNAL) of its own. To make more at once, put all prompts into one run: the quota is one, too."
            ) from None
        except OSError as error:
            raise JournalError(
                f"the journal {path} cannot be made: {error.strerror or error}. Mend the directory, name another "
                "with VEO3_OUTPUT_DIR or VEO3_JOURNAL, or do without one (VEO3_JOURNAL=none)."
            ) from error

    def _holder(self, path: Path) -> str:
        try:
            with Journal(path, writes=False) as other:
                run = other.last_run()
        except JournalError:
            return ""
        if run is None or run.ended_utc is not None:  # it has the lock, and has not noted its run yet
            return ""
        return f" by process {run.pid} on {run.host} since {run.started_utc:%Y-%m-%d %H:%M:%S} UTC"

    def _begin_run(self) -> None:
        """Note this run, and mark the open submits of a killed one as uncertain."""
        lost = self.read("SELECT id FROM jobs WHERE state = ?", State.SUBMITTING)
        begin = "INSERT INTO runs (pid, host, started_utc) VALUES (?, ?, ?)"
        self._write((begin, (os.getpid(), socket.gethostname(), self._stamp())), commit=True)
        self._run = self.read("SELECT max(id) FROM runs")[0][0]
        # From here on the file itself says that a run has begun: until its end, the log must be there, and not empty.
        self._db.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
        closed_mark(self.path).unlink(missing_ok=True)
        for [job] in lost:
            why = "the program ended between the request and its answer: a video may be under way and billed"
            self.move(job, State.SUBMITTING, as_found(State.SUBMITTING), error_kind=ANSWER_LOST, error_message=why)

    def in_use(self) -> bool:
        """True if a process has the journal open for writing."""
        return self._lock.is_locked or in_use(self.path)

    def close(self) -> None:
        """Write what waits, and free the lock. What the disk refuses even now is logged, and lost."""
        if os.getpid() != self._process:  # in a fork: the file, the lock and the run are still the parent's
            return
        atexit.unregister(self.close)
        run, self._run = self._run, None
        self._identities = []  # closing removes the log
        unended = False
        if self._lock.is_locked:
            with suppress(OSError):
                ballast_of(self.path).unlink(missing_ok=True)
        try:
            if run is not None:
                self._write(("UPDATE runs SET ended_utc = ? WHERE id = ?", (self._stamp(), run)), commit=True)
        except JournalError as error:
            log.error("%s", error)
            events = [values for step in self._writer.waiting for statement, values in step if statement is EVENT]
            for job, at, state, changes in events:
                if state not in UNSENT:
                    log.error("not in the journal: job %s, %s at %s: %s", job, state, at, changes)
            unended = True
        finally:
            with ExitStack() as last:
                last.callback(self._lock.release)
                if unended:
                    last.callback(_mark_closed, self.path)
                last.callback(self._db.close)
                self._writer.wal_sync.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- writing -----------------------------------------------------------------------------------------------

    def move(self, job: int, old: State, new: State, **changes: Any) -> None:
        """Note that `job` has gone from `old` to `new`, and the columns that change with it.

        Raises `IllegalMove` if the tables do not list the move, and `JournalError` if the job is not in `old`, or if
        the move is the intent to submit and cannot be written. Any other move that cannot be written stays in memory,
        is tried again with each later write, and sets `broken`.
        """
        if new is not old and new not in NEXT[old] and new not in REOPEN.get(old, ()):
            raise IllegalMove(f"job {job} cannot go from {old} to {new}")
        if unknown := changes.keys() - CHANGING:
            raise TypeError(f"a job has no {', '.join(sorted(unknown))}")
        columns = "".join(f", {name} = ?" for name in changes)
        if changes.get("error_message"):  # Google's or a proxy's words: they may quote the request, key included
            changes["error_message"] = self._without_secrets(changes["error_message"])
        changes = {name: storable(value) for name, value in changes.items()}
        at = self._stamp()
        intent = new is State.SUBMITTING and new is not old
        self._write(
            (
                f"UPDATE jobs SET state = ?{columns} WHERE id = ? AND state = ?",
                (new, *(to_column(value) for value in changes.values()), job, old),
            ),
            (EVENT, (job, at, new, json.dumps(changes, default=plain))),
            commit=intent or old is not State.PLANNED,
            sync=new not in FOUND_AGAIN,
            keep=not intent,
        )

    def commit(self) -> None:
        """Commit all steps by now, and have them synced soon. Raises `JournalError` if the disk refuses."""
        self._write(commit=True, sync=True)

    def note(self, job: int, state: State, **changes: Any) -> None:
        """Note changes of a job that stays in its state."""
        self.move(job, state, state, **changes)

    def keep(self, service: str, kind: str, name: str, value: Mapping[str, Any]) -> None:
        """Keep a value that belongs to no job for later runs; it replaces the one of the same name."""
        self._write((_KEEP, (service, kind, name, json.dumps(value))), keep=True)

    def keep_lane_event(self, service: str, event: LaneEvent) -> None:
        """Keep a change of a lane; the newest 10,000 are kept.

        Other processes see a pause or an end at once, everything else with the next step that is committed.
        """
        commits = isinstance(event, LanePaused | LaneClosed)
        self._write(to_insert(service, event), commit=commits, keep=True)

    async def on_disk(self) -> None:
        """Return when all that was committed by now outlives a power cut. Raises `JournalError` if it may not.

        What goes into a file that nobody will find outlives nothing, so that is an error, too.
        """
        await self._writer.wal_sync.wait()
        self._check_place()

    def _write(self, *step: Statement, commit: bool = False, sync: bool = False, keep: bool = False) -> None:
        if os.getpid() != self._process:
            raise JournalError(f"{self.path} was opened by process {self._process}; a fork of it must open its own.")
        self._writer.write(step, commit=commit, sync=sync, keep=keep)

    def _check_place(self) -> None:
        """Raise `JournalError` unless the open file and its log still lie at their paths. Costs two `stat` calls."""
        if self._moved is None:
            for path, identity in self._identities:
                if _identity(path) != identity:
                    self._moved = f"{path} was moved or removed while the run worked with it"
                    log.error("%s: what happens now is noted in a file that the next run may not find", self._moved)
        if self._moved is not None:
            raise JournalError(f"{self._moved}. Move it back to its place, then run it again.")

    def _stamp(self) -> str:
        return self._now_utc().isoformat()


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


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells the file at `path` from any other that may lie there later; None if none is there."""
    try:
        found = os.stat(path)  # noqa: PTH116 (`Path.stat` takes twice as long)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _mark_closed(path: Path) -> None:
    """Say beside the journal that SQLite has removed the log in order, although no end of a run is noted."""
    with suppress(OSError):
        if path.exists() and not log_of(path).exists():
            closed_mark(path).touch()


_KEEP = "INSERT INTO memory VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
