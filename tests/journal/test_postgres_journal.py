"""The journal over PostgreSQL: what a clip costs, and what two processes at once make of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from aveo3.journal.database import KeyTaken
from aveo3.journal.journal import Journal
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres import PostgresDatabase
from aveo3.journal.postgres_session import connect
from aveo3.journal.requests import Request
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import State
from tests.support.journals import PLAIN_PATH, walk


@pytest.fixture
def journal(postgres_place: SharedJournal) -> Iterator[Journal]:
    with closing(connect(postgres_place)) as session, Journal(postgres_place) as journal:
        assert isinstance(journal._database, PostgresDatabase)
        journal._database.writer.lead(session, lambda: None)
        yield journal


def accept(journal: Journal, number: int, key: str | None = None, digest: str = "0a") -> tuple[Request, JobRecord]:
    return journal.requests.accept(
        "google",
        digest,
        model="veo",
        prompt={"text": "a boat"},
        position=number,
        caller="web",
        key=key,
        body="00",
        priority=0,
        door_name=f"door-{number}",
        resource="models/veo",
        storage_uri=None,
    )


async def test_a_clip_takes_five_statements_beside_the_flushes_that_it_shares(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed: list[str] = []
    execute = psycopg.RawCursor.execute

    def counting(self: Any, query: Any, *rest: Any, **named: Any) -> Any:
        executed.append(query.decode() if isinstance(query, bytes) else query)
        return execute(self, query, *rest, **named)

    async def clip(number: int) -> None:
        _, record = accept(journal, number)
        await journal.on_disk()
        for old, new in pairwise(PLAIN_PATH):
            journal.move(record.id, old, new)
            await journal.on_disk()

    monkeypatch.setattr(psycopg.RawCursor, "execute", counting)
    clips = 50
    await asyncio.gather(*map(clip, range(clips)))

    steps = [query for query in executed if query.startswith("WITH s0 AS")]
    flushes = [query for query in executed if query.startswith("WITH mine AS")]
    assert len(steps) == 5 * clips
    assert len(flushes) <= clips
    assert len(executed) <= 7 * clips, "the others are reads"
    assert journal.counts() == {State.SUCCEEDED: clips}


async def test_of_two_requests_with_one_key_at_two_doors_one_stands(
    journal: Journal, postgres_place: SharedJournal
) -> None:
    with Journal(postgres_place) as other:
        accept(journal, 1, "key")
        accept(other, 2, "key")
        told = await asyncio.gather(journal.on_disk(), other.on_disk(), return_exceptions=True)
        assert {type(outcome) for outcome in told} == {type(None), KeyTaken}
        found = other.requests.with_key("web", "key")
        assert found is not None
        assert found.door_name == ("door-1" if told[0] is None else "door-2")
        assert [record.id for record in journal.records()] == [found.job], "nothing of the other is there"


async def test_equal_requests_at_two_doors_at_once_are_two_jobs(
    journal: Journal, postgres_place: SharedJournal
) -> None:
    with Journal(postgres_place) as other:
        accept(journal, 1)
        accept(other, 2)
        accept(journal, 3)
        await journal.on_disk()
        await other.on_disk()
        assert sorted(record.name for record in other.records()) == ["0a", "0a.2", "0a.3"]


def test_each_process_has_its_own_run(journal: Journal, postgres_place: SharedJournal) -> None:
    with Journal(postgres_place) as other:
        assert other.in_use()
        _, record = accept(other, 1)
        walk(journal, record.id, *PLAIN_PATH[:2])
    assert [record.state for record in journal.records()] == [State.SUBMITTING], "others are at work: it stands"
    ends = journal.read("SELECT ended_utc IS NOT NULL FROM runs ORDER BY id")
    assert [ended for [ended] in ends] == [False, True]


SENT = datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_an_answer_that_comes_after_its_job_was_marked_uncertain_is_written(journal: Journal) -> None:
    _, record = accept(journal, 1)
    intent: dict[str, Any] = {"attempts": 1, "submitted_utc": SENT}
    journal.move(record.id, State.PLANNED, State.SUBMITTING, attempt=(0, None), **intent)
    journal.move(record.id, State.SUBMITTING, State.UNCERTAIN, error_kind="answer_lost")
    cleared: dict[str, Any] = {"error_kind": None, "operation": "operations/7"}
    journal.move(record.id, State.SUBMITTING, State.RUNNING, attempt=(1, SENT), **cleared)
    [found] = journal.select("SELECT * FROM jobs")
    assert (found.state, found.operation, found.error_kind) == (State.RUNNING, "operations/7", None)


@pytest.mark.parametrize("later", [State.SUBMITTING, State.UNCERTAIN, State.RUNNING])
def test_an_answer_to_an_earlier_submit_of_a_job_is_not_written(journal: Journal, later: State) -> None:
    _, record = accept(journal, 1)
    second = SENT + timedelta(seconds=9)
    journal.move(record.id, State.PLANNED, State.SUBMITTING, attempt=(0, None), attempts=1, submitted_utc=SENT)
    journal.move(record.id, State.SUBMITTING, State.PLANNED, attempt=(1, SENT))
    journal.move(record.id, State.PLANNED, State.SUBMITTING, attempt=(1, None), attempts=2, submitted_utc=second)
    if later is not State.SUBMITTING:
        journal.move(record.id, State.SUBMITTING, later, attempt=(2, second))
    journal.move(record.id, State.SUBMITTING, State.RUNNING, attempt=(1, SENT), operation="operations/1")
    [found] = journal.select("SELECT * FROM jobs")
    assert (found.state, found.operation) == (later, None)
