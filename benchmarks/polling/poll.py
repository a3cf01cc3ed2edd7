"""How soon a finished video is noticed, and with how many polls: aveo3 compared with common schedules.

Virtual time and random durations. aveo3 polls with its own `Pollers`. A fixed interval and an exponential backoff need
no clock, only arithmetic, and get the same durations. `inspection` computes the least lag of any schedule that knows
the distribution.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Annotated

import typer

from aveo3.polling.interval import next_poll
from aveo3.polling.latency import LatencyModel
from benchmarks.harness import inspection
from benchmarks.harness.results import Result, new_result, publish
from benchmarks.harness.table import table
from benchmarks.polling.report import AIM, OURS, POLLS
from benchmarks.polling.report import PANELS as PANELS
from benchmarks.polling.report import aims as aims
from benchmarks.polling.report import draw as draw
from benchmarks.polling.report import summary as summary
from benchmarks.polling.schedules import Law, Score, backoff, evaluate, fixed, listed, trained_model, watch

QUESTION = "How long does a finished video wait until a poll finds it, with how many polls, and what is the minimum?"

WORTHS = (0.05, 0.07, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.35, 0.38, 0.4, 0.41, 0.42, 0.45, 0.5, 0.6, 0.7, 1, 1.5, 2, 3)
STRETCHES = (0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.25, 1.5, 2.0, 2.5)
STAGES = (1, 3, 10, 30, 100)


# ---- measurements ----------------------------------------------------------------------------------------------------


def compare(law: Law, seeds: int, operations: int, best: inspection.Best) -> list[Score]:
    """Score every schedule on the same durations. aveo3 has polled 100 operations before, one after the other."""
    scores = []
    for seed in range(seeds):
        rng = random.Random(seed)
        warm_up, durations = law.draw(rng, 100), law.draw(rng, operations)
        run = watch([*warm_up, *durations], seed, prior=law.median)
        scores.append(Score(OURS, seed, fmean(run.lags[100:]), fmean(run.polls[100:])))
        rivals = {
            "fixed 5 s": fixed(5),
            "fixed 10 s": fixed(10),
            "fixed 20 s": fixed(20),
            "back-off 1 s ×2 to 30 s": backoff(1, 2, 30),
            "back-off 10 s ×1.5 to 30 s": backoff(10, 1.5, 30),
            f"the optimum for {POLLS:g} polls": listed(best.ages),
        }
        scores += [evaluate(name, start, durations, seed) for name, start in rivals.items()]
    return scores


def curve(law: Law, seeds: int, operations: int) -> list[Score]:
    """Score aveo3's schedule for several prices of a poll, after 100 ends, without jitter."""
    scores = []
    for seed in range(seeds):
        rng = random.Random(seed)
        model = trained_model(law.median, law.draw(rng, 100))
        durations = law.draw(rng, operations)
        for stretch in STRETCHES:

            def start(stretch: float = stretch, model: LatencyModel = model) -> Callable[[float], float]:
                return lambda age: next_poll(model, age, stretch)

            scores.append(evaluate(f"{stretch:g}", start, durations, seed))
    return scores


@dataclass(frozen=True)
class Stage:
    """Lag and polls of the operations from `first` to `last`, with this prior median from the catalog."""

    prior: float
    at_once: int
    first: int
    last: int
    lag: float
    polls: float


def learning(law: Law, seeds: int) -> list[Stage]:
    """Measure learning from a right prior and from priors wrong by a factor of three, one or fifty at a time."""
    stages = []
    for factor in (1 / 3, 1.0, 3.0):
        for at_once in (1, 50):
            runs = [
                watch(
                    law.draw(random.Random(1_000 + seed), STAGES[-1]), seed, prior=law.median * factor, at_once=at_once
                )
                for seed in range(seeds)
            ]
            for start, last in pairwise((0, *STAGES)):
                lag = fmean(fmean(run.lags[start:last]) for run in runs)
                polls = fmean(fmean(run.polls[start:last]) for run in runs)
                stages.append(Stage(factor, at_once, start + 1, last, lag, polls))
    return stages


@dataclass(frozen=True)
class Crowd:
    """Many operations submitted at one instant: polls per second, and their CPU time."""

    operations: int
    rate: float | None
    lag: float
    polls: float
    mean_per_second: float
    busiest_second: int
    cpu_us_per_look: float


def crowds(law: Law, counts: Sequence[int], rates: Sequence[float | None]) -> list[Crowd]:
    """Measure aveo3 with a learnt distribution, for each poll rate (polls per minute; None: unlimited)."""
    results = []
    for rate in rates:
        for count in counts:
            rng = random.Random(count)
            learnt, durations = law.draw(rng, 100), law.draw(rng, count)
            run = watch(durations, 0, prior=law.median, at_once=count, rate=rate, learnt=learnt)
            polls = sum(run.polls)
            results.append(
                Crowd(
                    count,
                    rate,
                    fmean(run.lags),
                    fmean(run.polls),
                    polls / run.seconds,
                    run.busiest,
                    run.cpu / polls * 1e6,
                )
            )
    return results


# ---- the report ------------------------------------------------------------------------------------------------------


def report(law: Law, seeds: int, operations: int, counts: Sequence[int], step: float) -> Result:
    """Run all measurements and return the result, ready for JSON."""
    worths = [worth * law.median / 60 for worth in WORTHS]
    frontier = inspection.frontier(inspection.lognormal(law.median, law.sigma), law.median, worths, step=step)
    best = min(frontier, key=lambda point: abs(point.polls - POLLS))
    options = {"virtual_time": True, "law": asdict(law), "seeds": seeds, "operations": operations, "step": step}
    scores = compare(law, seeds, operations, best)
    return {
        **new_result("poll", QUESTION, ["aveo3"], options, scores),
        "aim": {"lag": AIM * law.median, "polls": POLLS, "least_lag": inspection.least_lag(frontier, POLLS)},
        "frontier": [{"worth": b.worth, "lag": b.lag, "polls": b.polls} for b in frontier],
        "optimum": {"lag": best.lag, "polls": best.polls, "ages": best.ages[:40]},
        "curve": [asdict(score) for score in curve(law, seeds, operations)],
        "learning": [asdict(stage) for stage in learning(law, seeds)],
        "crowds": [asdict(crowd) for crowd in crowds(law, counts, (1_200, None))],
    }


def details(result: Result) -> str:
    """Return two tables that the README does not show: learning, and many operations at once."""
    cold = [
        [
            f"catalog's median × {s['prior']:.2g}",
            f"{s['at_once']} at a time",
            f"{s['first']}-{s['last']}" if s["last"] > s["first"] else f"{s['first']}",
            f"{s['lag']:.2f}",
            f"{s['polls']:.2f}",
        ]
        for s in result["learning"]
    ]
    many = [
        [
            f"{c['operations']:,} at once",
            "no budget" if c["rate"] is None else f"{c['rate']:g} polls per minute",
            f"{c['lag']:.2f}",
            f"{c['polls']:.2f}",
            f"{c['mean_per_second']:.1f}",
            f"{c['busiest_second']}",
            f"{c['cpu_us_per_look']:.0f}",
        ]
        for c in result["crowds"]
    ]
    headers = ["operations", "", "lag, s", "polls", "polls per second", "busiest second", "CPU µs per poll"]
    return f"{table(['from a cold start', '', 'operation', 'lag, s', 'polls'], cold)}\n\n{table(headers, many)}"


def main(
    median: Annotated[float, typer.Option(help="Median duration of an operation, seconds.")] = 60.0,
    sigma: Annotated[float, typer.Option(help="Sigma of the log-normal durations.")] = 0.5,
    operations: Annotated[int, typer.Option(help="Operations per seed, after a hundred to learn from.")] = 400,
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 30,
    quick: Annotated[bool, typer.Option("--quick", help="Few of each, as a check that it works.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
) -> None:
    """Measure, and print the tables."""
    counts, step = [1, 100, 10_000], inspection.STEP * median / 60
    if quick:
        operations, seeds, counts, step = 50, 2, [1, 100], step * 5
    result = report(Law(median, sigma), seeds, operations, counts, step)
    publish(result, f"{summary(result)}\n\n{details(result)}", json_path)
