"""The report of `poll`: a row per schedule, the least possible lag, and a plot of lag against polls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.harness import inspection, plots
from benchmarks.harness.aims import Aim
from benchmarks.harness.table import spread, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.harness.results import Result

PANELS = 1

POLLS, AIM = 8.0, 0.03
"""The aim: a mean lag of at most `AIM` times the median, with at most `POLLS` polls per clip."""

OURS = "aveo3, learnt"
OPTIMUM = f"the optimum for {POLLS:g} polls"


def summary(result: Result, *, markdown: bool = False) -> str:
    """Return the table, whether any schedule can meet the aim, and the cost of learning."""
    options, points = result["options"], _frontier(result)
    median = options["law"]["median"]
    rows = []
    for name, group in _by_name(result["runs"]).items():
        lags, polls = [score["lag"] for score in group], [score["polls"] for score in group]
        least = inspection.least_lag(points, fmean(polls))
        times = f"{fmean(lags) / least:.2f}"
        rows.append([name, spread(lags, 2), f"{fmean(lags) / median:.1%}", spread(polls, 2), f"{least:.2f}", times])
    headers = [
        "schedule",
        "mean lag, s",
        "of the median",
        "polls per operation",
        "least possible lag, s",
        "times the least",
    ]
    return (
        f"{table(headers, rows, words=1, markdown=markdown)}\n\n"
        f"Durations log-normal, median {median:g} s, sigma {options['law']['sigma']:g}; median [lowest-highest] of "
        f"{options['seeds']} seeds with {options['operations']} operations each, after a hundred to learn from.\n"
        f"{verdict(median, points)}\n{_learning(result)} {_crowd(result)}"
    )


def verdict(median: float, frontier: Sequence[inspection.Best]) -> str:
    """Say whether any schedule can reach the aim."""
    aim, least = AIM * median, inspection.least_lag(frontier, POLLS)
    if least <= aim:
        return f"The aim, {aim:.2f} s with {POLLS:g} polls, is possible: the least possible lag is {least:.2f} s."
    return (
        f"The aim, {aim:.2f} s ({AIM:.0%} of the median) with {POLLS:g} polls, is beyond every schedule: with so many "
        f"polls the least mean lag is {least:.2f} s ({least / median:.1%}), and {aim:.2f} s need at least "
        f"{inspection.least_polls(frontier, aim):.1f} polls."
    )


def _learning(result: Result) -> str:
    """Say how fast aveo3 learns from one operation after the other, and what a wrong prior costs the first."""
    alone = [stage for stage in result["learning"] if stage["at_once"] == 1]
    right = "; ".join(
        f"{_numbers(stage)}: {stage['lag']:.1f} s, {stage['polls']:.1f} polls" for stage in alone if stage["prior"] == 1
    )
    wrong = [stage for stage in alone if stage["prior"] != 1 and stage["last"] == 1]
    most, latest = max(stage["polls"] for stage in wrong), max(stage["lag"] for stage in wrong)
    return (
        f"From a cold start with the right median in the catalog: {right}. With a median wrong by a factor of three, "
        f"the first operation needs up to {most:.0f} polls, or waits {latest:.0f} s."
    )


def _numbers(stage: dict[str, Any]) -> str:
    first, last = stage["first"], stage["last"]
    return f"operation {first}" if first == last else f"{first} to {last}"


def _crowd(result: Result) -> str:
    """Say what the largest number of operations at once needs within the common poll budget."""
    limited = (crowd for crowd in result["crowds"] if crowd["rate"] is not None)
    many = max(limited, key=lambda crowd: crowd["operations"])
    return (
        f"With {many['operations']:,} submitted at one instant and `VEO3_POLL_RATE={many['rate']:g}`: "
        f"{many['polls']:.1f} polls each, and {many['lag']:.0f} s of lag."
    )


def aims(result: Result) -> list[Aim]:
    """Return the aim. The rival is the schedule with about the same number of polls."""
    median, groups = result["options"]["law"]["median"], _by_name(result["runs"])
    means = {
        name: (fmean(score["lag"] for score in group), fmean(score["polls"] for score in group))
        for name, group in groups.items()
    }
    lag, polls = means.pop(OURS)
    least = inspection.least_lag(_frontier(result), polls)
    other = min((name for name in means if name != OPTIMUM), key=lambda name: abs(means[name][1] - polls))
    return [
        Aim(
            f"lag of a finished video, median duration {median:g} s",
            f"≤ {AIM:.0%} of the median, with ≤ {POLLS:g} polls",
            f"{lag / median:.1%}, {polls:.1f} polls; least possible {least / median:.1%}",
            f"{other}: {means[other][0] / median:.1%}, {means[other][1]:.1f} polls",
            lag <= AIM * median and polls <= POLLS,
        )
    ]


def draw(result: Result, axes: Sequence[Axes]) -> None:
    """Draw lag against polls: a dot per schedule, aveo3's curve and the least possible lag as lines."""
    panel, points = axes[0], _frontier(result)
    panel.plot([b.polls for b in points], [b.lag for b in points], color=plots.THEIRS, label="least possible")
    line = _by_name(result["curve"]).values()
    panel.plot(
        [fmean(score["polls"] for score in group) for group in line],
        [fmean(score["lag"] for score in group) for group in line],
        color=plots.OURS,
        linestyle="--",
        label="√(2c/h), learnt from 100 ends, c varied",
    )
    for name, group in _by_name(result["runs"]).items():
        x, y = fmean(score["polls"] for score in group), fmean(score["lag"] for score in group)
        panel.plot(x, y, "o", color=plots.OURS if name == OURS else plots.THEIRS)
        below = name == OPTIMUM or "10 s ×" in name  # to avoid the label of the neighbour
        panel.annotate(name, (x, y), xytext=(6, -11 if below else 4), textcoords="offset points", fontsize=7)
    median = result["options"]["law"]["median"]
    panel.plot(POLLS, AIM * median, "x", color=plots.AIM, label=f"aim: {AIM:.0%} of the median, {POLLS:g} polls")
    panel.set(xlabel="polls per operation", ylabel="mean lag, s", xlim=(0, 20), ylim=(0, median * 0.28))
    panel.legend(frameon=False, fontsize=8)


def _by_name(scores: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for score in scores:
        groups.setdefault(score["name"], []).append(score)
    return groups


def _frontier(result: Result) -> list[inspection.Best]:
    return [inspection.Best(point["worth"], point["lag"], point["polls"], ()) for point in result["frontier"]]
