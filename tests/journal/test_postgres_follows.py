"""Claims of followers: no job has two, a lease lasts by the server's clock, and who has lost one writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import pytest

from aveo3.errors import JournalError
from aveo3.journal.follows import HOLDS, ended, held, offer
from aveo3.journal.journal import Journal
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres_follows import PostgresFollows
from aveo3.journal.postgres_session import connect
from aveo3.lifecycle import State
from tests.support.postgres import planned

pytestmark = pytest.mark.real_time


@pytest.fixture
def journal(postgres_place: SharedJournal) -> Iterator[Journal]:
    with Journal(postgres_place) as journal:
        yield journal


@pytest.fixture
async def two(postgres_place: SharedJournal) -> AsyncIterator[tuple[PostgresFollows, PostgresFollows]]:
    one, other = PostgresFollows(postgres_place), PostgresFollows(postgres_place)
    yield one, other
    await one.close()
    await other.close()


Two = tuple[PostgresFollows, PostgresFollows]


async def offered(journal: Journal, *jobs: int, state: State = State.RUNNING) -> None:
    """Jobs in `state`, at their first attempt, that their leader offers."""
    for job in jobs:
        journal._write(*planned(job))
        journal._write(("UPDATE jobs SET state = ?, attempts = 1 WHERE id = ?", (state, job)))
        journal.offer(offer(job, "google", 1))
    await journal.on_disk()


def later(place: SharedJournal, seconds: float) -> None:
    """Let that time pass for all claims and offers, as the server counts it."""
    with closing(connect(place)) as session:
        session.execute(
            "UPDATE follows SET until = until - make_interval(secs => $1), "
            "offered = offered - make_interval(secs => $1)",
            (seconds,),
        )


async def test_two_followers_that_claim_at_once_share_the_jobs_and_never_have_the_same(
    journal: Journal, two: Two
) -> None:
    await offered(journal, *range(1, 101))
    for each in two:
        assert await each.beat([]) is not None
    found: dict[str, list[int]] = {each.name: [] for each in two}

    async def work(each: PostgresFollows) -> None:
        while claims := await each.claim("google", 10):
            found[each.name] += [claim.job for claim in claims]

    await asyncio.gather(*map(work, two))
    assert sorted(job for jobs in found.values() for job in jobs) == [*range(1, 101)]
    assert min(map(len, found.values())) >= 25, "each gets its share"
    assert await two[0].claim("local", 10) == []


async def test_a_row_that_another_claims_at_this_moment_is_passed_over(
    journal: Journal, two: Two, postgres_place: SharedJournal
) -> None:
    await offered(journal, 1, 2)
    with closing(connect(postgres_place)) as session, session.transaction():
        session.execute("SELECT 1 FROM follows WHERE job = 1 FOR UPDATE")
        async with asyncio.timeout(3):
            assert [claim.job for claim in await two[0].claim("google", 10)] == [2]


async def test_a_claim_lasts_by_the_servers_clock_and_a_beat_renews_it(
    journal: Journal, two: Two, postgres_place: SharedJournal
) -> None:
    one, other = two
    await offered(journal, 1)
    assert [claim.again for claim in await one.claim("google", 5)] == [False]
    later(postgres_place, 9)
    assert await other.claim("google", 5) == []
    assert (await one.beat([1])).held == {1}
    later(postgres_place, 9)
    assert await other.claim("google", 5) == []
    later(postgres_place, 2)
    assert [(claim.job, claim.again) for claim in await other.claim("google", 5)] == [(1, True)]
    assert (await one.beat([1])).held == set()
    assert (await other.beat([1])).followers == 2


async def test_who_has_lost_its_claim_writes_no_move(journal: Journal, two: Two, postgres_place: SharedJournal) -> None:
    one, other = two
    await offered(journal, 1)
    await one.claim("google", 1)
    later(postgres_place, 11)
    await other.claim("google", 1)

    def fenced_by(follows: PostgresFollows) -> Any:
        return lambda new: (held if new is State.FETCHING else ended)(1, follows.name)

    journal.fences[1] = fenced_by(one)
    journal.move(1, State.RUNNING, State.FETCHING, attempt=1)
    with pytest.raises(JournalError, match="not where this process left it"):
        await journal.on_disk()
    assert journal.read(HOLDS, 1, one.name) == []
    journal.fences[1] = fenced_by(other)
    journal.move(1, State.RUNNING, State.FETCHING, attempt=1)
    await journal.on_disk()
    assert len(journal.read(HOLDS, 1, other.name)) == 1
    journal.move(1, State.FETCHING, State.SUCCEEDED, attempt=1)
    await journal.on_disk()
    assert journal.read("SELECT * FROM follows") == []


async def test_a_leader_takes_back_what_nobody_claims_or_was_given_back_and_leaves_the_rest(
    journal: Journal, two: Two, postgres_place: SharedJournal
) -> None:
    one, leader = two
    await offered(journal, 1, 2, 3)
    jobs = [1, 2, 3, 4]
    assert (await leader.look(jobs)).offered == {1, 2, 3}
    assert len(await one.claim("google", 2)) == 2
    later(postgres_place, 4)
    looked = await leader.look(jobs)
    assert looked.taken_back == {3}
    assert looked.offered == {1, 2}
    await one.give_back([1])
    assert await one.claim("google", 5) == [], "a job that was given back is the leader's"
    assert (await leader.look(jobs)).taken_back == {1}
    later(postgres_place, 8)
    assert (await leader.look(jobs)).offered == {2}, "its claim has ended, and another follower may come"
    later(postgres_place, 2)
    assert (await leader.look(jobs)).taken_back == {2}


async def test_a_follower_that_leaves_lives_no_more_and_its_jobs_are_free_at_once(journal: Journal, two: Two) -> None:
    one, other = two
    await offered(journal, 1)
    await one.beat([])
    await one.claim("google", 1)
    await one.leave()
    assert await other.followers() == 0
    assert [claim.job for claim in await other.claim("google", 1)] == [1]
