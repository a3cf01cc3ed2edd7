"""How soon a finished video is noticed, and what that takes: lag against polls, for aveo3 and for what people write.

Virtual time and drawn durations. aveo3 looks through its own `Pollers`; a fixed interval and an exponential back-off
need no clock, only arithmetic, and get the same durations. The least lag that any schedule could have, knowing the law,
is figured in `inspection`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from aveo3.latency import Latency
from aveo3.polling import next_look
from benchmarks import inspection, machine
from benchmarks.looking import Law, Score, backoff, fixed, listed, reckon, taught, watch
from benchmarks.table import spread, table

QUESTION = (
    "How long does a finished video wait to be noticed, how many looks does that take, and what would be the least?"
)

POLLS, AIM = 8.0, 0.03
"""What is aimed at: a mean lag of so much of the median, with so many polls a clip."""

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
        scores.append(Score("aveo3, learnt", seed, fmean(run.lags[100:]), fmean(run.polls[100:])))
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

            def begin(stretch: float = stretch, known: Latency = known) -> Callable[[float], float]:
                return lambda age: next_look(known, age, stretch)

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


def rows(scores: Sequence[Score], law: Law, frontier: Sequence[inspection.Best]) -> list[list[str]]:
    """A line for each schedule: lag, its share of the median, polls, and the lag as a multiple of the least possible
    for those polls."""
    lines = []
    for name in dict.fromkeys(score.name for score in scores):
        group = [score for score in scores if score.name == name]
        lag, polls = fmean(score.lag for score in group), fmean(score.polls for score in group)
        least = inspection.least_lag(frontier, polls)
        lines.append(
            [
                name,
                "",
                spread([score.lag for score in group], 2),
                f"{lag / law.median:.1%}",
                spread([score.polls for score in group], 2),
                f"{least:.2f}",
                f"{lag / least:.2f}",
            ]
        )
    return lines


def verdict(law: Law, frontier: Sequence[inspection.Best]) -> str:
    """Whether the aim can be reached by anybody."""
    aim, least = AIM * law.median, inspection.least_lag(frontier, POLLS)
    if least <= aim:
        return f"The aim, {aim:.2f} s with {POLLS:g} polls, is possible: the least is {least:.2f} s."
    return (
        f"The aim, {aim:.2f} s ({AIM:.0%} of the median) with {POLLS:g} polls, is beyond every schedule: with so many "
        f"polls the least mean lag is {least:.2f} s ({least / law.median:.1%}), and {aim:.2f} s take at least "
        f"{inspection.least_polls(frontier, aim):.1f} polls."
    )


def draw(
    path: Path, law: Law, frontier: Sequence[inspection.Best], line: Sequence[Score], dots: Sequence[Score]
) -> None:
    """Lag against polls, as a PNG."""
    import matplotlib as mpl  # a second to import, and only here needed

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), dpi=120)
    axes.plot([b.polls for b in frontier], [b.lag for b in frontier], color="#888", label="the least possible")
    ours = [[s for s in line if s.name == f"{stretch:g}"] for stretch in STRETCHES]
    axes.plot(
        [fmean(s.polls for s in group) for group in ours],
        [fmean(s.lag for s in group) for group in ours],
        color="#1a7f37",
        linestyle="--",
        label="√(2c/h), learnt from 100 ends, c varied",
    )
    for name in dict.fromkeys(score.name for score in dots):
        group = [score for score in dots if score.name == name]
        x, y = fmean(s.polls for s in group), fmean(s.lag for s in group)
        ours_too = name.startswith("aveo3")
        axes.plot(x, y, "o", color="#1a7f37" if ours_too else "#cf222e" if "optimum" not in name else "#888")
        below = "optimum" in name or "10 s ×" in name  # where the neighbour's name is not
        axes.annotate(name, (x, y), xytext=(6, -12 if below else 4), textcoords="offset points", fontsize=8)
    axes.plot(POLLS, AIM * law.median, "x", color="#0969da", label=f"the aim: {AIM:.0%} of the median, {POLLS:g} polls")
    axes.set(
        xlabel="polls an operation",
        ylabel="mean lag, seconds",
        xlim=(0, 20),
        ylim=(0, 16),
        title=f"Operations of {law.median:g} s (log-normal, sigma {law.sigma:g})",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def main(
    median: Annotated[float, typer.Option(help="Median duration of an operation, seconds.")] = 60.0,
    sigma: Annotated[float, typer.Option(help="Its log-normal law's sigma.")] = 0.5,
    operations: Annotated[int, typer.Option(help="Operations a seed, after a hundred to learn from.")] = 400,
    seeds: Annotated[int, typer.Option(help="Draws of everything.")] = 30,
    quick: Annotated[bool, typer.Option("--quick", help="A few of each: to see that it works.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
    plot_path: Annotated[Path | None, typer.Option("--plot", help="Draw lag against polls into this PNG.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
) -> None:
    """Measure, and print the tables."""
    law, counts, step = Law(median, sigma), [1, 100, 10_000], inspection.STEP * median / 60
    if quick:
        operations, seeds, counts, step = 50, 2, [1, 100], step * 5
    frontier = inspection.frontier(
        inspection.lognormal(median, sigma), median, [worth * median / 60 for worth in WORTHS], step=step
    )
    best = min(frontier, key=lambda point: abs(point.polls - POLLS))
    scores, line = compare(law, seeds, operations, best), curve(law, seeds, operations)
    stages, crowded = learning(law, seeds), crowds(law, counts, (1_200, None))

    about = machine.describe(["aveo3"])
    typer.echo(machine.line(about))
    typer.echo(
        f"{QUESTION}\nLog-normal, median {median:g} s, sigma {sigma:g}; {seeds} seeds of {operations} operations.\n"
    )
    headers = ["schedule", "", "lag, s", "of the median", "polls", "least lag possible, s", "times that"]
    typer.echo(table(headers, rows(scores, law, frontier), markdown=markdown))
    typer.echo(f"\n{verdict(law, frontier)}\n")
    cold = [
        [
            f"catalog's median × {s.prior:.2g}",
            f"{s.at_once} at a time",
            f"{s.first}-{s.last}" if s.last > s.first else f"{s.first}",
            f"{s.lag:.2f}",
            f"{s.polls:.2f}",
        ]
        for s in stages
    ]
    typer.echo(table(["from a cold start", "", "operation", "lag, s", "polls"], cold, markdown=markdown))
    many = [
        [
            f"{c.operations:,} at once",
            "no budget" if c.rate is None else f"{c.rate:g} looks a minute",
            f"{c.lag:.2f}",
            f"{c.polls:.2f}",
            f"{c.mean_per_second:.1f}",
            f"{c.busiest_second}",
            f"{c.cpu_us_per_look:.0f}",
        ]
        for c in crowded
    ]
    typer.echo()
    headers = ["operations", "", "lag, s", "polls", "looks a second", "busiest second", "CPU µs a look"]
    typer.echo(table(headers, many, markdown=markdown))
    if json_path is not None:
        report: dict[str, Any] = {
            "question": QUESTION,
            "law": asdict(law),
            "seeds": seeds,
            "operations": operations,
            **about,
            "aim": {"lag": AIM * median, "polls": POLLS, "least_lag": inspection.least_lag(frontier, POLLS)},
            "frontier": [{"worth": b.worth, "lag": b.lag, "polls": b.polls} for b in frontier],
            "optimum": {"lag": best.lag, "polls": best.polls, "ages": best.ages[:40]},
            "runs": [asdict(score) for score in scores],
            "curve": [asdict(score) for score in line],
            "learning": [asdict(stage) for stage in stages],
            "crowds": [asdict(crowd) for crowd in crowded],
        }
        json_path.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    if plot_path is not None:
        draw(plot_path, law, frontier, line, scores)
