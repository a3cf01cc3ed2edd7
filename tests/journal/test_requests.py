"""Requests of the server's callers: each has a job of its own, in one step, and outlives what may happen next."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aveo3.cli.preview import know
from aveo3.errors import JournalError
from aveo3.journal.database import KeyTaken
from aveo3.journal.journal import Journal
from aveo3.journal.requests import Request
from aveo3.journal.wal_sync import SYNCS_LATER
from aveo3.lanes.lanes import Lanes
from aveo3.lanes.routing import Routes
from aveo3.lifecycle import State
from aveo3.models import VideoPrompt
from tests.support.journals import FILE, left_by_a_kill, sqlite_of, states
from tests.support.journals import journal as journal
from tests.support.settings import settings

DIGEST = "a" * 64


def accept(journal: Journal, name: str, *, digest: str = DIGEST, **more: Any) -> Request:
    fields = {
        "model": "veo-3.1-generate-001",
        "prompt": {"text": "a boat"},
        "position": 0,
        "caller": "alice",
        "key": None,
        "body": "b" * 64,
        "priority": 0,
        "resource": "models/veo",
        "storage_uri": None,
    }
    request, _ = journal.requests.accept("google", digest, door_name=name, **{**fields, **more})
    return request


def test_equal_requests_are_different_jobs_and_no_run_of_the_prompt_takes_them(journal: Journal) -> None:
    jobs = [accept(journal, name).job for name in ("one", "two")]
    stream = journal.claims.begin_stream()
    assert journal.claims.claim(stream, "google", [DIGEST]) is None
    journal.claims.plan(stream, "google", DIGEST, position=0, model="veo", prompt={"text": "a boat"})
    assert [(record.id, record.name) for record in journal.records()] == [
        (jobs[0], "aaaaaaaa"),
        (jobs[1], "aaaaaaaa.2"),
        (3, "aaaaaaaa.3"),
    ]


def test_a_key_or_an_ordinal_that_somebody_else_has_is_told_apart(journal: Journal) -> None:
    accept(journal, "one", key="k")
    with pytest.raises(KeyTaken) as refused:
        accept(journal, "two", key="k")
    assert refused.value.table == "requests"
    sqlite_of(journal)  # PostgreSQL gives the second the next ordinal
    prompts: dict[str, Any] = {"position": 0, "model": "veo", "prompt": {"text": "a boat"}}
    (mine, my_step), (theirs, their_step) = (journal.claims.new("google", DIGEST, **prompts) for _ in range(2))
    assert mine.ordinal == theirs.ordinal == 2
    journal._write(*their_step, commit=True)
    with pytest.raises(KeyTaken) as refused:
        journal._write(*my_step, commit=True)
    assert refused.value.table == "jobs"
    assert [record.id for record in journal.records()] == [1, theirs.id]
    assert accept(journal, "three", key="l").job > theirs.id


def test_what_a_request_has_made_is_no_clip_of_a_run_with_the_same_prompt(journal: Journal) -> None:
    job = accept(journal, "one").job
    for old, new in ((State.PLANNED, State.SUBMITTING), (State.SUBMITTING, State.RUNNING)):
        journal.move(job, old, new, sent_as="c" * 64)
    stream = journal.claims.begin_stream()
    assert journal.claims.claim(stream, "google", ["c" * 64]) is None


def test_the_preview_of_a_run_counts_the_money_of_requests_and_none_of_their_clips() -> None:
    chosen = settings(backend="vertex", api_key="key", journal="auto")
    prompt = VideoPrompt(text="a boat")
    digest = prompt.digest("veo-3.1-generate-001")
    assert chosen.journal_path is not None
    with Journal(chosen.journal_path) as journal:
        job = accept(journal, "one", digest=digest).job
        journal.move(job, State.PLANNED, State.SUBMITTING, cost_usd=3.2)
        journal.move(job, State.SUBMITTING, State.RUNNING)
    known = know([prompt], chosen, Routes(Lanes(chosen)), service="google")
    assert (known.to_send, known.under_way, known.spent_usd) == ([prompt], 0, 3.2)


@pytest.mark.parametrize("callback", [None, ("https://alice.example/hook", "http://door")])
def test_a_request_that_is_taken_back_has_no_key_no_callback_and_no_name(
    journal: Journal, callback: tuple[str, str] | None
) -> None:
    job = accept(journal, "one", key="k", callback=callback).job
    journal.requests.take_back(job)
    assert (journal.requests.with_key("alice", "k"), journal.requests.named("one")) == (None, None)
    assert journal.callbacks.open_jobs() == []
    assert accept(journal, "two", key="k").job != job


def test_of_open_callbacks_those_are_found_whose_jobs_may_have_ended(journal: Journal) -> None:
    callback = "https://alice.example/hook", "http://door"
    jobs = [accept(journal, str(number), digest=str(number) * 64, callback=callback).job for number in range(3)]
    journal.move(jobs[0], State.PLANNED, State.CANCELLED)
    journal.move(jobs[1], State.PLANNED, State.SUBMITTING)
    assert journal.callbacks.open_jobs() == [jobs[0]]
    journal.move(jobs[1], State.SUBMITTING, State.REJECTED)
    assert journal.callbacks.open_jobs() == jobs[:2]


def test_a_key_names_one_request_of_its_caller(journal: Journal) -> None:
    first = accept(journal, "one", key="order 7")
    accept(journal, "two", key="order 7", caller="bob")
    assert journal.requests.with_key("alice", "order 7") == first
    assert journal.requests.with_key("carol", "order 7") is None
    with pytest.raises(JournalError):
        accept(journal, "three", key="order 7")
    assert len(states(journal)) == 2  # neither the request nor its job


def test_an_accepted_request_outlives_a_kill(journal: Journal) -> None:
    request = accept(journal, "one", key="order 7", storage_uri="gs://bucket/out", priority=3)
    with Journal(left_by_a_kill(journal)) as next_one:
        found = next_one.requests.named("one")
        assert found is not None
        assert found[0] == request == next_one.requests.of_job(request.job)
        assert found[1].state is State.PLANNED
        assert next_one.requests.named("two") is None


def test_the_requests_in_a_state_come_in_the_order_of_acceptance(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aveo3.journal.requests.PAGE", 2)
    for number in range(5):
        accept(journal, str(number), digest=str(number) * 64)
    journal.move(2, State.PLANNED, State.CANCELLED)
    journal.claims.plan(journal.claims.begin_stream(), "google", "f" * 64, position=0, model="veo", prompt={})
    waiting = journal.requests.in_states("google", State.PLANNED)
    assert [(request.door_name, record.id) for request, record in waiting] == [("0", 1), ("2", 3), ("3", 4), ("4", 5)]


@pytest.mark.skipif(not SYNCS_LATER, reason="there SQLite syncs each commit")
async def test_many_accepts_share_a_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(FILE) as journal:
        syncs = 0
        sync = sqlite_of(journal).writer.wal_sync._sync

        def counted() -> None:
            nonlocal syncs
            syncs += 1
            sync()

        monkeypatch.setattr(sqlite_of(journal).writer.wal_sync, "_sync", counted)

        async def durable(number: int) -> None:
            accept(journal, str(number))
            await journal.on_disk()

        await asyncio.gather(*map(durable, range(200)))
        assert syncs <= 2
