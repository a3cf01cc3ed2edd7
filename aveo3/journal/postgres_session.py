"""Sessions of PostgreSQL: opened with a journal's settings, and never waited for longer than a patience."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg

from aveo3.errors import JournalError
from aveo3.journal.database import Damaged, DatabaseError, KeyTaken, RowChanged, Unreachable, WrongValues
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres_schema import SCHEMA

PATIENCE = 5.0
"""Seconds to wait for any answer of the server. The event loop may stand still meanwhile."""

OLDEST = 14
"""The oldest supported version of the server."""

_SETTINGS = {
    "search_path": f"{SCHEMA}, pg_catalog",
    "idle_in_transaction_session_timeout": "5s",  # a frozen process holds no lock that others wait for
    "statement_timeout": f"{PATIENCE:.0f}s",
    "lock_timeout": "0",
    "default_transaction_isolation": "read committed",
    "TimeZone": "UTC",
    "jit": "off",
}


class PostgresRow(tuple[Any, ...]):
    """A row, as `sqlite3.Row` is one: by number, by column, and in the order of the columns."""

    __slots__ = ()
    columns: tuple[str, ...] = ()
    places: dict[str, int] = {}  # noqa: RUF012 (each query has a class of its own)

    def keys(self) -> tuple[str, ...]:
        return self.columns

    def __getitem__(self, column: Any) -> Any:
        return tuple.__getitem__(self, self.places[column] if isinstance(column, str) else column)


@lru_cache(256)
def _row_class(columns: tuple[str, ...]) -> type[PostgresRow]:
    places = {name: place for place, name in reversed([*enumerate(columns)])}
    return type("Row", (PostgresRow,), {"__slots__": (), "columns": columns, "places": places})


def _row_factory(cursor: Any) -> Callable[[Sequence[Any]], PostgresRow]:
    described = cursor.description
    return _row_class(tuple(column.name for column in described)) if described else PostgresRow


def connect(place: SharedJournal, *, patience: float = PATIENCE, **settings: str) -> Session:
    """A session with the server at `place`, autocommitting, with `settings` of the server beside a journal's own.

    Each answer is waited for at most `patience` seconds; then the session is closed. Raises `DatabaseError` that names
    the server and never the password.
    """
    try:
        session = Session.connect(
            **_parameters(place), autocommit=True, row_factory=_row_factory, cursor_factory=psycopg.RawCursor
        )
    except psycopg.Error as error:
        raise refused(place, error) from None
    session.patience = patience
    session.adapters.register_loader("numeric", _NumericLoader)
    try:
        version = session.info.server_version // 10_000
        if version < OLDEST:
            raise JournalError(f"{place} is version {version}. aveo3 needs PostgreSQL {OLDEST} or later.")
        given = {**_SETTINGS, **settings}
        calls = ", ".join(f"set_config(${2 * n + 1}, ${2 * n + 2}, false)" for n in range(len(given)))
        session.execute(
            f"SELECT {calls}, set_config('synchronous_commit', CASE current_setting('synchronous_commit') "
            "WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)".encode(),
            [text for pair in given.items() for text in pair],
            prepare=False,
        )
    except BaseException as error:
        session.close()
        if isinstance(error, psycopg.Error):
            raise refused(place, error) from None
        raise
    return session


def _parameters(place: SharedJournal) -> dict[str, Any]:
    url = place.url.get_secret_value()
    try:
        given = psycopg.conninfo.conninfo_to_dict(url)
        parts = urlsplit(url)
        # libpq would take a password with such signs in it for a host or a database, and name it in its errors.
        if parts.scheme not in ("postgresql", "postgres") or url.count("@") > 1 or ("@" in url) > ("@" in parts.netloc):
            raise ValueError
    except (psycopg.Error, ValueError):
        raise JournalError(
            "the address of the database makes no sense. It is postgresql://user:password@host:port/database, with "
            "signs such as @ : / # ? in the password written as %40 %3A %2F %23 %3F."
        ) from None  # the driver quotes it, password included
    defaults = {
        "connect_timeout": f"{PATIENCE:.0f}",
        "keepalives_idle": "5",
        "keepalives_interval": "2",
        "keepalives_count": "3",
        "tcp_user_timeout": "10000",
        "fallback_application_name": "aveo3",
        "client_encoding": "UTF8",
    }
    if "," in str(given.get("host", "")):  # after a failover, the one that takes writes
        defaults["target_session_attrs"] = "read-write"
    return {**defaults, **given}


class Session(psycopg.Connection[PostgresRow]):
    """A session whose answers are waited for at most `patience` seconds."""

    patience = PATIENCE

    def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
        """Wait for an answer. Called by every method that asks for one."""
        return super().wait(self._bounded(gen), *arguments, **named)

    @contextmanager
    def pipeline(self) -> Iterator[psycopg.Pipeline]:
        """Send the commands of the `with` block without waiting for their answers; they are one transaction."""
        with self.lock:
            if self._pipeline is None:
                self._pipeline = _SyncedPipeline(self)
        with super().pipeline() as pipeline:
            yield pipeline

    def _bounded(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        begun = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > begun + self.patience:
                    self.pgconn.finish()  # the answer may still come, to nobody
                    raise psycopg.OperationalError(f"no answer within {self.patience:g} s")
                wanted = gen.send(ready)
        except StopIteration as ended:
            return ended.value


class _SyncedPipeline(psycopg.Pipeline):
    """Sends nothing behind its Sync. psycopg's own sends a Flush, and the server, which starts to count a session's
    idle time at the Sync, stops to count it at the Flush: it would never end a process that stands still."""

    def _exit_gen(self) -> Generator[Any, Any, None]:
        try:
            self._enqueue_sync()
            yield from self._communicate_gen()
        finally:
            yield from self._fetch_gen(flush=False)


class _NumericLoader(psycopg.adapt.Loader):
    """Sums of integers come as `numeric`."""

    def load(self, data: Any) -> int | float:
        text = bytes(data)
        return int(text) if text.lstrip(b"-").isdigit() else float(text)


# ---- errors ------------------------------------------------------------------------------------------------------


def refused(place: SharedJournal, error: psycopg.Error) -> DatabaseError:
    """The error of the driver in the journal's words, without the password."""
    words = in_words(place, error)
    match error.sqlstate:
        case "AV001":
            return RowChanged(f"{place}: a job is not where this process left it")
        case "23505":
            return KeyTaken(f"{place}: {words}", error.diag.table_name or "")
        case "28P01" | "28000" | "3D000" | "42501":  # password, user, database, privilege
            return Unreachable(f"{place} lets nobody in: {words}. See that user, password and database are right.")
        case "42P01" | "42703" | "XX001" | "XX002":
            return Damaged(
                f"{place} cannot be read: {words}. Nothing was sent. It says what was paid for: restore it from a copy."
            )
        case state if state is not None and state[:2] in ("22", "23", "42"):
            return WrongValues(f"{place} does not take the values: {words}")
    if isinstance(error, psycopg.DataError):  # before it was sent
        return WrongValues(f"{place} does not take the values: {words}")
    return Unreachable(f"{place} cannot be reached: {words}. aveo3 tries again; see that the server runs.")


def in_words(place: SharedJournal, error: psycopg.Error) -> str:
    """What the server or the driver says, in one line."""
    text = error.diag.message_primary or str(error)
    for secret in _secrets(place):
        text = text.replace(secret, "***")
    return " ".join(text.partition("\n")[0].split()).removesuffix(".")


@lru_cache(8)
def _secrets(place: SharedJournal) -> tuple[str, ...]:
    password = str(psycopg.conninfo.conninfo_to_dict(place.url.get_secret_value()).get("password") or "")
    return tuple({password, quote(password, safe="")} - {""})
