"""The journal: every job's life in a database, so that a run can be killed on any line and the next one goes on.

A job is a row that holds its state, and a list of events that led there; both change in one transaction, and
`lifecycle` says which moves are legal. Two facts are committed before anything else happens, and so outlive a kill:
that a request is about to leave, and the operation's name that came back. The first outlives a power cut, too, before
the request leaves (`on_disk`); all else that may mean money does so soon after. A step after which nothing is owed (a
job is planned, deferred, cancelled) waits for the next commit.

Steps are written in one synchronous call: they cannot be cancelled halfway. Keys and tokens are never stored; media
are referred to by hash and path. `reader` reads the journal, `claims` assigns its jobs to prompts. `database` says what
stands below: a file of SQLite, or PostgreSQL.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Self

from aveo3.errors import JournalError
from aveo3.events.kinds import LaneClosed, LaneEvent, LanePaused
from aveo3.journal.bell import Bell
from aveo3.journal.callbacks import Callbacks
from aveo3.journal.claims import EVENT, Claims
from aveo3.journal.lane_locks import LEASE, LaneLocks
from aveo3.journal.lane_steps import to_insert
from aveo3.journal.moving.mark import KIND, mark_in
from aveo3.journal.next_step import ANSWER_LOST
from aveo3.journal.opening import opened
from aveo3.journal.place import Place
from aveo3.journal.reader import JournalReader
from aveo3.journal.requests import Requests
from aveo3.journal.rows import CHANGING, plain, storable, to_column
from aveo3.journal.stored_files import StoredFiles
from aveo3.journal.writer import Statement
from aveo3.lifecycle import FOUND_AGAIN, NEXT, REOPEN, UNSENT, IllegalMove, State, as_found

log = logging.getLogger(__name__)


class Journal(JournalReader):
    """The journal at `place`. In a file, one process writes at a time; any number may read (`writes=False`).

    Raises `JournalError` naming it if it is not a journal, damaged, of a newer version, or in use. Without `checks` it
    does not look for damage, which reads the whole file: for who opens the same journal again and again. `now_utc` is
    the clock; the database's own by default.
    """

    def __init__(
        self,
        place: Place,
        *,
        writes: bool = True,
        checks: bool = True,
        now_utc: Callable[[], datetime] | None = None,
        without_secrets: Callable[[str], str] = str,
    ) -> None:
        self._without_secrets = without_secrets
        self._process = os.getpid()
        self._run: int | None = None
        database = opened(place, writes=writes, checks=checks)
        self._now_utc = database.now_utc if now_utc is None else now_utc
        try:
            super().__init__(database)
            self.claims = Claims(self, self._write, self._stamp)
            self.callbacks = Callbacks(self, self._write)
            self.stored_files = StoredFiles(self, self._write)
            self.requests = Requests(self, self._write, self.claims, self._stamp)
            if writes:
                self._begin_run()
        except BaseException:
            database.close(in_order=False)
            raise
        if writes:
            atexit.register(self.close)  # a run that is not closed ends with the process

    def now_utc(self) -> datetime:
        """The time by the journal's clock."""
        return self._now_utc()

    @property
    def shared(self) -> bool:
        """True if other processes write to it, too."""
        return self._database.shared

    @property
    def lease(self) -> float | None:
        """Seconds after the intent to submit in which the request must leave: later another process may have taken the
        job for lost. None if no other process can."""
        return LEASE if self._database.shared else None

    def lane_locks(self) -> LaneLocks:
        """The locks of the lanes."""
        return self._database.lane_locks()

    def bell(self) -> Bell:
        """What rings when other processes may have written."""
        return self._database.bell()

    @property
    def broken(self) -> str | None:
        """Why nothing more can be written, and so nothing more may be submitted; None if all is well."""
        return self._writer.broken

    # ---- opening and closing -----------------------------------------------------------------------------------

    def _begin_run(self) -> None:
        """Note this run. Where no other process writes, mark the open submits of a killed one as uncertain."""
        if (mark := mark_in(self.kept("", KIND))) is not None:
            raise mark.refusal(self._database.place)
        lost = [] if self._database.shared else self.read("SELECT id FROM jobs WHERE state = ?", State.SUBMITTING)
        me = os.getpid(), socket.gethostname(), self._stamp()
        self._write(("INSERT INTO runs (pid, host, started_utc) VALUES (?, ?, ?)", me), commit=True)
        mine = "SELECT max(id) FROM runs WHERE pid = ? AND host = ? AND started_utc = ?"
        self._run = self.read(mine, *me)[0][0]  # others may begin at the same time
        self._database.run_begun()
        for [job] in lost:
            why = "the program ended between the request and its answer: a video may be under way and billed"
            self.move(job, State.SUBMITTING, as_found(State.SUBMITTING), error_kind=ANSWER_LOST, error_message=why)

    def in_use(self) -> bool:
        """True if a process works with the journal now."""
        return self._database.in_use()

    def close(self) -> None:
        """Write what waits, and end the run. What the database refuses even now is logged, and lost."""
        if os.getpid() != self._process:  # in a fork: the database and the run are still the parent's
            return
        atexit.unregister(self.close)
        run, self._run = self._run, None
        in_order = True
        self._database.run_ends()
        try:
            if run is not None:
                self._write(("UPDATE runs SET ended_utc = ? WHERE id = ?", (self._stamp(), run)), commit=True)
        except JournalError as error:
            log.error("%s", error)
            events = [values for step in self._writer.waiting for statement, values in step if statement is EVENT]
            for job, at, state, changes in events:
                if state not in UNSENT:
                    log.error("not in the journal: job %s, %s at %s: %s", job, state, at, changes)
            in_order = False
        finally:
            self._database.close(in_order=in_order)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- writing -----------------------------------------------------------------------------------------------

    def move(
        self,
        job: int,
        old: State,
        new: State,
        *,
        attempt: int | tuple[int, datetime | None] | None = None,
        **changes: Any,
    ) -> None:
        """Note that `job` has gone from `old` to `new`, and the columns that change with it.

        `attempt` says which submit an answer belongs to, as the job counts its `attempts`, perhaps with the instant at
        which that was sent. It is welcome even if the job was marked uncertain meanwhile, by a process that took this
        one for dead; but not after a later submit. In a shared journal no other move of an earlier attempt is made,
        either.

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
        stands, where = self._as_known(old, new, attempt)
        self._write(
            (
                f"UPDATE jobs SET state = ?{columns} WHERE id = ? AND {stands}",
                (new, *(to_column(value) for value in changes.values()), job, *where),
            ),
            (EVENT, (job, at, new, json.dumps(changes, default=plain))),
            commit=intent or old is not State.PLANNED,
            sync=new not in FOUND_AGAIN,
            keep=not intent,
            fenced=intent,
        )

    def _as_known(
        self, old: State, new: State, attempt: int | tuple[int, datetime | None] | None
    ) -> tuple[str, tuple[Any, ...]]:
        """The condition that a job is as its process knows it, and the values."""
        attempt, sent_utc = attempt if isinstance(attempt, tuple) else (attempt, None)
        if attempt is not None and old is State.SUBMITTING and new is not old:
            values = attempt, State.SUBMITTING, State.UNCERTAIN
            if sent_utc is None or not self.shared:
                return _OPEN, values
            # Of two processes that intend the same attempt, only one has intended it at this instant.
            return f"{_OPEN} AND submitted_utc = ?", (*values, to_column(storable(sent_utc)))
        if attempt is None or not self.shared:
            return "state = ?", (old,)
        return "state = ? AND attempts = ?", (old, attempt)

    def commit(self) -> None:
        """Commit all steps by now, and have them synced soon. Raises `JournalError` if the disk refuses."""
        self._write(commit=True, sync=True)

    def note(self, job: int, state: State, **changes: Any) -> None:
        """Note changes of a job that stays in its state."""
        self.move(job, state, state, **changes)

    def keep(self, service: str, kind: str, name: str, value: Mapping[str, Any], *, fenced: bool = False) -> None:
        """Keep a value that belongs to no job for later runs; it replaces the one of the same name.

        With `fenced`, at once, and only while this process leads.
        """
        step = _KEEP, (service, kind, name, json.dumps(value))
        self._write(step, commit=fenced, keep=not fenced, fenced=fenced)

    def keep_lane_event(self, service: str, event: LaneEvent) -> None:
        """Keep a change of a lane; the newest 10,000 are kept.

        Other processes see a pause or an end at once, everything else with the next step that is committed.
        """
        commits = isinstance(event, LanePaused | LaneClosed)
        self._write(to_insert(service, event), commit=commits, keep=True)

    async def on_disk(self) -> None:
        """Return when all that was committed by now outlives a power cut. Raises `JournalError` if it may not."""
        await self._writer.on_disk()

    def _write(
        self, *step: Statement, commit: bool = False, sync: bool = False, keep: bool = False, fenced: bool = False
    ) -> None:
        if os.getpid() != self._process:
            raise JournalError(f"{self.place} was opened by process {self._process}; a fork of it must open its own.")
        self._writer.write(step, commit=commit, sync=sync, keep=keep, fenced=fenced)

    def _stamp(self) -> str:
        return self._now_utc().isoformat()


_OPEN = "attempts = ? AND state IN (?, ?)"
"""True for a job that waits for the answer to this submit, or was given up meanwhile."""
_KEEP = "INSERT INTO memory VALUES (?, ?, ?, ?) ON CONFLICT (service, kind, name) DO UPDATE SET value = excluded.value"
