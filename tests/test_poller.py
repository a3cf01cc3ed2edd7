"""Sleeping until the next look: a scout finds out, its lesson wakes the others."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import pairwise
from math import inf

import pytest

from aveo3.poller import LESSONS, Poller
from aveo3.polling import Latency
from aveo3.testing import run_virtual


def now() -> float:
    return asyncio.get_running_loop().time()


class Even(random.Random):
    """No jitter."""

    def uniform(self, a: float, b: float) -> float:
        return a


def polling(
    main: Callable[[Poller], Awaitable[list[float]]],
    *,
    median: float = 70,
    interval: float | None = None,
    rng: random.Random | None = None,
) -> list[float]:
    async def run() -> list[float]:
        return await main(Poller(median, interval=interval, rng=rng or Even()))

    return run_virtual(run())


async def looks(poller: Poller, operation: str, took: float, until: float = inf) -> list[float]:
    """Follow an operation submitted now until it has ended: the instants of the looks."""
    sent_at = looked_at = before = now()
    instants = []
    while looked_at < min(sent_at + took, until):
        await poller.wait(operation, sent_at, looked_at, until)
        before, looked_at = looked_at, now()
        instants.append(looked_at)
    poller.ended(operation, (before + looked_at) / 2 - sent_at if looked_at >= sent_at + took else None)
    return instants


def test_a_fixed_interval_is_kept() -> None:
    assert polling(lambda poller: looks(poller, "a", 35), interval=10) == [10, 20, 30, 40]


def test_the_first_operation_is_a_scout_that_looks_early_and_then_ever_later() -> None:
    """Were the prior far too slow, everybody would otherwise sleep through the first ends."""
    seen = polling(lambda poller: looks(poller, "a", 6), median=3_000)
    assert seen == pytest.approx([0.5, 1, 1.5, 2.25, 3.375, 5.0625, 7.59375])


def test_the_scout_never_looks_later_than_the_belief_would_have_it() -> None:
    seen = polling(lambda poller: looks(poller, "a", 400))
    gaps = [later - sooner for sooner, later in pairwise(seen)]
    assert all(gap <= Latency(70).next_look(at) + 1e-9 for gap, at in zip(gaps, seen[:-1], strict=True))


def test_the_others_sleep_by_the_prior_while_the_scout_is_out() -> None:
    async def main(poller: Poller) -> list[float]:
        scout = asyncio.create_task(looks(poller, "scout", 10_000))
        await asyncio.sleep(0)
        await poller.wait("other", 0, 0, inf)
        scout.cancel()
        return [now()]

    assert polling(main, median=3_000) == pytest.approx([Latency(3_000).next_look(0)])


def test_the_scouts_lesson_wakes_the_others_to_think_again() -> None:
    async def main(poller: Poller) -> list[float]:
        all_looks = await asyncio.gather(*(looks(poller, str(n), 20) for n in range(20)))
        return [seen[-1] for seen in all_looks]

    by_the_prior = Latency(3_000).next_look(0)
    found = polling(main, median=3_000)
    assert by_the_prior > 300
    assert found[0] < 30
    assert max(found) < 60


def test_a_lesson_that_lets_a_look_be_overdue_brings_it_at_once() -> None:
    async def main(poller: Poller) -> list[float]:
        waiting = asyncio.create_task(poller.wait("b", 0, 0, inf))
        poller._scout = "a"
        await asyncio.sleep(50)
        for _ in range(5):
            poller.ended("a", 10)
        await waiting
        return [now()]

    assert polling(main, median=3_000) == [50]


def test_after_enough_lessons_nobody_is_woken_any_more() -> None:
    async def main(poller: Poller) -> list[float]:
        for _ in range(LESSONS):
            poller.ended("a", 100)
        waiting = asyncio.create_task(poller.wait("b", 0, 0, inf))
        await asyncio.sleep(1)
        [sleeper] = poller._sleepers
        poller.ended("a", 1)
        assert not sleeper.done()
        await waiting
        return [now()]

    latency = Latency(3_000)
    for _ in range(LESSONS):
        latency.learn(100)
    assert polling(main, median=3_000) == pytest.approx([latency.next_look(0)])


def test_when_the_scout_ends_without_a_lesson_the_next_one_scouts() -> None:
    async def main(poller: Poller) -> list[float]:
        await poller.wait("a", 0, 0, inf)
        poller.ended("a", None)
        return await looks(poller, "b", 5)

    assert polling(main, median=3_000) == pytest.approx([1, 1.5, 2, 2.75, 3.875, 5.5625])


def test_no_look_is_due_before_the_one_that_pays() -> None:
    """Regression: jitter that shortens a wait cost every operation one look too many, just before its first."""
    latency = Latency(70)
    latency.learn(70)

    async def main(poller: Poller) -> list[float]:
        poller.ended("a", 70)
        return await looks(poller, "b", 69)

    for seed in range(20):
        assert polling(main, rng=random.Random(seed))[0] >= latency.next_look(0)


def test_jitter_keeps_equal_operations_from_looking_in_lockstep() -> None:
    async def main(poller: Poller) -> list[float]:
        return [seen[0] for seen in await asyncio.gather(*(looks(poller, str(n), 5) for n in range(20)))]

    first = polling(main, interval=10, rng=random.Random(1))
    assert len(set(first)) == 20
    assert 10 <= min(first) < max(first) <= 11


def test_nobody_sleeps_beyond_the_deadline() -> None:
    assert polling(lambda poller: looks(poller, "a", 10_000, until=25), interval=10) == [10, 20, 25]


def test_a_deadline_that_has_passed_returns_at_once() -> None:
    async def main(poller: Poller) -> list[float]:
        await asyncio.sleep(5)
        await poller.wait("a", 0, 5, until=5)
        return [now()]

    assert polling(main) == [5]


def test_a_look_that_is_overdue_comes_at_once() -> None:
    async def main(poller: Poller) -> list[float]:
        await asyncio.sleep(100)
        await poller.wait("a", 0, 0, inf)
        return [now()]

    assert polling(main, interval=10) == [100]


def test_a_cancelled_sleeper_leaves_no_trace() -> None:
    async def main(poller: Poller) -> list[float]:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.4):
                await poller.wait("a", 0, 0, inf)
        assert poller._sleepers == set()
        timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        assert [timer for timer in timers if not timer.cancelled()] == []
        poller.ended("b", 3)
        return []

    polling(main)
