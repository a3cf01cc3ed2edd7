"""Steps reach PostgreSQL once each and in their order, whatever becomes of the server and of the sessions with it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg
import pytest

from aveo3.journal import postgres_flushes, postgres_writer
from aveo3.journal.database import KeyTaken, RowChanged, Unreachable
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres import PostgresDatabase
from aveo3.journal.postgres_flushes import NotLeading, Pending
from aveo3.journal.postgres_session import Session, connect
from aveo3.journal.postgres_statements import commands
from aveo3.journal.postgres_writer import PostgresWriter
from benchmarks.harness.postgres_server import PostgresServer
from tests.support.postgres import moved, planned


@pytest.fixture
def database(postgres_place: SharedJournal) -> Iterator[PostgresDatabase]:
    with closing(PostgresDatabase(postgres_place, writes=True)) as database:
        yield database


@pytest.fixture
def writer(database: PostgresDatabase) -> PostgresWriter:
    return database.writer


def jobs_of(database: PostgresDatabase) -> list[tuple[int, str]]:
    return [(row[0], row[1]) for row in database.execute("SELECT id, state FROM jobs ORDER BY id")]


def events_of(database: PostgresDatabase) -> list[tuple[int, str]]:
    return [(row[0], row[1]) for row in database.execute("SELECT job, state FROM events ORDER BY id")]


async def test_a_step_is_on_disk_when_that_was_waited_for(database: PostgresDatabase, writer: PostgresWriter) -> None:
    for job in (1, 2):
        writer.write(planned(job), commit=True)
    assert len(writer.waiting) == 2, "writing has waited for nothing"

    await writer.on_disk()

    assert events_of(database) == [(1, "planned"), (2, "planned")]
    assert writer.waiting == []


async def test_steps_of_one_turn_are_one_transaction(database: PostgresDatabase, writer: PostgresWriter) -> None:
    for job in range(1, 101):
        writer.write(planned(job), commit=True)
    await writer.on_disk()
    assert database.execute("SELECT count(*), count(DISTINCT xmin::text) FROM jobs")[0] == (100, 1)


async def test_a_step_that_cannot_be_made_harms_no_other(
    database: PostgresDatabase, writer: PostgresWriter, caplog: pytest.LogCaptureFixture
) -> None:
    writer.write(planned(1), commit=True)
    writer.write(planned(1, ordinal=7), commit=True)
    writer.write(moved(1, "running", "fetching"), commit=True, keep=True)
    writer.write(moved(1, "planned", "submitting"), commit=True)
    writer.write(moved(2, "planned", "submitting"), commit=True, keep=True)
    writer.write(planned(3), commit=True)
    await writer.on_disk()

    assert jobs_of(database) == [(1, "submitting"), (3, "planned")]
    assert events_of(database) == [(1, "planned"), (1, "submitting"), (3, "planned")]
    assert writer.broken is None
    levels = [record.levelno for record in caplog.records if record.name.startswith("aveo3")]
    assert levels == [logging.ERROR, logging.WARNING, logging.WARNING], "a move that no longer fits is no error"


async def test_on_disk_tells_of_the_step_before_it_alone(writer: PostgresWriter) -> None:
    writer.write(planned(1), commit=True)
    writer.write(moved(1, "running", "fetching"), commit=True)
    with pytest.raises(RowChanged, match="a job is not where this process left it"):
        await writer.on_disk()
    with pytest.raises(RowChanged):
        await writer.on_disk()

    writer.write(planned(2), commit=True)
    await writer.on_disk()


def test_without_a_loop_a_step_is_made_at_once(database: PostgresDatabase, writer: PostgresWriter) -> None:
    writer.write(planned(1))
    assert jobs_of(database) == [], "it waits for a commit"
    writer.write(planned(2), commit=True)
    assert jobs_of(database) == [(1, "planned"), (2, "planned")]
    with pytest.raises(KeyTaken, match="duplicate key"):
        writer.write(planned(2), commit=True)


async def test_own_steps_are_seen_after_settling(database: PostgresDatabase, writer: PostgresWriter) -> None:
    writer.write(planned(1))
    writer.settle()
    assert jobs_of(database) == [(1, "planned")]


# ---- the server goes away, and comes back ----------------------------------------------------------------------------


async def test_steps_wait_while_the_server_is_away(
    database: PostgresDatabase, writer: PostgresWriter, postgres_server: PostgresServer
) -> None:
    writer.write(planned(1), commit=True)
    await writer.on_disk()

    postgres_server.down()
    try:
        writer.write(moved(1, "planned", "submitting"), commit=True)
        with pytest.raises(Unreachable, match="cannot be reached"):
            await writer.on_disk()
        writer.write(moved(1, "submitting", "running"), commit=True, keep=True)
        assert writer.broken is not None
        assert "cannot be reached" in writer.broken
        assert len(writer.waiting) == 2
    finally:
        postgres_server.again()

    await writer.on_disk()
    assert writer.broken is None, "it clears by itself"
    assert events_of(database) == [(1, "planned"), (1, "submitting"), (1, "running")]


@pytest.mark.parametrize("answered", [False, True], ids=["not made", "made"])
async def test_a_flush_whose_answer_is_lost_is_made_once(
    database: PostgresDatabase, writer: PostgresWriter, monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    send = PostgresWriter._send

    def send_and_lose(self: PostgresWriter, session: Session, batch: list[Pending], sent: list[Any]) -> Any:
        monkeypatch.setattr(PostgresWriter, "_send", send)
        error = send(self, session, batch, sent)
        if answered:
            assert session._pipeline is not None
            session._pipeline.sync()
        session.pgconn.finish()
        return error

    writer.write(planned(1), commit=True)
    await writer.on_disk()
    monkeypatch.setattr(PostgresWriter, "_send", send_and_lose)
    writer.write(moved(1, "planned", "submitting"), commit=True)
    await writer.on_disk()
    writer.write(moved(1, "submitting", "running"), commit=True)
    await writer.on_disk()

    assert events_of(database) == [(1, "planned"), (1, "submitting"), (1, "running")]
    assert jobs_of(database) == [(1, "running")]


def test_a_flush_that_the_server_makes_after_its_session_was_lost_is_not_made_twice(
    database: PostgresDatabase, writer: PostgresWriter, postgres_place: SharedJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = PostgresWriter._send

    def lose(self: PostgresWriter, session: Session, *_: object) -> None:
        monkeypatch.setattr(PostgresWriter, "_send", send)
        session.pgconn.finish()
        session.execute("SELECT 1")

    with closing(connect(postgres_place)) as late, late.transaction():
        late.execute("UPDATE writers SET flush = flush + 1")  # the number of the flush that is lost below
        for command in commands(planned(1)):
            late.execute(command.text, command.values)
        monkeypatch.setattr(PostgresWriter, "_send", lose)
        with pytest.raises(Unreachable):
            writer.write(planned(1), commit=True)
        assert len(writer.waiting) == 1, "it may have been made"
        again = threading.Thread(target=writer.settle)
        again.start()
        again.join(0.2)
        assert again.is_alive(), "it waits for what becomes of the flush"
    again.join()
    assert writer.waiting == []
    writer.write(planned(2), commit=True)
    assert events_of(database) == [(1, "planned"), (2, "planned")]


@pytest.mark.parametrize("change", ["UPDATE writers SET flush = flush - 1", "DELETE FROM writers"])
@pytest.mark.parametrize("lost", [False, True], ids=["the session stays", "the session is lost"])
def test_a_server_that_has_lost_what_it_confirmed_is_named_and_written_to(
    database: PostgresDatabase, writer: PostgresWriter, caplog: pytest.LogCaptureFixture, change: str, lost: bool
) -> None:
    """As a standby that was behind, and has taken over."""
    writer.write(planned(1), commit=True)
    assert writer._session is not None
    writer._session.execute(change.encode())
    writer.write(planned(2))
    if lost:
        writer._session.close()
        writer._unsure = writer._next_batch()
    writer.write(planned(3), commit=True)
    writer.write(planned(4), commit=True)

    assert [job for job, _ in jobs_of(database)] == [1, 2, 3, 4]
    assert "has lost steps that it had confirmed" in caplog.text
    assert writer.waiting == []


def test_crashes_of_the_server_in_the_middle_of_flushes_lose_nothing_and_double_nothing(
    database: PostgresDatabase, writer: PostgresWriter, postgres_server: PostgresServer
) -> None:
    path = ["planned", "submitting", "running", "fetching", "succeeded"]
    written = 0
    stop = threading.Event()

    def crash() -> None:
        for _ in range(3):
            postgres_server.restart("immediate")
            if stop.wait(0.1):
                return

    crashing = threading.Thread(target=crash)
    writer.write(planned(1), commit=True)
    crashing.start()
    while crashing.is_alive():
        old, new = path[written % 4], path[written % 4 + 1]
        writer.write(moved(1, old, new), commit=True, keep=True)
        written += 1
        if new == "succeeded":
            writer.write(moved(1, "succeeded", "planned"), keep=True)
    crashing.join()
    writer.settle()

    found = events_of(database)
    turns = [(1, state) for state in path] * (written // 4 + 1)
    assert found == turns[: len(found)]
    assert len(found) == 1 + written + written // 4
    assert writer.broken is None


# ---- several processes -----------------------------------------------------------------------------------------------


def test_who_follows_the_events_by_their_numbers_misses_none(postgres_place: SharedJournal) -> None:
    threads, each = 4, 40
    seen: list[int] = []

    def write(first: int) -> None:
        with closing(PostgresDatabase(postgres_place, writes=True)) as database:
            for job in range(first, first + each):
                database.writer.write(planned(job), commit=True)

    writing = [threading.Thread(target=write, args=(1 + number * each,)) for number in range(threads)]
    with closing(connect(postgres_place)) as reader:
        for thread in writing:
            thread.start()
        last = 0
        while len(seen) < threads * each:
            at_work = any(thread.is_alive() for thread in writing)
            for number, job in reader.execute("SELECT id, job FROM events WHERE id > $1 ORDER BY id", (last,)):
                last = number
                seen.append(job)
            if not at_work:
                break
        for thread in writing:
            thread.join()
    assert sorted(seen) == [*range(1, threads * each + 1)]


async def test_a_flush_tells_those_who_listen(writer: PostgresWriter, postgres_place: SharedJournal) -> None:
    with closing(connect(postgres_place)) as listener:
        listener.execute(f"LISTEN {postgres_flushes.CHANNEL}")
        writer.write(planned(1), commit=True)
        writer.write(planned(2), commit=True)
        await writer.on_disk()
        assert len([*listener.notifies(timeout=2, stop_after=1)]) == 1


def test_a_frozen_process_does_not_hold_up_the_others(
    writer: PostgresWriter, postgres_place: SharedJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_flushes, "STUCK", 0.1)
    with closing(connect(postgres_place)) as frozen:
        with suppress(psycopg.Error):
            frozen.execute("BEGIN")
            frozen.execute("SELECT pg_advisory_xact_lock($1)", (postgres_flushes.EVENTS_LOCK,))
            assert writer._session is not None
            writer._session.execute("SET statement_timeout = 200")
            with pytest.raises(Unreachable, match="statement timeout"):
                writer.write(planned(1), commit=True)
            writer.write(planned(1), commit=True)
        with pytest.raises(psycopg.OperationalError):
            frozen.execute("SELECT 1")


# ---- leading ---------------------------------------------------------------------------------------------------------


async def test_a_step_that_only_a_leader_writes_needs_one(
    database: PostgresDatabase, writer: PostgresWriter, postgres_place: SharedJournal
) -> None:
    writer.write(planned(1), commit=True)
    with pytest.raises(NotLeading, match="does not lead the lane"):
        writer.write(moved(1, "planned", "submitting"), commit=True, fenced=True)

    with closing(connect(postgres_place)) as session:
        writer.lead(session, lambda: None)
        writer.write(moved(1, "planned", "submitting"), commit=True, fenced=True)
        await writer.on_disk()
        assert jobs_of(database) == [(1, "submitting")]
        assert writer.leave() is session
    with pytest.raises(NotLeading):
        writer.write(moved(1, "submitting", "planned"), commit=True, fenced=True)
    with pytest.raises(NotLeading):
        writer.ask("SELECT pg_try_advisory_lock(1)", of_leader=True)
    assert database.execute("SELECT count(*) FROM pg_locks WHERE objid = 1 AND locktype = 'advisory'")[0][0] == 0


@pytest.mark.real_time
async def test_a_leader_that_is_silent_after_a_flush_loses_its_session(
    database: PostgresDatabase, writer: PostgresWriter, postgres_place: SharedJournal
) -> None:
    """What it sends last must leave the server's timer running, for a process may be frozen at any moment."""
    with closing(connect(postgres_place, idle_session_timeout="200ms")) as session:
        [[pid]] = session.execute("SELECT pg_backend_pid()").fetchall()
        writer.lead(session, lambda: None)
        writer.write(planned(1), commit=True)
        await writer.on_disk()
        ended = time.monotonic() + 3
        while database.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ?", (pid,))[0][0]:
            assert time.monotonic() < ended, "the server has not ended it"
            await asyncio.sleep(0.02)


async def test_what_only_a_leader_writes_ends_with_its_session(
    database: PostgresDatabase, writer: PostgresWriter, postgres_place: SharedJournal
) -> None:
    lost: list[str] = []
    for job in (1, 2):
        writer.write(planned(job), commit=True)
    with closing(connect(postgres_place)) as session:
        writer.lead(session, lambda: lost.append("lost"))
        writer.settle()
        database.execute("SELECT pg_terminate_backend(?)", (session.info.backend_pid,))
        writer.write(moved(2, "planned", "cancelled"), commit=True, keep=True)
        writer.write(moved(1, "planned", "submitting"), commit=True, fenced=True)
        with pytest.raises(NotLeading):
            await writer.on_disk()
    writer.settle()

    assert lost == ["lost"]
    assert not writer.leading
    writer.settle()
    assert jobs_of(database) == [(1, "planned"), (2, "cancelled")], "other steps are written by another session"


async def test_an_intent_that_its_leader_wrote_stands_although_the_answer_was_lost(
    database: PostgresDatabase, writer: PostgresWriter, postgres_place: SharedJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = PostgresWriter._send

    def send_and_lose(self: PostgresWriter, session: Session, *rest: Any) -> Any:
        monkeypatch.setattr(PostgresWriter, "_send", send)
        error = send(self, session, *rest)
        assert session._pipeline is not None
        session._pipeline.sync()
        session.pgconn.finish()
        return error

    writer.write(planned(1), commit=True)
    await writer.on_disk()
    with closing(connect(postgres_place)) as session:
        writer.lead(session, lambda: None)
        monkeypatch.setattr(PostgresWriter, "_send", send_and_lose)
        writer.write(moved(1, "planned", "submitting"), commit=True, fenced=True)
        await writer.on_disk()
    assert jobs_of(database) == [(1, "submitting")]


# ---- the end ---------------------------------------------------------------------------------------------------------


async def test_closing_writes_what_waits(postgres_place: SharedJournal, database: PostgresDatabase) -> None:
    other = PostgresDatabase(postgres_place, writes=True)
    other.writer.write(planned(1), keep=True)
    other.close()
    assert jobs_of(database) == [(1, "planned")]
    assert database.execute("SELECT count(*) FROM writers")[0][0] == 1, "its own row is gone"


def test_what_cannot_be_written_at_the_end_is_logged(
    postgres_place: SharedJournal,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(postgres_writer, "PATIENCE", 0.0)
    database = PostgresDatabase(postgres_place, writes=True)
    postgres_server.down()
    try:
        database.writer.write(moved(1, "submitting", "running"), commit=True, keep=True)
        database.writer.write(planned(2), keep=True)
        database.close()
    finally:
        postgres_server.again()
    assert "not in the journal: job 1, running at 2026: {}" in caplog.text
    assert "job 2" not in caplog.text, "nothing is owed for it"
