"""Waiting for the next poll: one end teaches all pollers, and a refused poll slows all polls of its lane."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise
from math import inf
from statistics import fmean

import pytest

from aveo3.polling.interval import next_poll
from aveo3.polling.latency import LatencyModel
from aveo3.polling.poller import REFUSED_WAIT, Poller, Pollers
from aveo3.polling.schedule import PollSchedule
from aveo3.testing import run_virtual

KIND = "veo", "720p", 8


def now() -> float:
    return asyncio.get_running_loop().time()


class Even(random.Random):
    """No jitter, and everybody in the middle of a spread."""

    def uniform(self, a: float, b: float) -> float:
        return a

    def random(self) -> float:
        return 0.5


def pollers(*, interval: float | None = None, rate: float | None = None, rng: random.Random | None = None) -> Pollers:
    return Pollers(interval=interval, rate=rate, rng=rng or Even())


def polling(
    main: Callable[[Poller], Awaitable[list[float]]],
    *,
    median: float = 70,
    interval: float | None = None,
    rng: random.Random | None = None,
) -> list[float]:
    async def run() -> list[float]:
        return await main(pollers(interval=interval, rng=rng).of("lane", KIND, median))

    return run_virtual(run())


async def polls(poller: Poller, operation: str, took: float, until: float = inf) -> list[float]:
    """Follow an operation submitted now until it has ended: the instants of the looks."""
    sent_at = polled_at = before = now()
    instants = []
    while polled_at < min(sent_at + took, until):
        await poller.wait(operation, sent_at, polled_at, until)
        before, polled_at = polled_at, now()
        instants.append(polled_at)
    poller.ended(operation, (before - sent_at, polled_at - sent_at) if polled_at >= sent_at + took else None)
    return instants


def knowing(*took: float, median: float = 70) -> LatencyModel:
    latency = LatencyModel(median)
    for seconds in took:
        latency.learn(seconds, seconds)
    latency.reckon()
    return latency


def test_a_fixed_interval_is_kept() -> None:
    assert polling(lambda poller: polls(poller, "a", 35), interval=10) == pytest.approx([10, 20, 30, 40])


def test_who_looks_at_fixed_intervals_is_not_woken_by_what_others_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    thought: list[object] = []
    monkeypatch.setattr(PollSchedule, "rethink", lambda timetable, group=None: thought.append(group))

    async def main(poller: Poller) -> list[float]:
        ends = [polls(poller, str(number), took) for number, took in enumerate([5, 5, 65, 65])]
        return [found[-1] for found in await asyncio.gather(*ends)]

    assert polling(main, interval=10) == pytest.approx([10, 10, 70, 70])
    assert not thought
    polling(main)
    assert thought  # what is learnt does wake the others


def test_the_first_operation_is_a_scout_that_looks_early_and_then_ever_later() -> None:
    """Were the prior far too slow, everybody would otherwise sleep through the first ends."""
    seen = polling(lambda poller: polls(poller, "a", 6), median=3_000)
    assert seen == pytest.approx([0.5, 1, 2, 4, 8])


def test_the_others_sleep_by_the_prior_while_the_scout_is_out() -> None:
    async def main(poller: Poller) -> list[float]:
        scout = asyncio.create_task(polls(poller, "scout", 10_000))
        await asyncio.sleep(0)
        await poller.wait("other", 0, 0, inf)
        scout.cancel()
        return [now()]

    [at] = polling(main, median=300)
    # What has outlived a minute is slower still than was thought.
    assert next_poll(LatencyModel(300), 0) <= at < 2 * next_poll(LatencyModel(300), 0)


@pytest.mark.parametrize("count", [2, 20, 500])
def test_the_scouts_lesson_wakes_the_others_to_think_again(count: int) -> None:
    async def main(poller: Poller) -> list[float]:
        all_looks = await asyncio.gather(*(polls(poller, str(n), 20) for n in range(count)))
        return [seen[-1] for seen in all_looks]

    found = polling(main, median=3_000)
    assert next_poll(LatencyModel(3_000), 0) > 300
    assert found[0] < 40
    assert max(found) < 60


def test_a_lesson_that_lets_a_look_be_overdue_brings_it_at_once() -> None:
    async def main(poller: Poller) -> list[float]:
        scout = asyncio.create_task(poller.wait("scout", 0, 0, inf))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(poller.wait("b", 0, 0, inf))
        await asyncio.sleep(50)
        await scout
        for n in range(5):
            poller.ended(f"{n}", (10, 10))
        await waiting
        return [now()]

    assert polling(main, median=3_000) == pytest.approx([50])


def test_a_lesson_that_changes_little_wakes_nobody() -> None:
    """Regression: a few early ends of a thousand submitted at once had all the rest looked at in one second."""

    async def main() -> None:
        rng = random.Random(1)
        all_of_them = pollers(rng=rng)
        all_of_them.restore({KIND: knowing(*(rng.lognormvariate(4.1, 0.5) for _ in range(200))).remember()})
        poller = all_of_them.of("lane", KIND, 70)
        took = [rng.lognormvariate(4.1, 0.5) for _ in range(1_000)]
        each = await asyncio.gather(*(polls(poller, str(n), seconds) for n, seconds in enumerate(took)))
        by_second = Counter(int(at) for seen in each for at in seen)
        assert max(by_second.values()) < 500
        assert fmean(len(seen) for seen in each) < 9

    run_virtual(main())


def test_when_the_scout_ends_without_a_lesson_the_next_one_scouts() -> None:
    async def main(poller: Poller) -> list[float]:
        await poller.wait("a", 0, 0, inf)
        poller.ended("a", None)
        return await polls(poller, "b", 5)

    assert polling(main, median=3_000) == pytest.approx([1, 1.5, 2.5, 4.5, 8.5])


def test_what_a_whole_batch_outlives_is_learnt_before_anything_has_ended() -> None:
    """Thirty at once, ten times as slow as thought: nobody goes on looking by the prior for five minutes."""

    async def main(poller: Poller) -> list[float]:
        each = await asyncio.gather(*(polls(poller, str(n), 200 + n) for n in range(30)))
        return [fmean(len(seen) for seen in each)]

    [mean] = polling(main, median=20, rng=random.Random(0))
    assert mean < 16


def test_no_look_is_due_before_the_one_that_pays() -> None:
    """Regression: jitter that shortens a wait cost every operation one look too many, just before its first."""

    async def main(poller: Poller) -> list[float]:
        poller.ended("a", (70, 70))
        return await polls(poller, "b", 69)

    for seed in range(20):
        assert polling(main, rng=random.Random(seed))[0] >= next_poll(knowing(70), 0)


def test_jitter_keeps_equal_operations_from_looking_in_lockstep() -> None:
    async def main(poller: Poller) -> list[float]:
        return [seen[0] for seen in await asyncio.gather(*(polls(poller, str(n), 5) for n in range(20)))]

    first = polling(main, interval=10, rng=random.Random(1))
    assert len(set(first)) == 20
    assert 10 <= min(first) < max(first) <= 11


def test_nobody_sleeps_beyond_the_deadline() -> None:
    assert polling(lambda poller: polls(poller, "a", 10_000, until=25), interval=10) == pytest.approx([10, 20, 25])


@pytest.mark.parametrize(("polled_at", "until"), [(5, 5), (-100, inf)])
def test_a_look_that_is_due_comes_at_once(polled_at: float, until: float) -> None:
    async def main(poller: Poller) -> list[float]:
        await asyncio.sleep(5)
        await poller.wait("a", -100, polled_at, until)
        return [now()]

    assert polling(main, interval=10) == pytest.approx([5])


def test_a_cancelled_sleeper_leaves_no_trace() -> None:
    async def main() -> None:
        all_of_them = pollers()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.4):
                await all_of_them.of("lane", KIND, 70).wait("a", 0, 0, inf)
        assert len(all_of_them.schedule) == 0
        scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        assert [timer for timer in scheduled if not timer.cancelled()] == []

    run_virtual(main())


# ---- from run to run -------------------------------------------------------------------------------------------------


def test_what_one_run_learns_the_next_one_knows() -> None:
    async def first_run() -> dict[str, object]:
        all_of_them = pollers()
        poller = all_of_them.of("lane", KIND, 70)
        all_of_them.of("lane", ("veo", "4k", 8), 300)  # of which nothing is learnt
        await asyncio.gather(*(polls(poller, str(n), 18 + n / 5) for n in range(20)))
        [(kind, memory)] = all_of_them.remember().items()
        assert kind == KIND
        return json.loads(json.dumps(memory))  # type: ignore[no-any-return]

    async def second_run(memory: dict[str, object]) -> list[float]:
        all_of_them = pollers()
        all_of_them.restore({KIND: memory})
        seen = await polls(all_of_them.of("lane", KIND, 70), "a", 20)
        all_of_them.of("lane", KIND, 70).ended("b", (20, 21))
        assert len(all_of_them.remember()) == 1
        return seen

    seen = run_virtual(second_run(run_virtual(first_run())))
    assert seen[0] > 10  # no scout: it is known
    assert len(seen) < 8
    assert seen[-1] - 20 < 2


def test_a_run_that_learnt_nothing_has_nothing_to_add() -> None:
    async def main() -> None:
        all_of_them = pollers()
        all_of_them.restore({KIND: knowing(20, 20).remember()})
        all_of_them.of("lane", KIND, 70)
        assert all_of_them.remember() == {}

    run_virtual(main())


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_a_refused_look_quietens_all_kinds_of_its_lane_and_no_other_lane() -> None:
    async def main() -> None:
        all_of_them = pollers(interval=10)
        refused, same_lane = all_of_them.of("one", KIND, 70), all_of_them.of("one", ("veo", "4k", 8), 70)
        other = all_of_them.of("other", KIND, 70)
        waiting = [asyncio.create_task(polls(poller, "x", 100)) for poller in (same_lane, other)]
        await asyncio.sleep(15)
        await refused.refused("r", 60.0, inf)
        assert now() == pytest.approx(75 + 10)  # the pause, and half of the doubled interval after it
        quietened, as_ever = await asyncio.gather(*waiting)
        assert as_ever == pytest.approx([10 * n for n in range(1, 11)])
        assert quietened[:2] == pytest.approx([10, 85])
        assert quietened[2] - quietened[1] == pytest.approx(20, rel=0.05)  # at half the pace, coming back slowly

    run_virtual(main())


def test_refusals_that_were_out_together_count_once_and_one_after_the_pause_again() -> None:
    async def main() -> None:
        poller = pollers(interval=1).of("lane", KIND, 70)
        together = [asyncio.create_task(poller.refused(str(n), 10.0, inf)) for n in range(5)]
        await asyncio.gather(*together)
        assert poller._lane.share == 0.5
        await poller.refused("r", 10.0, inf)
        assert poller._lane.share == 0.25

    run_virtual(main())


def test_refusals_without_a_delay_pause_longer_and_longer_and_answers_bring_the_pace_back() -> None:
    async def main() -> None:
        poller = pollers(interval=0.001).of("lane", KIND, 70)
        pauses = []
        for _ in range(4):
            before = now()
            await poller.refused("r", None, inf)
            pauses.append(now() - before)
        assert pauses == pytest.approx([REFUSED_WAIT * factor for factor in (1, 2, 4, 8)], rel=0.01)
        await polls(poller, "a", 2.0)
        assert poller._lane.share == 1.0

    run_virtual(main())


def test_those_who_were_quiet_do_not_all_come_back_at_once() -> None:
    async def main() -> None:
        all_of_them = pollers(rng=random.Random(2))
        all_of_them.restore({KIND: knowing(*[60.0] * 20).remember()})
        poller = all_of_them.of("lane", KIND, 70)
        waiting = [asyncio.create_task(polls(poller, str(n), 60)) for n in range(100)]
        await asyncio.sleep(1)
        await poller.refused("r", 100.0, inf)
        back = sorted(seen[0] for seen in await asyncio.gather(*waiting))
        assert back[0] >= 101
        assert back[-1] - back[0] > 1
        gaps = [later - sooner for sooner, later in pairwise(back)]
        assert max(gaps) < (back[-1] - back[0]) / 5

    run_virtual(main())


def test_at_its_deadline_an_operation_is_looked_at_even_in_a_pause() -> None:
    async def main() -> None:
        poller = pollers().of("lane", KIND, 70)
        waiting = asyncio.create_task(poller.wait("a", 0, 0, 30))
        await poller.refused("r", 1_000.0, 20)
        assert now() == pytest.approx(20)
        await waiting
        assert now() == pytest.approx(30)

    run_virtual(main())


# ---- ends that are told ----------------------------------------------------------------------------------------------


def test_an_operation_that_is_said_to_have_ended_is_looked_at_now_and_then_every_few_seconds() -> None:
    async def main() -> None:
        all_of_them = pollers()
        poller = all_of_them.of("lane", KIND, 3_000)
        poller.ended("before", (3_000, 3_000))
        following = asyncio.create_task(polls(poller, "a", 32))
        other = asyncio.create_task(poller.wait("b", 0, 0, inf))
        await asyncio.sleep(20)
        all_of_them.wake("a")
        assert await following == pytest.approx([20, 25, 30, 35])  # its file was not there yet
        assert not other.done()
        other.cancel()

    run_virtual(main())


def test_what_is_told_before_it_is_known_here_is_remembered() -> None:
    async def main() -> None:
        all_of_them = pollers(interval=60)
        all_of_them.wake("a")
        assert await polls(all_of_them.of("lane", KIND, 70), "a", 0.0) == []
        all_of_them.wake("b")
        await all_of_them.of("lane", KIND, 70).wait("b", 0, 0, inf)
        assert now() == 0
        for n in range(5_000):
            all_of_them.wake(f"never heard of {n}")
        assert len(all_of_them.notices) <= 1_000

    run_virtual(main())


def test_where_ends_are_told_looks_are_seldom_until_one_is_found_that_was_not() -> None:
    async def main() -> None:
        all_of_them = pollers()
        all_of_them.restore({KIND: knowing(*(50.0 + n for n in range(20))).remember()})
        poller = all_of_them.of("lane", KIND, 70)

        async def number_of_polls(name: str, took: float, *, told: bool) -> int:
            if told:
                asyncio.get_running_loop().call_later(took, all_of_them.wake, name)
            return len(await polls(poller, name, took))

        usual = await number_of_polls("a", 70, told=True)
        assert await number_of_polls("b", 70, told=True) < usual / 2
        untold = await number_of_polls("c", 70, told=False)
        assert usual / 8 < untold < usual / 2
        assert await number_of_polls("d", 70, told=False) >= usual - 1

    run_virtual(main())


def test_one_that_is_told_in_a_pause_waits_for_its_end() -> None:
    async def main() -> None:
        all_of_them = pollers(interval=10)
        poller = all_of_them.of("lane", KIND, 70)
        waiting = asyncio.create_task(poller.wait("a", 0, 0, inf))
        pause = asyncio.create_task(poller.refused("b", 100.0, inf))
        await asyncio.sleep(1)
        all_of_them.wake("a")
        await waiting
        assert now() >= 100
        await pause

    run_virtual(main())


# ---- the budget ------------------------------------------------------------------------------------------------------


def crowd(count: int, rate: float | None, *, together: bool = False) -> tuple[float, float, float]:
    """Mean lag, mean polls and looks a second of so many operations of about a minute, already known."""

    async def main() -> tuple[float, float, float]:
        rng = random.Random(4)
        all_of_them = pollers(rate=rate, rng=rng)
        all_of_them.restore({KIND: knowing(*(rng.lognormvariate(4.1, 0.4) for _ in range(200))).remember()})
        poller, lags, in_all = all_of_them.of("lane", KIND, 70), [], 0

        async def one(number: int) -> None:
            nonlocal in_all
            await asyncio.sleep(0 if together else number * 0.5)
            sent_at, took = now(), rng.lognormvariate(4.1, 0.4)
            seen = await polls(poller, str(number), took)
            lags.append(seen[-1] - sent_at - took)
            in_all += len(seen)

        await asyncio.gather(*(one(n) for n in range(count)))
        return fmean(lags), in_all / count, in_all / now()

    return run_virtual(main())


def test_many_share_the_budget_and_the_looks_go_where_they_are_worth_most() -> None:
    """A hundred and twenty running at once, which want fifteen looks a second, and get five."""
    free_lag, free_polls, _ = crowd(1_000, None)
    lag, polls, pace = crowd(1_000, 300)
    assert pace <= 5.0
    assert free_polls / 4 < polls < free_polls / 2
    assert lag * polls < 1.3 * free_lag * free_polls  # as good a use of the looks as with as many as it takes


def test_a_thousand_at_once_are_through_little_later_than_the_budget_has_it() -> None:
    lag, polls, pace = crowd(1_000, 1_200, together=True)
    assert pace <= 20.0
    assert polls < 3
    assert lag < 1_000 / 20


def test_a_few_do_not_notice_the_budget() -> None:
    assert crowd(3, 1_200) == crowd(3, None)


def test_a_fixed_interval_keeps_to_no_budget() -> None:
    async def main() -> None:
        poller = pollers(interval=1.0, rate=1).of("lane", KIND, 70)
        each = await asyncio.gather(*(polls(poller, str(n), 9.5) for n in range(50)))
        assert {len(seen) for seen in each} == {10}

    run_virtual(main())
