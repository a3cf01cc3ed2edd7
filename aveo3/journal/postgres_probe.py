"""Asks a PostgreSQL server for what a shared journal depends on. Writes nothing, and needs no journal there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

import psycopg

from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres_session import Session, connect, refused

QUESTIONS = 5
"""How often the server is asked for the time; the quickest answer tells its clock best."""


@dataclass(frozen=True, slots=True)
class PostgresFacts:
    """What a server says of itself."""

    version: str
    latency: float
    """Seconds of one question and its answer; the median of some."""
    clock_offset: float
    """Seconds that the server's clock is ahead of this machine's."""
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    """As the server sets it for new sessions; a journal's own sessions turn `off` into `on`."""
    synchronous_standby_names: str
    standbys: int
    """Servers that copy from it now."""
    is_standby: bool
    is_pooled: bool
    """A pooler gives each transaction another session: locks and timeouts do not hold."""
    connections: int
    max_connections: int
    has_journal: bool
    may_create: bool
    """The user may make the journal's schema, if it is not there."""


def probe(place: SharedJournal) -> PostgresFacts:
    """What the server at `place` says. Blocks. Raises `JournalError` if it cannot be reached, or is too old."""
    session, other = connect(place), None
    try:
        other = connect(place)
        times = [_asked(session) for _ in range(QUESTIONS)]
        [[commit]] = session.execute(
            "SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'"
        ).fetchall()  # what a journal's own sessions set does not count
        [row] = session.execute(_FACTS).fetchall()
        return PostgresFacts(
            version=str(row[0]),
            latency=median(seconds for seconds, _ in times),
            clock_offset=min(times)[1],
            fsync=row[1] == "on",
            full_page_writes=row[2] == "on",
            synchronous_commit=str(commit),
            synchronous_standby_names=str(row[3]),
            standbys=int(row[4]),
            is_standby=bool(row[5]),
            is_pooled=_is_pooled(session, other),
            connections=int(row[6]),
            max_connections=int(row[7]),
            has_journal=bool(row[8]),
            may_create=bool(row[9]),
        )
    except psycopg.Error as error:
        raise refused(place, error) from None
    finally:
        session.close()
        if other is not None:
            other.close()


def _asked(session: Session) -> tuple[float, float]:
    """The seconds that a question took, and how far the server's clock is ahead."""
    begun, sent = time.monotonic(), datetime.now(UTC)
    [[now]] = session.execute("SELECT clock_timestamp()").fetchall()
    took = time.monotonic() - begun
    return took, (now - sent).total_seconds() - took / 2


def _is_pooled(session: Session, other: Session) -> bool:
    """True if two sessions share one of the server's, or one changes while another is in a transaction."""
    mine = "SELECT pg_backend_pid()"
    before = [int(each.execute(mine).fetchall()[0][0]) for each in (session, other)]
    with other.transaction():
        inside = int(other.execute(mine).fetchall()[0][0])
        after = int(session.execute(mine).fetchall()[0][0])
    return before[0] == before[1] or before[0] != after or before[1] != inside


_FACTS = """SELECT current_setting('server_version'), current_setting('fsync'), current_setting('full_page_writes'),
current_setting('synchronous_standby_names'), (SELECT count(*) FROM pg_stat_replication), pg_is_in_recovery(),
(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
to_regclass('aveo3.journal') IS NOT NULL, has_database_privilege(current_database(), 'CREATE')"""
