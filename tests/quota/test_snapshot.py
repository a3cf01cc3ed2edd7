"""What one run leaves to the next: no burst after a restart, no limit learnt twice, and nothing kept for ever."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from aveo3.quota.gate import QuotaGate
from aveo3.verdicts import Refusal
from tests.support.quota_servers import ACCEPTED, UNSENT, FixedWindows, SlidingWindow, drive, hold, refused, send, warm
from tests.support.settings import settings
from tests.support.virtual import NoJitter, now, now_utc, virtual


def gate_with(remembered: dict[str, Any] | None = None, later: float = 0.0, **values: object) -> QuotaGate:
    """A gate of a run that begins `later` than the loop's clock says."""

    def clock() -> datetime:
        return now_utc() + timedelta(seconds=later)

    given = settings(**{"rate_limit": 10, **values})
    return QuotaGate(given, rng=NoJitter(), now_utc=clock, remembered=remembered)


def through_json(gate: QuotaGate) -> dict[str, Any]:
    memory = json.loads(json.dumps(gate.remember(), allow_nan=False))
    assert isinstance(memory, dict)
    return memory


def test_a_restart_does_not_burst() -> None:
    async def main() -> None:
        first = gate_with()
        await warm(first, 7)
        await asyncio.sleep(20)
        await warm(first, 3)
        second = gate_with(through_json(first))
        assert second.stats().quota_used == 10
        went = [await send(second) for _ in range(10)]
        assert went == pytest.approx([60.6] * 7 + [80.6] * 3)

    virtual(main)


def test_a_request_under_way_counts_as_answered_when_it_was_remembered() -> None:
    async def main() -> None:
        first = gate_with()
        await warm(first, 10)
        await asyncio.sleep(61)
        await hold(first, 6)
        await asyncio.sleep(30)
        second = gate_with(through_json(first))
        assert second.stats().quota_used == 6
        await asyncio.sleep(60.7)
        assert second.stats().quota_used == 0

    virtual(main)


def test_a_period_later_nothing_is_left_of_what_was_used() -> None:
    async def main() -> None:
        first = gate_with(spend_limit=10.0)
        await warm(first, 10)
        assert gate_with(through_json(first), later=61, spend_limit=10.0).stats().quota_used == 0

    virtual(main)


@pytest.mark.parametrize("server", [SlidingWindow(10, 60.0), FixedWindows(10, 60.0, 17.0)], ids=["sliding", "fixed"])
def test_however_often_it_is_restarted_a_known_limit_is_never_broken(server: Any) -> None:
    async def main() -> None:
        rng, memory, refusals = random.Random(3), None, 0
        for _ in range(25):
            gate = gate_with(memory)
            more, _ = await drive(gate, server, rng.randint(1, 8), lambda: rng.uniform(0.05, 0.3))
            refusals += more
            memory = through_json(gate)
            await asyncio.sleep(rng.uniform(0, 20))
        assert refusals == 0

    virtual(main)


@pytest.mark.parametrize(("named", "limit"), [(12, 12), (None, 6)])
def test_what_was_learnt_is_known_to_the_next_run_for_a_day(named: int | None, limit: int) -> None:
    async def main() -> None:
        first = gate_with(rate_limit=40)
        await warm(first, 6)
        await send(first, refused(Refusal.MINUTE, 1.0, named))
        memory = through_json(first)
        for hours, known in ((1, limit), (23, limit), (25, 40)):
            second = gate_with(memory, later=hours * 3600, rate_limit=40)
            assert second.stats().quota_limit == known

    virtual(main)


def test_every_kind_of_limit_is_remembered() -> None:
    async def main() -> None:
        first = gate_with(rate_limit=50, quota_patience=None)
        running = []
        for _ in range(4):
            running.append(await first.acquire(3.0))
            first.settle(running[-1], ACCEPTED)
        for refusal in (Refusal.CONCURRENT, Refusal.SPEND):
            permit = await first.acquire(3.0)
            first.settle(permit, refused(refusal, 1.0))
            first.finish(running.pop())
        second = gate_with(through_json(first), rate_limit=50)
        assert second.stats().running_limit == 4
        assert second._limits.most_dollars.limit == 12.0
        permit = await second.acquire(3.0)
        assert now() > 600  # four clips have used it up

    virtual(main)


def test_that_a_window_is_strict_is_remembered_too() -> None:
    async def main() -> None:
        first = gate_with()
        await warm(first, 10)
        first.settle(await first.acquire(waiting=lambda: 1), refused(Refusal.MINUTE))
        second = gate_with(through_json(first))
        permit = await second.acquire(waiting=lambda: 1)
        assert not permit.over

    virtual(main)


@pytest.mark.parametrize("changed", [{"rate_limit": 30}, {"rate_limit": 40, "rate_period": 61}, {"rate_limit": None}])
def test_what_was_learnt_under_other_settings_is_forgotten_and_what_was_used_is_not(changed: dict[str, Any]) -> None:
    async def main() -> None:
        first = gate_with(rate_limit=40)
        await warm(first, 6)
        await send(first, refused(Refusal.MINUTE, 1.0, 12))
        second = gate_with(through_json(first), **changed)
        assert second.stats().quota_limit == second.rate.limit
        assert second.stats().quota_used == 7

    virtual(main)


def test_the_requests_of_today_are_counted_on_and_those_of_yesterday_are_not() -> None:
    async def main() -> None:
        first = gate_with(daily_limit=3, quota_patience=None)
        await warm(first, 2)
        memory = through_json(first)
        second = gate_with(memory, daily_limit=3, quota_patience=None)
        assert second._limits.day.used(now()) == 2
        tomorrow = gate_with(memory, later=24 * 3600, daily_limit=3, quota_patience=None)
        assert tomorrow._limits.day.used(now()) == 0

    virtual(main)


def test_that_a_day_was_used_up_is_asked_anew_by_the_next_run() -> None:
    """A person may have asked for more meanwhile, and a refusal costs nothing."""

    async def main() -> None:
        first = gate_with(quota_patience=None)
        await send(first, refused(Refusal.DAY))
        assert await send(gate_with(through_json(first))) == 0.0

    virtual(main)


def test_a_clock_that_was_set_back_makes_nobody_wait_longer_than_a_period() -> None:
    async def main() -> None:
        first = gate_with(later=3600)
        await warm(first, 10)
        second = gate_with(through_json(first))
        assert await send(second) == pytest.approx(60.6)

    virtual(main)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"version": 1},
        {"version": 99, "used": 7},
        {"version": 1, "used": {"requests": [["yesterday", 1]]}, "learnt": {}},
        {"version": 1, "used": {"requests": 5}, "learnt": {}},
    ],
)
def test_a_memory_that_cannot_be_read_costs_no_run(broken: dict[str, Any]) -> None:
    async def main() -> None:
        gate = gate_with(broken)
        assert gate.stats().quota_limit == 10
        assert await send(gate) == 0.0

    virtual(main)


def test_a_new_gate_remembers_next_to_nothing() -> None:
    async def main() -> None:
        memory = gate_with().remember()
        assert memory["learnt"] == {}
        assert memory["used"]["requests"] == []

    virtual(main)


def test_what_never_left_is_not_remembered() -> None:
    async def main() -> None:
        gate = gate_with()
        await send(gate, UNSENT)
        assert gate.remember()["used"]["requests"] == []

    virtual(main)
