"""Both databases hold the same: tables, columns, and what their triggers write."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres_schema import IDENTITIES, renumbered
from aveo3.journal.postgres_session import Session, connect
from aveo3.journal.postgres_statements import commands
from aveo3.journal.sqlite_schema import migrate
from aveo3.journal.writer import Statement

OF_ONE = {"journal", "writers"}
"""Tables that only PostgreSQL has."""
Do = Callable[[str, Any], None]


@pytest.fixture
def session(postgres_place: SharedJournal) -> Iterator[Session]:
    with closing(connect(postgres_place)) as session:
        yield session


@pytest.fixture
def file() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as file:
        file.execute("PRAGMA foreign_keys = ON")
        migrate(file, 0)
        yield file


def tables_of(file: sqlite3.Connection) -> dict[str, dict[str, tuple[bool, str]]]:
    """The columns of each table: whether one may be NULL, and its kind."""
    kinds = {"INTEGER": "bigint", "TEXT": "text", "REAL": "double precision"}
    names = [name for [name] in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {
        table: {
            name: (not (required or key), kinds[kind])
            for _, name, kind, required, _, key in file.execute(f"PRAGMA table_info({table})")
        }
        for table in names
        if not table.startswith("sqlite_")
    }


def test_both_have_the_same_tables_and_columns(session: Session, file: sqlite3.Connection) -> None:
    rows = session.execute(
        "SELECT table_name, column_name, is_nullable = 'YES', data_type FROM information_schema.columns "
        "WHERE table_schema = 'aveo3' ORDER BY table_name, ordinal_position"
    )
    found: dict[str, dict[str, tuple[bool, str]]] = {}
    for table, *column in rows:
        found.setdefault(table, {})[column[0]] = column[1], column[2].replace("integer", "bigint")

    assert {table: columns for table, columns in found.items() if table not in OF_ONE} == tables_of(file)
    order = {table: [*columns] for table, columns in found.items() if table not in OF_ONE}
    assert order == {table: [*columns] for table, columns in tables_of(file).items()}, "the order of the columns, too"


def test_texts_compare_by_their_bytes(session: Session) -> None:
    collations = session.execute(
        "SELECT DISTINCT collation_name FROM information_schema.columns "
        "WHERE table_schema = 'aveo3' AND data_type = 'text'"
    ).fetchall()
    assert [*map(tuple, collations)] == [("C",)]


JOB = "INSERT INTO jobs (id, service, digest, ordinal, position, model, prompt, queued_utc, state, cost_usd) VALUES "
ACCEPT = "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
EVENT = "INSERT INTO events (job, at_utc, state, changes) VALUES (?, ?, ?, ?)"
FILES = '[{"path": "a.mp4", "size": 1000}, {"path": "b.mp4", "size": 24}]'


def life() -> Iterator[tuple[Statement, ...]]:
    """Steps of requests, one of which ends, is sent again and ends anew, and of a job of a run."""

    def move(job: int, state: str, changes: str = "{}", **columns: object) -> tuple[Statement, ...]:
        more = "".join(f", {name} = ?" for name in columns)
        update = f"UPDATE jobs SET state = ?{more} WHERE id = ?", (state, *columns.values(), job)
        return update, (EVENT, (job, f"2026-0{job}", state, changes))

    for job in (1, 2, 3):
        request = ACCEPT, (job, "web", None, "0f", 0, f"door-{job}", "models/veo", None, None, None, None)
        plan = (
            JOB + "(?, 'google', '0a', ?, 0, 'veo', '{}', '2026', 'planned', ?)",
            (job, job, None if job == 3 else 1.6),
        )
        yield (plan, (EVENT, (job, "2026", "planned", "{}")), *([request] if job < 3 else []))
    yield move(1, "running")
    yield move(1, "succeeded", '{"files": [1]}', files=FILES, cost_usd=3.2)
    yield move(2, "cancelled", error_kind="stopped", sunk_usd=0.4, sunk_unpriced=1)
    yield move(3, "succeeded", files=FILES)
    yield (("UPDATE stored_files SET collected = 3, collected_utc = ? WHERE job = ?", ("2026-05", 1)),)
    yield move(1, "planned", cost_usd=None)
    yield move(1, "succeeded", '{"operation": "x"}', cost_usd=0.5)
    yield (("UPDATE stored_files SET removed_utc = ?, removed_by = ? WHERE job = ?", ("2026-06", "days", 1)),)
    yield move(1, "succeeded", '{"files": [2]}', files='[{"path": "c.mp4", "size": 7}]')
    yield (("UPDATE requests SET deleted_utc = ? WHERE job = ?", ("2026-07", 2)),)
    lane = "INSERT INTO lane_events (service, lane, at_utc, kind) VALUES (?, ?, ?, ?)"
    yield ((lane, ("google", "l", "2026", "lane_opened")),)


def test_the_same_steps_leave_the_same_rows(session: Session, file: sqlite3.Connection) -> None:
    for step in life():
        for text, values in step:
            file.execute(text, values)
        for command in commands(step):
            session.execute(command.text, command.values)
        for table in tables_of(file):
            theirs = [*map(tuple, session.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3"))]
            assert theirs == file.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall(), (table, step)


def test_the_newest_10_000_changes_of_lanes_are_kept(session: Session) -> None:
    lane = "INSERT INTO lane_events (id, service, lane, at_utc, kind) SELECT n, 's', 'l', '', '' FROM generate_series"
    session.execute(f"{lane}(1, 10000) n")
    session.execute(f"{lane}(10001, 10003) n")
    [row] = session.execute("SELECT count(*), min(id), max(id) FROM lane_events").fetchall()
    assert tuple(row) == (10_000, 4, 10_003)


@pytest.mark.parametrize(
    "text", ["a boat", "half a pair \\ud800", "NUL \\u0000\\u0000 in it", "no NUL \\\\u0000", 'quotes \\" in it']
)
def test_a_field_is_found_in_every_document(session: Session, text: str) -> None:
    document = f'{{"text": "{text}", "id": "scene-1", "none": null}}'
    fields = "SELECT journal_field($1, 'id'), journal_field($1, 'none'), journal_field($1, 'missing')"
    [row] = session.execute(fields, (document,)).fetchall()
    assert tuple(row) == ("scene-1", None, None)


def test_new_rows_follow_those_that_were_copied(session: Session) -> None:
    session.execute(JOB + "(205, 's', 'd', 1, 0, 'm', '{}', '', 'planned', NULL)")
    for table in IDENTITIES:
        columns = {"events": "(id, job, at_utc, state, changes) VALUES (41, 205, '', '', '')"}
        columns["runs"] = "(id, pid, host, started_utc) VALUES (41, 1, '', '')"
        columns["batches"] = "(id, service, begun_utc) VALUES (41, '', '')"
        columns["lane_events"] = "(id, service, lane, at_utc, kind) VALUES (41, '', '', '', '')"
        session.execute(f"INSERT INTO {table} {columns[table]}")
    for statement in renumbered():
        session.execute(statement)

    assert session.execute("SELECT nextval('job_ids')").fetchone() == (301,)
    for table in IDENTITIES:
        assert session.execute(f"SELECT nextval(pg_get_serial_sequence('{table}', 'id'))").fetchone() == (42,)


def test_equal_jobs_that_were_planned_at_once_get_places_of_their_own(session: Session) -> None:
    for job, ordinal in ((1, 1), (2, 1), (3, 7), (4, 7)):
        session.execute(JOB + f"({job}, 's', 'd', {ordinal}, 0, 'm', '{{}}', '', 'planned', NULL)")
    found = session.execute("SELECT id, ordinal FROM jobs ORDER BY id").fetchall()
    assert [*map(tuple, found)] == [(1, 1), (2, 2), (3, 7), (4, 8)]

    with pytest.raises(psycopg.errors.UniqueViolation):
        session.execute(JOB + "(4, 's', 'd', 9, 0, 'm', '{}', '', 'planned', NULL)")
