"""The model of latency: it starts from the prior, learns from ends, and counts unfinished operations as such."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from aveo3.polling.latency import LIFETIME, RECALLED, LatencyModel
from tests.support.latencies import NORMAL, durations, learnt

thorough = effort(max_examples=60, deadline=None, derandomize=True)


# ---- from the prior to what was seen ---------------------------------------------------------------------------------


@pytest.mark.parametrize("median", [1.0, 70.0, 300.0])
def test_at_first_it_believes_the_prior_and_that_it_may_be_wrong_by_three(median: float) -> None:
    latency = LatencyModel(median)
    assert latency.median == pytest.approx(median, rel=0.02)
    assert latency.quantile(0.16) == pytest.approx(median / 3.5, rel=0.1)
    assert latency.quantile(0.84) == pytest.approx(median * 3.5, rel=0.1)


@pytest.mark.parametrize(("median", "sigma"), [(70, 0.35), (5, 0.2), (300, 0.8), (60, 0.5)])
@pytest.mark.parametrize("prior", [20.0, 600.0])
def test_in_the_end_it_believes_what_it_saw(median: float, sigma: float, prior: float) -> None:
    latency = learnt(durations(median, sigma), prior=prior)
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        truth = median * math.exp(sigma * NORMAL.inv_cdf(share))
        assert latency.quantile(share) == pytest.approx(truth, rel=0.07)


@pytest.mark.parametrize("factor", [1 / 3, 3.0])
def test_three_ends_that_agree_are_believed_over_a_prior_that_is_wrong_by_three(factor: float) -> None:
    assert learnt([58, 60, 62], prior=60 * factor).median == pytest.approx(60, rel=0.1)


def test_each_end_moves_the_belief_towards_itself() -> None:
    medians = [learnt([20.0] * n).median for n in range(6)]
    assert medians == sorted(medians, reverse=True)
    assert medians[-1] == pytest.approx(20, rel=0.05)


def test_a_shape_that_is_not_log_normal_is_learnt_as_it_is() -> None:
    """Nine tenths quick and the rest ten times as slow: no log-normal law has that valley between them."""
    took = durations(30, 0.1, 180) + durations(300, 0.1, 20)
    random.Random(1).shuffle(took)
    latency = learnt(took)
    assert latency.quantile(0.5) == pytest.approx(29.5, rel=0.07)
    assert latency.quantile(0.97) == pytest.approx(300, rel=0.1)
    assert latency.hazard(100) < latency.hazard(30) / 20
    assert latency.hazard(100) < latency.hazard(300) / 2


def test_between_two_looks_an_end_is_put_where_it_is_likely() -> None:
    """The middle of a long sleep would make operations of a minute look as if they took half of one."""
    latency = learnt([60.0] * 20)
    for _ in range(20):
        latency.learn(0.0, 90.0)
    latency.reckon()
    assert latency.median == pytest.approx(60, rel=0.05)
    assert latency.quantile(0.05) > 50


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9, 1e12])
def test_no_end_is_too_odd_to_be_learnt(seconds: float) -> None:
    latency = learnt([seconds])
    assert 0 < latency.quantile(0.05) <= latency.median < math.inf


# ---- what has not ended ----------------------------------------------------------------------------------------------


def test_what_still_runs_counts_as_longer_than_it_has_run() -> None:
    """Half of a batch has ended, the faster half. The median of the batch is then the slowest of these, not their
    median."""
    took = durations(60, 0.5)
    quick = [seconds for seconds in took if seconds <= 60]
    naive, sound = learnt(quick), learnt(quick)
    sound.reckon([(60.0, 1.0)] * (len(took) - len(quick)))
    assert naive.median < 45
    assert sound.median == pytest.approx(60, rel=0.05)
    assert sound.quantile(0.9) == pytest.approx(60 * math.exp(0.5 * NORMAL.inv_cdf(0.9)), rel=0.15)


def test_that_nothing_has_ended_yet_is_a_lesson_too() -> None:
    latency = LatencyModel(20.0)
    latency.reckon([(60.0, 1.0)] * 10)
    assert latency.median > 60


def test_what_was_left_running_counts_for_good_and_what_runs_only_for_now() -> None:
    now, for_good = learnt([50.0] * 5), learnt([50.0] * 5)
    before = now.median
    now.reckon([(200.0, 1.0)] * 5)
    for _ in range(5):
        for_good.outlived(200.0)
    for_good.reckon()
    assert now.median == for_good.median > before
    now.reckon()
    assert now.median == before
    for_good.reckon()
    assert for_good.median > before


def test_without_the_prior_and_the_smooth_law_it_is_what_kaplan_and_meier_have() -> None:
    """A thousand ends of a law that is not log-normal, and as many censored: their estimator, by hand."""
    rng = random.Random(3)
    pairs = [(rng.uniform(20, 100), rng.uniform(20, 140)) for _ in range(2_000)]
    latency = LatencyModel(60.0)
    latency.learn(1, 1)
    for took, left in pairs[:120]:
        latency.learn(took, took) if took <= left else latency.outlived(left)
    latency.reckon()
    survival = 1.0
    known = sorted((min(took, left), took <= left) for took, left in pairs[:120])
    at = {}
    for n, (age, ended) in enumerate(known):
        survival *= 1 - ended / (len(known) - n)
        at[age] = survival
    for share in (0.25, 0.5, 0.75):
        by_hand = next(age for age, alive in at.items() if alive <= 1 - share)
        assert latency.quantile(share) == pytest.approx(by_hand, rel=0.12)


# ---- the hazard ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("latency", [LatencyModel(70), learnt(durations(70, 0.35)), learnt([3.0, 40.0, 50.0])])
def test_the_hazard_is_the_rate_at_which_the_survivors_end(latency: LatencyModel) -> None:
    """Its integral from 0 to t is −ln S(t), by definition."""
    for share in (0.1, 0.5, 0.9):
        until, steps = latency.quantile(share), 4_000
        total = sum(latency.hazard(until * (n + 0.5) / steps) for n in range(steps)) * until / steps
        assert total == pytest.approx(-math.log(1 - share), rel=0.02)


@given(
    prior=st.floats(0.1, 5_000),
    ends=st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)).map(sorted), max_size=30),
    running=st.lists(st.floats(0, 1e6), max_size=30),
    t=st.floats(1e-6, 1e9),
)
@thorough
def test_whatever_it_has_seen_its_figures_are_figures(
    prior: float, ends: list[list[float]], running: list[float], t: float
) -> None:
    latency = LatencyModel(prior)
    for after, by in ends:
        latency.learn(after, by)
    latency.reckon((age, 1.0) for age in running)
    assert 0 <= latency.hazard(t) < math.inf
    quantiles = [latency.quantile(share) for share in (0.001, 0.05, 0.5, 0.95, 0.999)]
    assert quantiles == sorted(quantiles)
    assert 0 < quantiles[0] <= quantiles[-1] < math.inf


# ---- from run to run -------------------------------------------------------------------------------------------------


def test_what_is_remembered_goes_through_json_and_is_believed_again() -> None:
    once = learnt(durations(20, 0.3), prior=60)
    again = LatencyModel(60)
    again.restore(json.loads(json.dumps(once.remember())))
    assert again.median == pytest.approx(once.median, rel=0.03)
    assert again.quantile(0.05) == pytest.approx(once.quantile(0.05), rel=0.1)


def test_an_earlier_runs_ends_weigh_no_more_than_a_few_so_that_today_soon_counts() -> None:
    latency = LatencyModel(60)
    latency.restore(learnt([20.0] * 200).remember())
    assert latency.ends == pytest.approx(RECALLED)
    for _ in range(60):
        latency.learn(60, 60)
    latency.reckon()
    assert latency.median == pytest.approx(60, rel=0.1)


def test_a_few_ends_are_remembered_whole() -> None:
    latency = LatencyModel(60)
    latency.restore(learnt([20.0, 21.0, 30.0]).remember())
    assert latency.ends == pytest.approx(3, abs=0.01)


def test_a_service_that_became_slower_is_followed() -> None:
    latency = learnt([20.0] * 1_000)
    for _ in range(round(LIFETIME)):
        latency.learn(60, 60)
    latency.reckon()
    assert latency.ends <= LIFETIME
    assert latency.median == pytest.approx(60, rel=0.05)


def test_of_a_crowd_whose_ends_are_half_forgotten_the_unfinished_are_too() -> None:
    """Regression: of ten thousand operations submitted at once, at most 256 ends counted, but all unfinished ones. So
    these were polled half a minute too late."""
    latency, took = LatencyModel(60), durations(60, 0.5, 10_000)
    for seconds in took[:9_000]:
        latency.learn(seconds, seconds, latency.weight(0))
    latency.reckon((took[9_000], latency.weight(0)) for _ in took[9_000:])
    assert latency.era > 4
    for share in (0.1, 0.5, 0.8):
        truth = 60 * math.exp(0.5 * NORMAL.inv_cdf(share))
        assert latency.quantile(share) == pytest.approx(truth, rel=0.1)


@pytest.mark.parametrize(
    "memory",
    [
        {},
        {"ends": None},
        {"ends": [1]},
        {"ends": {"x": 1}},
        {"ends": {"7": "x"}},
        {"ends": {"999": 1}, "outlived": {"-1": 1}},
    ],
)
def test_a_memory_that_cannot_be_read_is_as_good_as_none(memory: dict[str, Any]) -> None:
    latency = LatencyModel(60)
    latency.restore(memory)
    assert latency.ends == 0
    assert latency.median == LatencyModel(60).median
