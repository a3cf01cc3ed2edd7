"""Looks come when operations are likely to have ended: less lag for fewer polls than any fixed interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist, fmean, stdev

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from aveo3.polling import LONGEST, Latency

thorough = effort(max_examples=100, deadline=None, derandomize=True)

NORMAL = NormalDist()
VEO = (70.0, 0.35)
"""Median and spread that Veo was measured at (algorithms.md, section 3)."""


def durations(median: float, sigma: float, count: int = 400) -> list[float]:
    """A sample that is as log-normal as a sample of this size can be: its quantiles."""
    return [median * math.exp(sigma * NORMAL.inv_cdf((n + 0.5) / count)) for n in range(count)]


def learnt(median: float, sigma: float, count: int = 400, *, prior: float = 70.0) -> Latency:
    latency = Latency(prior)
    for seconds in durations(median, sigma, count):
        latency.learn(seconds)
    return latency


def lag_and_polls(next_look: Callable[[float], float], took: list[float]) -> tuple[float, float]:
    """Mean seconds from an operation's end to the look that finds it, and mean number of looks."""
    lags, polls = [], 0
    for seconds in took:
        elapsed = 0.0
        while elapsed < seconds:
            elapsed += next_look(elapsed)
            polls += 1
        lags.append(elapsed - seconds)
    return fmean(lags), polls / len(took)


# ---- what is believed ------------------------------------------------------------------------------------------------


def test_at_first_it_believes_the_prior() -> None:
    latency = Latency(70)
    assert math.exp(latency.mu) == pytest.approx(70)
    assert 2 < math.exp(latency.sigma) < 4  # a factor of about three either way


@pytest.mark.parametrize(("median", "sigma"), [(70, 0.35), (5, 0.2), (300, 0.8)])
def test_in_the_end_it_believes_what_it_saw(median: float, sigma: float) -> None:
    latency = learnt(median, sigma)
    assert math.exp(latency.mu) == pytest.approx(median, rel=0.02)
    assert latency.sigma == pytest.approx(sigma, rel=0.05)


def test_each_end_moves_the_belief_towards_itself() -> None:
    latency, medians = Latency(70), [70.0]
    for _ in range(5):
        latency.learn(20)
        medians.append(math.exp(latency.mu))
    assert medians == sorted(medians, reverse=True)
    assert 20 < medians[-1] < 26


def test_three_ends_that_agree_are_believed_over_a_wrong_prior() -> None:
    latency = Latency(300)
    for seconds in (19, 20, 21):
        latency.learn(seconds)
    assert math.exp(latency.mu) == pytest.approx(20 * (300 / 20) ** 0.1, rel=0.01)  # one part prior, nine parts seen
    assert latency.sigma < 0.5


def test_the_mean_and_spread_are_those_of_the_logarithms() -> None:
    """A whole sample outweighs the prior; what is left is textbook."""
    seen = [math.log(seconds) for seconds in durations(40, 0.5, 2_000)]
    latency = learnt(40, 0.5, 2_000)
    assert latency.mu == pytest.approx(fmean(seen), abs=0.001)
    assert latency.sigma == pytest.approx(stdev(seen), abs=0.001)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9])
def test_an_operation_that_took_no_time_teaches_that_it_was_quick(seconds: float) -> None:
    latency = Latency(70)
    latency.learn(seconds)
    assert 0 < latency.next_look(0) < Latency(70).next_look(0)


# ---- the hazard ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("median", "sigma"), [(70, 0.35), (70, 1.2), (5, 0.2)])
def test_the_hazard_is_the_rate_at_which_the_survivors_end(median: float, sigma: float) -> None:
    """Its integral from 0 to t is −ln S(t), by definition; S is the normal distribution's."""
    latency = learnt(median, sigma, 2_000, prior=median)
    law = NormalDist(latency.mu, latency.sigma)
    step, total, t = median / 2_000, 0.0, 0.0
    while t < 2 * median:
        total += latency.hazard(t + step / 2) * step
        t += step
    assert total == pytest.approx(-math.log(1 - law.cdf(math.log(t))), rel=0.001)


@given(t=st.floats(1e-3, 1e6), median=st.floats(1, 1_000))
@thorough
def test_the_hazard_is_a_number_everywhere(t: float, median: float) -> None:
    assert 0 <= Latency(median).hazard(t) < math.inf


# ---- the looks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("latency", [Latency(70), Latency(300), learnt(*VEO), learnt(5, 0.2)])
def test_the_first_look_comes_when_the_fastest_twentieth_would_be_done(latency: Latency) -> None:
    first = math.exp(NormalDist(latency.mu, latency.sigma).inv_cdf(0.05))
    assert latency.next_look(0) == pytest.approx(first)
    assert latency.next_look(first / 3) == pytest.approx(first * 2 / 3)


def test_after_it_the_interval_is_the_root_of_twice_a_polls_worth_over_the_hazard() -> None:
    latency = learnt(*VEO)
    for elapsed in (45.0, 60.0, 70.0, 90.0, 120.0):
        interval = latency.next_look(elapsed)
        middle = elapsed + math.sqrt(2 / latency.hazard(elapsed)) / 2
        assert interval == pytest.approx(math.sqrt(2 / latency.hazard(middle)), rel=0.01)


@pytest.mark.parametrize("factor", [0.5, 0.7, 0.85, 1.2, 1.4, 2.0])
def test_no_other_pace_costs_less(factor: float) -> None:
    """The first-order condition, numerically: with one poll worth a second of lag, looking more often or less often
    than it says costs more."""
    latency, took = learnt(*VEO), durations(*VEO, 1_000)

    def at_another_pace(elapsed: float) -> float:
        return latency.next_look(elapsed) * (factor if elapsed else 1.0)

    assert sum(lag_and_polls(latency.next_look, took)) < sum(lag_and_polls(at_another_pace, took))


def test_it_finds_ends_sooner_with_fewer_polls_than_every_ten_seconds() -> None:
    took = durations(*VEO)
    lag, polls = lag_and_polls(learnt(*VEO).next_look, took)
    fixed_lag, fixed_polls = lag_and_polls(lambda _: 10.0, took)
    assert lag < 0.85 * fixed_lag
    assert polls < 0.75 * fixed_polls


def test_at_equal_polls_it_has_little_more_than_half_the_lag() -> None:
    took = durations(*VEO)
    lag, polls = lag_and_polls(learnt(*VEO).next_look, took)
    fixed_lag, fixed_polls = lag_and_polls(lambda _: 14.75, took)
    assert fixed_polls == pytest.approx(polls, rel=0.02)
    assert lag < 0.6 * fixed_lag


def test_even_unlearnt_it_is_no_worse_than_fifteen_seconds() -> None:
    took = durations(*VEO)
    assert sum(lag_and_polls(Latency(70).next_look, took)) < 1.1 * sum(lag_and_polls(lambda _: 15.0, took))


@given(
    prior=st.floats(1, 1_000),
    seen=st.lists(st.floats(0.01, 5_000), max_size=30),
    elapsed=st.floats(0, 100_000),
)
@thorough
def test_every_interval_is_within_bounds(prior: float, seen: list[float], elapsed: float) -> None:
    latency = Latency(prior)
    for seconds in seen:
        latency.learn(seconds)
    first = math.exp(latency.mu - 1.6449 * latency.sigma)
    interval = latency.next_look(elapsed)
    if elapsed < first:
        assert 0 < interval <= first * 1.001
    else:
        assert min(0.02 * math.exp(latency.mu), 1.0) * 0.999 <= interval <= LONGEST


def test_the_likelier_an_end_the_sooner_the_next_look() -> None:
    latency = learnt(*VEO)
    at = [latency.next_look(elapsed) for elapsed in (42, 50, 60, 70, 80)]
    assert at == sorted(at, reverse=True)


def test_long_after_the_rest_it_looks_seldom() -> None:
    assert learnt(*VEO).next_look(3_000) == LONGEST


@given(median=st.floats(5, 20), factor=st.floats(0.5, 2), share=st.floats(0, 2))
@thorough
def test_operations_twice_as_slow_are_looked_at_half_as_often(median: float, factor: float, share: float) -> None:
    one, other = Latency(median), Latency(factor * median)
    expected = factor * one.next_look(share * median)
    assert expected < LONGEST
    assert other.next_look(share * factor * median) == pytest.approx(expected)
