"""The polling benchmark: its optimum, its schedules and its report."""

from __future__ import annotations

import json
import random
from itertools import combinations, pairwise
from math import exp, inf
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.harness import inspection, plots
from benchmarks.polling import poll, report, schedules

LAW = schedules.Law(60, 0.5)

# ---- the optimum -----------------------------------------------------------------------------------------------------


def test_for_a_constant_hazard_the_best_schedule_is_a_fixed_interval() -> None:
    """The interval τ solves exp(λτ) − λτ − 1 = cλ (Barlow, Hunter and Proschan)."""
    best = inspection.best(lambda t: exp(-t / 20), 2.0, longest=300, step=0.1)
    gaps = [later - sooner for sooner, later in pairwise((0.0, *best.ages[:10]))]
    low, high = 0.0, 100.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if exp(middle / 20) - middle / 20 - 1 < 2 / 20 else (low, middle)
    assert gaps == pytest.approx([low] * 10, abs=0.1)


def test_no_other_schedule_on_the_grid_costs_less() -> None:
    def alive(t: float) -> float:
        return max(0.0, 1 - (t / 8) ** 2)

    best = inspection.best(alive, 0.4, longest=8, step=1.0)

    def cost(ages: tuple[int, ...]) -> float:
        total = 0.0
        for sooner, later in pairwise((0, *ages)):
            area = sum(alive(n + 0.5) for n in range(sooner, later))
            total += (later - sooner) * alive(sooner) - area + 0.4 * alive(sooner)
        return total

    lists = [(*some, 8) for count in range(8) for some in combinations(range(1, 8), count)]
    assert best.cost == pytest.approx(min(map(cost, lists)))
    assert best.ages in [tuple(map(float, ages)) for ages in lists]


def test_every_schedule_keeps_the_bound_and_the_best_one_reaches_it() -> None:
    frontier = inspection.frontier(inspection.lognormal(60, 0.5), 60, [0.2, 0.3, 0.4, 0.5, 0.7, 1.0], step=0.25)
    lags = [point.lag for point in frontier]
    assert lags == sorted(lags)
    for point in frontier:
        assert inspection.least_lag(frontier, point.polls) == pytest.approx(point.lag)
        assert inspection.least_polls(frontier, point.lag) == pytest.approx(point.polls)
    durations = LAW.draw(random.Random(0), 20_000)
    for start in (
        schedules.fixed(10),
        schedules.fixed(7),
        schedules.backoff(5, 1.3, 30),
        schedules.listed(frontier[2].ages),
    ):
        score = schedules.evaluate("", start, durations, 0)
        assert score.lag > inspection.least_lag(frontier, score.polls) * 0.98
    best = schedules.evaluate("", schedules.listed(frontier[2].ages), durations, 0)
    assert (best.lag, best.polls) == pytest.approx((frontier[2].lag, frontier[2].polls), rel=0.02)


def test_the_report_says_whether_the_aim_is_possible() -> None:
    def verdict(sigma: float) -> str:
        survival = inspection.lognormal(60, sigma)
        return report.verdict(60, inspection.frontier(survival, 60, [0.02, 0.1, 0.4, 0.6], step=0.3))

    assert "is beyond every schedule" in verdict(0.5)
    assert "is possible" in verdict(0.1)


# ---- the schedules ---------------------------------------------------------------------------------------------------


def test_schedules_are_evaluated_poll_by_poll() -> None:
    assert schedules.evaluate("f", schedules.fixed(10), [5, 10, 12, 9], 7) == schedules.Score("f", 7, 3.5, 1.25)
    assert schedules.evaluate("b", schedules.backoff(1, 2, 4), [12], 0) == schedules.Score(
        "b", 0, 3, 5
    )  # 1, 3, 7, 11, 15
    # 3, 7, 11, 15
    assert schedules.evaluate("l", schedules.listed([3, 7]), [12], 0) == schedules.Score("l", 0, 3, 4)


def test_after_learning_the_lag_is_within_a_tenth_of_the_bound() -> None:
    """The bound of any schedule with as many polls. Three seeds of 400 operations."""
    frontier = inspection.frontier(inspection.lognormal(60, 0.5), 60, [0.3, 0.35, 0.4, 0.45, 0.5], step=0.25)
    runs = []
    for seed in range(3):
        durations = LAW.draw(random.Random(seed), 500)
        runs.append(schedules.watch(durations, seed, prior=60))
    lag = sum(sum(run.lags[100:]) for run in runs) / 1_200
    polls = sum(sum(run.polls[100:]) for run in runs) / 1_200
    assert polls < report.POLLS
    assert lag < 1.1 * inspection.least_lag(frontier, polls)


def test_many_operations_keep_to_the_poll_budget() -> None:
    free, limited = poll.crowds(LAW, [300], [None, 120])
    assert free.lag < 5 < limited.lag
    assert limited.mean_per_second <= 2.0
    assert limited.busiest_second <= 5
    assert limited.polls < free.polls
    assert limited.cpu_us_per_look < inf


# ---- the report ------------------------------------------------------------------------------------------------------


def test_it_prints_tables_draws_a_plot_and_writes_every_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = tmp_path / "poll.json"
    result = CliRunner().invoke(app, ["poll", "--quick", "--json", str(figures)])
    assert result.exit_code == 0, result.output
    assert "is beyond every schedule" in result.output
    assert "100 submitted at one instant" in result.output
    data = json.loads(figures.read_text("utf-8"))
    assert "| aveo3, learnt" in poll.summary(data, markdown=True)
    monkeypatch.setattr(plots, "HOME", tmp_path)
    assert plots.save(data, poll.draw).read_bytes().startswith(b"\x89PNG")
    [aim] = poll.aims(data)
    assert aim.met is False
    assert {score["name"] for score in data["runs"]} >= {"aveo3, learnt", "fixed 10 s"}
    assert {score["seed"] for score in data["runs"]} == {0, 1}
    assert data["aim"]["least_lag"] == pytest.approx(3.13, abs=0.05)
    assert [crowd["operations"] for crowd in data["crowds"]] == [1, 100, 1, 100]
    assert len(data["learning"]) == 6 * len(poll.STAGES)
