"""A gate that a person holds: it grants nothing, and the time counts for nothing but the limits."""

from __future__ import annotations

import asyncio

import pytest

from aveo3 import GateClosed
from aveo3.quota.breaker import BreakerState
from aveo3.quota.gate import QuotaGate
from aveo3.quota.permit import Permit
from aveo3.verdicts import Refusal
from tests.support.quota_servers import ACCEPTED, hold, new_gate, refused, send, warm
from tests.support.virtual import now, virtual


async def held_for(gate: QuotaGate, seconds: float) -> None:
    gate.hold()
    await asyncio.sleep(seconds)
    gate.go_on()


def test_no_permit_is_granted_while_it_is_held_and_all_go_in_order_afterwards() -> None:
    async def main() -> None:
        gate, went = new_gate(), list[tuple[str, float, float]]()
        await warm(gate, 3)

        async def one(name: str) -> None:
            permit = await gate.acquire()
            went.append((name, now(), permit.waited))
            gate.settle(permit, ACCEPTED)
            gate.finish(permit)

        gate.hold()
        gate.hold()
        assert not gate.is_free()
        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(one(name))
                await asyncio.sleep(100)
            assert went == []
            gate.go_on()
            gate.go_on()
        assert went == [("a", 300.0, 0.0), ("b", 300.0, 0.0), ("c", 300.0, 0.0)]
        assert gate.is_free()

    virtual(main)


def test_the_head_of_the_line_is_held_too_and_only_its_wait_for_quota_counts() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=2)
        await warm(gate, 2)
        head = asyncio.create_task(gate.acquire())  # waits for the window: until 60.6
        await asyncio.sleep(30)
        await held_for(gate, 10)
        await asyncio.sleep(10)
        await held_for(gate, 100)  # the window frees itself meanwhile
        permit = await head
        assert now() == 150.0
        assert permit.waited == pytest.approx(40.0)

    virtual(main)


def test_the_limits_hold_after_it_as_if_nothing_had_been() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=2)
        await warm(gate, 2)
        assert gate.stats().next_in == pytest.approx(60.6)
        await held_for(gate, 20)
        assert gate.stats().next_in == pytest.approx(40.6)
        gate.hold()
        assert gate.stats().next_in is None  # a person decides
        gate.go_on()
        assert await send(gate) == pytest.approx(60.6)

    virtual(main)


def test_a_waiter_that_is_cancelled_while_it_is_held_owes_nothing() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=2)
        gate.hold()
        head, second = (asyncio.create_task(gate.acquire()) for _ in range(2))
        await asyncio.sleep(5)
        head.cancel()
        await asyncio.sleep(5)
        gate.go_on()
        gate.settle(await second, ACCEPTED)
        assert (head.cancelled(), now()) == (True, 10.0)
        assert (await send(gate), gate.stats().accepted) == (10.0, 2)

    virtual(main)


def test_a_gate_that_is_closed_says_so_although_it_is_held() -> None:
    async def main() -> None:
        gate = new_gate()
        gate.hold()
        waiter = asyncio.create_task(gate.acquire())
        await asyncio.sleep(5)
        gate.close()
        with pytest.raises(GateClosed):
            await waiter
        with pytest.raises(GateClosed):
            await gate.acquire()

    virtual(main)


# ---- patience ------------------------------------------------------------------------------------------------------


def test_the_patience_does_not_run_out_because_a_person_holds_it() -> None:
    """The lane pauses 90 s after each refusal, and the patience is 200 s: the third refusal in a row is too much."""

    async def refuse_all(gate: QuotaGate) -> None:
        for _ in range(20):
            await send(gate, refused(Refusal.MINUTE, 90.0))

    async def main(held_at: float | None, length: float) -> float:
        gate = new_gate(quota_patience=200, consecutive_failure_threshold=50)
        started = now()

        async def person() -> None:
            if held_at is not None:
                await asyncio.sleep(held_at)
                await held_for(gate, length)

        holding = asyncio.create_task(person())
        with pytest.raises(GateClosed, match="VEO3_QUOTA_PATIENCE"):
            await refuse_all(gate)
        await holding
        return now() - started

    async def all_of() -> None:
        usual = await main(None, 0)
        assert usual < 1000
        for held_at in (0.0, 10.0, 100.0):
            assert await main(held_at, 5000.0) >= 5000.0 + usual - 91, held_at  # a pause of the lane may lie in it

    virtual(all_of)


def test_a_day_that_is_used_up_is_told_only_when_it_goes_on() -> None:
    async def main() -> None:
        gate = new_gate(quota_patience=3600)
        gate.hold()
        waiter = asyncio.create_task(gate.acquire())
        running = gate.adopt()
        await asyncio.sleep(1)
        gate.refuse_late(running, refused(Refusal.DAY))
        gate.finish(running)
        await asyncio.sleep(7200)
        assert not waiter.done()
        gate.go_on()
        with pytest.raises(GateClosed):
            await waiter

    virtual(main)


# ---- the breaker ---------------------------------------------------------------------------------------------------


async def opened(gate: QuotaGate) -> None:
    permits = await hold(gate, 1)
    gate.settle(permits[0], refused(Refusal.UNKNOWN, 100.0))


def test_an_open_breaker_lets_its_one_probe_through_after_the_hold() -> None:
    async def main() -> None:
        gate = new_gate(consecutive_failure_threshold=1)
        await opened(gate)
        assert gate.stats().breaker is BreakerState.OPEN
        granted = list[Permit]()

        async def one() -> None:
            granted.append(await gate.acquire())

        gate.hold()
        waiters = [asyncio.create_task(one()) for _ in range(3)]
        await asyncio.sleep(500)
        assert (gate.stats().breaker, granted) == (BreakerState.HALF_OPEN, [])
        gate.go_on()
        await asyncio.sleep(1)
        [probe] = granted
        assert probe.admission.probe
        gate.hold()
        gate.settle(probe, ACCEPTED)  # answered while it is held: the breaker closes, and nobody goes
        await asyncio.sleep(50)
        assert (gate.stats().breaker, len(granted)) == (BreakerState.CLOSED, 1)
        gate.go_on()
        await asyncio.sleep(1)
        assert len(granted) > 1
        for waiter in waiters:
            waiter.cancel()

    virtual(main)


async def test_a_gate_that_two_hold_goes_on_when_both_let_go() -> None:
    gate = new_gate()
    gate.hold("disk")
    gate.hold()
    assert gate.held_by == "person"
    gate.go_on()
    assert not gate.is_free()
    gate.go_on("disk")
    assert gate.is_free()
