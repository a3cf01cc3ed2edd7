"""What the journal knows of the files of ended requests."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aveo3.journal import sqlite_schema
from aveo3.journal.journal import Journal
from aveo3.journal.sqlite_schema import MIGRATIONS
from aveo3.journal.stored_files import StoredBytes
from aveo3.lifecycle import State
from tests.support.journals import FILE, sqlite_of
from tests.support.journals import journal as journal

LATER = datetime(2100, 1, 1, tzinfo=UTC)
FILES = ({"path": "a.mp4", "size": 70, "sha256": "a"}, {"path": "b.mp4", "size": 30, "sha256": "b"})


def accept(journal: Journal, name: str) -> int:
    fields: dict[str, Any] = {"key": None, "body": "b", "priority": 0, "resource": "models/veo", "storage_uri": None}
    request, _ = journal.requests.accept(
        "google", name * 64, door_name=name, model="veo", prompt={"text": "a"}, position=0, caller="alice", **fields
    )
    return request.job


def end(journal: Journal, job: int) -> None:
    for old, new in ((State.PLANNED, State.SUBMITTING), (State.SUBMITTING, State.RUNNING)):
        journal.move(job, old, new)
    journal.move(job, State.RUNNING, State.FETCHING)
    journal.move(job, State.FETCHING, State.SUCCEEDED, files=FILES)


def test_files_of_requests_are_counted_as_they_come_and_go(journal: Journal) -> None:
    stored = journal.stored_files
    one, two = accept(journal, "1"), accept(journal, "2")
    stream = journal.claims.begin_stream()
    other = journal.claims.plan(stream, "google", "3" * 64, position=0, model="veo", prompt={"text": "a"}).id
    for job in (one, two, other):
        end(journal, job)
    assert stored.of_job(other) is None
    assert stored.total() == StoredBytes(200, 0)
    now = datetime.now(UTC)
    stored.collect(one, [0], now)
    assert stored.total() == StoredBytes(200, 0)
    assert stored.collected_before(LATER, None, 9) == []
    stored.collect(one, [1], now)
    assert stored.total() == StoredBytes(200, 100)
    assert [each.job for each in stored.collected_before(LATER, None, 9)] == [one]
    first, second = stored.ended_before(LATER, None, 9)
    assert stored.ended_before(LATER, first, 9) == [second]
    stored.remove([one], now, "VEO3_RETENTION")
    assert stored.total() == StoredBytes(100, 0)
    assert stored.ended_before(LATER, None, 9) == [second]


def test_a_page_is_found_by_an_index_however_many_there_are(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite_of(journal)
    plans: list[list[str]] = []

    def explain(query: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(FILE)) as db:
            steps = db.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()
        plans.append([row[3].partition(" (")[0] for row in steps])
        return []

    monkeypatch.setattr(journal, "read", explain)
    journal.stored_files.ended_before(LATER, None, 100)
    journal.stored_files.collected_before(LATER, None, 100)
    assert plans == [
        ["SEARCH stored_files USING INDEX stored_files_by_end"],  # and nothing is sorted
        ["SEARCH stored_files USING INDEX stored_files_by_use"],
    ]


def test_what_ended_before_there_was_the_table_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    before = next(number for number, step in enumerate(MIGRATIONS) if "CREATE TABLE stored_files" in step[0])
    with closing(sqlite3.connect(file)) as db:
        for statement in [statement for step in MIGRATIONS[:before] for statement in step]:
            db.execute(statement)
        columns = "id, service, digest, ordinal, position, model, prompt, queued_utc, state, files, fetched_utc"
        files = '[{"path": "a.mp4", "size": 70, "sha256": "a"}]'
        at = "2026-11-01T00:00:00+00:00"
        for job, state in ((1, "succeeded"), (2, "planned"), (3, "succeeded")):
            values = job, "google", str(job), 1, 0, "veo", "{}", at, state, files if state == "succeeded" else None, at
            db.execute(f"INSERT INTO jobs ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        for job in (1, 2):
            row = job, "alice", None, "b", 0, str(job), "models/veo", None, None
            db.execute("INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        db.execute(f"PRAGMA application_id = {sqlite_schema.APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {before}")
        db.commit()
    with Journal(file) as journal:
        assert [each.job for each in journal.stored_files.ended_before(LATER, None, 9)] == [1]
        assert journal.stored_files.total() == StoredBytes(70, 0)
