"""Polls come when operations are likely to have ended: less lag for fewer polls than any fixed interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from aveo3.polling.interval import FIRST, LONGEST, POLL_COST, POLL_SHARE, next_poll
from aveo3.polling.latency import LatencyModel
from tests.support.latencies import durations, learnt

thorough = effort(max_examples=100, deadline=None, derandomize=True)

VEO = learnt(durations(70, 0.35))
"""Median and spread that Veo was measured at."""


def by(latency: LatencyModel, stretch: float = 1.0) -> Callable[[float], float]:
    return lambda age: next_poll(latency, age, stretch)


def lag_and_polls(poll: Callable[[float], float], took: list[float]) -> tuple[float, float]:
    """Mean seconds from an operation's end to the look that finds it, and mean number of looks."""
    lags, polls = [], 0
    for seconds in took:
        age = 0.0
        while age < seconds:
            age += poll(age)
            polls += 1
        lags.append(age - seconds)
    return fmean(lags), polls / len(took)


@pytest.mark.parametrize("latency", [LatencyModel(70), LatencyModel(300), VEO, learnt([5.0, 6.0, 5.5])])
def test_the_first_look_comes_when_the_fastest_twelfth_would_be_done(latency: LatencyModel) -> None:
    first = latency.quantile(FIRST)
    assert next_poll(latency, 0) == pytest.approx(first)
    assert next_poll(latency, first / 3) == pytest.approx(first * 2 / 3)


def test_after_it_the_interval_is_the_root_of_twice_a_polls_worth_over_the_hazard_in_its_middle() -> None:
    worth = POLL_SHARE * VEO.median + POLL_COST
    for age in (45.0, 60.0, 70.0, 90.0, 120.0):
        middle = age + math.sqrt(2 * worth / VEO.hazard(age)) / 2
        assert next_poll(VEO, age) == pytest.approx(math.sqrt(2 * worth / VEO.hazard(middle)))


@pytest.mark.parametrize("factor", [0.5, 0.7, 0.85, 1.2, 1.4, 2.0])
def test_no_other_pace_costs_less(factor: float) -> None:
    """The first-order condition, numerically: if a poll costs as much as c seconds of lag, then polling more often or
    less often than the formula says costs more."""
    took, worth = durations(70, 0.35, 1_000), POLL_SHARE * VEO.median + POLL_COST

    def cost(poll: Callable[[float], float]) -> float:
        lag, polls = lag_and_polls(poll, took)
        return lag + worth * polls

    assert cost(by(VEO)) < cost(lambda age: next_poll(VEO, age) * (factor if age else 1.0))


def test_it_finds_ends_sooner_with_fewer_polls_than_every_ten_seconds() -> None:
    took = durations(70, 0.35)
    lag, polls = lag_and_polls(by(VEO), took)
    fixed_lag, fixed_polls = lag_and_polls(lambda _: 10.0, took)
    assert lag < 0.6 * fixed_lag
    assert polls < fixed_polls


def test_at_equal_polls_it_has_little_more_than_half_the_lag() -> None:
    took = durations(70, 0.35)
    lag, polls = lag_and_polls(by(VEO), took)
    fixed_lag, fixed_polls = lag_and_polls(lambda _: 11.25, took)
    assert fixed_polls == pytest.approx(polls, rel=0.03)
    assert lag < 0.6 * fixed_lag


def test_even_unlearnt_it_is_little_worse_than_ten_seconds() -> None:
    took = durations(70, 0.35)
    lag, polls = lag_and_polls(by(LatencyModel(70)), took)
    fixed_lag, fixed_polls = lag_and_polls(lambda _: 10.0, took)
    assert lag * polls < 1.3 * fixed_lag * fixed_polls


def test_operations_of_a_second_are_looked_at_a_few_times() -> None:
    took = [0.5 + 1.5 * (n + 0.5) / 200 for n in range(200)]
    lag, polls = lag_and_polls(by(learnt(took)), took)
    assert polls < 4
    assert lag < 0.3


@given(prior=st.floats(1, 1_000), seen=st.lists(st.floats(0.01, 5_000), max_size=30), age=st.floats(0, 100_000))
@thorough
def test_every_interval_is_within_bounds(prior: float, seen: list[float], age: float) -> None:
    latency = learnt(seen, prior=prior)
    first = latency.quantile(FIRST)
    interval = next_poll(latency, age)
    if age < first:
        assert 0 < interval <= first * 1.001
    else:
        assert min(0.02 * latency.median, 1.0) * 0.999 <= interval <= LONGEST


def test_the_likelier_an_end_the_sooner_the_next_look() -> None:
    at = [next_poll(VEO, age) for age in (44, 50, 60, 70, 80)]
    assert at == sorted(at, reverse=True)


def test_long_after_the_rest_it_looks_seldom() -> None:
    assert next_poll(VEO, 3_000) == LONGEST


# ---- for want of polls -----------------------------------------------------------------------------------------------


def test_twice_the_stretch_is_four_times_the_worth_of_a_poll() -> None:
    """Half the looks and twice the lag: on the same curve, further down."""
    took = durations(70, 0.35)
    lag, polls = lag_and_polls(by(VEO), took)
    stretched_lag, stretched_polls = lag_and_polls(by(VEO, 2.0), took)
    assert stretched_polls == pytest.approx(polls / 2, rel=0.15)
    assert stretched_lag == pytest.approx(lag * 2, rel=0.2)
    assert stretched_lag * stretched_polls == pytest.approx(lag * polls, rel=0.15)


def test_however_scarce_the_polls_the_first_comes_when_half_of_them_would_be_done() -> None:
    assert [next_poll(VEO, 0, stretch) for stretch in (7.0, 100.0)] == [VEO.median, VEO.median]
