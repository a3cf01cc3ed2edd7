"""A waker wakes its one waiter: at the given time, or when it is rung."""

from __future__ import annotations

import asyncio

import pytest

from aveo3._waker import Waker
from aveo3.testing import run_virtual


def now() -> float:
    return asyncio.get_running_loop().time()


def test_it_wakes_at_the_instant_it_was_set_to() -> None:
    async def main() -> float:
        await Waker().wait(until=12.5)
        return now()

    assert run_virtual(main()) == 12.5


def test_ringing_wakes_earlier() -> None:
    async def main() -> float:
        waker = Waker()
        asyncio.get_running_loop().call_later(3, waker.ring)
        await waker.wait(until=12.5)
        return now()

    assert run_virtual(main()) == 3


def test_without_an_instant_it_waits_for_the_ring() -> None:
    async def main() -> float:
        waker = Waker()
        asyncio.get_running_loop().call_later(86_400, waker.ring)
        await waker.wait()
        return now()

    assert run_virtual(main()) == 86_400


def test_ringing_twice_wakes_once_and_nobody_later() -> None:
    async def main() -> float:
        waker = Waker()
        waker.ring()  # nobody waits: forgotten
        asyncio.get_running_loop().call_later(3, waker.ring)
        asyncio.get_running_loop().call_later(3, waker.ring)
        await waker.wait()
        await waker.wait(until=10)
        return now()

    assert run_virtual(main()) == 10


def test_the_timer_of_a_wait_that_was_rung_out_of_does_not_ring_the_next() -> None:
    async def main() -> float:
        waker = Waker()
        asyncio.get_running_loop().call_later(3, waker.ring)
        await waker.wait(until=10)
        await waker.wait(until=100)
        return now()

    assert run_virtual(main()) == 100


def test_a_cancelled_waiter_leaves_neither_timer_nor_place() -> None:
    async def main() -> float:
        waker = Waker()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await waker.wait(until=10)
        waker.ring()
        await waker.wait(until=100)
        return now()

    assert run_virtual(main()) == 100


def test_a_second_waiter_is_a_mistake() -> None:
    async def main() -> None:
        waker = Waker()
        first = asyncio.create_task(waker.wait(until=5))
        await asyncio.sleep(1)
        with pytest.raises(RuntimeError, match=r"^a Waker wakes one task, and one is waiting already$"):
            await waker.wait(until=2)
        await first
        assert now() == 5

    run_virtual(main())
