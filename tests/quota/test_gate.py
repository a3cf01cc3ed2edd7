"""The gate in virtual time: against small models of a server, each kind of refusal, and random events."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import inf

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from aveo3 import GateClosed, verdicts
from aveo3.quota.breaker import BreakerState
from aveo3.quota.gate import PROBE_GRACE, QuotaGate
from aveo3.quota.permit import Permit
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.quota_servers import ACCEPTED, SERVERS, UNSENT, drive, hold, new_gate, refused, send, warm
from tests.support.settings import settings
from tests.support.virtual import START_UTC, NoJitter, now, now_utc, virtual

"""Four in the morning in Los Angeles: twenty hours to Google's midnight."""

TO_MIDNIGHT = 20 * 3600.0 + 60  # and a minute, lest the first request of the day come a moment too early
MARGIN = 0.6
"""A window of 60 s gives its room back 1 % late."""

UNAVAILABLE = Verdict(VerdictKind.UNAVAILABLE, "the service is away")
UNCERTAIN = verdicts.uncertain("HTTP 500")
REJECTED = verdicts.rejected("no such aspect ratio")


async def send_all(gate: QuotaGate, verdicts_: Iterable[Verdict], rtt: float = 0.0) -> list[float]:
    """Submits one after another."""
    return [await send(gate, verdict, rtt) for verdict in verdicts_]


async def soon() -> None:
    """Let everything run that can without time moving on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def is_held_back(waiter: asyncio.Task[object], seconds: float = 0.0) -> bool:
    await asyncio.sleep(seconds)
    await soon()
    return not waiter.done()


# ---- against models of a server ------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [2, 10, 50])
@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("seed", range(3))
def test_no_refusal_and_at_most_a_twentieth_over_the_optimum(kind: str, limit: int, seed: int) -> None:
    """The optimum is ⌊(n-1)/N⌋·T for a sliding window, and n-N times T/N for a bucket: nine periods, both."""
    rng = random.Random(seed)
    trip = rng.choice([0.02, 0.15, 0.5])

    async def main() -> None:
        server = SERVERS[kind](limit, 60.0, rng.uniform(0, 60))
        gate = new_gate(rate_limit=limit)
        refusals, makespan = await drive(gate, server, 10 * limit, lambda: rng.uniform(trip / 2, trip))
        assert refusals == 0
        assert makespan <= 1.05 * 9 * 60
        assert (gate.stats().running, gate.stats().accepted, gate.stats().refused) == (0, 10 * limit, 0)

    virtual(main)


@pytest.mark.parametrize("kind", SERVERS)
def test_a_quota_that_is_lower_than_set_is_learnt_at_the_price_of_a_few_refusals(kind: str) -> None:
    async def main() -> None:
        rng = random.Random(7)
        server = SERVERS[kind](10, 60.0, 17.0)
        refusals, makespan = await drive(new_gate(rate_limit=50), server, 100, lambda: rng.uniform(0.1, 0.2))
        assert refusals <= 25
        assert makespan <= 2 * 9 * 60

    virtual(main)


def test_a_server_that_refuses_faster_than_it_accepts_teaches_its_quota_all_the_same() -> None:
    async def main() -> None:
        gate, left = new_gate(rate_limit=50), 10

        async def clip() -> None:
            nonlocal left
            permit = await gate.acquire()
            left -= 1
            taken = left >= 0
            await asyncio.sleep(1.0 if taken else 0.1)
            gate.settle(permit, ACCEPTED if taken else refused(Refusal.MINUTE))
            gate.finish(permit)

        async with asyncio.TaskGroup() as group:
            for _ in range(11):  # slow start lets 1, 1, 2, 3 and then 4 out at once: three of the four are taken
                group.create_task(clip())
        assert gate.stats().quota_limit == 10

    virtual(main)


def test_the_log_says_in_whole_sentences_what_a_refusal_taught(caplog: pytest.LogCaptureFixture) -> None:
    words = "Quota exceeded for aiplatform.googleapis.com/requests with base model veo-3.1-generate-001"

    async def main() -> None:
        gate = new_gate(rate_limit=50)
        for _ in range(3):
            await send(gate)
        permit = await gate.acquire()
        gate.settle(permit, replace(refused(Refusal.MINUTE), message=f"{words}. {'More about it. ' * 30}"))

    with caplog.at_level(logging.INFO, "aveo3"):
        virtual(main)
    [line] = [record.getMessage() for record in caplog.records if "the lane pauses" in record.getMessage()]
    assert " and sends at most 3 requests in 60 s from now on: " in line
    assert words in line
    assert line.endswith((". …", "it …", "about …", "More …"))
    assert "e+" not in line


# ---- the queue -----------------------------------------------------------------------------------------------------


def test_who_comes_when_there_is_room_again_does_not_overtake_who_waited_for_it() -> None:
    async def main() -> None:
        gate, served = new_gate(max_concurrency=1), list[str]()
        running = await gate.acquire()
        gate.settle(running, ACCEPTED)

        async def one(name: str) -> None:
            await send(gate)
            served.append(name)

        waiter = asyncio.create_task(one("first"))
        await soon()
        gate.finish(running)  # its place is free before the waiter has woken
        await one("second")
        await waiter
        assert served == ["first", "second"]

    virtual(main)


def test_first_come_first_served() -> None:
    async def main() -> None:
        gate, served = new_gate(rate_limit=3), list[int]()

        async def one(number: int) -> None:
            await send(gate)
            served.append(number)

        await asyncio.gather(*(one(number) for number in range(20)))
        assert served == list(range(20))

    virtual(main)


def grants(
    waiters: list[int], burst: int, cancelled: int | None = None, at: float = 0, turns: int = 0
) -> dict[int, float]:
    """When each of `waiters` goes, three a minute, if one is cancelled so many turns of the loop after an instant."""
    went: dict[int, float] = {}

    async def main() -> None:
        gate = new_gate(rate_limit=3, burst=burst)

        async def wait(number: int) -> None:
            went[number] = await send(gate)

        tasks = {number: asyncio.create_task(wait(number)) for number in waiters}
        if cancelled is not None:
            if at > 0:
                await asyncio.sleep(at)
            for _ in range(turns):
                await asyncio.sleep(0)
            tasks[cancelled].cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        assert gate.stats().running == 0
        assert gate._unanswered == 0

    virtual(main)
    return went


@pytest.mark.parametrize("burst", [1, 3])
@pytest.mark.parametrize(
    ("at", "turns"),
    [(0.0, 12), (10.0, 1), (20.0, 6), (30.0, 1), (40.0, 6), (60.6, 12), (75.0, 1), (80.6, 6)],
)
def test_a_waiter_cancelled_at_any_position_and_moment_leaves_no_trace(burst: int, at: float, turns: int) -> None:
    """The others go exactly when they would have gone had it never come: none later, none lost, none overtaken."""
    for position in range(6):
        others = [number for number in range(6) if number != position]
        never_came = grants(others, burst)
        for turn in range(turns):
            went = grants(list(range(6)), burst, position, at, turn)
            if position in went:
                assert len(went) == 6  # it had gone already: there was no waiter to cancel
            else:
                assert list(went) == others
                assert went == pytest.approx(never_came, abs=1e-6)


def test_a_place_that_comes_free_early_is_taken_at_once() -> None:
    """Never idle while someone could go: each end of an operation, at whatever instant, lets the next one in."""

    async def main() -> None:
        gate, went = new_gate(max_concurrency=2, rate_limit=50), list[float]()

        async def one(seconds: float) -> None:
            permit = await gate.acquire()
            went.append(now())
            gate.settle(permit, ACCEPTED)
            await asyncio.sleep(seconds)
            gate.finish(permit, succeeded=True)

        await asyncio.gather(*(one(seconds) for seconds in (10, 3, 5, 1, 100, 2)))
        assert went == [0, 0, 3, 8, 9, 10]

    virtual(main)


def test_whoever_comes_while_there_is_room_goes_at_once() -> None:
    async def main() -> None:
        gate = new_gate()
        for arrival in (0.0, 1.0, 1.0, 7.5):
            await asyncio.sleep(arrival)
            before = now()
            assert await send(gate) == before

    virtual(main)


def test_a_permit_tells_how_long_it_waited_as_next_in_line() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=1)
        first, second = await gate.acquire(), asyncio.create_task(gate.acquire())
        third = asyncio.create_task(gate.acquire())
        gate.settle(first, ACCEPTED)
        permit = await second
        gate.settle(permit, ACCEPTED)
        waited = first.waited, permit.waited, (await third).waited
        assert waited == pytest.approx((0.0, 60 + MARGIN, 60 + MARGIN))

    virtual(main)


# ---- slow start, and the scout after a refusal ---------------------------------------------------------------------


def test_submits_whose_answer_is_out_grow_by_half_with_every_round_trip() -> None:
    """Not twofold: of a limit set too high the last round trip is refused, and that would be half of all."""

    async def main() -> None:
        gate = new_gate(rate_limit=50)
        went = await asyncio.gather(*(send(gate, rtt=1.0) for _ in range(17)))
        assert sorted(went) == [0.0, 1.0] + [2.0] * 2 + [3.0] * 3 + [4.0] * 4 + [5.0] * 6

    virtual(main)


@pytest.mark.parametrize("problem", [refused(Refusal.MINUTE, 5.0), UNAVAILABLE, UNCERTAIN, UNSENT], ids=str)
def test_after_a_refusal_only_one_goes_until_it_is_answered(problem: Verdict) -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=50)
        await warm(gate, 10)
        await send(gate, problem)
        scout = await gate.acquire()
        others = [asyncio.create_task(gate.acquire()) for _ in range(4)]
        assert await is_held_back(others[0], 600)
        gate.settle(scout, ACCEPTED)
        await soon()
        assert [other.done() for other in others] == [True, False, False, False]
        gate.settle(others[0].result(), ACCEPTED)
        await soon()
        assert [other.done() for other in others] == [True, True, True, False]  # and from here on it grows again
        for other in others:
            other.cancel()

    virtual(main)


def test_an_answer_to_a_submit_from_before_the_refusal_does_not_speed_up_the_scout() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=50)
        await warm(gate, 10)
        early, early_too, late = await hold(gate, 3)
        gate.settle(late, refused(Refusal.UNKNOWN, 5.0))
        gate.settle(early, ACCEPTED)
        gate.settle(early_too, ACCEPTED)
        scout = await gate.acquire()
        assert now() == 5.0
        assert await is_held_back(asyncio.create_task(gate.acquire()), 60)
        gate.settle(scout, ACCEPTED)

    virtual(main)


# ---- refusals, kind by kind ----------------------------------------------------------------------------------------


def test_ten_concurrent_refusals_count_once() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=50, consecutive_failure_threshold=2)
        await warm(gate, 20)
        for permit in await hold(gate, 10):
            gate.settle(permit, refused(Refusal.UNKNOWN, 7.0))
        assert (gate.stats().refused, gate.stats().breaker) == (10, BreakerState.CLOSED)
        assert await send(gate, refused(Refusal.UNKNOWN, 9.0)) == 7.0
        assert gate.stats().breaker is BreakerState.OPEN

    virtual(main)


def test_a_minute_refusal_that_names_the_quota_teaches_it() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=50)
        await warm(gate, 7)
        await send(gate, refused(Refusal.MINUTE, retry_after=20.0, limit=10))
        assert (gate.stats().quota_limit, gate.stats().opens_in) == (10, 20.0)
        went = await send_all(gate, [ACCEPTED] * 12)
        assert went[:2] == [20.0, 20.0]  # eight slots are used: seven accepted, one refused
        assert went[2:10] == pytest.approx([60 + MARGIN] * 8)
        assert went[10:] == pytest.approx([80 + MARGIN] * 2)

    virtual(main)


def test_a_minute_refusal_without_a_quota_teaches_what_was_accepted_in_the_period_before() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=50)
        await warm(gate, 3)
        await asyncio.sleep(60)  # these three are of another minute
        await warm(gate, 7)
        await send(gate, refused(Refusal.MINUTE, retry_after=1.0))
        assert gate.stats().quota_limit == 7
        assert await send(gate) == pytest.approx(120 + MARGIN)

    virtual(main)


def test_a_refusal_that_was_out_with_one_that_taught_teaches_nothing_more() -> None:
    """It comes late, when what was accepted has fallen out of its period: it would teach a limit of one."""

    async def main() -> None:
        gate = new_gate(rate_limit=50)
        await warm(gate, 10)
        first, late = await hold(gate, 2)
        gate.settle(first, refused(Refusal.MINUTE, 1.0))
        assert gate.stats().quota_limit == 10
        await asyncio.sleep(70)
        gate.settle(late, refused(Refusal.MINUTE, 1.0))
        assert gate.stats().quota_limit == 10

    virtual(main)


def test_a_refusal_keeps_the_lane_waiting_at_least_until_the_window_frees_a_slot() -> None:
    """No delay is named: what was accepted fills the window that it teaches, and the window says when."""

    async def main() -> None:
        gate = new_gate(rate_limit=50)
        await warm(gate, 4)
        await asyncio.sleep(10)
        await send(gate, refused(Refusal.MINUTE))
        assert gate.stats().quota_limit == 4
        assert await send(gate) == pytest.approx(60 + MARGIN)

    virtual(main)


def test_a_minute_refusal_before_anything_was_accepted_pauses_a_period() -> None:
    """Somebody else uses the quota up."""

    async def main() -> None:
        gate = new_gate()
        await send(gate, refused(Refusal.MINUTE))
        assert gate.stats().opens_in == 60.0
        assert gate.stats().quota_limit == 10  # that others have it all says nothing of how much there is
        assert await send(gate) == 60.0

    virtual(main)


@pytest.mark.parametrize(("named", "first_raise"), [(2, 10), (None, 2)])
def test_a_limit_that_was_learnt_is_tried_one_higher_after_clean_periods(named: int | None, first_raise: int) -> None:
    """Soon if it was counted from what had been accepted; not so soon if the refusal named it."""

    async def main() -> None:
        gate = new_gate(rate_limit=5)
        await warm(gate, 2)
        await send(gate, refused(Refusal.MINUTE, retry_after=1.0, limit=named))
        refused_at, limits = now(), []
        while gate.stats().quota_limit == 2:
            await send(gate)
        assert first_raise * 60 < now() - refused_at < (first_raise + 2) * 60
        while now() < 4 * 3600:
            await send(gate)
            limits.append(gate.stats().quota_limit)
        assert sorted(set(limits)) == [3, 5]  # the step that held was followed by a larger one
        assert limits == sorted(limits)  # and never beyond what was set

    virtual(main)


def test_a_longer_named_delay_beats_a_shorter_one_that_comes_later() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=50)
        await warm(gate, 5)
        long, short = await hold(gate, 2)
        gate.settle(long, refused(Refusal.UNKNOWN, 50.0))
        await asyncio.sleep(1)
        gate.settle(short, refused(Refusal.UNKNOWN, 2.0))
        assert await send(gate) == 50.0

    virtual(main)


def test_a_spend_refusal_pauses_until_the_spending_falls_out_of_its_period_and_teaches_the_limit() -> None:
    """Six dollars went through before it was refused, so six in ten minutes are what there is from now on."""

    async def main() -> None:
        gate, went = new_gate(spend_period=600), list[float]()

        async def spend(verdict: Verdict) -> None:
            permit = await gate.acquire(3.0)
            went.append(now())
            gate.settle(permit, verdict)
            gate.finish(permit)

        await spend(ACCEPTED)
        await asyncio.sleep(100)
        await spend(ACCEPTED)
        await asyncio.sleep(50)
        await spend(refused(Refusal.SPEND))
        for _ in range(4):
            await spend(ACCEPTED)
        assert went[3:] == pytest.approx(
            [606, 706, 606 + 606, 606 + 606]
        )  # at last a little more is tried: nothing was refused

    virtual(main)


def test_a_spend_refusal_waits_out_the_delay_that_it_names() -> None:
    async def main() -> None:
        gate = new_gate()
        permit = await gate.acquire(3.0)
        gate.settle(permit, refused(Refusal.SPEND, 42.0))
        assert (await gate.acquire(3.0)).granted_at == 42.0

    virtual(main)


def test_a_concurrent_refusal_shrinks_the_running_slots_to_what_runs_and_does_not_pause() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=50)
        running = await hold_running(gate, 4)
        await send(gate, refused(Refusal.CONCURRENT))
        assert (gate.stats().running_limit, gate.stats().opens_in) == (4, 0.0)
        waiter = asyncio.create_task(gate.acquire())
        assert await is_held_back(waiter, 1000)
        gate.finish(running[0])
        await soon()
        assert waiter.done()

    virtual(main)


async def hold_running(gate: QuotaGate, count: int) -> list[Permit]:
    """Operations that run."""
    permits = []
    for _ in range(count):
        permits.append(await gate.acquire())
        gate.settle(permits[-1], ACCEPTED)
    return permits


def test_full_is_not_ill() -> None:
    """Refusals for too many at once do not open the breaker while operations run: their end makes room."""

    async def main() -> None:
        gate = new_gate(rate_limit=50, consecutive_failure_threshold=1)
        await hold_running(gate, 2)
        await send(gate, refused(Refusal.CONCURRENT))
        assert gate.stats().breaker is BreakerState.CLOSED

    virtual(main)


def test_running_slots_grow_by_one_again_as_operations_succeed() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=50, max_concurrency=6)
        running = deque(await hold_running(gate, 4))
        await send(gate, refused(Refusal.CONCURRENT))
        limits = []
        for _ in range(40):
            gate.finish(running.popleft(), succeeded=True)
            running += await hold_running(gate, 1)
            limits.append(int(gate.stats().running_limit))
        assert limits[:4] == [4, 4, 4, 5]  # not before as many have succeeded as there are slots
        assert sorted(set(limits)) == [4, 5, 6]
        assert gate.stats().running_limit == 6

    virtual(main)


def test_operations_that_end_badly_earn_no_slot() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=50)
        running = deque(await hold_running(gate, 2))
        await send(gate, refused(Refusal.CONCURRENT))
        for _ in range(20):
            gate.finish(running.popleft())
            running += await hold_running(gate, 1)
        assert gate.stats().running_limit == 2

    virtual(main)


def test_a_server_that_runs_four_at_once_is_learnt() -> None:
    async def main() -> None:
        gate, running, refusals = new_gate(rate_limit=50), 0, 0

        async def clip() -> None:
            nonlocal running, refusals
            while True:
                permit = await gate.acquire()
                await asyncio.sleep(0.1)
                if running < 4:
                    break
                refusals += 1
                gate.settle(permit, refused(Refusal.CONCURRENT))
            running += 1
            gate.settle(permit, ACCEPTED)
            await asyncio.sleep(10)
            running -= 1
            gate.finish(permit, succeeded=True)

        await asyncio.gather(*(clip() for _ in range(100)))
        assert now() <= 1.1 * 100 / 4 * 10
        assert refusals <= 30  # one more slot is tried whenever as many have succeeded as there are slots

    virtual(main)


def test_a_concurrent_refusal_with_nothing_running_is_somebody_elses_doing_and_pauses() -> None:
    async def main() -> None:
        gate = new_gate(quota_wait_time=30)
        await send(gate, refused(Refusal.CONCURRENT))
        assert gate.stats().opens_in == 30.0
        assert await send(gate) == 30.0

    virtual(main)


@pytest.mark.parametrize("retry_after", [None, 1.6, 585.0])
def test_a_daily_refusal_opens_at_midnight_in_los_angeles_whatever_the_body_says(retry_after: float | None) -> None:
    async def main() -> None:
        gate = new_gate(quota_patience=None)
        await send(gate, refused(Refusal.DAY, retry_after))
        assert gate.stats().opens_in == TO_MIDNIGHT
        assert await send(gate) == pytest.approx(TO_MIDNIGHT, abs=1e-3)
        assert await send(gate) == pytest.approx(TO_MIDNIGHT, abs=1e-3)  # a new day: nothing stands still

    virtual(main)


def test_the_day_that_summer_time_ends_lasts_an_hour_longer() -> None:
    async def main() -> None:
        halloween = datetime(2026, 11, 1, 7, 30, tzinfo=UTC)  # half an hour into the first of November there
        gate = QuotaGate(
            settings(rate_limit=10, quota_patience=None),
            now_utc=lambda: halloween + timedelta(seconds=now()),
        )
        await send(gate, refused(Refusal.DAY))
        assert await send(gate) == pytest.approx(24.5 * 3600 + 60, abs=1e-3)

    virtual(main)


def test_a_daily_refusal_beyond_patience_defers_at_once_and_says_until_when() -> None:
    async def main() -> None:
        gate = new_gate(quota_patience=3600)
        await send(gate, refused(Refusal.DAY, 1.6))
        for _ in range(3):
            with pytest.raises(GateClosed) as closed:
                await gate.acquire()
            assert (closed.value.kind, closed.value.retry_at_utc) == (
                "daily_quota",
                datetime(2026, 11, 24, 8, 1, tzinfo=UTC),
            )
            assert str(closed.value) == (
                "no submit is possible before 2026-11-24 08:01:00 UTC, past VEO3_QUOTA_PATIENCE=3600 s; "
                "the last answer was: quota exceeded"
            )
        assert now() == 0.0
        await asyncio.sleep(TO_MIDNIGHT + 1)
        assert await send(gate) == TO_MIDNIGHT + 1  # deferring is not for ever

    virtual(main)


def test_the_reason_for_deferring_survives_an_acceptance_that_was_under_way() -> None:
    """An acceptance of a submit from before the refusal must not make the gate forget why it stands still."""

    async def main() -> None:
        gate = new_gate(rate_limit=50)
        await warm(gate, 5)
        straggler, unlucky = await hold(gate, 2)
        gate.settle(unlucky, refused(Refusal.SPEND, 7200.0))
        gate.settle(straggler, ACCEPTED)
        with pytest.raises(GateClosed, match="the last answer was: quota exceeded") as closed:
            await gate.acquire()
        assert closed.value.kind == "spend_limit"

    virtual(main)


def test_refusals_that_explain_nothing_pause_for_longer_each_time_and_teach_no_limit() -> None:
    async def main() -> None:
        gate = new_gate(quota_wait_time=100, consecutive_failure_threshold=10, quota_patience=None)
        went = await send_all(gate, [refused(None)] * 4 + [ACCEPTED])
        assert [later - earlier for earlier, later in pairwise(went)] == [100, 200, 400, 800]
        assert gate.stats().quota_limit == 10
        await send(gate, refused(Refusal.UNKNOWN))
        assert gate.stats().opens_in == 100.0  # an acceptance has ended the row

    virtual(main)


def test_an_unexplained_pause_grows_no_longer_than_the_reset_interval() -> None:
    async def main() -> None:
        gate = new_gate(
            quota_wait_time=100, quota_reset_interval=500, consecutive_failure_threshold=10, quota_patience=None
        )
        went = await send_all(gate, [refused(Refusal.UNKNOWN)] * 6)
        assert [later - earlier for earlier, later in pairwise(went)] == [100, 200, 400, 500, 500]

    virtual(main)


def test_pauses_that_nobody_named_are_spread_so_that_machines_do_not_come_back_together() -> None:
    async def main() -> None:
        opens_in = set()
        for seed in range(20):
            gate = QuotaGate(settings(rate_limit=10, quota_wait_time=100), rng=random.Random(seed))
            await send(gate, refused(Refusal.UNKNOWN))
            opens_in.add(gate.stats().opens_in)
        assert len(opens_in) == 20
        assert min(opens_in) >= 100
        assert max(opens_in) <= 120

    virtual(main)


FOR_GOOD = [refusal for refusal in Refusal if refusal.for_good]


@pytest.mark.parametrize("refusal", FOR_GOOD, ids=str)
def test_a_refusal_for_good_closes_the_gate_to_everybody_with_the_reason(refusal: Refusal) -> None:
    """Waiters in line, waiters to come: none of them sends another request."""

    async def main() -> None:
        gate = new_gate(rate_limit=50)
        [permit] = await hold(gate, 1)
        waiters = [asyncio.create_task(gate.acquire()) for _ in range(5)]
        await soon()
        gate.settle(permit, refused(refusal))
        came = await asyncio.gather(*waiters, gate.acquire(), return_exceptions=True)
        assert [type(error) for error in came] == [GateClosed] * 6
        for error in came:
            assert isinstance(error, GateClosed)
            assert (error.kind, error.retry_at_utc) == (refusal.value, None)
            assert str(error) == f"quota exceeded What to do: {refusal.advice}."
        assert len(set(map(id, came))) == 6  # each its own: a shared exception would grow everybody's traceback
        assert now() == 0.0
        assert (gate.stats().closed, gate.stats().running) == (str(came[0]), 0)

    virtual(main)


def test_what_was_under_way_when_the_gate_closed_for_good_is_settled_as_ever() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=50)
        await warm(gate, 5)
        bad, good = await hold(gate, 2)
        gate.settle(bad, refused(Refusal.BILLING))
        gate.settle(good, ACCEPTED)
        assert (gate.stats().accepted, gate.stats().running) == (6, 1)
        gate.finish(good)
        assert gate.stats().running == 0

    virtual(main)


# ---- patience ------------------------------------------------------------------------------------------------------


def test_a_known_wait_within_patience_is_waited_out() -> None:
    async def main() -> None:
        gate = new_gate(quota_patience=3600)
        await send(gate, refused(Refusal.SPEND, 3600.0))
        assert await send(gate) == 3600.0

    virtual(main)


def test_a_known_wait_beyond_patience_defers_at_once() -> None:
    async def main() -> None:
        gate = new_gate(quota_patience=3600)
        await send(gate, refused(Refusal.SPEND, 3601.0))
        with pytest.raises(GateClosed) as closed:
            await gate.acquire()
        assert (now(), closed.value.kind) == (0.0, "spend_limit")
        assert closed.value.retry_at_utc == START_UTC + timedelta(seconds=3601)

    virtual(main)


def test_standing_still_for_longer_than_patience_in_all_defers_too() -> None:
    """Each wait is short enough; together they are not. The clock starts anew with an acceptance."""

    async def main() -> None:
        gate = new_gate(quota_patience=100, consecutive_failure_threshold=50)
        went = await send_all(gate, [refused(Refusal.UNKNOWN, 40.0)] * 3)
        assert went == [0, 40, 80]
        assert await send(gate, refused(Refusal.UNKNOWN, 40.0)) == 120  # it could go: that is not standing still
        with pytest.raises(GateClosed):
            await gate.acquire()
        assert now() == 120
        await asyncio.sleep(40)
        await send(gate)
        assert await send(gate, refused(Refusal.UNKNOWN, 40.0)) == 160
        assert await send(gate) == 200

    virtual(main)


def test_waiting_ones_turn_is_not_standing_still() -> None:
    """One submit every two hours, patience one hour: everybody waits, nobody is deferred."""

    async def main() -> None:
        gate = new_gate(rate_limit=1, rate_period=7200, quota_patience=3600)
        went = await asyncio.gather(*(send(gate) for _ in range(6)))
        assert went == pytest.approx([n * 7200 * 1.01 for n in range(6)])

    virtual(main)


def test_waiting_for_a_slot_at_google_is_not_standing_still() -> None:
    async def main() -> None:
        gate = new_gate(max_concurrency=1, quota_patience=10)
        [running] = await hold_running(gate, 1)
        waiter = asyncio.create_task(gate.acquire())
        assert await is_held_back(waiter, 3600)
        gate.finish(running)
        await waiter

    virtual(main)


def test_without_end_to_patience_the_gate_waits_for_ever() -> None:
    async def main() -> None:
        gate = new_gate(quota_patience=None, consecutive_failure_threshold=100)
        went = await send_all(gate, [refused(Refusal.SPEND, 86_400.0)] * 5 + [ACCEPTED])
        assert went[-1] == pytest.approx(5 * 86_400)

    virtual(main)


def test_without_any_patience_every_refusal_defers() -> None:
    async def main() -> None:
        gate = new_gate(quota_patience=0)
        await send(gate, refused(Refusal.UNKNOWN, 1.0))
        with pytest.raises(GateClosed):
            await gate.acquire()
        await asyncio.sleep(1.0)
        assert await send(gate) == 1.0

    virtual(main)


def test_a_probe_under_way_is_waited_for_however_long_the_lane_has_stood_still() -> None:
    async def main() -> None:
        gate = new_gate(quota_patience=100, consecutive_failure_threshold=1, rate_limit=50)
        await send(gate, refused(Refusal.UNKNOWN, 90.0))
        probe = await gate.acquire()
        assert (now(), probe.admission.probe) == (90.0, True)
        waiter = asyncio.create_task(gate.acquire())
        assert await is_held_back(waiter, 60)  # tired by now, and yet
        gate.settle(probe, ACCEPTED)
        assert (await waiter).granted_at == 150.0

    virtual(main)


# ---- the breaker behind the gate -----------------------------------------------------------------------------------


async def opened(gate: QuotaGate, verdict: Verdict, times: int) -> None:
    await send_all(gate, [verdict] * times)
    assert gate.stats().breaker is BreakerState.OPEN


def test_the_breaker_opens_after_threshold_refusals_for_as_long_as_the_last_one_says() -> None:
    async def main() -> None:
        gate = new_gate(consecutive_failure_threshold=3)
        await send_all(gate, [refused(Refusal.UNKNOWN, 10.0)] * 2)
        assert gate.stats().breaker is BreakerState.CLOSED
        await send(gate, refused(Refusal.UNKNOWN, 50.0))
        stats = gate.stats()
        assert (stats.breaker, stats.opens_in, now()) == (BreakerState.OPEN, 50.0, 20.0)
        assert await send(gate) == 70.0
        assert gate.stats().breaker is BreakerState.CLOSED

    virtual(main)


def test_the_breaker_stays_open_for_the_reset_interval_if_the_refusal_does_not_say() -> None:
    async def main() -> None:
        gate = new_gate(consecutive_failure_threshold=1, quota_wait_time=10, quota_reset_interval=777)
        await opened(gate, refused(Refusal.UNKNOWN), 1)
        assert await send(gate) == 777.0

    virtual(main)


def test_at_most_one_probe_when_half_open_and_only_its_success_lets_the_next_in() -> None:
    async def main() -> None:
        gate = new_gate(consecutive_failure_threshold=1, rate_limit=50)
        await opened(gate, refused(Refusal.UNKNOWN, 30.0), 1)
        waiters = [asyncio.create_task(gate.acquire()) for _ in range(50)]
        await asyncio.sleep(60)
        assert [waiter.done() for waiter in waiters] == [True] + [False] * 49
        gate.settle(waiters[0].result(), ACCEPTED)
        await soon()
        assert sum(waiter.done() for waiter in waiters) == 2  # one by one, never all at once
        for waiter in waiters:
            waiter.cancel()

    virtual(main)


def test_a_refused_probe_opens_the_breaker_again_for_twice_as_long() -> None:
    async def main() -> None:
        gate = new_gate(consecutive_failure_threshold=1, quota_patience=None)
        went = await send_all(gate, [refused(Refusal.UNKNOWN, 10.0)] * 5)
        assert [later - earlier for earlier, later in pairwise(went)] == [10, 20, 40, 80]

    virtual(main)


def test_a_waiter_cancelled_before_it_could_probe_leaves_the_probe_to_the_next() -> None:
    async def main() -> None:
        gate = new_gate(consecutive_failure_threshold=1)
        await opened(gate, refused(Refusal.UNKNOWN, 30.0), 1)
        first, second = (asyncio.create_task(gate.acquire()) for _ in range(2))
        await asyncio.sleep(29)
        first.cancel()
        permit = await second
        assert (permit.granted_at, permit.admission.probe) == (30.0, True)

    virtual(main)


def test_a_probe_given_back_unused_proves_nothing_and_frees_its_place() -> None:
    async def main() -> None:
        gate = new_gate(consecutive_failure_threshold=1)
        await opened(gate, refused(Refusal.UNKNOWN, 30.0), 1)
        probe = await gate.acquire()
        waiter = asyncio.create_task(gate.acquire())
        await soon()
        assert not waiter.done()
        gate.cancel(probe)
        again = await waiter
        assert (again.granted_at, again.admission.probe) == (30.0, True)
        assert gate.stats().breaker is BreakerState.HALF_OPEN
        assert gate.stats().running == 1

    virtual(main)


def test_a_rejected_probe_proves_nothing_and_frees_its_place() -> None:
    async def main() -> None:
        gate = new_gate(consecutive_failure_threshold=1)
        await opened(gate, refused(Refusal.UNKNOWN, 30.0), 1)
        await send(gate, REJECTED)
        assert gate.stats().breaker is BreakerState.HALF_OPEN
        assert await send(gate) == 30.0
        assert gate.stats().breaker is BreakerState.CLOSED

    virtual(main)


def test_a_probe_that_never_answers_does_not_lock_the_gate() -> None:
    """It is a lease: after the longest that a request may take, and a little, the next one probes."""

    async def main() -> None:
        gate = new_gate(consecutive_failure_threshold=1, request_timeout=120)
        await opened(gate, refused(Refusal.UNKNOWN, 30.0), 1)
        lost = await gate.acquire()
        second = await gate.acquire()
        assert (second.granted_at, second.admission.probe) == (30 + 120 + PROBE_GRACE, True)
        gate.settle(second, ACCEPTED)
        assert gate.stats().breaker is BreakerState.CLOSED
        gate.settle(lost, refused(Refusal.UNKNOWN, 10_000.0))  # and its late answer speaks for another life
        assert gate.stats().breaker is BreakerState.CLOSED

    virtual(main)


def test_submits_from_before_the_breaker_opened_do_not_hold_up_its_probe() -> None:
    async def main() -> None:
        gate = new_gate(consecutive_failure_threshold=1, rate_limit=50)
        await warm(gate, 5)
        _slow, unlucky = await hold(gate, 2)
        gate.settle(unlucky, refused(Refusal.UNKNOWN, 30.0))
        probe = await gate.acquire()
        assert (probe.granted_at, probe.admission.probe) == (30.0, True)

    virtual(main)


@pytest.mark.parametrize("problem", [UNAVAILABLE, UNCERTAIN, UNSENT], ids=lambda verdict: verdict.error_kind)
def test_an_hour_of_trouble_costs_a_handful_of_submits(problem: Verdict) -> None:
    """With the default wait of 30 s: three in a row open the breaker, and each probe doubles its stay."""

    async def main() -> None:
        gate, went = new_gate(retry_wait_base=30, quota_patience=None), list[float]()
        # A probe that creates nothing is repeated before long; one whose answer is lost may cost a clip each time.
        longest = 600 if problem.kind is VerdictKind.UNAVAILABLE else inf
        while now() < 3600:
            went.append(await send(gate, problem))
        assert len(went) <= 14
        assert went[:3] == [0, 0, 0]
        assert [later - earlier for earlier, later in pairwise(went[2:])] == [
            min(30 * 2**n, longest) for n in range(len(went) - 3)
        ]

    virtual(main)


@pytest.mark.parametrize("problem", [UNAVAILABLE, UNCERTAIN, UNSENT], ids=lambda verdict: verdict.error_kind)
def test_even_without_any_wait_between_tries_trouble_does_not_spin(problem: Verdict) -> None:
    async def main() -> None:
        gate, went = new_gate(retry_wait_base=0, rate_limit=50, quota_patience=None), list[float]()
        while now() < 3600 and len(went) < 100:
            went.append(await send(gate, problem, rtt=0.01))
        assert len(went) < 30

    virtual(main)


def test_trouble_that_names_a_delay_is_believed() -> None:
    async def main() -> None:
        gate = new_gate()
        await send(gate, Verdict(VerdictKind.UNAVAILABLE, "maintenance", retry_after=400.0))
        assert await send(gate) == 400.0

    virtual(main)


# ---- what a request uses up ----------------------------------------------------------------------------------------


def test_a_request_that_was_never_sent_gives_its_slot_back() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=2, burst=2, consecutive_failure_threshold=50)
        await send(gate, UNSENT)
        assert gate.stats().quota_used == 0
        await send(gate)
        assert gate.stats().quota_used == 1

    virtual(main)


@pytest.mark.parametrize(
    "verdict", [ACCEPTED, refused(Refusal.UNKNOWN, 1.0), UNAVAILABLE, UNCERTAIN, REJECTED], ids=lambda v: v.error_kind
)
def test_whatever_was_sent_keeps_its_slot_for_a_period_after_its_answer(verdict: Verdict) -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=1, consecutive_failure_threshold=50)
        await send(gate, verdict, rtt=5.0)
        assert gate.stats().quota_used == 1
        assert await send(gate) == pytest.approx(5 + 60 + MARGIN)

    virtual(main)


def test_a_permit_given_back_unused_gives_everything_back() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=2, burst=1, daily_limit=2, spend_limit=5.0, max_concurrency=1)
        for _ in range(10):
            gate.cancel(await gate.acquire(5.0))
        stats = gate.stats()
        assert (stats.quota_used, stats.running, stats.accepted, stats.refused) == (0, 0, 0, 0)
        assert (await gate.acquire(5.0)).granted_at == 0.0

    virtual(main)


def test_settling_twice_is_a_bug_and_says_so() -> None:
    async def main() -> None:
        gate = new_gate()
        permit = await gate.acquire()
        gate.settle(permit, ACCEPTED)
        with pytest.raises(RuntimeError, match="settled already"):
            gate.settle(permit, ACCEPTED)
        for _ in range(3):
            gate.finish(permit)
        assert gate.stats().running == 0

    virtual(main)


@pytest.mark.parametrize(
    "verdict", [refused(Refusal.UNKNOWN, 1.0), UNAVAILABLE, UNCERTAIN, REJECTED, UNSENT], ids=lambda v: v.message
)
def test_only_an_accepted_submit_keeps_its_running_slot(verdict: Verdict) -> None:
    async def main() -> None:
        gate = new_gate(max_concurrency=1)
        permit = await gate.acquire()
        assert gate.stats().running == 1
        gate.settle(permit, verdict)
        assert gate.stats().running == 0

    virtual(main)


# ---- settings ------------------------------------------------------------------------------------------------------


def test_burst_paces_through_the_token_bucket() -> None:
    """burst=1: one every six seconds, though the window alone would let ten go at once."""

    async def main() -> None:
        gate = new_gate(burst=1)
        went = await asyncio.gather(*(send(gate) for _ in range(20)))
        assert went == pytest.approx([6.0 * n for n in range(10)] + [60.6 + 6.0 * n for n in range(10)], abs=1e-3)

    virtual(main)


def test_a_burst_of_three_goes_at_once_and_the_rest_at_the_pace() -> None:
    async def main() -> None:
        gate = new_gate(burst=3)
        went = await asyncio.gather(*(send(gate) for _ in range(8)))
        assert went == pytest.approx([0, 0, 0, 6, 12, 18, 24, 30], abs=1e-3)

    virtual(main)


def test_max_concurrency_bounds_what_runs_at_once() -> None:
    async def main() -> None:
        gate, most = new_gate(max_concurrency=3, rate_limit=50), 0

        async def one(seconds: float) -> None:
            nonlocal most
            permit = await gate.acquire()
            most = max(most, gate.stats().running)
            gate.settle(permit, ACCEPTED)
            await asyncio.sleep(seconds)
            gate.finish(permit, succeeded=True)

        await asyncio.gather(*(one(10) for _ in range(9)))
        assert (most, now(), gate.stats().running_limit) == (3, 30.0, 3)

    virtual(main)


def test_the_daily_limit_defers_what_would_have_to_wait_for_tomorrow() -> None:
    async def main() -> None:
        gate = new_gate(daily_limit=3)
        await warm(gate, 3)
        with pytest.raises(GateClosed, match="all 3 requests of today are used up") as closed:
            await gate.acquire()
        assert (closed.value.kind, closed.value.retry_at_utc) == (
            "daily_quota",
            datetime(2026, 11, 24, 8, 1, tzinfo=UTC),
        )

    virtual(main)


def test_the_daily_limit_begins_anew_at_midnight_in_los_angeles() -> None:
    async def main() -> None:
        gate = new_gate(daily_limit=3, quota_patience=None)
        went = await asyncio.gather(*(send(gate) for _ in range(7)))
        days = [0.0] * 3 + [TO_MIDNIGHT] * 3 + [TO_MIDNIGHT + 86_400]
        assert went == pytest.approx(days, abs=1e-3)

    virtual(main)


def test_the_last_of_the_day_is_waited_for_before_anybody_is_deferred() -> None:
    """Its answer may be that it was never sent, which gives its place back."""

    async def main() -> None:
        gate = new_gate(daily_limit=1)
        permit = await gate.acquire()
        waiter = asyncio.create_task(gate.acquire())
        assert await is_held_back(waiter, 30)
        gate.settle(permit, UNSENT)
        assert (await waiter).granted_at == 30.0

    virtual(main)


def test_the_spend_limit_holds_in_any_period() -> None:
    async def main() -> None:
        gate, went = new_gate(spend_limit=10.0, spend_period=600), list[float]()
        for _ in range(7):
            permit = await gate.acquire(3.2)
            went.append(now())
            gate.settle(permit, ACCEPTED)
            gate.finish(permit)
        assert went == pytest.approx([0, 0, 0, 606, 606, 606, 1212])

    virtual(main)


def test_a_clip_dearer_than_the_whole_spend_limit_goes_alone() -> None:
    async def main() -> None:
        gate = new_gate(spend_limit=1.0, spend_period=600)
        for at in (0.0, 606.0):
            permit = await gate.acquire(3.2)
            assert now() == pytest.approx(at)
            gate.settle(permit, ACCEPTED)

    virtual(main)


def test_what_was_refused_or_rejected_spent_nothing() -> None:
    async def main() -> None:
        gate = new_gate(spend_limit=3.2)
        for verdict in (REJECTED, UNAVAILABLE, UNSENT, ACCEPTED):
            permit = await gate.acquire(3.2)
            assert now() == 0.0
            gate.settle(permit, verdict)
        assert (await gate.acquire(3.2)).granted_at > 600

    virtual(main)


def test_an_uncertain_submit_may_have_spent_and_counts() -> None:
    async def main() -> None:
        gate = new_gate(spend_limit=3.2, spend_period=600)
        permit = await gate.acquire(3.2)
        gate.settle(permit, UNCERTAIN)
        assert (await gate.acquire(3.2)).granted_at == pytest.approx(606)

    virtual(main)


# ---- closing and looking -------------------------------------------------------------------------------------------


def test_closing_wakes_every_waiter_and_turns_away_who_comes_later() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=1)
        await send(gate)
        waiters = [asyncio.create_task(gate.acquire()) for _ in range(3)]
        await soon()
        gate.close()
        gate.close("again", "a second reason does not replace the first")
        came = await asyncio.gather(*waiters, gate.acquire(), return_exceptions=True)
        assert [str(error) for error in came] == ["the client was closed"] * 4
        assert [error.kind for error in came if isinstance(error, GateClosed)] == ["closed"] * 4
        assert now() == 0.0

    virtual(main)


def test_closing_leaves_no_task_behind_that_waits_for_a_token() -> None:
    async def main() -> None:
        gate = new_gate(burst=1)
        await send(gate)
        waiter = asyncio.create_task(gate.acquire())
        await soon()
        gate.close()
        with pytest.raises(GateClosed):
            await waiter
        await soon()
        assert asyncio.all_tasks() == {asyncio.current_task()} | {
            task for task in asyncio.all_tasks() if "bounded" in repr(task)
        }

    virtual(main)


def test_stats_tell_where_the_gate_stands() -> None:
    async def main() -> None:
        gate = new_gate(max_concurrency=8)
        fresh = gate.stats()
        assert (fresh.breaker, fresh.opens_in, fresh.quota_used, fresh.running) == (BreakerState.CLOSED, 0.0, 0, 0)
        assert (fresh.quota_limit, fresh.quota_period, fresh.running_limit, fresh.closed) == (10, 60.0, 8, None)
        await hold_running(gate, 2)
        await send(gate, refused(Refusal.MINUTE, 12.5, limit=5))
        stats = gate.stats()
        assert (stats.accepted, stats.refused, stats.running, stats.quota_used) == (2, 1, 2, 3)
        assert (stats.quota_limit, stats.opens_in) == (5, 12.5)
        await asyncio.sleep(61)
        assert (gate.stats().quota_used, gate.stats().opens_in) == (0, 0.0)
        assert fresh.running == 0  # a snapshot, not a window

    virtual(main)


# ---- against everything --------------------------------------------------------------------------------------------

PERIOD = 10.0

ANY_VERDICT = st.sampled_from(
    [ACCEPTED] * 6
    + [REJECTED, UNSENT, UNAVAILABLE, UNCERTAIN]
    + [refused(kind, wait) for kind in (None, Refusal.CONCURRENT, Refusal.SPEND) for wait in (None, 3.0)]
    + [refused(Refusal.MINUTE, wait, limit) for wait in (None, 3.0) for limit in (None, 2)]
)
INSTANT = st.one_of(st.integers(0, 60).map(float), st.floats(0, 60, allow_subnormal=False))
RTT = st.one_of(st.sampled_from([0.0, 0.5, 12.0]), st.floats(0, 15, allow_subnormal=False))


@dataclass(frozen=True)
class Client:
    """Comes at an instant; perhaps gives up after a while; its submit is answered, and runs for a while."""

    comes_at: float
    gives_up_after: float | None
    rtt: float
    verdict: Verdict
    runs_for: float
    unused: bool


CLIENT = st.builds(
    Client,
    comes_at=INSTANT,
    gives_up_after=st.none() | st.sampled_from([0.0, 10.0, 10.1]) | st.floats(0, 30, allow_subnormal=False),
    rtt=RTT,
    verdict=ANY_VERDICT,
    runs_for=RTT,
    unused=st.sampled_from([False] * 9 + [True]),
)


@dataclass
class Books:
    """What a server could see."""

    came: list[int] = field(default_factory=list)
    went: list[int] = field(default_factory=list)
    probes: int = 0
    sent: list[list[float | None]] = field(default_factory=list)

    def forget(self, record: list[float | None]) -> None:
        """What never left: this record, not another that looks the same."""
        self.sent = [other for other in self.sent if other is not record]


async def be(client: Client, number: int, gate: QuotaGate, books: Books, limit: int, slots: int) -> None:
    await asyncio.sleep(client.comes_at)
    books.came.append(number)
    permit: Permit | None = None

    async def ask() -> None:
        nonlocal permit
        permit = await gate.acquire(1.0)
        books.went.append(number)

    asking = asyncio.create_task(ask())
    await asyncio.wait({asking}, timeout=client.gives_up_after)
    if permit is None:
        asking.cancel()
        await asyncio.wait({asking})
    if permit is None:
        return
    counted = [1 for _, answered in books.sent if answered is None or answered + PERIOD > permit.granted_at]
    assert len(counted) < limit, "more than the limit in some period, by some way of counting"
    assert gate.stats().running <= slots
    if permit.admission.probe:
        books.probes += 1
        assert books.probes == 1, "two probes at once"
    record: list[float | None] = [now(), None]
    books.sent.append(record)
    if client.unused:
        books.forget(record)
        books.probes -= permit.admission.probe
        gate.cancel(permit)
        return
    await asyncio.sleep(client.rtt)
    if client.verdict.unsent:
        books.forget(record)
    else:
        record[1] = now()
    books.probes -= permit.admission.probe
    gate.settle(permit, client.verdict)
    if client.verdict.kind is VerdictKind.ACCEPTED:
        await asyncio.sleep(client.runs_for)
        gate.finish(permit, succeeded=True)


@effort(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    clients=st.lists(CLIENT, min_size=1, max_size=14),
    limit=st.integers(1, 5),
    burst=st.integers(1, 5),
    slots=st.integers(1, 6),
    threshold=st.integers(1, 4),
)
def test_whatever_comes_no_limit_is_broken_no_permit_lost_and_nobody_overtaken(
    clients: list[Client], limit: int, burst: int, slots: int, threshold: int
) -> None:
    async def main() -> None:
        gate = new_gate(
            rate_limit=limit,
            rate_period=PERIOD,
            burst=min(burst, limit),
            max_concurrency=slots,
            consecutive_failure_threshold=threshold,
            quota_patience=None,
            quota_wait_time=20,
            spend_limit=3.0,
            spend_period=15,
        )
        books = Books()
        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(clients):
                group.create_task(be(client, number, gate, books, limit, slots))
        stayed = set(books.went)
        assert books.went == [number for number in books.came if number in stayed], "overtaken"
        assert {n for n, client in enumerate(clients) if client.gives_up_after is None} <= stayed, "a waiter was lost"
        assert (gate._unanswered, gate.stats().running) == (0, 0)
        await send(gate)  # and the next one still gets through
        await asyncio.sleep(PERIOD * 1.02)
        assert gate.stats().quota_used == 0

    virtual(main)


# ---- accepted, and then refused --------------------------------------------------------------------------------------


def test_a_late_refusal_counts_once_however_often_it_is_said() -> None:
    async def main() -> None:
        gate = new_gate()
        permit = await gate.acquire()
        gate.settle(permit, ACCEPTED)
        for _ in range(3):
            gate.refuse_late(permit, refused(Refusal.MINUTE, 20.0, limit=7))
        stats = gate.stats()
        assert (stats.accepted, stats.refused, stats.quota_limit, stats.running) == (0, 1, 7, 1)
        assert stats.opens_in == 20.0
        gate.finish(permit)
        assert gate.stats().running == 0

    virtual(main)


def test_what_was_refused_late_does_not_prove_what_a_period_takes() -> None:
    async def main() -> None:
        gate = new_gate()
        await warm(gate, 4)
        permits = await hold(gate, 3)
        for permit in permits:
            gate.settle(permit, ACCEPTED)
        await asyncio.sleep(1.0)
        gate.refuse_late(permits[2], refused(Refusal.MINUTE))
        assert gate.stats().quota_limit == 6  # not seven: the seventh was the one too many

    virtual(main)


def test_late_refusals_open_the_breaker_once_there_is_one_without_an_acceptance_in_between() -> None:
    async def main() -> None:
        gate = new_gate(consecutive_failure_threshold=1)
        permit = await gate.acquire()
        gate.settle(permit, ACCEPTED)
        gate.refuse_late(permit, refused(Refusal.UNKNOWN, 5.0))
        gate.finish(permit)
        assert (gate.stats().breaker, gate.stats().opens_in) == (BreakerState.OPEN, 5.0)

    virtual(main)


def test_an_operation_of_an_earlier_run_that_is_refused_late_pauses_the_lane_and_teaches_nothing() -> None:
    async def main() -> None:
        gate = new_gate()
        gate.refuse_late(gate.adopt(), refused(Refusal.MINUTE, 20.0, limit=7))
        stats = gate.stats()
        assert (stats.accepted, stats.refused, stats.quota_limit, stats.opens_in) == (0, 1, 10, 20.0)

    virtual(main)


# ---- what is not set -------------------------------------------------------------------------------------------------


def test_where_nothing_is_set_the_usual_quota_is_where_the_search_begins() -> None:
    """One more after ten full periods, and then more of it: this project's quota may be higher."""

    async def main() -> None:
        gate = QuotaGate(settings(rate_limit=None, model="not in the catalog"), rng=NoJitter(), now_utc=now_utc)
        limits, raised_at = [10.0], []
        while len(limits) < 5:
            await send(gate)
            if (limit := gate.stats().quota_limit) != limits[-1]:
                limits.append(limit)
                raised_at.append(now())
        assert limits == [10, 11, 13, 17, 25]
        assert 10 * 60 < raised_at[0] < 12 * 60
        assert all(60 < later - earlier < 122 for earlier, later in pairwise(raised_at))
        assert gate._bucket.rate.limit == 17  # and the bucket does not hold back what the window lets through

    virtual(main)


def test_what_is_set_is_never_exceeded_however_long_nothing_is_refused() -> None:
    async def main() -> None:
        gate, went = new_gate(rate_limit=10), list[float]()
        while now() < 3600:
            went.append(await send(gate))
        assert all(later - earlier >= 60 for earlier, later in zip(went, went[10:], strict=False))

    virtual(main)


def test_what_lies_beyond_the_proven_goes_alone() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=20)
        await warm(gate, 4)
        await send(gate, refused(Refusal.MINUTE, limit=4))
        while gate.stats().quota_limit == 4:
            await warm(gate, 1)
        await asyncio.sleep(61)
        [*_, last] = await hold(gate, 4)
        waiter = asyncio.create_task(gate.acquire())
        assert await is_held_back(waiter, 5)
        gate.settle(last, ACCEPTED)
        assert await is_held_back(waiter, 5)  # three are out still
        waiter.cancel()

    virtual(main)


# ---- others on the same quota ----------------------------------------------------------------------------------------


def test_a_refusal_below_the_quota_it_names_is_forgiven_once_and_then_counted() -> None:
    """An earlier run of ours may have used it, which passes; if it goes on, others share it."""

    async def main() -> None:
        gate = new_gate(consecutive_failure_threshold=50)
        await warm(gate, 4)
        await send(gate, refused(Refusal.MINUTE, 1.0, limit=10))
        assert gate.stats().quota_limit == 10
        await send(gate)
        await send(gate, refused(Refusal.MINUTE, 1.0, limit=10))
        assert gate.stats().quota_limit == 5

    virtual(main)


def test_a_full_house_teaches_what_runs_and_not_what_was_asked_for() -> None:
    async def main() -> None:
        gate = new_gate(rate_limit=50)
        await hold_running(gate, 7)
        first, *others = await hold(gate, 4)
        gate.settle(first, refused(Refusal.CONCURRENT))
        assert gate.stats().running_limit == 7
        gate.settle(others[0], ACCEPTED)
        assert gate.stats().running_limit == 8
        for permit in others[1:]:
            gate.settle(permit, refused(Refusal.CONCURRENT))
        assert gate.stats().running_limit == 8

    virtual(main)


def test_a_minute_that_others_use_up_is_asked_for_every_ten_minutes_at_least() -> None:
    async def main() -> None:
        gate, went = new_gate(quota_patience=None), list[float]()
        while now() < 6 * 3600:
            went.append(await send(gate, refused(Refusal.MINUTE)))
        assert max(later - earlier for earlier, later in pairwise(went)) == pytest.approx(600)

    virtual(main)
