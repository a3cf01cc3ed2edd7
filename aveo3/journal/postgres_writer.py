"""Writes steps into PostgreSQL, in their order and off the event loop, and keeps them while the server is away.

Steps wait in a queue in memory. One flush at a time takes what waits and makes it in one transaction: one trip to the
server, which confirms when all of it is on its disk. So a slow server delays what must be on the disk, nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg

from aveo3.journal.database import RowChanged, Unreachable
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres_clock import ServerClock
from aveo3.journal.postgres_flushes import BATCH, NOT_LEADING, NotLeading, Pending, PostgresFlushes
from aveo3.journal.postgres_session import PATIENCE
from aveo3.journal.writer import Step
from aveo3.lifecycle import UNSENT

log = logging.getLogger(__name__)

PAUSE = 0.25
"""Seconds between two tries while the server is away."""


class PostgresWriter(PostgresFlushes):
    """Writes steps into the journal at `place`; see `aveo3.journal.writer.Writer`."""

    def __init__(self, place: SharedJournal, clock: ServerClock) -> None:
        super().__init__(place, clock)
        self._last: Pending | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._loop: AbstractEventLoop | None = None  # in which a flush is about to begin, runs, or is tried again
        self._timer: TimerHandle | None = None
        self._away_since: float | None = None

    # ---- steps -------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> Sequence[Step]:
        """The steps that are not in the database yet, or not for sure."""
        with self._changing:
            return [pending.step for pending in self._queue]

    def write(
        self, step: Step, *, commit: bool = False, sync: bool = False, keep: bool = False, fenced: bool = False
    ) -> None:
        """Put `step` into the queue; with `commit` or `sync`, a flush begins as soon as this turn of the loop ends.

        In a running event loop it raises nothing but `NotLeading`: `on_disk` tells what became of the step. Without a
        loop it waits for the flush and raises `JournalError` if the step could not be made.
        """
        if fenced and self._leader is None:
            raise NotLeading(f"{self._place}: {NOT_LEADING}")
        pending = Pending(step, keep=keep, fenced=fenced) if step else None
        if pending is not None:
            with self._changing:
                self._queue.append(pending)
            self._last = pending
        if not (commit or sync or len(self._queue) >= BATCH):
            return
        try:
            self._request(asyncio.get_running_loop())
        except RuntimeError:
            self._write_now(pending)

    def _write_now(self, pending: Pending | None) -> None:
        if pending is not None:
            pending.raises = True
        try:
            self._flush()
        except Unreachable:
            if pending is not None and pending.keep:
                return
            with self._changing:
                if pending is not None and pending not in self._unsure and pending in self._queue:
                    self._queue.remove(pending)
            raise
        if pending is not None and pending.error is not None:
            if pending.keep and isinstance(pending.error, RowChanged):  # the job is somebody else's by now
                log.warning("%s: %.300r was not written", pending.error, pending.step[0][1])
                return
            raise pending.error

    def settle(self) -> None:
        """Have all steps by now written, so that a read sees them. Blocks, for `PATIENCE` seconds at most."""
        if self._queue:
            self._flush()

    async def on_disk(self) -> None:
        """Return when the step that was written last is on the server's disk.

        Raises `JournalError` if it could not be made, or if the server has been away for `PATIENCE` seconds.
        """
        pending = self._last
        if pending is None or pending.written:
            return
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        with self._changing:
            if pending.error is not None:
                raise pending.error
            if pending.written:
                return
            pending.waiting.append(done)
        self._request(loop)
        await done

    def close(self) -> None:
        """Write what waits, for `PATIENCE` seconds at most. What is left then is logged, and lost."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.shutdown()
        end = time.monotonic() + PATIENCE
        while self._queue:
            try:
                self._flush()
            except Unreachable as error:
                if time.monotonic() > end:
                    log.error("%s", error)
                    break
                time.sleep(PAUSE)
        for pending in self._queue:
            for text, values in pending.step:
                if text.startswith("INSERT INTO events") and values[2] not in UNSENT:
                    log.error("not in the journal: job %s, %s at %s: %s", values[0], values[2], values[1], values[3])
            pending.release(Unreachable(f"{self._place} could not be reached before the end"))
        for session in (self._leader, self._session):
            if session is not None:
                with suppress(psycopg.Error):
                    session.execute("DELETE FROM writers WHERE id = $1", (self._id,))
                    session.execute("SELECT pg_advisory_unlock_all()")  # the server hears late that a session closes
                session.close()
        self._leader = self._session = None

    # ---- in the event loop -------------------------------------------------------------------------------------

    def _request(self, loop: AbstractEventLoop) -> None:
        if self._loop is not loop:
            self._loop = loop
            loop.call_soon(self._begin, loop)  # steps of the same turn of the loop share this flush

    def _begin(self, loop: AbstractEventLoop) -> None:
        self._timer = None
        if self._loop is not loop:
            return
        if not self._queue:
            self._loop = None
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "aveo3-journal")  # downloads may keep the loop's own threads busy
        try:
            under_way = loop.run_in_executor(self._thread, self._try)
        except RuntimeError:  # no thread can be started, or the interpreter is shutting down
            self._ended(loop, self._try())
        else:
            under_way.add_done_callback(lambda done: self._ended(loop, done.result()))

    def _try(self) -> Unreachable | None:
        try:
            self._flush()
        except Unreachable as error:
            return error
        except Exception as error:  # nobody must wait for ever because of it
            log.exception("a flush to %s was interrupted", self._place)
            self.broken = f"{self._place} cannot be written: {error!r}"
            return Unreachable(self.broken)
        return None

    def _ended(self, loop: AbstractEventLoop, error: Unreachable | None) -> None:
        if self._loop is not loop:  # another loop began one since, or it was closed
            return
        if error is None:
            self._away_since = None
            loop.call_soon(self._begin, loop)
            return
        if self._away_since is None:
            self._away_since = loop.time()
        if loop.time() - self._away_since >= PATIENCE:
            for pending in [*self._queue]:
                pending.release(error)
        self._timer = loop.call_later(PAUSE, self._begin, loop)
