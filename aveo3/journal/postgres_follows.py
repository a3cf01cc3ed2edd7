"""The claims of followers in PostgreSQL. The server's clock counts their leases; `SKIP LOCKED` keeps claims apart."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from aveo3.journal.follows import CLAIM_LASTS, UNCLAIMED, Beat, Claim, Waiting
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres_session import PostgresRow, Session, connect, refused


class PostgresFollows:
    """See `Follows`. It has a session of its own: a claim waits for no writer. A lost session is opened anew."""

    def __init__(self, place: SharedJournal, *, lasts: float = CLAIM_LASTS, unclaimed: float = UNCLAIMED) -> None:
        self.name = secrets.token_hex(8)
        self._place = place
        self._lasts = lasts
        self._unclaimed = unclaimed
        self._session: Session | None = None
        self._thread = ThreadPoolExecutor(1, "aveo3-follows")

    async def beat(self, jobs: Collection[int]) -> Beat:
        """See `Follows`."""
        me = self.name, socket.gethostname(), os.getpid()
        [[held, living]] = await self._ask(_BEAT, *me, [*jobs], self._lasts)
        return Beat(frozenset(held or ()), living)

    async def claim(self, service: str, most: int) -> list[Claim]:
        """See `Follows`."""
        rows = await self._ask(_CLAIM, self.name, service, most, self._lasts)
        return [Claim(job, attempts, again) for job, attempts, again in rows]

    async def give_back(self, jobs: Sequence[int]) -> None:
        """See `Follows`."""
        await self._ask(_GIVE_BACK, self.name, [*jobs])

    async def leave(self) -> None:
        """See `Follows`."""
        await self._ask(_LEAVE, self.name)

    async def followers(self) -> int:
        """See `Follows`."""
        [[living]] = await self._ask(_LIVING, self._lasts)
        return int(living)

    async def look(self, jobs: Sequence[int]) -> Waiting:
        """See `Follows`."""
        rows = await self._ask(_LOOK, [*jobs], self._unclaimed)
        return Waiting(frozenset(job for job, gone in rows if gone), frozenset(job for job, gone in rows if not gone))

    async def close(self) -> None:
        """See `Follows`."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def _ask(self, query: bytes, *values: Any) -> list[PostgresRow]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, query, values)

    def _answer(self, query: bytes, values: Sequence[Any]) -> list[PostgresRow]:
        try:
            if self._session is None or self._session.closed:
                self._session = connect(self._place)
            cursor = self._session.execute(query, values)
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise refused(self._place, error) from None

    def _close(self) -> None:
        if self._session is not None:
            self._session.close()


_FREE = b"NOT returned AND (worker IS NULL OR until < now())"
_BEAT = (
    b"WITH old AS (DELETE FROM followers WHERE at < now() - interval '1 day'), "
    b"me AS (INSERT INTO followers (id, host, pid) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET at = now()), "
    b"mine AS (UPDATE follows SET until = now() + make_interval(secs => $5) "
    b"WHERE worker = $1 AND job = ANY($4) RETURNING job) "
    b"SELECT (SELECT array_agg(job) FROM mine), "
    b"1 + (SELECT count(*) FROM followers WHERE id <> $1 AND at > now() - make_interval(secs => $5))"
)
_CLAIM = (
    b"WITH free AS (SELECT job, worker FROM follows WHERE service = $2 AND " + _FREE + b" ORDER BY job LIMIT ("
    b"SELECT least($3, 1 + count(*) / greatest(1, (SELECT count(*) FROM followers "
    b"WHERE at > now() - make_interval(secs => $4)))) FROM follows WHERE service = $2 AND " + _FREE + b") "
    b"FOR UPDATE SKIP LOCKED) "
    b"UPDATE follows SET worker = $1, until = now() + make_interval(secs => $4) FROM free "
    b"WHERE follows.job = free.job RETURNING follows.job, attempts, free.worker IS NOT NULL"
)
_GIVE_BACK = b"UPDATE follows SET returned = true, worker = NULL WHERE worker = $1 AND job = ANY($2)"
_LEAVE = (
    b"WITH free AS (UPDATE follows SET until = now() - interval '1 second' WHERE worker = $1) "
    b"DELETE FROM followers WHERE id = $1"
)
_LIVING = b"SELECT count(*) FROM followers WHERE at > now() - make_interval(secs => $1)"
_LOOK = (
    b"WITH gone AS (DELETE FROM follows WHERE job IN (SELECT job FROM follows WHERE job = ANY($1) AND (returned "
    b"OR (worker IS NULL AND offered < now() - make_interval(secs => $2)) "
    b"OR until < now() - make_interval(secs => $2)) FOR UPDATE SKIP LOCKED) RETURNING job) "
    b"SELECT job, true FROM gone UNION ALL "
    b"SELECT job, false FROM follows WHERE job = ANY($1) AND job NOT IN (SELECT job FROM gone)"
)
