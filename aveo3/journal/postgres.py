"""A journal in PostgreSQL, which many processes on many machines read and write."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice
from typing import Any

import psycopg

from aveo3.errors import JournalError
from aveo3.journal.database import Damaged, Unreachable
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres_bell import PostgresBell
from aveo3.journal.postgres_clock import ServerClock
from aveo3.journal.postgres_flushes import ALIVE_LOCK
from aveo3.journal.postgres_locks import PostgresLocks
from aveo3.journal.postgres_migration import prepare
from aveo3.journal.postgres_session import PostgresRow, Session, connect, refused
from aveo3.journal.postgres_statements import query as prepared
from aveo3.journal.postgres_writer import PostgresWriter

IDS = 100
"""Numbers of jobs that a process gets at once: `job_ids` counts in such steps."""

FIRST_ROWS, MORE_ROWS = 20, 1000
"""Rows that are read at once by who reads row by row: most stop soon."""


class PostgresDatabase:
    """The journal in the database at `place`.

    Reads have a session of their own, which opens itself anew when it was lost; any thread may read.
    """

    shared = True

    def __init__(self, place: SharedJournal, *, writes: bool) -> None:
        self.place = place
        self.clock = ServerClock()
        self.writer = PostgresWriter(place, self.clock)
        self.nonce = ""
        """What tells this journal from any other: a file in the directory of the videos repeats it."""
        self._reading = threading.Lock()
        self._numbering = threading.Lock()
        self._ids: Iterator[int] = iter(())
        self._reader: Session | None = connect(place)
        try:
            begun = self.clock.monotonic()
            self.nonce, now = prepare(self._reader, place, writes=writes)
            self.clock.measure(begun, now)
            if writes:
                self.writer.open()
                self._refuse_pooler()
        except BaseException:
            self.writer.close()
            self._reader.close()
            raise

    def _refuse_pooler(self) -> None:
        """Raise `JournalError` if two of these sessions share a session of the server, or one changes under them."""
        mine = "SELECT pg_backend_pid()"
        seen = [self.execute(mine)[0][0], self.writer.ask(mine)[0][0]]
        with self.writer.inside_a_transaction() as pid:
            seen += [pid, self.execute(mine)[0][0]]
        if seen[0] != seen[3] or seen[1] != seen[2] or seen[0] == seen[1]:
            raise JournalError(
                f"{self.place} is a connection pooler that gives each transaction another session of the server. Locks "
                "and timeouts of aveo3 would not hold there, and two processes could lead one lane. Name the server "
                "itself, or a port where the pooler keeps sessions."
            )

    # ---- reading -----------------------------------------------------------------------------------------------

    def execute(self, query: str, values: Sequence[Any] = (), /) -> list[PostgresRow]:
        """The rows that `query` finds. A session that was lost since the last read is opened anew."""
        text, columns = prepared(query, values)
        with self._reading:
            for again in (True, False):
                session = self._reader
                if session is None or session.closed:
                    session, again = connect(self.place), False
                    self._reader = session
                try:
                    return session.execute(text.encode(), columns).fetchall()
                except psycopg.Error as error:
                    if not (again and session.closed and isinstance(refused(self.place, error), Unreachable)):
                        raise refused(self.place, error) from None
        raise AssertionError("unreachable")

    @contextmanager
    def rows(self, query: str, values: Sequence[Any] = (), /) -> Iterator[Iterator[PostgresRow]]:
        """The same, read some rows at a time if the query has an order. It has no limit."""
        yield self._pages(query, values) if " ORDER BY " in query else iter(self.execute(query, values))

    def _pages(self, query: str, values: Sequence[Any]) -> Iterator[PostgresRow]:
        offset, limit = 0, FIRST_ROWS
        while page := self.execute(f"{query} LIMIT {limit} OFFSET {offset}", values):
            yield from page
            if len(page) < limit:
                return
            offset, limit = offset + limit, MORE_ROWS

    def json_text(self, column: str, field: str) -> str:
        """SQL for the text of one field of a JSON object."""
        return f"journal_field({column}, '{field}')"

    def next_job(self) -> int:
        """The next of a block of numbers that no other process gets."""
        with self._numbering:
            if (number := next(self._ids, None)) is None:
                [[first]] = self.execute("SELECT nextval('job_ids')")
                self._ids = iter(range(first, first + IDS))
                [number] = islice(self._ids, 1)
            return number

    def now_utc(self) -> datetime:
        """The server's time, as last measured: each flush measures it."""
        return self.clock.now_utc()

    def unreadable(self, why: object) -> Damaged:
        """The error for values that make no sense."""
        return Damaged(
            f"the journal in {self.place} cannot be read: {why}. Nothing was sent. It says what was paid for: restore "
            "the database from a copy."
        )

    # ---- its life ----------------------------------------------------------------------------------------------

    def run_begun(self) -> None:
        """Nothing is to be done."""

    def run_ends(self) -> None:
        """Nothing is to be done."""

    def bell(self) -> PostgresBell:
        """What rings at each flush of any process."""
        return PostgresBell(self.place)

    def lane_locks(self) -> PostgresLocks:
        """The locks of the lanes."""
        return PostgresLocks(self.place, self.writer)

    def in_use(self) -> bool:
        """True if any process, this one included, has the journal open for writing now."""
        held = (
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = ? AND objid = ? "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1"
        )
        return bool(self.execute(held, (ALIVE_LOCK >> 32, ALIVE_LOCK & 0xFFFF_FFFF)))

    def close(self, *, in_order: bool = True) -> None:
        """Write what waits, and close all sessions."""
        self.writer.close()
        with suppress(psycopg.Error):
            if self._reader is not None:
                self._reader.close()
