"""The locks of the lanes in PostgreSQL: advisory locks of one session, which also makes all writes of a leader.

So the session is the lease. The server ends it when it has heard nothing for `LEASE` seconds, and a process that stands
still, or is cut off, can write no intent any more, whatever it believes. A beat from the event loop keeps it alive.

A standby waits in the queue of the lock, and leads some milliseconds after the leader has died. One that died there
must not win: the server looks whether it is still connected, and gives it little time until its first sign of life.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import inf
from typing import TypeVar

import psycopg

from aveo3.errors import JournalError
from aveo3.journal.lane_locks import LEASE
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres_session import PATIENCE, Session, connect, refused
from aveo3.journal.postgres_writer import PostgresWriter

log = logging.getLogger(__name__)

BEAT = LEASE / 3
"""Seconds between two signs of life."""

LOOK = 1.0
"""Seconds between two looks whether another of several lanes is free, while one waits for the first."""

_SESSION = {
    "idle_session_timeout": "2s",  # until the lock is held: who wins it and stands still is not waited for
    "client_connection_check_interval": "2s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
}

Result = TypeVar("Result")


class PostgresLocks:
    """See `LaneLocks`. Those of the journal at `place`, which `writer` writes."""

    def __init__(self, place: SharedJournal, writer: PostgresWriter) -> None:
        self.held: frozenset[str] = frozenset()
        self._place = place
        self._writer = writer
        self._threads = ThreadPoolExecutor(2, "aveo3-lanes")
        self._lost = asyncio.Event()
        self._beats: asyncio.Task[None] | None = None
        self._opening: set[asyncio.Future[Session]] = set()  # sessions that nobody has yet

    async def take_free(self, lanes: Collection[str]) -> frozenset[str]:
        """See `LaneLocks`."""
        if missing := [lane for lane in lanes if lane not in self.held]:
            if self.held:
                taken = await self._run(self._take_more, missing)
            else:
                session = await self._connected()
                taken = await self._take(session, missing)
            self.held |= taken
        return self.held

    async def wait(self, lanes: Collection[str]) -> frozenset[str]:
        """See `LaneLocks`."""
        if held := await self.take_free(lanes):
            return held
        first, *others = lanes
        session = await self._connected()
        waiting = asyncio.ensure_future(self._run(self._wait, session, first))
        looking = asyncio.ensure_future(self._until_free(others))
        try:
            await asyncio.wait([waiting, looking], return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                waiting.result()
                self.held = await self._take(session, others, beside=first)
                return self.held
        finally:
            looking.cancel()
            if not waiting.done():
                session.patience = -1.0  # ends the wait within a tenth of a second
                await asyncio.wait([waiting])
            if not self.held:
                session.close()
            with suppress(BaseException):
                waiting.exception()
        return await self.take_free(lanes)

    async def until_lost(self) -> None:
        """See `LaneLocks`."""
        await self._lost.wait()

    async def release(self) -> None:
        """See `LaneLocks`. These locks cannot be used again."""
        if self._beats is not None:
            self._beats.cancel()
        if self._opening:
            await asyncio.wait(self._opening)
        if (session := await self._run(self._writer.leave)) is not None:
            session.close()
        self._lose(self._lost)
        self._threads.shutdown(wait=False)

    # ---- in the event loop -------------------------------------------------------------------------------------------

    async def _run(self, work: Callable[..., Result], *values: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *values)

    async def _connected(self) -> Session:
        """A new session. Who is cancelled meanwhile leaves none open."""
        opening = asyncio.get_running_loop().run_in_executor(self._threads, self._session)
        self._opening.add(opening)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close)
            raise
        finally:
            opening.add_done_callback(self._opening.discard)

    async def _take(self, session: Session, lanes: Collection[str], *, beside: str | None = None) -> frozenset[str]:
        """Take the free ones of `lanes` with a new session, which holds `beside`; then it writes."""
        loop, lost = asyncio.get_running_loop(), asyncio.Event()
        try:
            taken = await self._run(self._try, session, lanes)
            if beside is not None:
                taken |= {beside}
            if not taken:
                session.close()
                return taken
            await self._run(self._keep, session)
            self._lost = lost
            lead = self._writer.lead
            await self._run(lead, session, lambda: loop.call_soon_threadsafe(self._lose, lost))
        except BaseException:
            session.close()
            raise
        self._beats = loop.create_task(self._beat(lost))
        return taken

    async def _beat(self, lost: asyncio.Event) -> None:
        while not lost.is_set():
            await asyncio.sleep(BEAT)
            try:
                await self._run(self._writer.beat)
            except JournalError as error:
                log.warning("no sign of life reached the database: %s", error)

    def _lose(self, lost: asyncio.Event) -> None:
        if self._lost is lost:
            self.held = frozenset()
            if self._beats is not None:
                self._beats.cancel()
        lost.set()

    async def _until_free(self, lanes: Collection[str]) -> None:
        """Return when nobody holds the lock of one of `lanes`."""
        while not lanes or not await self._run(self._any_free, lanes):  # noqa: ASYNC110 - a lock rings no bell
            await asyncio.sleep(LOOK)

    # ---- in a thread -------------------------------------------------------------------------------------------------

    def _session(self) -> Session:
        return connect(self._place, patience=PATIENCE, **_SESSION)

    def _wait(self, session: Session, lane: str) -> None:
        """Wait for the lock of `lane`, as long as it takes."""
        session.patience = inf
        try:
            session.execute("SET statement_timeout = 0")
            session.execute("SELECT pg_advisory_lock($1::bigint)", (_key(lane),))
            session.patience = PATIENCE
            session.execute("SELECT set_config('statement_timeout', $1, false)", (f"{PATIENCE:.0f}s",))
        except psycopg.Error as error:
            raise refused(self._place, error) from None

    def _try(self, session: Session, lanes: Collection[str]) -> frozenset[str]:
        keys = {_key(lane): lane for lane in lanes}
        try:
            rows = session.execute(_TRY, ([*keys],)).fetchall() if keys else []
        except psycopg.Error as error:
            raise refused(self._place, error) from None
        return frozenset(keys[key] for [key] in rows)

    def _take_more(self, lanes: Collection[str]) -> frozenset[str]:
        keys = {_key(lane): lane for lane in lanes}
        return frozenset(keys[key] for [key] in self._writer.ask(_TRY.decode(), [*keys], of_leader=True))

    def _any_free(self, lanes: Collection[str]) -> bool:
        with suppress(JournalError):
            keys = [_key(lane) for lane in lanes]
            return len(self._writer.ask(_HELD, keys)) < len(keys)
        return False

    def _keep(self, session: Session) -> None:
        """From now on the session lives as long as its beats."""
        try:
            session.execute("SELECT set_config('idle_session_timeout', $1, false)", (f"{LEASE:.0f}s",))
        except psycopg.Error as error:
            raise refused(self._place, error) from None


_TRY = b"SELECT key FROM unnest($1::bigint[]) AS key WHERE pg_try_advisory_lock(key)"
_HELD = (
    "SELECT DISTINCT key FROM unnest($1::bigint[]) AS key JOIN pg_locks ON locktype = 'advisory' AND granted "
    "AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = key "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def _close(opening: asyncio.Future[Session]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _key(lane: str) -> int:
    """The number of a lane's lock."""
    return int.from_bytes(hashlib.blake2b(f"lane {lane}".encode(), digest_size=8).digest(), signed=True)
