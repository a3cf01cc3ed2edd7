"""A follower: it follows what it has claimed, and stops when a claim is lost, or may be.

The journal is one of SQLite that says it is shared; the claims and the engine are played by the test.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aveo3 import _threads
from aveo3.engine.handover import JobClaim
from aveo3.engine.job import Job
from aveo3.errors import JournalError
from aveo3.journal.follows import Beat, Claim
from aveo3.journal.journal import Journal
from aveo3.lifecycle import State
from aveo3.server.farm.following import Following
from tests.support.door import accept, session_of
from tests.support.emulated import emulator, quick
from tests.support.virtual import now_utc


class Claims:
    """The database's claims, of which one follower has all."""

    name = "me"

    def __init__(self) -> None:
        self.free: list[Claim] = []
        self.mine: set[int] = set()
        self.back: list[int] = []
        self.away = False
        self.left = False

    async def beat(self, jobs: Collection[int]) -> Beat:
        self._answer()
        return Beat(frozenset(self.mine & {*jobs}), 2)

    async def claim(self, service: str, most: int) -> list[Claim]:
        self._answer()
        taken, self.free = self.free[:most], self.free[most:]
        self.mine |= {claim.job for claim in taken}
        return taken

    async def give_back(self, jobs: Sequence[int]) -> None:
        self._answer()
        self.back += jobs

    async def leave(self) -> None:
        self.left = True

    async def close(self) -> None:
        pass

    def _answer(self) -> None:
        if self.away:
            raise JournalError("the database is away")


class Engine:
    """Follows until the test says how it ends."""

    def __init__(self) -> None:
        self.began: Counter[int] = Counter()
        self.cancelled: list[int] = []
        self.claims: dict[int, JobClaim] = {}
        self.ends: dict[int, asyncio.Future[bool]] = {}

    async def follow(self, job: Job, lane: Any, backend: Any, claim: JobClaim, *, resumed: bool) -> bool:
        number = job.record.id
        self.began[number] += 1
        self.claims[number] = claim
        self.ends[number] = asyncio.get_running_loop().create_future()
        try:
            return await self.ends[number]
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise


@asynccontextmanager
async def follower(monkeypatch: pytest.MonkeyPatch, running: int, **options: Any) -> AsyncIterator[Any]:
    """A follower whose leader has sent so many jobs; their numbers begin with 1."""

    async def at_once(function: Any, *args: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args)

    monkeypatch.setattr(Journal, "shared", property(lambda _: True))
    monkeypatch.setattr(_threads.reading, "run", at_once)
    async with emulator() as server:
        session = session_of(quick(server, journal="auto", poll_rate=60), now_utc)
        await session.open()
        assert session.journal is not None
        assert session.engine is not None
        claims, engine = Claims(), Engine()
        monkeypatch.setattr(session.engine, "follow", engine.follow)
        for number in range(running):
            job = accept(session, None, f"boat {number}").job
            place = session.lane_pool.lanes.of(session.settings.model)[0].place
            session.journal.move(job, State.PLANNED, State.SUBMITTING, attempts=1, place=place, submitted_utc=now_utc())
            session.journal.move(job, State.SUBMITTING, State.RUNNING, operation=f"operations/{job}")
            claims.free.append(Claim(job, 1, again=False))
        following = Following(session, claims, **options)  # type: ignore[arg-type]
        following.start()
        try:
            yield following, claims, engine
        finally:
            await following.close()
            await session.close()


async def test_it_follows_no_more_at_once_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    async with follower(monkeypatch, 5, most=3) as (following, claims, engine):
        await asyncio.sleep(5)
        assert (following.jobs, len(claims.free)) == ([1, 2, 3], 2)
        engine.ends[2].set_result(True)
        await asyncio.sleep(5)
        assert (following.jobs, claims.back) == ([1, 3, 4], [])
    assert claims.left


async def test_what_has_no_video_is_given_back_to_its_leader_and_so_is_what_has_moved_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with follower(monkeypatch, 3) as (following, claims, engine):
        claims.free[2] = Claim(3, 2, again=False)  # a later attempt, of which the journal does not know
        await asyncio.sleep(5)
        engine.ends[1].set_result(False)
        engine.ends[2].set_exception(RuntimeError("a bug"))
        await asyncio.sleep(1)
        assert (following.jobs, sorted(claims.back)) == ([], [1, 2, 3])
        assert 3 not in engine.began


async def test_a_claim_that_another_has_ends_at_the_next_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    async with follower(monkeypatch, 2) as (following, claims, engine):
        await asyncio.sleep(60)
        assert engine.cancelled == []
        claims.mine.discard(1)
        await asyncio.sleep(3)
        assert (following.jobs, engine.cancelled, claims.back) == ([2], [1], [])


async def test_who_cannot_reach_the_database_stops_when_its_claims_run_out_and_may_claim_them_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with follower(monkeypatch, 1) as (following, claims, engine):
        await asyncio.sleep(5)
        claims.away = True
        await asyncio.sleep(7)
        engine.claims[1].check()
        assert following.jobs == [1]
        await asyncio.sleep(5)
        assert (following.jobs, engine.cancelled) == ([], [1])
        claims.away = False
        claims.free.append(Claim(1, 1, again=True))
        await asyncio.sleep(3)
        assert (following.jobs, engine.began) == ([1], {1: 2})


async def test_the_rate_of_polls_is_divided_among_the_followers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with follower(monkeypatch, 0) as (following, _, _):
        await asyncio.sleep(1)
        assert following._engine.pollers.schedule._pace == 0.5
