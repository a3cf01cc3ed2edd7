"""What a gate tells of its lane: each pause, opening, learnt limit and end, once, and in order."""

from __future__ import annotations

from datetime import datetime
from math import inf

from aveo3.events import LaneClosed, LaneEvent, LaneOpened, LanePaused, LimitLearnt
from aveo3.quota.breaker import BreakerState
from aveo3.quota.gate import QuotaGate
from aveo3.quota.lane_changes import LaneChanges
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.quota_servers import ACCEPTED, hold, refused, send
from tests.support.settings import settings
from tests.support.virtual import START_UTC, NoJitter, now, now_utc

TO_MIDNIGHT = 20 * 3600.0 + 60  # it is four in the morning in Los Angeles, and a minute lest a request come too early


def seconds(at: datetime) -> float:
    return round((at - START_UTC).total_seconds(), 3)


def told(event: LaneEvent) -> tuple[object, ...]:
    match event:
        case LanePaused():
            return "paused", event.breaker, event.reason, seconds(event.until_utc)
        case LaneOpened():
            return "opened", event.breaker, seconds(event.at_utc)
        case LaneClosed():
            return "closed", event.reason
        case LimitLearnt():
            return "limit", event.before, event.limit
    raise AssertionError(event)


def gate_telling(heard: list[tuple[object, ...]], **values: object) -> QuotaGate:
    def tell(event: LaneEvent) -> None:
        assert event.lane == "one"
        heard.append(told(event))

    return QuotaGate(settings(**{"rate_limit": 10, **values}), rng=NoJitter(), now_utc=now_utc, lane="one", tell=tell)


async def test_ten_refusals_at_once_are_one_pause_and_one_learnt_limit() -> None:
    heard: list[tuple[object, ...]] = []
    gate = gate_telling(heard)
    for _ in range(4):
        await send(gate)
    permits = await hold(gate, 3)
    for permit in permits:
        gate.settle(permit, refused(Refusal.MINUTE, retry_after=20))
    await send(gate)
    assert heard == [("limit", 10, 4), ("paused", "closed", "minute_quota", 20), ("opened", "closed", now())]


async def test_an_open_breaker_is_told_with_its_probe_and_with_what_comes_of_it() -> None:
    heard: list[tuple[object, ...]] = []
    gate = gate_telling(heard, consecutive_failure_threshold=1, quota_reset_interval=100.0)
    away = Verdict(VerdictKind.UNAVAILABLE, "the service is away", retry_after=50.0)
    await send(gate, away)
    await send(gate, away)
    assert heard[:2] == [("paused", "open", "unavailable", 50), ("opened", "half_open", 50)]
    [again] = heard[2:]
    assert again[:3] == ("paused", "open", "unavailable")
    await send(gate)
    assert [each[:2] for each in heard[3:]] == [("opened", "half_open"), ("opened", "closed")]


async def test_a_probe_that_sent_nothing_is_told_once() -> None:
    heard: list[tuple[object, ...]] = []
    gate = gate_telling(heard, consecutive_failure_threshold=1)
    await send(gate, Verdict(VerdictKind.UNAVAILABLE, "away", retry_after=50.0))
    for _ in range(3):
        gate.cancel(await gate.acquire())
    await send(gate)
    assert [each[:2] for each in heard] == [("paused", "open"), ("opened", "half_open"), ("opened", "closed")]


async def test_a_used_up_day_is_a_pause_even_without_a_refusal_once_somebody_waits() -> None:
    heard: list[tuple[object, ...]] = []
    gate = gate_telling(heard, daily_limit=2, quota_patience=None)
    await send(gate)
    await send(gate)
    assert heard == []
    await send(gate)
    [(*paused, until), opened] = heard
    assert paused == ["paused", "closed", "daily_quota"]
    assert opened == ("opened", "closed", until)
    assert until == TO_MIDNIGHT


async def test_a_lane_that_closes_says_why_once() -> None:
    heard: list[tuple[object, ...]] = []
    gate = gate_telling(heard)
    await send(gate, refused(Refusal.BILLING))
    gate.close()
    assert heard == [("closed", Refusal.BILLING.value)]


async def test_a_raised_limit_is_told_too() -> None:
    heard: list[tuple[object, ...]] = []
    gate = gate_telling(heard, rate_limit=None, model="veo-3.1-generate-001")
    before = gate.stats().quota_limit
    for _ in range(30 * int(before)):
        await send(gate, ACCEPTED, 1.0)
    assert heard[0] == ("limit", before, before + 1)
    assert heard[-1][2] == gate.stats().quota_limit > before


async def test_a_pause_without_end_is_none_and_one_of_centuries_is_cut() -> None:
    heard: list[LaneEvent] = []
    changes = LaneChanges("one", 10, heard.append, lambda at: START_UTC.fromtimestamp(at, START_UTC.tzinfo))
    changes.paused(0.0, inf, BreakerState.CLOSED, "daily_limit", "")
    assert (heard, changes.pausing) == ([], False)
    changes.paused(0.0, 1e15, BreakerState.OPEN, "unavailable", "")
    [paused] = heard
    assert isinstance(paused, LanePaused)
    assert paused.until_utc.year == 1979
