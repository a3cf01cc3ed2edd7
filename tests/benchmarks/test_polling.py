"""The bench of looks: its optimum is one, its schedules are walked rightly, its report holds every figure."""

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
from benchmarks.polling import looking, poll, report

LAW = looking.Law(60, 0.5)

# ---- the optimum -----------------------------------------------------------------------------------------------------


def test_of_a_constant_hazard_the_best_schedule_is_a_fixed_interval() -> None:
    """exp(λτ) − λτ − 1 = cλ is what Barlow, Hunter and Proschan have for it."""
    best = inspection.best(lambda t: exp(-t / 20), 2.0, longest=300, step=0.1)
    gaps = [later - sooner for sooner, later in pairwise((0.0, *best.ages[:10]))]
    low, high = 0.0, 100.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if exp(middle / 20) - middle / 20 - 1 < 2 / 20 else (low, middle)
    assert gaps == pytest.approx([low] * 10, abs=0.1)


def test_no_list_of_ages_on_the_grid_costs_less() -> None:
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


def test_the_bound_is_kept_by_every_schedule_and_reached_by_the_best() -> None:
    frontier = inspection.frontier(inspection.lognormal(60, 0.5), 60, [0.2, 0.3, 0.4, 0.5, 0.7, 1.0], step=0.25)
    lags = [point.lag for point in frontier]
    assert lags == sorted(lags)
    for point in frontier:
        assert inspection.least_lag(frontier, point.polls) == pytest.approx(point.lag)
        assert inspection.least_polls(frontier, point.lag) == pytest.approx(point.polls)
    took = LAW.draw(random.Random(0), 20_000)
    for begin in (looking.fixed(10), looking.fixed(7), looking.backoff(5, 1.3, 30), looking.listed(frontier[2].ages)):
        score = looking.reckon("", begin, took, 0)
        assert score.lag > inspection.least_lag(frontier, score.polls) * 0.98
    best = looking.reckon("", looking.listed(frontier[2].ages), took, 0)
    assert (best.lag, best.polls) == pytest.approx((frontier[2].lag, frontier[2].polls), rel=0.02)


def test_the_aim_is_told_to_be_out_of_reach_only_where_it_is() -> None:
    def said(sigma: float) -> str:
        survival = inspection.lognormal(60, sigma)
        return report.verdict(60, inspection.frontier(survival, 60, [0.02, 0.1, 0.4, 0.6], step=0.3))

    assert "is beyond every schedule" in said(0.5)
    assert "is possible" in said(0.1)


# ---- the schedules ---------------------------------------------------------------------------------------------------


def test_schedules_are_walked_look_by_look() -> None:
    assert looking.reckon("f", looking.fixed(10), [5, 10, 12, 9], 7) == looking.Score("f", 7, 3.5, 1.25)
    assert looking.reckon("b", looking.backoff(1, 2, 4), [12], 0) == looking.Score("b", 0, 3, 5)  # 1, 3, 7, 11, 15
    assert looking.reckon("l", looking.listed([3, 7]), [12], 0) == looking.Score("l", 0, 3, 4)  # 3, 7, 11, 15


def test_what_has_learnt_the_law_is_within_a_tenth_of_the_bound() -> None:
    """Of every schedule that there could be, with so many polls: three seeds of 400."""
    frontier = inspection.frontier(inspection.lognormal(60, 0.5), 60, [0.3, 0.35, 0.4, 0.45, 0.5], step=0.25)
    runs = []
    for seed in range(3):
        took = LAW.draw(random.Random(seed), 500)
        runs.append(looking.watch(took, seed, prior=60))
    lag = sum(sum(run.lags[100:]) for run in runs) / 1_200
    polls = sum(sum(run.polls[100:]) for run in runs) / 1_200
    assert polls < report.POLLS
    assert lag < 1.1 * inspection.least_lag(frontier, polls)


def test_a_crowd_keeps_to_its_budget() -> None:
    free, held = poll.crowds(LAW, [300], [None, 120])
    assert free.lag < 5 < held.lag
    assert held.mean_per_second <= 2.0
    assert held.busiest_second <= 5
    assert held.polls < free.polls
    assert held.cpu_us_per_look < inf


# ---- the report ------------------------------------------------------------------------------------------------------


def test_it_leaves_tables_a_picture_and_every_figure_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = tmp_path / "poll.json"
    result = CliRunner().invoke(app, ["poll", "--quick", "--json", str(figures)])
    assert result.exit_code == 0, result.output
    assert "is beyond every schedule" in result.output
    assert "100 submitted at one instant" in result.output
    told = json.loads(figures.read_text("utf-8"))
    assert "| aveo3, learnt" in poll.summary(told, markdown=True)
    monkeypatch.setattr(plots, "HOME", tmp_path)
    assert plots.save(told, poll.draw).read_bytes().startswith(b"\x89PNG")
    [aim] = poll.aims(told)
    assert aim.met is False
    assert {score["name"] for score in told["runs"]} >= {"aveo3, learnt", "fixed 10 s"}
    assert {score["seed"] for score in told["runs"]} == {0, 1}
    assert told["aim"]["least_lag"] == pytest.approx(3.13, abs=0.05)
    assert [crowd["operations"] for crowd in told["crowds"]] == [1, 100, 1, 100]
    assert len(told["learning"]) == 6 * len(poll.STAGES)
