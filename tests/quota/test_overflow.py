"""A submit beyond a full window goes alone, when a bucket would accept it, and never where it could cost time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from math import inf

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from aveo3.quota.breaker import BreakerState
from aveo3.quota.gate import QuotaGate
from aveo3.quota.overflow import Overflow, Refill
from aveo3.quota.permit import Permit
from aveo3.verdicts import Refusal, Verdict
from tests.support.quota_servers import (
    ACCEPTED,
    SERVERS,
    Bucket,
    FixedWindows,
    Server,
    SlidingWindow,
    new_gate,
    refused,
    warm,
)
from tests.support.virtual import now, virtual

# ---- the level of a bucket -------------------------------------------------------------------------------------------


@given(
    limit=st.integers(1, 8),
    journeys=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4), st.integers(0, 80)), min_size=1, max_size=60),
)
@effort(max_examples=200, deadline=None, derandomize=True)
def test_whatever_the_way_takes_no_bucket_is_ever_too_full(limit: int, journeys: list[tuple[int, int, int]]) -> None:
    """Each journey: tenths of a second there and back, the quarter of that at which it arrives, and idleness before."""
    server, refill = Bucket(limit, 60.0), Refill(60.0)
    clock, out = 0.0, list[tuple[float, float]]()  # (arrives at, is answered at)
    arrivals = []
    for trip, quarter, idle in journeys:
        clock += idle / 10
        while True:
            for journey in sorted(j for j in out if j[1] <= clock):
                out.remove(journey)
                refill.answered(journey[1], limit)
            ready_at = refill.ready_at(clock, limit, len(out))
            if ready_at <= clock:
                break
            clock = min([ready_at, *(back for _, back in out)])
        arrivals.append(clock + trip / 10 * quarter / 4)
        out.append((arrivals[-1], clock + trip / 10))
    assert all(server.takes(at) for at in sorted(arrivals))


def test_a_bucket_that_leaks_evenly_takes_one_each_time_that_one_has_leaked() -> None:
    refill = Refill(60.0, margin=0.0)
    for _ in range(10):
        refill.answered(0.0, 10)
    assert refill.ready_at(0.0, 10, 0) == 6.0
    assert refill.ready_at(30.0, 10, 0) == 30.0
    assert refill.ready_at(0.0, 10, 1) == 12.0
    assert refill.ready_at(0.0, 10, 10) == inf


def test_what_was_refused_builds_up_no_debt() -> None:
    refill = Refill(60.0, margin=0.0)
    for _ in range(50):
        refill.answered(0.0, 10)
    assert refill.ready_at(0.0, 10, 0) == 6.0


def test_once_one_was_refused_no_other_goes() -> None:
    overflow = Overflow(60.0)
    assert overflow.ready_at(0.0, 10, 0) == 0.0
    overflow.refused = True
    assert overflow.ready_at(1e9, 10, 0) == inf


# ---- behind the gate -------------------------------------------------------------------------------------------------


async def drive(
    gate: QuotaGate,
    server: Server,
    clips: int,
    refusal: Callable[[float], Verdict] = lambda _: refused(Refusal.MINUTE),
    trip: float = 0.1,
) -> tuple[int, float]:
    """Submit `clips`, telling the gate how many are to come: the refusals, and when the last was accepted."""
    refusals, last_at, to_come = 0, 0.0, clips
    tasks = set[asyncio.Task[None]]()

    async def one(permit: Permit) -> None:
        nonlocal refusals, last_at, to_come
        await asyncio.sleep(trip)
        taken = server.takes(now())
        last_at = now() if taken else last_at
        refusals += not taken
        to_come += not taken
        answer = ACCEPTED if taken else refusal(now())
        await asyncio.sleep(trip)
        gate.settle(permit, answer)
        gate.finish(permit)

    def how_many() -> int:
        return to_come

    while to_come or tasks:
        if not to_come:
            await asyncio.wait(tasks)
        else:
            permit = await gate.acquire(waiting=how_many)
            to_come -= 1
            task = asyncio.create_task(one(permit))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    return refusals, last_at


@pytest.mark.parametrize(("limit", "clips"), [(2, 5), (10, 12), (10, 25), (50, 60)])
def test_a_bucket_is_used_as_fast_as_it_refills_without_a_refusal(limit: int, clips: int) -> None:
    async def main() -> None:
        refusals, last_at = await drive(new_gate(rate_limit=limit), Bucket(limit, 60.0), clips)
        assert refusals == 0
        assert last_at <= 1.02 * (clips - limit) * 60 / limit + 4

    virtual(main)


@pytest.mark.parametrize(("limit", "clips"), [(2, 5), (10, 12), (10, 25), (50, 120)])
def test_a_sliding_window_costs_one_refusal_and_no_time_even_if_it_counts_what_it_refused(
    limit: int, clips: int
) -> None:
    times = []

    async def main() -> None:
        refusals, last_at = await drive(new_gate(rate_limit=limit), SlidingWindow(limit, 60.0), clips)
        assert refusals <= 1
        times.append(last_at)

    async def without() -> None:
        gate = new_gate(rate_limit=limit)
        gate._limits.overflow.refused = True
        refusals, last_at = await drive(gate, SlidingWindow(limit, 60.0), clips)
        assert refusals == 0
        times.append(last_at)

    virtual(main)
    virtual(without)
    assert times[0] <= times[1] + 3.0  # what EARLY calls little


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("seed", range(6))
def test_no_batch_draws_more_than_one_refusal_or_is_later_for_it(kind: str, seed: int) -> None:
    rng = random.Random(seed)
    limit = rng.randint(2, 20)
    clips, phase = rng.randint(limit, 5 * limit), rng.uniform(0, 60)

    async def main() -> None:
        refusals, last_at = await drive(new_gate(rate_limit=limit), SERVERS[kind](limit, 60.0, phase), clips)
        assert refusals <= 1
        assert last_at <= 60.6 * ((clips - 1) // limit) + 8

    virtual(main)


def test_a_batch_that_fills_its_last_period_does_not_try() -> None:
    """A place lost to a refusal would cost it a period."""

    async def main() -> None:
        refusals, _ = await drive(new_gate(), SlidingWindow(10, 60.0), 30)
        assert refusals == 0

    virtual(main)


def test_who_does_not_say_how_many_are_to_come_is_never_refused() -> None:
    async def main() -> None:
        gate = new_gate()
        await warm(gate, 10)
        before = now()
        permit = await gate.acquire(waiting=lambda: None)
        assert now() - before == pytest.approx(60.6)
        assert not permit.over

    virtual(main)


def test_with_others_in_line_nobody_knows_how_many_are_to_come() -> None:
    async def main() -> None:
        gate = new_gate()
        await warm(gate, 10)
        permits = await asyncio.gather(*(gate.acquire(waiting=lambda: 1) for _ in range(2)))
        assert not permits[0].over

    virtual(main)


@pytest.mark.parametrize("refusal", [Refusal.MINUTE, Refusal.UNKNOWN])
def test_the_refusal_of_one_too_many_teaches_no_limit_and_makes_nobody_ill(refusal: Refusal) -> None:
    async def main() -> None:
        gate = new_gate(consecutive_failure_threshold=1, quota_wait_time=1000)
        await warm(gate, 10)
        permit = await gate.acquire(waiting=lambda: 1)
        assert permit.over
        assert now() == pytest.approx(6.06)
        gate.settle(permit, refused(refusal))
        stats = gate.stats()
        assert (stats.breaker, stats.opens_in, stats.quota_limit, stats.refused) == (BreakerState.CLOSED, 0.0, 10, 1)
        again = await gate.acquire(waiting=lambda: 1)
        assert not again.over
        assert now() == pytest.approx(60.6)

    virtual(main)


# ---- the end of a fixed window ---------------------------------------------------------------------------------------


def fixed_refusal(server: FixedWindows) -> Callable[[float], Verdict]:
    def refusal(at: float) -> Verdict:
        return refused(Refusal.MINUTE, server.period - (at + server.phase) % server.period, server.limit)

    return refusal


@pytest.mark.parametrize("edge_in", [12.0, 30.0, 50.0])
def test_a_delay_that_names_the_end_of_a_fixed_window_is_when_it_begins_anew(edge_in: float) -> None:
    async def main() -> None:
        server = FixedWindows(10, 60.0, 60.0 - edge_in)
        refusals, last_at = await drive(new_gate(), server, 25, fixed_refusal(server))
        assert refusals == 1
        assert last_at <= edge_in + 60 + 3  # ten, ten at the edge, and the rest at the next

    virtual(main)


def test_a_delay_is_an_edge_also_where_the_first_of_ours_is_about_to_leave_the_window() -> None:
    """Its going would not explain so long a delay."""

    async def main() -> None:
        server = FixedWindows(50, 60.0, 60.0 - 25.0)
        refusals, last_at = await drive(new_gate(rate_limit=50), server, 125, fixed_refusal(server))
        assert refusals == 1
        assert last_at <= 25 + 60 + 5

    virtual(main)


def test_where_no_delay_names_it_the_end_of_a_fixed_window_is_tried_for_once() -> None:
    """Who waits as for a sliding window is 30 s late on average, wherever the minutes end."""
    late = []

    async def main(edge_in: float) -> None:
        refusals, last_at = await drive(new_gate(), FixedWindows(10, 60.0, 60.0 - edge_in), 25)
        assert refusals <= 1
        late.append(last_at - edge_in - 60)

    for edge_in in range(3, 60, 6):
        virtual(partial(main, edge_in))
    assert sum(late) / len(late) <= 20


def test_a_delay_that_was_named_in_vain_is_believed_once() -> None:
    """A sliding window whose room another program used up looks the same; a scout finds out."""

    async def main() -> None:
        gate = new_gate(consecutive_failure_threshold=50)
        await warm(gate, 10)
        verdict = refused(Refusal.MINUTE, 20.0, 10)
        permit = await gate.acquire(waiting=lambda: 1)
        gate.settle(permit, verdict)
        scout = await gate.acquire()
        assert now() == pytest.approx(26.06)
        gate.settle(scout, verdict)
        again = await gate.acquire()
        assert now() == pytest.approx(60.6)  # and now the window counts again what it has seen
        gate.settle(again, ACCEPTED)

    virtual(main)


def test_a_delay_proves_no_edge_where_somebody_else_uses_the_quota() -> None:
    async def main() -> None:
        gate = new_gate()
        await warm(gate, 4)
        permit = await gate.acquire()
        gate.settle(permit, refused(Refusal.MINUTE, 20.0, 10))
        await asyncio.sleep(25)
        assert gate.stats().quota_used == 5

    virtual(main)
