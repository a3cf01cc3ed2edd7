"""How soon a finished video is noticed, and what that takes: lag against polls, for aveo3 and for what people write.

Virtual time and drawn durations. aveo3 looks through its own `Pollers`; a fixed interval and an exponential back-off
need no clock, only arithmetic, and get the same durations. The least lag that any schedule could have, knowing the law,
is figured in `inspection`.
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
from benchmarks.harness.results import Result, result, tell
from benchmarks.harness.table import table
from benchmarks.polling.looking import Law, Score, backoff, fixed, listed, reckon, taught, watch
from benchmarks.polling.report import AIM, OURS, POLLS
from benchmarks.polling.report import PANELS as PANELS
from benchmarks.polling.report import aims as aims
from benchmarks.polling.report import draw as draw
from benchmarks.polling.report import summary as summary

QUESTION = (
    "How long does a finished video wait to be noticed, how many looks does that take, and what would be the least?"
)

WORTHS = (0.05, 0.07, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.35, 0.38, 0.4, 0.41, 0.42, 0.45, 0.5, 0.6, 0.7, 1, 1.5, 2, 3)
STRETCHES = (0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.25, 1.5, 2.0, 2.5)
STAGES = (1, 3, 10, 30, 100)


# ---- what is measured ------------------------------------------------------------------------------------------------


def compare(law: Law, seeds: int, operations: int, best: inspection.Best) -> list[Score]:
    """Every schedule over the same draws. aveo3 has seen 100 operations before, one after the other."""
    scores = []
    for seed in range(seeds):
        rng = random.Random(seed)
        before, took = law.draw(rng, 100), law.draw(rng, operations)
        run = watch([*before, *took], seed, prior=law.median)
        scores.append(Score(OURS, seed, fmean(run.lags[100:]), fmean(run.polls[100:])))
        rivals = {
            "fixed 5 s": fixed(5),
            "fixed 10 s": fixed(10),
            "fixed 20 s": fixed(20),
            "back-off 1 s ×2 to 30 s": backoff(1, 2, 30),
            "back-off 10 s ×1.5 to 30 s": backoff(10, 1.5, 30),
            f"the optimum for {POLLS:g} polls": listed(best.ages),
        }
        scores += [reckon(name, begin, took, seed) for name, begin in rivals.items()]
    return scores


def curve(law: Law, seeds: int, operations: int) -> list[Score]:
    """aveo3's schedule with a poll worth more and less, after 100 ends, without jitter: the line it moves on."""
    scores = []
    for seed in range(seeds):
        rng = random.Random(seed)
        known = taught(law.median, law.draw(rng, 100))
        took = law.draw(rng, operations)
        for stretch in STRETCHES:

            def begin(stretch: float = stretch, known: LatencyModel = known) -> Callable[[float], float]:
                return lambda age: next_poll(known, age, stretch)

            scores.append(reckon(f"{stretch:g}", begin, took, seed))
    return scores


@dataclass(frozen=True)
class Stage:
    """How an operation fares that is so far down the line, when the catalog's median was so wrong."""

    prior: float
    at_once: int
    first: int
    last: int
    lag: float
    polls: float


def learning(law: Law, seeds: int) -> list[Stage]:
    """From a prior that is right, or wrong by three, one after the other and fifty at once."""
    stages = []
    for factor in (1 / 3, 1.0, 3.0):
        for at_once in (1, 50):
            runs = [
                watch(
                    law.draw(random.Random(1_000 + seed), STAGES[-1]), seed, prior=law.median * factor, at_once=at_once
                )
                for seed in range(seeds)
            ]
            for before, last in pairwise((0, *STAGES)):
                lag = fmean(fmean(run.lags[before:last]) for run in runs)
                polls = fmean(fmean(run.polls[before:last]) for run in runs)
                stages.append(Stage(factor, at_once, before + 1, last, lag, polls))
    return stages


@dataclass(frozen=True)
class Crowd:
    """So many operations submitted at one instant: looks a second, and what they cost here."""

    operations: int
    rate: float | None
    lag: float
    polls: float
    mean_per_second: float
    busiest_second: int
    cpu_us_per_look: float


def crowds(law: Law, counts: Sequence[int], rates: Sequence[float | None]) -> list[Crowd]:
    """aveo3, which knows the law, with the default budget of looks and without one."""
    found = []
    for rate in rates:
        for count in counts:
            rng = random.Random(count)
            learnt, took = law.draw(rng, 100), law.draw(rng, count)
            run = watch(took, 0, prior=law.median, at_once=count, rate=rate, learnt=learnt)
            looks = sum(run.polls)
            found.append(
                Crowd(
                    count,
                    rate,
                    fmean(run.lags),
                    fmean(run.polls),
                    looks / run.seconds,
                    run.busiest,
                    run.cpu / looks * 1e6,
                )
            )
    return found


# ---- the report ------------------------------------------------------------------------------------------------------


def report(law: Law, seeds: int, operations: int, counts: Sequence[int], step: float) -> Result:
    """Everything that is measured, ready for JSON."""
    worths = [worth * law.median / 60 for worth in WORTHS]
    frontier = inspection.frontier(inspection.lognormal(law.median, law.sigma), law.median, worths, step=step)
    best = min(frontier, key=lambda point: abs(point.polls - POLLS))
    options = {"virtual_time": True, "law": asdict(law), "seeds": seeds, "operations": operations, "step": step}
    scores = compare(law, seeds, operations, best)
    return {
        **result("poll", QUESTION, ["aveo3"], options, scores),
        "aim": {"lag": AIM * law.median, "polls": POLLS, "least_lag": inspection.least_lag(frontier, POLLS)},
        "frontier": [{"worth": b.worth, "lag": b.lag, "polls": b.polls} for b in frontier],
        "optimum": {"lag": best.lag, "polls": best.polls, "ages": best.ages[:40]},
        "curve": [asdict(score) for score in curve(law, seeds, operations)],
        "learning": [asdict(stage) for stage in learning(law, seeds)],
        "crowds": [asdict(crowd) for crowd in crowds(law, counts, (1_200, None))],
    }


def details(found: Result) -> str:
    """Two tables more than the README has: how the law is learnt, and what many operations at once take."""
    cold = [
        [
            f"catalog's median × {s['prior']:.2g}",
            f"{s['at_once']} at a time",
            f"{s['first']}-{s['last']}" if s["last"] > s["first"] else f"{s['first']}",
            f"{s['lag']:.2f}",
            f"{s['polls']:.2f}",
        ]
        for s in found["learning"]
    ]
    many = [
        [
            f"{c['operations']:,} at once",
            "no budget" if c["rate"] is None else f"{c['rate']:g} looks a minute",
            f"{c['lag']:.2f}",
            f"{c['polls']:.2f}",
            f"{c['mean_per_second']:.1f}",
            f"{c['busiest_second']}",
            f"{c['cpu_us_per_look']:.0f}",
        ]
        for c in found["crowds"]
    ]
    headers = ["operations", "", "lag, s", "looks", "looks a second", "busiest second", "CPU µs a look"]
    return f"{table(['from a cold start', '', 'operation', 'lag, s', 'looks'], cold)}\n\n{table(headers, many)}"


def main(
    median: Annotated[float, typer.Option(help="Median duration of an operation, seconds.")] = 60.0,
    sigma: Annotated[float, typer.Option(help="Its log-normal law's sigma.")] = 0.5,
    operations: Annotated[int, typer.Option(help="Operations a seed, after a hundred to learn from.")] = 400,
    seeds: Annotated[int, typer.Option(help="Draws of everything.")] = 30,
    quick: Annotated[bool, typer.Option("--quick", help="A few of each: to see that it works.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
) -> None:
    """Measure, and print the tables."""
    counts, step = [1, 100, 10_000], inspection.STEP * median / 60
    if quick:
        operations, seeds, counts, step = 50, 2, [1, 100], step * 5
    found = report(Law(median, sigma), seeds, operations, counts, step)
    tell(found, f"{summary(found)}\n\n{details(found)}", json_path)
