"""Flushes of steps into PostgreSQL: each is one transaction, made once, by the session that writes now.

A flush whose answer is lost may have been made. So each has a number, which its transaction writes into a row of this
process, once: what the row says decides, and no flush is made twice. All of it may be called from any thread.
"""

from __future__ import annotations

import logging
import threading
from asyncio import Future
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from aveo3.errors import JournalError
from aveo3.journal.database import RowChanged, Unreachable
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres_clock import ServerClock
from aveo3.journal.postgres_session import PATIENCE, Session, connect, refused
from aveo3.journal.postgres_statements import commands
from aveo3.journal.writer import Step

log = logging.getLogger(__name__)

BATCH = 500
"""Steps of one flush at most."""

BATCH_BYTES = 48_000
"""About as much of their values: the system takes it at once, so a process that is stopped leaves no half behind."""

CHANNEL = "aveo3"
"""Each flush notifies those who listen there."""

EVENTS_LOCK = 0x6176_656F_0000_0001
"""Every transaction that writes holds it to its end, so the numbers of events are in the order of their commits."""

ALIVE_LOCK = 0x6176_656F_0000_0002
"""Each session that writes shares it: somebody works with the journal."""

NOT_LEADING = "this process does not lead the lane, or no longer. Nothing was sent."

_TIMED_OUT, _READ_ONLY = "57014", "25006"

STUCK = 5
"""Seconds after which a transaction that holds that lock is ended by those who wait for it: its process is frozen."""


class NotLeading(JournalError):
    """A step that only a leader may write, and this process leads no longer. Nothing was written."""


class Pending:
    """A step on its way into the database."""

    __slots__ = ("error", "fenced", "keep", "raises", "size", "step", "waiting", "written")

    def __init__(self, step: Step, *, keep: bool, fenced: bool) -> None:
        self.step = step
        self.keep = keep
        self.fenced = fenced
        self.size = sum(len(value) if isinstance(value, str) else 8 for _, values in step for value in values)
        self.written = False
        self.raises = False  # its writer waits for it, and raises `error`
        self.error: JournalError | None = None
        self.waiting: list[Future[None]] = []

    def release(self, error: JournalError | None = None) -> None:
        """Tell those who wait for it, from any thread."""
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            with suppress(RuntimeError):  # its loop is closed
                future.get_loop().call_soon_threadsafe(_settle, future, error)


_Sent = tuple[Pending | None, Any]
"""A cursor, and the step that its statement is part of; None for the first statement of a flush."""


def _settle(future: Future[None], error: JournalError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


class PostgresFlushes:
    """The steps that wait for the journal at `place`, and the sessions that write them there.

    While this process leads (`lead`), the session that holds its locks makes all flushes, and steps that are `fenced`
    are made by no other.
    """

    def __init__(self, place: SharedJournal, clock: ServerClock) -> None:
        self.broken: str | None = None
        self._place = place
        self._clock = clock
        self._queue: deque[Pending] = deque()
        self._changing = threading.Lock()  # the queue
        self._turn = threading.Lock()  # one flush at a time; it is held for as long as a session is used
        self._session: Session | None = None
        self._leader: Session | None = None
        self._lost: Callable[[], None] | None = None
        self._id = 0
        self._flushes = 0
        self._unsure: list[Pending] = []  # a flush that may have been made

    def open(self) -> None:
        """Connect, and note that this process writes. Raises `DatabaseError`."""
        session = self._session = self._connected()
        try:
            session.execute("DELETE FROM writers WHERE at < now() - interval '30 days'")
            [row] = session.execute(
                "INSERT INTO writers (id, flush) VALUES (nextval('writer_ids'), 0) RETURNING id"
            ).fetchall()
        except psycopg.Error as error:
            raise refused(self._place, error) from None
        self._id = row[0]

    # ---- leading -----------------------------------------------------------------------------------------------

    def lead(self, session: Session, lost: Callable[[], None]) -> None:
        """Write through `session`, which holds the locks of lanes, from now on.

        `lost` is called once, from any thread, when a flush finds that the session has ended. Blocks.
        """
        with self._turn:
            self._leader, self._lost = session, lost

    def leave(self) -> Session | None:
        """Write through a session of its own again, and refuse `fenced` steps. Returns the leader's session. Blocks."""
        with self._turn:
            session, self._leader, self._lost = self._leader, None, None
            self._refuse_fenced()
            return session

    @property
    def leading(self) -> bool:
        """Whether a leader's session makes the flushes."""
        return self._leader is not None

    def ask(self, query: str, *values: Any, of_leader: bool = False) -> list[Any]:
        """The rows that a query of PostgreSQL's own (`$1`) finds in the session that writes now. Blocks.

        Raises `DatabaseError`; with `of_leader`, `NotLeading` if that session is not a leader's, or has ended.
        """
        with self._turn:
            try:
                session = self._usable()
                if of_leader and session is not self._leader:
                    raise NotLeading(f"{self._place}: {NOT_LEADING}")
                return session.execute(query.encode(), values).fetchall()
            except psycopg.Error as error:
                self._drop_ended()
                raise refused(self._place, error) from None

    @contextmanager
    def inside_a_transaction(self) -> Iterator[int]:
        """A transaction of the session that writes lasts as long as the block, which gets its number at the server."""
        with self._turn:
            session = self._usable()
            try:
                with session.transaction():
                    [[pid]] = session.execute("SELECT pg_backend_pid()").fetchall()
                    yield pid
            except psycopg.Error as error:
                raise refused(self._place, error) from None

    def beat(self) -> None:
        """Keep the session that writes alive, and measure the server's clock. Blocks. Raises `DatabaseError`."""
        begun = self._clock.monotonic()
        [[now]] = self.ask("SELECT clock_timestamp()")
        self._clock.measure(begun, now)

    # ---- flushing ----------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Write all that waits. Raises `Unreachable`, and sets `broken`, if the server is away."""
        if not self._turn.acquire(timeout=PATIENCE):
            raise Unreachable(f"{self._place} has not answered for {PATIENCE:g} s. aveo3 tries again.")
        try:
            while self._queue:
                session = self._usable()  # which may change the queue
                if batch := self._next_batch():
                    self._make(session, batch)
        except Unreachable as error:
            if self.broken is None:
                log.error("%s; what happens now is kept in memory", error)
            self.broken = str(error)
            raise
        finally:
            self._turn.release()
        self.broken = None

    def _next_batch(self) -> list[Pending]:
        batch: list[Pending] = []
        size = 0
        with self._changing:
            for pending in self._queue:
                size += pending.size
                if batch and (len(batch) == BATCH or size > BATCH_BYTES):
                    break
                batch.append(pending)
        return batch

    def _usable(self) -> Session:
        """The session that writes now; a new one if it has ended, which first finds out about a lost answer."""
        self._drop_ended()
        session = self._leader or self._session
        if session is None:
            session = self._session = self._connected()
        if self._unsure:
            self._look_back(session)
        if self._leader is None:
            self._refuse_fenced()
        return session

    def _connected(self) -> Session:
        session = connect(self._place)
        try:
            session.execute("SELECT pg_advisory_lock_shared($1)", (ALIVE_LOCK,))
        except psycopg.Error as error:
            session.close()
            raise refused(self._place, error) from None
        return session

    def _drop_ended(self) -> None:
        if self._session is not None and self._session.closed:
            self._session = None
        if self._leader is not None and self._leader.closed:
            self._leader, lost, self._lost = None, self._lost, None
            if lost is not None:
                with suppress(RuntimeError):  # the loop that it would tell is closed
                    lost()

    def _refuse_fenced(self) -> None:
        """Nothing that only a leader may write is written by another session."""
        with self._changing:
            fenced = [pending for pending in self._queue if pending.fenced]
        for pending in fenced:
            self._reject(pending, NotLeading(f"{self._place}: {NOT_LEADING}"))

    def _look_back(self, session: Session) -> None:
        """Find out whether the flush was made whose answer was lost. If not, take its number: it never will be."""
        try:
            taken = session.execute(
                "UPDATE writers SET flush = $2 WHERE id = $1 AND flush = $2 - 1 RETURNING 1",
                (self._id, self._flushes + 1),
            ).fetchall()
        except psycopg.Error as error:
            raise refused(self._place, error) from None
        if taken:
            self._flushes += 1
        elif self._flush_in(session) == self._flushes + 1:
            self._made(self._unsure)
        else:
            self._count_anew(session)
        self._unsure = []

    def _flush_in(self, session: Session) -> int | None:
        """The number of the last flush that the server has made; None if it knows nothing of this process."""
        try:
            rows = session.execute("SELECT flush FROM writers WHERE id = $1", (self._id,)).fetchall()
        except psycopg.Error as error:
            raise refused(self._place, error) from None
        return int(rows[0][0]) if rows else None

    def _count_anew(self, session: Session) -> None:
        """Go on from where the server is, which is not where it was when it last confirmed a flush."""
        log.error(
            "%s has lost steps that it had confirmed: was it restored, or has a standby taken over that was behind? "
            "Clips may be paid twice: see `aveo3 check` and the Google Cloud console",
            self._place,
        )
        if (found := self._flush_in(session)) is not None:
            self._flushes = found
            return
        self._flushes += 1  # the number of a flush that may come late is taken
        try:
            session.execute("INSERT INTO writers (id, flush) VALUES ($1, $2)", (self._id, self._flushes))
        except psycopg.Error as error:
            raise refused(self._place, error) from None

    def _make(self, session: Session, batch: list[Pending]) -> None:
        """Make all steps of `batch` in one transaction; without those that cannot be made, which are rejected."""
        sent: list[_Sent] = []
        begun = self._clock.monotonic()
        refusal: psycopg.Error | None = None
        try:
            with session.pipeline():  # without a BEGIN it is one transaction
                refusal = self._send(session, batch, sent)
        except psycopg.Error as error:  # after a refusal, it says no more than that the rest was not made
            refusal = refusal or error
        except BaseException:  # Ctrl-C, most likely
            session.close()
            self._unsure = batch
            raise
        if refusal is not None:
            self._failed(session, batch, sent, refusal)
            return
        self._made(batch)
        self._clock.measure(begun, sent[0][1].fetchone()[0])

    def _send(self, session: Session, batch: list[Pending], sent: list[_Sent]) -> psycopg.Error | None:
        """Send the statements of one flush. Returns the error if the server refuses one meanwhile."""
        try:
            sent.append((None, session.execute(_BEGIN, (self._id, self._flushes + 1, EVENTS_LOCK))))
            for pending in batch:
                for text, values in commands(pending.step):
                    sent.append((pending, session.cursor()))
                    sent[-1][1].execute(text.encode(), values)
        except psycopg.Error as error:  # raised within the pipeline, the driver would log it, too
            return error
        return None

    def _failed(self, session: Session, batch: list[Pending], sent: list[_Sent], error: psycopg.Error) -> None:
        """Reject the step that the server did not take, so that the others are made without it; or raise why not."""
        why = refused(self._place, error)
        if session.closed:
            self._unsure = batch
            raise why from None
        culprit = next((pending for pending, cursor in sent if cursor.pgresult is None), None)
        if isinstance(why, Unreachable):
            if error.sqlstate == _TIMED_OUT and culprit is None:
                self._free_the_lock(session)
            elif error.sqlstate == _READ_ONLY:  # another server is the primary by now
                session.close()
            raise why from None
        if culprit is not None:
            self._reject(culprit, why)
            return
        self._count_anew(session)

    def _free_the_lock(self, session: Session) -> None:
        """End transactions that have held up all others for too long: those of frozen processes."""
        with suppress(psycopg.Error):
            session.execute(_END_STUCK, (EVENTS_LOCK >> 32, EVENTS_LOCK & 0xFFFF_FFFF, STUCK))

    def _made(self, batch: list[Pending]) -> None:
        self._flushes += 1
        self._unsure = []
        self.broken = None  # before anybody hears that a step is written
        with self._changing:
            for pending in batch:
                pending.written = True
                self._queue.remove(pending)
        for pending in batch:
            pending.release()

    def _reject(self, pending: Pending, error: JournalError) -> None:
        with self._changing:
            pending.error = error
            with suppress(ValueError):
                self._queue.remove(pending)
        if not pending.waiting and not pending.raises:
            level = logging.WARNING if pending.keep and isinstance(error, RowChanged) else logging.ERROR
            log.log(level, "%s: %.300r was not written", error, pending.step[0][1])
        pending.release(error)


_BEGIN = (
    b"WITH mine AS (UPDATE writers SET flush = $2, at = now() WHERE id = $1 AND flush = $2 - 1 RETURNING 1) "
    b"SELECT clock_timestamp(), CASE WHEN EXISTS (SELECT FROM mine) THEN 1 ELSE journal_row_changed() END, "
    b"pg_advisory_xact_lock($3), pg_notify('" + CHANNEL.encode() + b"', '')"
)
_END_STUCK = (
    b"SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) "
    b"WHERE locktype = 'advisory' AND granted AND classid = $1 AND objid = $2 AND pid <> pg_backend_pid() "
    b"AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    b"AND xact_start < clock_timestamp() - make_interval(secs => $3)"
)
