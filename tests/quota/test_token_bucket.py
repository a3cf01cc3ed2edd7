"""The bucket lets a burst go at once and paces the rest. A waiter that gives up loses no token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from fractions import Fraction

import pytest

from aveo3._waker import Waker
from aveo3.config.rates import Rate
from aveo3.quota.token_bucket import TokenBucket
from aveo3.testing import run_virtual


def now() -> float:
    return asyncio.get_running_loop().time()


class Taker:
    """Waits for tokens as the gate does: look, ask to be called, wait, look again."""

    def __init__(self, rate: Rate) -> None:
        self.bucket = TokenBucket(rate)
        self.waker = Waker()

    async def take(self, count: int = 1) -> list[float]:
        """The instants at which it got its tokens."""
        taken = []
        for _ in range(count):
            while not self.bucket.ready:
                self.bucket.call_when_ready(self.waker.ring)
                await self.waker.wait()
            await self.bucket.take()
            taken.append(now())
        return taken


def taking(rate: Rate, main: Callable[[Taker], Awaitable[list[float]]]) -> list[float]:
    async def run() -> list[float]:
        return await main(Taker(rate))

    return run_virtual(run())


@pytest.mark.parametrize(
    "rate",
    [
        Rate(10, 60, 10),
        Rate(10, 60, 3),
        Rate(10, 60, 1),
        Rate(50, 60, 50),
        Rate(1, 60, 1),
        Rate(3, 1, 1),  # thirds of a second are no binary fractions
        Rate(3, 1, 3),
        Rate(7, 60.7, 5),
    ],
)
def test_a_burst_goes_at_once_and_the_rest_at_the_pace(rate: Rate) -> None:
    taken = taking(rate, lambda taker: taker.take(rate.burst + 200))
    pace = Fraction(rate.period) / rate.limit
    ideal = [0.0] * rate.burst + [float(n * pace) for n in range(1, 201)]
    assert taken == pytest.approx(ideal, abs=1e-6)


def test_idle_time_fills_it_to_the_burst_and_no_further() -> None:
    async def main(taker: Taker) -> list[float]:
        await taker.take(2)
        await asyncio.sleep(1_000)
        return await taker.take(4)

    assert taking(Rate(10, 60, 2), main) == pytest.approx([1_000, 1_000, 1_006, 1_012])


def test_the_token_of_a_waiter_that_was_cancelled_lies_ready_for_the_next() -> None:
    async def main(taker: Taker) -> list[float]:
        await taker.take(1)
        for give_up in (2.0, 1.0, 0.5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(give_up):
                    await taker.take()
        return await taker.take(3)

    assert taking(Rate(10, 60, 1), main) == pytest.approx([6, 12, 18])


def test_a_token_that_came_while_nobody_waited_is_kept() -> None:
    async def main(taker: Taker) -> list[float]:
        await taker.take(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await taker.take()
        await asyncio.sleep(5)  # it comes at 6, to nobody
        return await taker.take(2)

    assert taking(Rate(10, 60, 1), main) == pytest.approx([7, 12])


def test_a_token_put_back_is_there_at_once() -> None:
    async def main(taker: Taker) -> list[float]:
        await taker.take(3)
        assert not taker.bucket.ready
        taker.bucket.put_back()
        assert taker.bucket.ready
        return await taker.take(2)

    assert taking(Rate(10, 60, 3), main) == pytest.approx([0, 6])


def test_asking_twice_waits_for_one_token_only() -> None:
    async def main(taker: Taker) -> list[float]:
        await taker.take(1)
        called: list[float] = []
        for _ in range(3):
            taker.bucket.call_when_ready(lambda: called.append(now()))
        await asyncio.sleep(20)
        return called

    assert taking(Rate(10, 60, 1), main) == pytest.approx([6])


def test_taking_what_is_ready_never_suspends() -> None:
    async def main(taker: Taker) -> list[float]:
        ran: list[float] = []
        asyncio.get_running_loop().call_soon(lambda: ran.append(now()))
        for _ in range(3):
            await taker.bucket.take()
        taker.bucket.put_back()
        await taker.bucket.take()
        return list(ran)

    assert taking(Rate(10, 60, 3), main) == []


def test_a_closed_bucket_waits_for_nothing() -> None:
    async def main(taker: Taker) -> list[float]:
        await taker.take(1)
        called: list[float] = []
        taker.bucket.call_when_ready(lambda: called.append(now()))
        await asyncio.sleep(1)
        taker.bucket.close()
        await asyncio.sleep(20)
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
        return called

    assert taking(Rate(10, 60, 1), main) == []


def test_closing_an_idle_bucket_does_nothing() -> None:
    TokenBucket(Rate(10, 60, 1)).close()


def test_a_bucket_that_is_renewed_is_full_at_the_new_rate_and_nobody_waits_for_the_old_one() -> None:
    async def main() -> None:
        bucket = TokenBucket(Rate(2, 60.0, 2))
        rung = []
        await bucket.take()
        await bucket.take()
        bucket.call_when_ready(lambda: rung.append(1))
        await asyncio.sleep(1)
        bucket.renew(Rate(3, 60.0, 3))
        for _ in range(3):
            assert bucket.ready
            await bucket.take()
        assert not bucket.ready
        bucket.call_when_ready(lambda: rung.append(2))
        await asyncio.sleep(20.001)
        assert rung == [2]
        assert bucket.ready

    run_virtual(main())


@pytest.mark.parametrize(
    ("burst", "limit", "anew", "then"),
    [
        (2, 2, False, Rate(2, 60.0, 2)),
        (2, 1, False, Rate(2, 60.0, 2)),  # the window holds by itself
        (2, 5.0, False, Rate(5, 60.0, 5)),
        (1, 5.0, False, Rate(5, 60.0, 1)),
        (2, 1.0, True, Rate(2, 60.0, 2)),
    ],
)
def test_a_bucket_holds_nothing_back_that_the_windows_let_through(
    burst: int, limit: float, anew: bool, then: Rate
) -> None:
    async def main() -> None:
        bucket = TokenBucket(Rate(2, 60.0, burst))
        for _ in range(burst):
            await bucket.take()
        bucket.keep_up(limit, anew=anew)
        assert bucket.rate == then
        assert bucket.ready == (limit > 2 or anew)

    run_virtual(main())


def test_who_wants_no_bursts_gets_none_when_the_windows_begin_anew() -> None:
    async def main() -> None:
        bucket = TokenBucket(Rate(2, 60.0, 1))
        await bucket.take()
        bucket.keep_up(2, anew=True)
        assert not bucket.ready

    run_virtual(main())
