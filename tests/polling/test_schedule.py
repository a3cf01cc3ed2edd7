"""One heap, one timer: the poll that is due first goes first, within the budget."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from math import inf

import pytest

from aveo3.polling.schedule import SLACK, PollSchedule, PollWaiter
from aveo3.testing import run_virtual


def now() -> float:
    return asyncio.get_running_loop().time()


def at(due: float, *, group: object = None, demand: float = 0.0, paced: bool = True) -> PollWaiter:
    return PollWaiter(lambda: due, group, demand, paced)


def on(main: Callable[[PollSchedule], Awaitable[None]], pace: float = inf) -> None:
    async def run() -> None:
        await main(PollSchedule(pace))

    run_virtual(run())


def timers() -> int:
    """Live timers of the loop."""
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return sum(not timer.cancelled() for timer in scheduled)


def test_everybody_goes_when_due_and_one_timer_serves_them_all() -> None:
    async def main(table: PollSchedule) -> None:
        dues = [random.Random(1).uniform(0, 100) for _ in range(1_000)]
        woken = []

        async def sleep(due: float) -> None:
            await table.sleep(at(due))
            woken.append((due, now()))

        waiters = [asyncio.create_task(sleep(due)) for due in dues]
        await asyncio.sleep(0)
        assert (len(table), timers()) == (1_000, 1)
        await asyncio.gather(*waiters)
        assert [due for due, _ in woken] == sorted(dues)
        assert all(due == pytest.approx(when, abs=1e-6) for due, when in woken)
        assert (len(table), timers()) == (0, 0)

    on(main)


def test_no_more_go_in_any_second_than_the_budget_has() -> None:
    async def main(table: PollSchedule) -> None:
        gone: list[float] = []

        async def sleep(due: float) -> None:
            await table.sleep(at(due))
            gone.append(now())

        await asyncio.gather(*(sleep(10.0) for _ in range(100)), *(sleep(12.0 + n) for n in range(20)))
        for start in gone:
            for span in (1.0, 4.0):
                assert sum(start <= when < start + span for when in gone) <= 5 * (span + SLACK) + 1
        assert max(gone) < 10 + 120 / 5 + 1  # and the budget is used

    on(main, pace=5.0)


def test_who_is_not_paced_goes_past_a_budget_that_is_used_up() -> None:
    async def main(table: PollSchedule) -> None:
        paced = [asyncio.create_task(table.sleep(at(1.0))) for _ in range(50)]
        await asyncio.sleep(0)
        free = asyncio.create_task(table.sleep(at(0.5, paced=False)))
        await free
        assert now() == pytest.approx(0.5, abs=1e-6)
        await asyncio.gather(*paced)

    on(main, pace=1.0)


def test_the_more_there_are_the_more_the_intervals_stretch() -> None:
    async def main(table: PollSchedule) -> None:
        assert table.stretch == 1.0
        waiters = [asyncio.create_task(table.sleep(at(100.0, demand=0.5))) for _ in range(40)]
        await asyncio.sleep(0)
        assert table.stretch == pytest.approx(2.0)  # 40 at one look in two seconds, and ten looks a second to be had
        for waiter in waiters[:30]:
            waiter.cancel()
        await asyncio.sleep(0)
        assert table.stretch == 1.0
        for waiter in waiters:
            waiter.cancel()

    on(main, pace=10.0)


def test_when_there_are_half_as_many_they_are_asked_again() -> None:
    """Or those who were put off for an hour, because there were ten thousand, would sleep on when they are alone."""

    async def main(table: PollSchedule) -> None:
        def waiter() -> PollWaiter:
            return PollWaiter(lambda: 10.0 * table.stretch, None, 1.0, True)

        crowd = [asyncio.create_task(table.sleep(waiter())) for _ in range(99)]
        last = asyncio.create_task(table.sleep(waiter()))
        await asyncio.sleep(5)
        assert table.stretch == pytest.approx(100.0)
        for one in crowd:
            one.cancel()
        await last
        assert now() == pytest.approx(10.0, abs=1e-6)

    on(main, pace=1.0)


def test_a_group_that_is_told_to_think_again_does_and_the_others_do_not() -> None:
    async def main(table: PollSchedule) -> None:
        due = {"mine": 100.0, "theirs": 100.0}
        mine = asyncio.create_task(table.sleep(PollWaiter(lambda: due["mine"], "mine", 0.0, True)))
        theirs = asyncio.create_task(table.sleep(PollWaiter(lambda: due["theirs"], "theirs", 0.0, True)))
        await asyncio.sleep(1)
        due |= {"mine": 50.0, "theirs": 60.0}
        table.rethink("mine")
        await mine
        assert now() == pytest.approx(50.0, abs=1e-6)
        await theirs
        assert now() == pytest.approx(100.0, abs=1e-6)

    on(main)


def test_who_has_been_put_off_meanwhile_does_not_go_yet() -> None:
    async def main(table: PollSchedule) -> None:
        due = 10.0
        waiter = asyncio.create_task(table.sleep(PollWaiter(lambda: due, None, 0.0, True)))
        await asyncio.sleep(1)
        due = 25.0
        await waiter
        assert now() == pytest.approx(25.0, abs=1e-6)

    on(main)


def test_one_who_is_woken_goes_at_once_and_the_others_sleep_on() -> None:
    async def main(table: PollSchedule) -> None:
        one, other = at(100.0), at(200.0)
        woken, sleeping = asyncio.create_task(table.sleep(one)), asyncio.create_task(table.sleep(other))
        await asyncio.sleep(3)
        table.wake(one)
        table.wake(one)
        await woken
        table.wake(one)
        assert now() == 3
        await sleeping
        assert now() == pytest.approx(200.0, abs=1e-6)

    on(main, pace=0.1)


def test_the_cancelled_leave_nothing_behind() -> None:
    async def main(table: PollSchedule) -> None:
        waiters = [asyncio.create_task(table.sleep(at(100.0 + n, demand=1.0))) for n in range(1_000)]
        await asyncio.sleep(0)
        for waiter in waiters[1:]:
            waiter.cancel()
        await asyncio.sleep(0)
        assert len(table) == 1
        assert len(table._heap) < 20
        waiters[0].cancel()
        await asyncio.sleep(0)
        assert (len(table), len(table._heap), table._demand, timers()) == (0, 0, 0.0, 0)

    on(main)


def test_one_who_is_cancelled_as_he_is_let_go_does_not_hold_up_the_rest() -> None:
    async def main(table: PollSchedule) -> None:
        first, second = (asyncio.create_task(table.sleep(at(due))) for due in (1.0, 1.0))
        asyncio.get_running_loop().call_at(1.0, first.cancel)
        await second
        assert now() == pytest.approx(1.0, abs=1e-6)
        assert first.cancelled()

    on(main)
