"""Only the time in which the loop runs counts against a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from aveo3._timeouts import LATE, MAX_LATE, TICK, TICKS, timeout
from tests.support.virtual import stall


def now() -> float:
    return asyncio.get_running_loop().time()


async def turns(number: int) -> str:
    """The answer, after as many turns of the loop as it takes to read one from a socket."""
    for _ in range(number):
        await asyncio.sleep(0)
    return "answer"


async def lost_after(seconds: float, *stalls: tuple[float, float]) -> float:
    """When a request of at most `seconds`, that nobody answers, counts as lost. `stalls`: when, and how long."""
    for at, length in stalls:
        asyncio.get_running_loop().call_at(at, stall, length)
    with pytest.raises(TimeoutError):
        async with timeout(seconds):
            await asyncio.Event().wait()
    return now()


@pytest.mark.parametrize("seconds", [0.01, 0.25, 3.0, 120.0, 3600.0])
async def test_what_takes_too_long_ends_on_time(seconds: float) -> None:
    assert await lost_after(seconds) == pytest.approx(seconds, abs=1e-6)


async def test_what_is_done_in_time_leaves_no_timer() -> None:
    async with timeout(120.0):
        assert await turns(3) == "answer"
    await asyncio.sleep(1000.0)


@pytest.mark.parametrize("stalled_at", [10.0, 117.0, 118.0, 119.4, 119.9])
async def test_an_answer_that_came_while_the_loop_stood_still_is_read(stalled_at: float) -> None:
    async def request() -> str:
        await asyncio.sleep(stalled_at)
        stall(300.0)
        return await turns(30)

    async with timeout(120.0):
        assert await request() == "answer"


async def test_a_loop_that_runs_again_just_before_the_end_has_time_to_read() -> None:
    async def request() -> str:
        await asyncio.sleep(50.0)
        stall(69.999)
        await asyncio.sleep(TICK)  # the rest of the answer waits for what was read
        return "answer"

    async with timeout(120.0):
        assert await request() == "answer"


async def test_without_an_answer_the_wait_ends_soon_after_the_loop_runs_again() -> None:
    assert await lost_after(120.0, (60.0, 300.0)) == pytest.approx(360.0 + TICK * TICKS)


async def test_a_loop_that_stands_still_again_and_again_still_ends_the_wait() -> None:
    loop = asyncio.get_running_loop()

    def again() -> None:
        stall(10.0)
        loop.call_later(0.1, again)

    again()
    with pytest.raises(TimeoutError):
        async with timeout(30.0):
            await asyncio.Event().wait()
    assert now() < 30.0 + 2 * 10.0 * (MAX_LATE + TICKS)


async def test_a_busy_loop_is_not_a_standing_one() -> None:
    assert await lost_after(20.0, *((at, LATE / 2) for at in range(10, 20))) == pytest.approx(20.0, abs=LATE)


@pytest.mark.parametrize("moment", [3.0, 30.0])
async def test_a_cancellation_from_outside_stays_one(moment: float) -> None:
    async def request() -> None:
        async with timeout(10.0, ticks=8):
            await asyncio.sleep(5.0)
        await asyncio.sleep(100.0)

    task = asyncio.create_task(request())
    cancel: Callable[[], bool] = partial(task.cancel)
    asyncio.get_running_loop().call_later(moment, cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_of_two_timeouts_the_inner_ends_first_though_both_are_late() -> None:
    async with timeout(12.0, ticks=2 * TICKS):
        await lost_after(10.0, (1.0, 60.0))
