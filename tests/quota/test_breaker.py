"""The breaker: its table of transitions, and random sequences of events."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nextafter

import pytest
from hypothesis import settings as effort
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aveo3.quota.breaker import RETRIES, Admission, BreakerState, CircuitBreaker, Health

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
HEALTHY, UNHEALTHY, UNKNOWN = Health.HEALTHY, Health.UNHEALTHY, Health.UNKNOWN


def breaker(threshold: int = 3, reset_interval: float = 100, probe_lease: float = 30, **more: float) -> CircuitBreaker:
    return CircuitBreaker(threshold, reset_interval, probe_lease=probe_lease, **more)


def tripped(now: float = 0, open_for: float | None = None, **how: float) -> CircuitBreaker:
    """A breaker of threshold 1 that has just opened."""
    it = breaker(1, **how)
    it.settle(it.admit(now), UNHEALTHY, now, open_for=open_for)
    return it


@pytest.mark.parametrize(
    ("settled", "state"),
    [
        ("", CLOSED),
        ("--", CLOSED),
        ("---", OPEN),  # the threshold, exactly
        ("--+--", CLOSED),  # consecutive means consecutive
        ("--+---", OPEN),
        ("-?-?", CLOSED),
        ("-?-?-", OPEN),  # what proves nothing neither counts nor forgives
        ("+" * 10, CLOSED),
    ],
)
def test_three_failures_in_a_row_open_it(settled: str, state: BreakerState) -> None:
    it = breaker(3)
    for now, sign in enumerate(settled):
        it.settle(it.admit(now), {"+": HEALTHY, "-": UNHEALTHY, "?": UNKNOWN}[sign], now)
    assert it.state(len(settled)) is state


def test_calls_that_were_out_together_count_once() -> None:
    it = breaker(3)
    burst = [it.admit(0) for _ in range(10)]
    assert [it.settle(admission, UNHEALTHY, 1) for admission in burst] == [True] + [False] * 9
    assert (it.state(1), it.failures) == (CLOSED, 1)
    assert it.settle(it.admit(2), UNHEALTHY, 2)
    assert it.failures == 2


def test_a_success_that_was_out_with_a_failure_forgives_nothing() -> None:
    it = breaker(2)
    failing, succeeding = it.admit(0), it.admit(0)
    it.settle(failing, UNHEALTHY, 1)
    it.settle(succeeding, HEALTHY, 2)
    assert it.failures == 1
    it.settle(it.admit(3), HEALTHY, 3)
    assert it.failures == 0


def test_open_admits_nobody_before_its_time_and_one_probe_at_it() -> None:
    it = tripped(now=5)
    just_before = nextafter(105, -inf)
    assert (it.state(just_before), it.ready_at(just_before)) == (OPEN, 105)
    with pytest.raises(RuntimeError, match=r"^the breaker is open: not ready before 105\.0$"):
        it.admit(just_before)
    assert (it.state(105), it.ready_at(105)) == (HALF_OPEN, 105)
    assert it.admit(105).probe


def test_nobody_follows_a_probe_until_it_is_settled() -> None:
    it = tripped()
    it.admit(100)
    assert it.ready_at(101) == 130  # the end of the probe's lease
    with pytest.raises(RuntimeError, match=r"^the breaker is half_open: not ready before 130$"):
        it.admit(101)


def test_a_probe_that_succeeds_closes_it() -> None:
    it = tripped()
    it.settle(it.admit(100), HEALTHY, 101)
    assert (it.state(101), it.failures, it.ready_at(101)) == (CLOSED, 0, 101)


def test_a_probe_that_proves_nothing_frees_its_place_and_closes_nothing() -> None:
    it = tripped()
    it.settle(it.admit(100), UNKNOWN, 110)
    assert (it.state(110), it.ready_at(110)) == (HALF_OPEN, 110)
    assert it.admit(110).probe


def test_failed_probes_keep_it_open_for_twice_as_long_each_up_to_the_longest() -> None:
    it = tripped(longest=500)
    stayed, now = [], 0.0
    for _ in range(5):
        stayed.append(it.ready_at(now) - now)
        now = it.ready_at(now)
        it.settle(it.admit(now), UNHEALTHY, now)
    assert stayed == [100, 200, 400, 500, 500]


def test_a_success_forgets_how_often_probes_had_failed() -> None:
    it = tripped()
    it.settle(it.admit(100), UNHEALTHY, 100)
    it.settle(it.admit(300), HEALTHY, 300)
    it.settle(it.admit(301), UNHEALTHY, 301)
    assert it.open_until == 401


@pytest.mark.parametrize(
    ("named", "until"), [(None, 100), (7.5, 7.5), (5_000, 5_000), (30 * 86_400, 30 * 86_400), (0, 0)]
)
def test_a_failure_that_names_a_time_is_taken_at_its_word(named: float | None, until: float) -> None:
    assert tripped(open_for=named).open_until == until


def test_a_probe_whose_lease_ran_out_cannot_lock_it_nor_speak_for_the_next() -> None:
    it = tripped()
    lost = it.admit(100)
    assert it.ready_at(nextafter(130, -inf)) == 130
    second = it.admit(130)
    assert second.probe
    assert not it.settle(lost, HEALTHY, 131)
    assert it.state(131) is HALF_OPEN
    assert it.ready_at(131) == 160  # the second still has its lease
    it.settle(second, HEALTHY, 132)
    assert it.state(132) is CLOSED


def test_answers_from_before_it_opened_prove_nothing() -> None:
    it = breaker(1)
    before = [it.admit(0) for _ in range(3)]
    it.settle(before[0], UNHEALTHY, 1)
    it.settle(before[1], UNHEALTHY, 50, open_for=9_999)
    assert it.open_until == 101  # not extended
    it.settle(before[2], HEALTHY, 60)
    assert it.state(60) is OPEN  # not closed


def test_it_outlives_thousands_of_failed_probes() -> None:
    """Regression: two to the power of 1,100 is no number of seconds."""
    it = tripped()
    now = 0.0
    for _ in range(1_100):
        now = it.ready_at(now)
        it.settle(it.admit(now), UNHEALTHY, now)
    assert it.open_until - now == 86_400


def test_its_repr_tells_where_it_stands() -> None:
    assert repr(breaker()) == "<CircuitBreaker closed, 0/3 failures, generation 0>"
    assert repr(tripped()) == "<CircuitBreaker open until 100.0, 1/1 failures, generation 1>"


# ---- the machine -----------------------------------------------------------------------------------------------------


@dataclass
class Call:
    """An admitted call as the machine sees it."""

    admission: Admission
    at: float
    epoch: int  # changes of state, and probes, before it
    step: int  # its place among all events


class Breaker(RuleBasedStateMachine):
    """Admits, settles and waits at random, beside a model that is told only what a caller knows."""

    LEASE = 30.0
    LONGEST = 1_000.0

    @initialize(threshold=st.integers(1, 4), reset=st.sampled_from([1.0, 100.0]))
    def build(self, threshold: int, reset: float) -> None:
        self.threshold, self.reset = threshold, reset
        self.breaker = CircuitBreaker(threshold, reset, probe_lease=self.LEASE, longest=self.LONGEST)
        self.now = 0.0
        self.out: list[Call] = []
        self.epoch = self.step = self.failures = self.failed_probes = 0
        self.last_failure_step = 0
        self.open_until: float | None = None  # None: closed

    @property
    def live_probes(self) -> list[Call]:
        return [call for call in self.out if call.admission.probe and self.now < call.at + self.LEASE]

    @rule(seconds=st.sampled_from([0.25, 1.0, 10.0, 29.75, 30.0, 100.0, 5_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def time_passes_until_it_is_ready(self) -> None:
        self.now = self.breaker.ready_at(self.now)

    @rule()
    def time_passes_almost_until_it_is_ready(self) -> None:
        self.now = max(self.now, nextafter(self.breaker.ready_at(self.now), -inf))

    @rule()
    def admit(self) -> None:
        self.step += 1
        blocked = self.open_until is not None and (self.now < self.open_until or bool(self.live_probes))
        assert (self.breaker.ready_at(self.now) > self.now) == blocked
        if blocked:
            with pytest.raises(RuntimeError, match="not ready before"):
                self.breaker.admit(self.now)
            return
        self.epoch += self.open_until is not None
        admission = self.breaker.admit(self.now)
        assert admission.probe == (self.open_until is not None)
        self.out.append(Call(admission, self.now, self.epoch, self.step))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), health=st.sampled_from(Health), named=st.sampled_from([None, None, 0.5, 50.0, 3_000.0]))
    def settle(self, data: st.DataObject, health: Health, named: float | None) -> None:
        self.step += 1
        call = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before = repr(self.breaker), self.breaker.open_until, self.breaker.ready_at(self.now)
        counted = self.breaker.settle(call.admission, health, self.now, open_for=named)
        if call.epoch != self.epoch:
            assert not counted
            assert before == (repr(self.breaker), self.breaker.open_until, self.breaker.ready_at(self.now))
            return
        out_with_a_failure = call.step < self.last_failure_step
        assert counted == (health is UNHEALTHY and not out_with_a_failure)
        if counted:
            self._failed(call, named)
        elif health is HEALTHY and call.admission.probe:
            self.epoch += 1
            self.open_until, self.failures, self.failed_probes = None, 0, 0
        elif health is HEALTHY and not out_with_a_failure:
            self.failures = 0

    def _failed(self, call: Call, named: float | None) -> None:
        self.last_failure_step = self.step
        self.failures += 1
        self.failed_probes += call.admission.probe
        if call.admission.probe or self.failures == self.threshold:
            self.epoch += 1
            stay = self.breaker.open_until - self.now
            assert stay >= (self.reset if named is None else named)  # at least what was named
            assert stay == min((self.reset if named is None else named) * 2**self.failed_probes, self.LONGEST) or (
                named is not None and stay == named > self.LONGEST
            )
            self.open_until = self.breaker.open_until

    @invariant()
    def at_most_one_probe_is_out(self) -> None:
        assert len(self.live_probes) <= 1

    @invariant()
    def its_state_is_what_happened_to_it(self) -> None:
        if self.open_until is None:
            assert self.breaker.state(self.now) is CLOSED
            assert self.breaker.ready_at(self.now) == self.now
            assert self.breaker.failures == self.failures < self.threshold
        else:
            assert self.breaker.state(self.now) is (OPEN if self.now < self.open_until else HALF_OPEN)
            assert self.breaker.ready_at(self.now) >= self.open_until


Breaker.TestCase.settings = effort(max_examples=100, stateful_step_count=40, deadline=None, derandomize=True)
TestBreaker = Breaker.TestCase


# ---- the budget of retries -------------------------------------------------------------------------------------------


def every_other(breaker: CircuitBreaker, calls: int, *, draws: bool) -> int:
    """Calls, one a second, of which every other one fails: how many get through."""
    through = 0
    for second in range(calls):
        if breaker.ready_at(second) > second:
            continue
        through += 1
        health = Health.UNHEALTHY if through % 2 else Health.HEALTHY
        breaker.settle(breaker.admit(second), health, second, open_for=30.0, draws=draws)
    return through


def test_a_service_that_fails_every_other_time_is_asked_seldom_once_the_budget_is_used_up() -> None:
    assert every_other(CircuitBreaker(3, 3600, probe_lease=10), 3600, draws=True) <= 2 * 3600 / 30 + 20


def test_what_draws_on_no_budget_opens_by_its_number_in_a_row_alone() -> None:
    assert every_other(CircuitBreaker(3, 3600, probe_lease=10), 3600, draws=False) == 3600


def test_a_few_failures_among_many_successes_never_use_the_budget_up() -> None:
    breaker = CircuitBreaker(3, 3600, probe_lease=10)
    for second in range(1000):
        health = Health.UNHEALTHY if second % 3 == 0 else Health.HEALTHY
        breaker.settle(breaker.admit(second), health, second, open_for=30.0, draws=True)
        assert breaker.state(second) is BreakerState.CLOSED


def test_the_budget_is_filled_by_successes_and_never_overflows() -> None:
    breaker = CircuitBreaker(100, 3600, probe_lease=10)
    for second in range(4):
        breaker.settle(breaker.admit(second), Health.UNHEALTHY, second, draws=True)
    assert breaker.retries_left == RETRIES - 4
    for second in range(4, 50):
        breaker.settle(breaker.admit(second), Health.HEALTHY, second)
    assert breaker.retries_left == RETRIES
