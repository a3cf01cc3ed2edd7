"""The journal: every job's life in one SQLite file, so that a run can be killed on any line and taken up by the next.

A job is a row that says where it stands, and a list of events that says how it came there; both change in one
transaction, guarded by `lifecycle`. What must not be forgotten is on the disk (WAL, synchronous=FULL) before the next
thing happens: that a request is about to leave, and the name that came back. What nobody owes anything for (a job
that is planned, deferred, cancelled) waits for the next such commit.

Writes are short and synchronous: they cannot be cancelled halfway. Keys and tokens are never stored; media are
referred to by their hash and path.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from aveo3.database import Statement, Writer, ballast_of, connect, load_ballast, real, refused, unreadable
from aveo3.entries import CHANGING, Entry, Event, Run, from_row, plain, storable, to_column, to_time
from aveo3.errors import JournalError
from aveo3.lifecycle import NEXT, REOPEN, IllegalMove, State
from aveo3.settings import JOURNAL

log = logging.getLogger(__name__)

PAGE = 1000
"""Jobs that are read at once."""

LOCK_PATIENCE = 0.4
"""Seconds to wait for the lock: `aveo3 status` holds it for a moment to see whether anybody has it."""


class Journal:
    """The journal at `path`. One process writes at a time; any number may read (`writes=False`).

    A second writer is refused rather than let in: it would have a gate of its own on the same quota, and the two
    would draw refusals from Google for each other. The lock is the kernel's and ends with its process, however that
    ends. Raises `JournalError` naming the file if it is not a journal, damaged, of a newer version, or in use.
    """

    def __init__(
        self,
        path: Path,
        *,
        writes: bool = True,
        now_utc: Callable[[], datetime] = lambda: datetime.now(UTC),
        without_secrets: Callable[[str], str] = str,
    ) -> None:
        self.path = path
        self.home = path.parent.parent if path.parent.name == JOURNAL.parent.name else path.parent
        self._now_utc = now_utc
        self._without_secrets = without_secrets
        self._process = os.getpid()
        self._held: set[int] = set()  # the jobs that this process is at work on …
        self._resumed: set[int] = set()  # … and those of them that were taken up for nobody's prompt
        self._lock = FileLock(f"{real(path)}.lock", thread_local=False)
        self._run: int | None = None
        with ExitStack() as undo:
            undo.callback(self._lock.release)
            if writes:
                self._take_lock()
            self._log = path.with_name(f"{path.name}-wal")
            self._had_log = self._log.exists()
            self._db = connect(path, writes=writes)
            undo.callback(self._db.close)
            self._writer = Writer(self._db, path)
            self._streams, self._jobs = 0, int(self._read("SELECT coalesce(max(id), 0) FROM jobs")[0][0])
            if writes:
                atexit.register(self.close)  # a run that nobody closes has ended all the same
                for table in _CURSORS:
                    self._db.execute(table)
                load_ballast(path)
                self._begin_run()
            undo.pop_all()

    @property
    def broken(self) -> str | None:
        """Why nothing more can be written down, and so nothing more may be submitted."""
        return self._writer.broken

    # ---- opening and closing -----------------------------------------------------------------------------------

    def _take_lock(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=LOCK_PATIENCE, poll_interval=LOCK_PATIENCE / 4)
        except Timeout:
            raise JournalError(
                f"{self.path} is in use{self._by_whom()}. Wait for its end, or give this run an output directory (or "
                "VEO3_JOURNAL) of its own. To make more at once, put all prompts into one run: the quota is one, too."
            ) from None
        except OSError as error:
            raise JournalError(
                f"the journal {self.path} cannot be made: {error.strerror or error}. Mend the directory, name another "
                "with VEO3_OUTPUT_DIR or VEO3_JOURNAL, or do without one (VEO3_JOURNAL=none)."
            ) from error

    def _by_whom(self) -> str:
        try:
            with Journal(self.path, writes=False) as other:
                run = other.last_run()
        except JournalError:
            return ""
        if run is None or run.ended_utc is not None:  # it has the lock, and has not said so yet
            return ""
        return f" by process {run.pid} on {run.host} since {run.started_utc:%Y-%m-%d %H:%M:%S} UTC"

    def _begin_run(self) -> None:
        """Note who writes from now on, and what the last run left in the air: requests whose answer nobody heard."""
        last = self.last_run()
        if last is not None and last.ended_utc is None and not self._had_log:
            raise JournalError(
                f"{self.path}-wal is missing: the last run was killed, and what it noted last stood there. Without it "
                "clips may be paid twice: restore it from a copy. If it is not lost (another program, such as "
                "sqlite3, has opened the journal since, and tidied it up), make an empty file of that name."
            )
        lost = self._read("SELECT id FROM jobs WHERE state = ?", State.SUBMITTING)
        begin = "INSERT INTO runs (pid, host, started_utc) VALUES (?, ?, ?)"
        self._write((begin, (os.getpid(), socket.gethostname(), self._stamp())), commit=True)
        self._run = self._read("SELECT max(id) FROM runs")[0][0]
        # From here on the file itself says that its log must be there until the run has ended.
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for [job] in lost:
            why = "the program ended between the request and its answer: a video may be under way and billed"
            self.move(job, State.SUBMITTING, State.UNCERTAIN, error_kind="answer_lost", error_message=why)

    def close(self) -> None:
        """Write what waits, and let others in. What the disk does not take even now is logged, and lost."""
        if os.getpid() != self._process:  # a fork of it: the file, the lock and the run are still the other's
            return
        atexit.unregister(self.close)
        run, self._run = self._run, None
        unended = False
        if self._lock.is_locked:
            ballast_of(self.path).unlink(missing_ok=True)
        try:
            if run is not None:
                self._write(("UPDATE runs SET ended_utc = ? WHERE id = ?", (self._stamp(), run)), commit=True)
        except JournalError as error:
            log.error("%s", error)
            events = [values for step in self._writer.waiting for statement, values in step if statement is _EVENT]
            for job, at, state, changes in events:
                if state not in _UNSENT:
                    log.error("not in the journal: job %s, %s at %s: %s", job, state, at, changes)
            unended = True
        finally:
            try:
                self._db.close()
                if unended:  # its log is gone because it is tidied up, not because somebody lost it
                    with suppress(OSError):
                        self._log.touch()
            finally:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- writing -----------------------------------------------------------------------------------------------

    def begin_stream(self) -> int:
        """A number for one batch of prompts: of equal ones in a batch, each has a job of its own."""
        self._streams += 1
        return self._streams

    def claim(self, stream: int, service: str, digests: Sequence[str], *, fresh: bool = False) -> Entry | None:
        """The job that earlier batches left for this prompt, for `stream` alone; None if there is none to take up.

        The prompt is known by any of `digests`. `fresh` passes over jobs that came to an end, so that the prompt is
        made once more; what is still under way is not made twice even so.
        """
        for column, digest in [(column, digest) for column in ("digest", "sent_as") for digest in digests]:
            if (found := self._next_free(stream, service, column, digest, fresh=fresh)) is not None:
                self._hold(stream, found, f"{column} {digest}")
                return found
        return None

    def _next_free(self, stream: int, service: str, column: str, digest: str, *, fresh: bool) -> Entry | None:
        query = f"SELECT * FROM jobs WHERE service = ? AND {column} = ? AND id > ? ORDER BY id"
        known_by, found = f"{column} {digest}", None
        begun = passed = self._cursor(stream, known_by)
        all_met = True
        with self._reading():
            rows = self._db.execute(query, (service, digest, begun))
            for row in rows:
                if self._has_met(stream, row["id"]):
                    passed = row["id"] if all_met else passed
                elif self._is_free(row, column, fresh=fresh):
                    found = from_row(row)
                    break
                else:
                    all_met = False
            rows.close()
        if found is None and passed > begun:  # of many equal prompts, each would go through all of these
            self._write((_CURSOR, (stream, known_by, passed)))
        return found

    def take(self, stream: int, job: int) -> Entry | None:
        """Claim a job by its number: as it stands now; None, and not claimed, if this process is at work on it."""
        if job in self._held:
            return None
        [entry] = self._entries("SELECT * FROM jobs WHERE id = ?", job)
        self._hold(stream, entry, f"digest {entry.digest}")
        self._resumed.add(job)
        return entry

    def is_being_resumed(self, stream: int, service: str, digests: Sequence[str]) -> bool:
        """Whether a job that `stream` could have claimed for this prompt was taken up by its number."""
        if not self._resumed:
            return False
        marks = ", ".join("?" * len(digests))
        query = f"SELECT id FROM jobs WHERE service = ? AND (digest IN ({marks}) OR sent_as IN ({marks}))"
        found = self._read(query, service, *digests, *digests)
        return any(job in self._resumed and not self._has_met(stream, job) for [job] in found)

    def _is_free(self, row: sqlite3.Row, column: str, *, fresh: bool) -> bool:
        state = State(row["state"])
        if column == "sent_as" and state in _TO_SEND:  # nothing was made as that, and what will be made is asked for
            return False
        return row["id"] not in self._held and not (fresh and state in _ENDED)

    def _hold(self, stream: int, entry: Entry, known_by: str) -> None:
        self._write((_CURSOR, (stream, known_by, entry.id)), (_MET, (stream, entry.id)))
        self._held.add(entry.id)

    def _cursor(self, stream: int, known_by: str) -> int:
        """The last of equal prompts' jobs that `stream` has met. SQLite keeps it, however many there are."""
        found = self._db.execute("SELECT job FROM cursors WHERE stream = ? AND known_by = ?", (stream, known_by))
        return next((int(job) for [job] in found), 0)

    def _has_met(self, stream: int, job: int) -> bool:
        """Whether `stream` has had this job for another of its prompts, by whatever digest."""
        return bool(self._read("SELECT 1 FROM met WHERE stream = ? AND job = ?", stream, job))

    def release(self, job: int) -> None:
        """This process is done with a job for now: another batch may claim it."""
        self._held.discard(job)
        self._resumed.discard(job)

    def plan(
        self, stream: int, service: str, digest: str, *, position: int, model: str, prompt: Mapping[str, Any]
    ) -> Entry:
        """A new job for a prompt, claimed for `stream`."""
        last = "SELECT coalesce(max(ordinal), 0) FROM jobs WHERE service = ? AND digest = ?"
        at, ordinal = self._stamp(), self._read(last, service, digest)[0][0] + 1
        self._jobs += 1
        values = (self._jobs, service, digest, ordinal, position, model, json.dumps(prompt), at, State.PLANNED)
        begun = (_EVENT, (self._jobs, at, State.PLANNED, json.dumps({"model": model})))
        met = (_CURSOR, (stream, f"digest {digest}", self._jobs)), (_MET, (stream, self._jobs))
        self._write((_PLAN, values), begun, *met)
        self._held.add(self._jobs)
        return Entry(
            id=self._jobs,
            service=service,
            digest=digest,
            ordinal=ordinal,
            position=position,
            model=model,
            prompt=prompt,
            queued_utc=datetime.fromisoformat(at),
            state=State.PLANNED,
        )

    def move(self, job: int, old: State, new: State, **changes: Any) -> None:
        """Note that `job` has gone from `old` to `new`, and what has changed with it.

        Raises `IllegalMove` if the tables do not list the move, and `JournalError` if the job does not stand in
        `old`, or is about to be submitted and that cannot be written down. What else cannot be written is kept in
        memory, tried again with each next write, and shows in `broken`.
        """
        if new is not old and new not in NEXT[old] and new not in REOPEN.get(old, ()):
            raise IllegalMove(f"job {job} cannot go from {old} to {new}")
        if unknown := changes.keys() - CHANGING:
            raise TypeError(f"a job has no {', '.join(sorted(unknown))}")
        columns = "".join(f", {name} = ?" for name in changes)
        if changes.get("error_message"):  # Google's words, or a proxy's: they may quote what they were sent
            changes["error_message"] = self._without_secrets(changes["error_message"])
        changes = {name: storable(value) for name, value in changes.items()}
        at = self._stamp()
        intent = new is State.SUBMITTING and new is not old
        self._write(
            (
                f"UPDATE jobs SET state = ?{columns} WHERE id = ? AND state = ?",
                (new, *(to_column(value) for value in changes.values()), job, old),
            ),
            (_EVENT, (job, at, new, json.dumps(changes, default=plain))),
            commit=intent or old is not State.PLANNED,
            keep=not intent,
        )

    def note(self, job: int, state: State, **changes: Any) -> None:
        """Note something about a job that stays where it is."""
        self.move(job, state, state, **changes)

    def keep(self, service: str, kind: str, name: str, value: Mapping[str, Any]) -> None:
        """Keep something that is no job's for later runs, in place of what was kept under its name."""
        self._write((_KEEP, (service, kind, name, json.dumps(value))), keep=True)

    def _write(self, *step: Statement, commit: bool = False, keep: bool = False) -> None:
        if os.getpid() != self._process:
            raise JournalError(f"{self.path} was opened by process {self._process}; a fork of it must open its own.")
        self._writer.write(step, commit=commit, keep=keep)

    # ---- reading -----------------------------------------------------------------------------------------------

    def entries(self, *states: State) -> Iterator[Entry]:
        """All jobs in the order they were planned, or those in `states`. Holds a page of them at a time."""
        wanted = states or tuple(State)
        marks = ", ".join("?" * len(wanted))
        query, last = f"SELECT * FROM jobs WHERE id > ? AND state IN ({marks}) ORDER BY id LIMIT {PAGE}", 0
        while page := self._entries(query, last, *wanted):
            yield from page
            last = page[-1].id

    def match(self, name: str) -> list[Entry]:
        """The jobs that a person may mean by `name`: the beginning of a digest, and the ordinal unless it is 1."""
        start, _, ordinal = name.lower().partition(".")
        if not start or not set(start) <= set("0123456789abcdef"):
            return []
        found = self._entries("SELECT * FROM jobs WHERE digest >= ? AND digest < ? ORDER BY id", start, start + "g")
        return [entry for entry in found if str(entry.ordinal) == (ordinal or "1")]

    def history(self, job: int) -> list[Event]:
        """The life of a job, first to last."""
        rows = self._read("SELECT at_utc, state, changes FROM events WHERE job = ? ORDER BY id", job)
        with self._reading():
            return [Event(datetime.fromisoformat(at), State(state), json.loads(changes)) for at, state, changes in rows]

    def spent(self, service: str) -> float:
        """What the jobs of `service` cost so far or may cost, in US$: those that are paid, and those that may be."""
        query = "SELECT total(sunk_usd) + total(iif(state IN (?, ?, ?, ?, ?), cost_usd, 0)) FROM jobs WHERE service = ?"
        return float(self._read(query, *_OWED, service)[0][0])

    def place_of(self, service: str, operation: str) -> Mapping[str, str | None] | None:
        """Where the clip was made that is known as `operation`; None if it is not known here."""
        found = self._read("SELECT place FROM jobs WHERE service = ? AND operation = ?", service, operation)
        return json.loads(found[0][0]) if found and found[0][0] else None

    def kept(self, service: str, kind: str) -> dict[str, dict[str, Any]]:
        """All that was kept of a kind, by its name."""
        rows = self._read("SELECT name, value FROM memory WHERE service = ? AND kind = ?", service, kind)
        with self._reading():
            return {name: json.loads(value) for name, value in rows}

    def events_since(self, service: str, since: datetime) -> Iterator[tuple[int, Event]]:
        """Every step of any job since an instant, with its job, the latest first. Reads them as they are asked for."""
        query = (
            "SELECT events.id, job, at_utc, events.state, changes FROM events JOIN jobs ON jobs.id = job "
            f"WHERE service = ? AND events.id < ? ORDER BY events.id DESC LIMIT {PAGE}"
        )
        last = 1 << 62
        while page := self._read(query, service, last):
            for number, job, at, state, changes in page:
                if (at_utc := datetime.fromisoformat(at)) < since:
                    return
                yield job, Event(at_utc, State(state), json.loads(changes))
                last = number

    def counts(self) -> dict[State, int]:
        """How many jobs stand where."""
        with self._reading():
            return {State(state): n for state, n in self._read("SELECT state, count(*) FROM jobs GROUP BY state")}

    def last_run(self) -> Run | None:
        """The process that wrote here last, or does now; None if none ever did."""
        with self._reading():
            for run, pid, host, started, ended in self._read("SELECT * FROM runs ORDER BY id DESC LIMIT 1"):
                return Run(run, pid, host, datetime.fromisoformat(started), to_time(ended))
        return None

    def in_use(self) -> bool:
        """True if a process writes here now."""
        if self._lock.is_locked:
            return True
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:  # a directory that cannot be written to
            return False
        self._lock.release()
        return False

    def locate(self, file: Mapping[str, Any]) -> Path:
        """Where one of `Entry.files` is."""
        return self.home / str(file["path"])

    def relative(self, path: Path) -> str:
        """`path` as the journal keeps it: a directory may be moved as a whole."""
        absolute, home = path.absolute(), self.home.absolute()
        return str(absolute.relative_to(home) if absolute.is_relative_to(home) else absolute)

    def _entries(self, query: str, *values: Any) -> list[Entry]:
        rows = self._read(query, *values)
        with self._reading():
            return [from_row(row) for row in rows]

    def _read(self, query: str, *values: Any) -> list[Any]:
        with self._reading():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            if self._writer.waiting:
                self._writer.begin()
            yield
        except JournalError:
            raise
        except sqlite3.Error as error:
            raise refused(self.path, error) from error
        except (ValueError, TypeError) as error:  # what stands in a column is no instant, state or JSON
            raise unreadable(self.path, error) from error

    def _stamp(self) -> str:
        return self._now_utc().isoformat()


_PLAN = (
    "INSERT INTO jobs (id, service, digest, ordinal, position, model, prompt, queued_utc, state) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_EVENT = "INSERT INTO events (job, at_utc, state, changes) VALUES (?, ?, ?, ?)"
_KEEP = "INSERT INTO memory VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
_CURSORS = (
    "CREATE TEMP TABLE cursors (stream INTEGER, known_by TEXT, job INTEGER, PRIMARY KEY (stream, known_by))",
    "CREATE TEMP TABLE met (stream INTEGER, job INTEGER, PRIMARY KEY (stream, job)) WITHOUT ROWID",
)
_CURSOR = "INSERT INTO cursors VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET job = max(job, excluded.job)"
_MET = "INSERT INTO met VALUES (?, ?) ON CONFLICT DO UPDATE SET job = job"
_UNSENT = {State.PLANNED, State.DEFERRED, State.CANCELLED}
_OWED = (State.SUBMITTING, State.RUNNING, State.FETCHING, State.SUCCEEDED, State.UNCERTAIN)
_TO_SEND = {State.PLANNED, State.DEFERRED, State.CANCELLED, State.FAILED}
_ENDED = {State.SUCCEEDED, State.FILTERED, State.REJECTED, State.UNCERTAIN}
