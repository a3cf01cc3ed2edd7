"""Handing over: what a leader offers to followers, how it waits for their ends, and when it follows a job itself.

The journal is one of SQLite that says it is shared; the followers are played by the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aveo3 import _threads
from aveo3.errors import JournalError
from aveo3.journal.follows import Waiting
from aveo3.journal.journal import Journal
from aveo3.journal.lane_locks import OwnLocks
from aveo3.journal.writer import Statement
from aveo3.lifecycle import State
from aveo3.mock import MockServer
from aveo3.server.door.shared_dispatcher import SharedDispatcher
from aveo3.server.farm.leading import Leading
from aveo3.session import Session
from tests.support.door import accept, session_of
from tests.support.emulated import emulator, quick
from tests.support.virtual import now_utc


class Followers:
    """The claims of followers that a test plays."""

    name = "leader"

    def __init__(self) -> None:
        self.living = 1
        self.offers: list[int] = []
        self.standing: set[int] = set()
        self.away = False

    def offered(self, job: int) -> None:
        self.offers.append(job)
        self.standing.add(job)

    async def followers(self) -> int:
        if self.away:
            raise JournalError("the database is away")
        return self.living

    async def look(self, jobs: Sequence[int]) -> Waiting:
        if self.away:
            raise JournalError("the database is away")
        wanted = frozenset(jobs)
        return Waiting(frozenset(), wanted & self.standing)

    async def close(self) -> None:
        self.living = 0


@pytest.fixture
def followers(monkeypatch: pytest.MonkeyPatch) -> Followers:
    """Journals say that others write, too; they are read at once, for SQLite knows one thread only."""
    followers = Followers()

    async def at_once(function: Any, *args: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args)

    def offer(journal: Journal, offer: Statement) -> None:
        followers.offered(offer[1][0])

    monkeypatch.setattr(Journal, "shared", property(lambda _: True))
    monkeypatch.setattr(Journal, "lease", property(lambda _: 15.0))
    monkeypatch.setattr(Journal, "follows", lambda _: followers)
    monkeypatch.setattr(Journal, "offer", offer)
    monkeypatch.setattr(_threads.reading, "run", at_once)
    return followers


class Leader:
    """A process that leads, and hears of what the test writes into its journal."""

    def __init__(self, session: Session, dispatcher: SharedDispatcher, leading: Leading) -> None:
        assert session.journal is not None
        self.journal = session.journal
        self.session = session
        self.dispatcher = dispatcher
        self.leading = leading

    async def send(self, *texts: str) -> list[int]:
        jobs = [accept(self.session, self.dispatcher, text).job for text in texts]
        await self.until(State.RUNNING, *jobs)
        return jobs

    async def until(self, state: State, *jobs: int) -> None:
        async with asyncio.timeout(1000):
            while {self.state(job) for job in jobs} != {state}:  # noqa: ASYNC110 - the journal rings no bell
                await asyncio.sleep(0.1)

    def state(self, job: int) -> State:
        [record] = self.journal.select("SELECT * FROM jobs WHERE id = ?", job)
        return record.state

    @property
    def running(self) -> int:
        [opened] = self.session.lane_pool.open_lanes.values()
        return opened.gate.stats().running


@asynccontextmanager
async def leader(server: MockServer, **values: Any) -> AsyncIterator[Leader]:
    session = session_of(quick(server, **{"journal": "auto", "poll_interval": 2.0, **values}), now_utc)
    await session.open()
    dispatcher = SharedDispatcher(session)
    leading = Leading(session, dispatcher, OwnLocks())
    leading.start()
    try:
        await asyncio.sleep(2)
        yield Leader(session, dispatcher, leading)
    finally:
        await leading.close()
        await session.close()


async def test_without_followers_nothing_is_offered(followers: Followers) -> None:
    followers.living = 0
    async with emulator(latency="10") as server, leader(server) as it:
        jobs = await it.send("a boat", "a train")
        await it.until(State.SUCCEEDED, *jobs)
        assert followers.offers == []


async def test_what_a_follower_has_claimed_keeps_its_slot_until_its_operation_has_ended_and_is_not_polled(
    followers: Followers,
) -> None:
    async with emulator(latency="10") as server, leader(server, max_concurrency=1) as it:
        [job] = await it.send("a boat")
        waiting = accept(it.session, it.dispatcher, "a train").job
        await asyncio.sleep(100)
        assert (followers.offers, server.books.polls, it.running) == ([job], 0, 1)
        assert it.state(waiting) is State.PLANNED
        it.journal.move(job, State.RUNNING, State.FETCHING, attempt=1, uris=("gs://there/a.mp4",))
        await asyncio.sleep(3)
        assert it.state(waiting) is State.RUNNING, "the slot is free while the video is saved"
        files = ({"path": "a.mp4", "size": 3, "sha256": "00"},)
        it.journal.move(job, State.FETCHING, State.SUCCEEDED, attempt=1, files=files, cost_usd=0.4)
        await asyncio.sleep(3)
        assert not it.dispatcher.is_busy(job)
        assert server.books.polls == 0
        assert it.session.stats().spent_usd == 0.4


@pytest.mark.parametrize("lost", ["nobody claims it", "its follower is gone in the middle of the download"])
async def test_a_job_that_nobody_follows_any_more_is_followed_by_the_leader(followers: Followers, lost: str) -> None:
    async with emulator(latency="10") as server, leader(server) as it:
        [job] = await it.send("a boat")
        await asyncio.sleep(60)
        if lost != "nobody claims it":
            it.journal.move(job, State.RUNNING, State.FETCHING, attempt=1)
        followers.standing.clear()
        await it.until(State.SUCCEEDED, job)
        assert 1 <= server.books.polls <= 2
        assert it.running == 0
        assert server.books.accepted == 1


async def test_a_leader_that_leaves_writes_nothing_about_what_others_follow_and_its_successor_waits_likewise(
    followers: Followers,
) -> None:
    async with emulator(latency="10") as server, leader(server) as it:
        [job] = await it.send("a boat")
        before = it.journal.history(job)
        await it.dispatcher.leave()
        await asyncio.sleep(0.5)
        assert it.running == 0
        await asyncio.sleep(60)  # it leads again after a second, as another process would
        assert it.journal.history(job) == before
        assert (followers.offers, server.books.polls, it.running) == ([job], 0, 1)
        followers.standing.clear()
        await it.until(State.SUCCEEDED, job)


async def test_while_the_database_is_away_the_leader_waits_for_what_others_follow(followers: Followers) -> None:
    async with emulator(latency="10") as server, leader(server) as it:
        [job] = await it.send("a boat")
        followers.standing.clear()
        followers.away = True
        await asyncio.sleep(60)
        assert it.state(job) is State.RUNNING
        followers.away = False
        await it.until(State.SUCCEEDED, job)
        assert server.books.accepted == 1
