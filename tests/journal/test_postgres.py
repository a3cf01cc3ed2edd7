"""A journal in PostgreSQL is opened, or refused with the reason; reads survive what becomes of their session."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from aveo3.errors import JournalError
from aveo3.journal import postgres_migration, postgres_session
from aveo3.journal.database import Unreachable, WrongValues
from aveo3.journal.opening import opened
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres import PostgresDatabase
from aveo3.journal.postgres_clock import ServerClock
from aveo3.journal.postgres_schema import MIGRATIONS
from aveo3.journal.postgres_session import connect
from benchmarks.harness.postgres_server import PASSWORD, PostgresServer
from tests.support.postgres import place_of, planned


@pytest.fixture
def database(postgres_place: SharedJournal) -> Iterator[PostgresDatabase]:
    with closing(PostgresDatabase(postgres_place, writes=True)) as database:
        yield database


# ---- opening ---------------------------------------------------------------------------------------------------------


def test_a_journal_is_made_once_and_found_again(postgres_url: str) -> None:
    place = place_of(postgres_url)
    with pytest.raises(JournalError, match=r"there is no journal\. Nothing was generated with this database yet"):
        opened(place, writes=False, checks=True)
    with closing(PostgresDatabase(place, writes=True)) as first:
        first.writer.write(planned(first.next_job()), commit=True)
    with closing(PostgresDatabase(place, writes=False)) as second:
        assert second.nonce == first.nonce
        assert second.execute("SELECT count(*) FROM jobs")[0][0] == 1
        assert not second.in_use()


def test_two_that_make_it_at_once_make_one(postgres_url: str, postgres_place: SharedJournal) -> None:
    place = place_of(postgres_url)
    with closing(connect(place)) as slow:
        with slow.transaction():
            slow.execute("SELECT pg_advisory_xact_lock($1)", (postgres_migration.MIGRATION_LOCK,))
            with closing(connect(place)) as other:
                other.execute("SET lock_timeout = '50ms'")
                with pytest.raises(Unreachable, match="lock timeout"):
                    postgres_migration.prepare(other, place, writes=True)
            postgres_migration._migrate(slow, place)
        postgres_migration.prepare(slow, place, writes=True)


def test_a_migration_that_is_interrupted_has_not_begun(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_of(postgres_url)
    broken = (*MIGRATIONS[0][:20], "SELECT 1 / 0")
    with monkeypatch.context() as patch:
        patch.setattr(postgres_migration, "MIGRATIONS", (broken,))
        with pytest.raises(JournalError):
            PostgresDatabase(place, writes=True)
    with closing(PostgresDatabase(place, writes=True)) as database:
        assert database.execute("SELECT version FROM journal")[0][0] == len(MIGRATIONS)


def test_a_newer_journal_is_refused(postgres_url: str) -> None:
    place = place_of(postgres_url)
    PostgresDatabase(place, writes=True).close()
    with closing(connect(place)) as session:
        session.execute("UPDATE journal SET version = version + 1")
    for writes in (True, False):
        with pytest.raises(JournalError, match=r"was written by a newer aveo3 .*\. Nothing was changed or sent\."):
            PostgresDatabase(place, writes=writes)


def test_an_older_journal_is_brought_up_to_date_by_who_writes(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of(postgres_url)
    PostgresDatabase(place, writes=True).close()
    monkeypatch.setattr(postgres_migration, "MIGRATIONS", (*MIGRATIONS, ("ALTER TABLE jobs ADD COLUMN later TEXT",)))
    with pytest.raises(JournalError, match="is of an older version"):
        PostgresDatabase(place, writes=False)
    with closing(PostgresDatabase(place, writes=True)) as database:
        assert database.execute("SELECT later FROM jobs") == []


def test_what_is_no_journal_is_refused(postgres_url: str) -> None:
    place = place_of(postgres_url)
    with psycopg.connect(postgres_url) as session:
        session.execute("CREATE SCHEMA aveo3")
        session.execute("CREATE TABLE aveo3.journal (entry TEXT)")
    with pytest.raises(JournalError, match=r"has a schema aveo3 that is no journal of aveo3\. Name another database"):
        PostgresDatabase(place, writes=True)


def test_tables_of_others_in_the_database_are_left_alone(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as session:
        session.execute("CREATE TABLE public.jobs (mine TEXT)")
    PostgresDatabase(place_of(postgres_url), writes=True).close()
    with psycopg.connect(postgres_url) as session:
        assert session.execute("SELECT * FROM public.jobs").fetchall() == []


def test_a_database_that_cannot_hold_all_texts_is_refused(postgres_server: PostgresServer) -> None:
    postgres_server.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    with pytest.raises(JournalError, match=r"keeps texts as SQL_ASCII\. aveo3 needs a database with ENCODING 'UTF8'"):
        PostgresDatabase(place_of(postgres_server.url("ascii")), writes=True)


def test_an_old_server_is_refused(postgres_place: SharedJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_session, "OLDEST", 99)
    with pytest.raises(JournalError, match=r"is version \d+\. aveo3 needs PostgreSQL 99 or later"):
        PostgresDatabase(postgres_place, writes=True)


def test_without_the_driver_the_extra_is_named(postgres_place: SharedJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        for name in [name for name in sys.modules if name.startswith("aveo3.journal.postgres")]:
            patch.delitem(sys.modules, name)
        patch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(JournalError, match=r"needs psycopg: pip install 'aveo3\[postgres\]'"):
            opened(postgres_place, writes=True, checks=True)


def test_a_pooler_of_transactions_is_refused(postgres_place: SharedJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter([7, 7])
    ask = PostgresDatabase.execute

    def execute(self: PostgresDatabase, query: str, *values: Any) -> Any:
        return [[next(numbers)]] if "pg_backend_pid" in query else ask(self, query, *values)

    monkeypatch.setattr(PostgresDatabase, "execute", execute)
    monkeypatch.setattr("aveo3.journal.postgres_writer.PostgresWriter.ask", lambda *_: [[7]])
    with pytest.raises(JournalError, match="is a connection pooler that gives each transaction another session"):
        PostgresDatabase(postgres_place, writes=True)


# ---- errors, and secrets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("open-sesame", "wrong-sesame"), "password authentication failed"),
        (("//aveo3:", "//nobody:"), "password authentication failed"),
        (("/journal", "/nowhere"), 'database "nowhere" does not exist'),
        (("@127.0.0.1:", "@127.0.0.1:1"), "invalid port number|Connection refused|out of range|makes no sense"),
        (("open-sesame@", "open/ses@me@"), "makes no sense"),
        (("open-sesame@", "open-ses@me@"), "makes no sense"),
        (("open-sesame@", "open?sesame@"), "makes no sense"),
        (("open-sesame@", "open%zzsesame@"), "makes no sense"),
    ],
)
def test_what_is_wrong_with_an_address_is_said_without_its_password(
    postgres_place: SharedJournal, change: tuple[str, str], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    place = place_of(postgres_place.url.get_secret_value().replace(*change))
    with pytest.raises(JournalError, match=words) as caught:
        PostgresDatabase(place, writes=True)
    everything = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(place) + str(place)
    for secret in ("sesame", "ses@me", "me@127"):
        assert secret not in everything


def test_a_password_in_the_words_of_the_server_is_not_shown(
    database: PostgresDatabase, postgres_place: SharedJournal
) -> None:
    with pytest.raises(WrongValues) as caught:
        database.execute(f"SELECT CAST('{PASSWORD}' AS INTEGER)")
    assert "***" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in repr(database.place) + repr(vars(database)) + repr(vars(database.writer))


def test_a_host_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    place = SharedJournal(SecretStr("postgresql://a:b@192.0.2.1:5432/c?connect_timeout=1"), Path())
    with pytest.raises(Unreachable, match=r"^PostgreSQL at 192\.0\.2\.1:5432, database c cannot be reached"):
        connect(place)


# ---- reading ---------------------------------------------------------------------------------------------------------


def test_rows_are_read_by_number_by_name_and_in_order(database: PostgresDatabase) -> None:
    [row] = database.execute("SELECT 1 AS a, ? AS b, sum(n) AS c, NULL AS d FROM generate_series(1, 3) n", ("x",))
    assert (row[0], row["b"], row["c"], [*row], row.keys()) == (1, "x", 6, [1, "x", 6, None], ("a", "b", "c", "d"))
    assert type(row["c"]) is int
    assert dict(zip(row.keys(), row, strict=True)) == {"a": 1, "b": "x", "c": 6, "d": None}


def test_rows_can_be_read_some_at_a_time_with_other_reads_between(database: PostgresDatabase) -> None:
    with database.rows("SELECT n FROM generate_series(1, ?) n ORDER BY n", (2500,)) as rows:
        found = [row[0] + database.execute("SELECT 1")[0][0] for row in rows]
    assert found == [*range(2, 2502)]


def test_a_read_opens_a_session_that_was_lost_anew(database: PostgresDatabase, postgres_server: PostgresServer) -> None:
    postgres_server.restart("immediate")
    assert database.execute("SELECT 1") == [(1,)]


def test_a_read_is_given_up_when_no_answer_comes(
    database: PostgresDatabase, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert database._reader is not None
    database._reader.patience = 0.2
    monkeypatch.setattr(postgres_session, "PATIENCE", 1.0)
    postgres_server.freeze()
    try:
        begun = time.monotonic()
        with pytest.raises(Unreachable):
            database.execute("SELECT 1")
        assert time.monotonic() - begun < 5
    finally:
        postgres_server.thaw()
    assert database.execute("SELECT 1") == [(1,)]


def test_numbers_of_jobs_rise_and_are_never_given_twice(postgres_place: SharedJournal) -> None:
    with (
        closing(PostgresDatabase(postgres_place, writes=True)) as one,
        closing(PostgresDatabase(postgres_place, writes=True)) as other,
    ):
        ours = [one.next_job() for _ in range(250)]
        theirs = [other.next_job() for _ in range(250)]
    assert ours == sorted(ours)
    assert len({*ours, *theirs}) == 500


def test_a_journal_is_in_use_while_somebody_writes_to_it(postgres_place: SharedJournal) -> None:
    with closing(PostgresDatabase(postgres_place, writes=False)) as reader:
        assert not reader.in_use()
        with closing(PostgresDatabase(postgres_place, writes=True)):
            assert reader.in_use()
        assert not reader.in_use()


# ---- the clock -------------------------------------------------------------------------------------------------------


def test_the_time_is_the_servers_by_the_best_measurement() -> None:
    now = 100.0
    clock = ServerClock(lambda: now)
    server = datetime(2026, 11, 27, 12, tzinfo=UTC)

    now = 100.2
    clock.measure(100.0, server)
    assert clock.now_utc() == server + timedelta(seconds=0.1)

    now = 101.2
    clock.measure(100.2, server + timedelta(seconds=30))
    assert clock.now_utc() == server + timedelta(seconds=1.1), "one that took longer tells less"

    now = 101.21
    clock.measure(101.2, server + timedelta(seconds=2))
    assert clock.now_utc() == server + timedelta(seconds=2.005)


def test_a_machine_whose_clock_is_wrong_has_the_servers_time(database: PostgresDatabase) -> None:
    server = database.execute("SELECT clock_timestamp()")[0][0]
    assert abs(database.now_utc() - server) < timedelta(seconds=0.5)
    database.clock.measure(database.clock.monotonic(), server + timedelta(seconds=30))
    assert abs(database.now_utc() - server - timedelta(seconds=30)) < timedelta(seconds=0.5)
