"""PostgreSQL for tests: one server for each process of a test session, started when a test asks for it first."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from aveo3.journal.place import SharedJournal
from aveo3.journal.writer import Step
from benchmarks.harness.postgres_server import PostgresServer

_numbers = itertools.count(1)


@contextmanager
def server() -> Iterator[PostgresServer]:
    """A server that is quick and forgets everything at its end."""
    if os.name != "posix":
        pytest.skip("the tests' PostgreSQL needs Unix signals")
    with PostgresServer() as server:
        yield server


@contextmanager
def database(server: PostgresServer, template: str = "template1") -> Iterator[str]:
    """The address of a new database, which lasts as long as the `with` block: some 60 ms."""
    name = f"test_{next(_numbers)}"
    try:
        yield server.create(name, template)
    finally:
        server.drop(name)


@contextmanager
def journal(server: PostgresServer) -> Iterator[str]:
    """The address of an empty journal. All tests of a process have the same one: to empty it takes less than a new one.

    What a test has left open is closed, and its rows are deleted.
    """
    from aveo3.journal.postgres_migration import prepare  # `psycopg` is imported by tests that need it
    from aveo3.journal.postgres_session import connect

    name = "journal"
    if not server.execute(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
        place = place_of(server.create(name))
        with closing(connect(place)) as session:
            prepare(session, place, writes=True)
    try:
        yield server.url(name)
    finally:
        server.execute(_EMPTIED, name)


_EMPTIED = """DO $$
    DECLARE each record;
    BEGIN
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid();
        DELETE FROM aveo3.callbacks; DELETE FROM aveo3.stored_files; DELETE FROM aveo3.requests;
        DELETE FROM aveo3.events; DELETE FROM aveo3.jobs; DELETE FROM aveo3.runs; DELETE FROM aveo3.memory;
        DELETE FROM aveo3.batches; DELETE FROM aveo3.lane_events; DELETE FROM aveo3.request_totals;
        DELETE FROM aveo3.writers; UPDATE aveo3.stored_bytes SET bytes = 0, collected = 0;
        FOR each IN SELECT format('aveo3.%I', sequencename) AS name FROM pg_sequences WHERE schemaname = 'aveo3' LOOP
            PERFORM setval(each.name, 1, false);
        END LOOP;
    END $$"""


def place_of(url: str) -> SharedJournal:
    """The journal at an address, whose files are relative to the directory of the test."""
    return SharedJournal(SecretStr(url), Path())


PLAN = (
    "INSERT INTO jobs (id, service, digest, ordinal, position, model, prompt, queued_utc, state) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
EVENT = "INSERT INTO events (job, at_utc, state, changes) VALUES (?, ?, ?, ?)"


def planned(job: int, ordinal: int | None = None) -> Step:
    """The step that plans a job, as the journal does it."""
    values = (job, "google", "0a", job if ordinal is None else ordinal, 0, "veo", "{}", "2026", "planned")
    return (PLAN, values), (EVENT, (job, "2026", "planned", "{}"))


def moved(job: int, old: str, new: str) -> Step:
    """The step that moves a job."""
    change = "UPDATE jobs SET state = ? WHERE id = ? AND state = ?", (new, job, old)
    return change, (EVENT, (job, "2026", new, "{}"))
