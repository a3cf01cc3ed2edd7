"""A database of PostgreSQL as one end of a move."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
from psycopg import sql

from aveo3.errors import JournalError
from aveo3.journal.moving.mark import KIND, OURS, Mark
from aveo3.journal.moving.move import ArrivalUnknown
from aveo3.journal.moving.side import FORGET, KEEP, TABLES, Row, Side, query
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres_flushes import ALIVE_LOCK
from aveo3.journal.postgres_migration import prepare
from aveo3.journal.postgres_schema import renumbered
from aveo3.journal.postgres_session import Session, connect, refused

_FENCED = ("jobs", "events", "runs", "requests")
"""Tables of which one takes part in each step that matters: whoever holds a session from before is refused, too."""

PAGE = 2000
"""Rows that come with one answer."""

PATIENCE = 3600.0
"""Seconds that one statement may take: a journal may have gigabytes."""

LOOK = 2.0
"""Seconds to wait for others to leave: the server may need a moment to see that a process has ended."""


class PostgresSide:
    """The journal in the database at `place`."""

    def __init__(self, place: SharedJournal, *, made: bool) -> None:
        """`made`: it is a destination, and need not have the tables."""
        self.name = str(place)
        self._place = place
        self._made = made
        self._session: Session | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold one session, while no other process works with the journal."""
        session = connect(
            self._place,
            patience=PATIENCE,
            statement_timeout="0",
            idle_in_transaction_session_timeout="0",
            idle_session_timeout="0",
            lock_timeout="10s",
        )
        session.server_cursor_factory = psycopg.RawServerCursor
        self._session = session
        try:
            self._take_lock()
            prepare(session, self._place, writes=self._made)
            yield
        finally:
            self._session = None
            session.close()

    def _take_lock(self) -> None:
        """Take the lock that each writer shares: nobody writes now, nor opens the journal until the move has ended."""
        until = time.monotonic() + LOOK
        while not self.execute("SELECT pg_try_advisory_lock(?)", (ALIVE_LOCK,))[0][0]:
            if time.monotonic() > until:
                raise JournalError(
                    f"{self.name} is in use: stop all servers, workers and runs that work with it first (`aveo3 "
                    "status` lists them). Nothing was changed."
                )
            time.sleep(0.2)

    @property
    def _open(self) -> Session:
        assert self._session is not None, "the side is not open"
        return self._session

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        with self._errors():
            numbers = count(1)
            found = self._open.execute(re.sub(r"\?", lambda _: f"${next(numbers)}", statement).encode(), values)
            return [tuple(row) for row in found.fetchall()] if found.description else []

    def columns(self, table: str) -> list[str]:
        rows = self.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = CAST(? AS regclass) AND attnum > 0 AND NOT attisdropped "
            "ORDER BY attnum",
            (table,),
        )
        return [str(name) for [name] in rows]

    @contextmanager
    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Iterator[Row]]:
        with self._errors(), self._open.transaction(), self._open.cursor(name="rows") as cursor:
            cursor.itersize = PAGE
            cursor.execute(query(table, columns).encode())
            yield map(tuple, cursor)

    def mark(self, mark: Mark | None, identity: str) -> None:
        with self._errors(), self._open.transaction():
            self.execute("SET LOCAL synchronous_commit = on")
            for table in _FENCED:
                self.execute(f"DROP TRIGGER IF EXISTS journal_moved ON {table}")
            if mark is None:
                self.execute(FORGET, (KIND, "moved"))
                return
            self.execute(KEEP, (KIND, "identity", f'{{"id": "{identity}"}}'))
            self.execute(KEEP, (KIND, "moved", mark.as_json()))
            self.execute(_REFUSE)
            for table in _FENCED:
                trigger = sql.SQL(
                    "CREATE TRIGGER journal_moved BEFORE INSERT OR UPDATE OR DELETE ON {} FOR EACH STATEMENT "
                    "EXECUTE FUNCTION journal_moved({})"
                ).format(sql.Identifier(table), sql.Literal(mark.to))
                self._open.execute(trigger)

    @contextmanager
    def receiving(self) -> Iterator[Side]:
        """This database itself, in a transaction."""
        sent = False
        with self._errors():
            try:
                with self._open.transaction():
                    self.execute("SET LOCAL synchronous_commit = on")
                    for table in _FENCED:
                        self.execute(f"DROP TRIGGER IF EXISTS journal_moved ON {table}")
                    for table in reversed(TABLES):
                        self.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
                        self.execute(f"DELETE FROM {table}" + (f" WHERE NOT ({OURS})" if table == "memory" else ""))
                    self.execute(FORGET, (KIND, "moved"))
                    yield self
                    for table in TABLES:
                        self.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
                    for statement in renumbered():
                        self.execute(statement)
                    sent = True
            except psycopg.OperationalError:
                if sent:
                    raise ArrivalUnknown(
                        f"{self.name} was lost while it kept the journal. Run the same move again: it looks whether "
                        "the journal has arrived."
                    ) from None
                raise
        with self._errors():
            self.execute("ANALYZE")

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> int:
        number = 0
        target = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with self._errors(), self._open.cursor() as cursor, cursor.copy(target) as copy:
            for row in rows:
                copy.write_row(row)
                number += 1
        return number

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise refused(self._place, error) from None  # the driver's own words may hold the password


_REFUSE = """CREATE OR REPLACE FUNCTION journal_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal was moved to %', TG_ARGV[0];
END $$"""
