"""The results of `poll` as the README shows them: a line a schedule, the least that is possible, lag against looks."""

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
"""What is aimed at: a mean lag of so much of the median, with so many looks a clip."""

OURS = "aveo3, learnt"
OPTIMUM = f"the optimum for {POLLS:g} polls"


def summary(found: Result, *, markdown: bool = False) -> str:
    """The table, whether anybody could meet the aim, and what it takes to learn."""
    options, points = found["options"], _frontier(found)
    median = options["law"]["median"]
    rows = []
    for name, group in _by_name(found["runs"]).items():
        lags, looks = [score["lag"] for score in group], [score["polls"] for score in group]
        least = inspection.least_lag(points, fmean(looks))
        times = f"{fmean(lags) / least:.2f}"
        rows.append([name, spread(lags, 2), f"{fmean(lags) / median:.1%}", spread(looks, 2), f"{least:.2f}", times])
    headers = ["looks", "mean lag, s", "of the median", "looks an operation", "least lag possible, s", "times that"]
    return (
        f"{table(headers, rows, words=1, markdown=markdown)}\n\n"
        f"Durations log-normal, median {median:g} s, sigma {options['law']['sigma']:g}; median [lowest-highest] of "
        f"{options['seeds']} seeds of {options['operations']} operations, after a hundred to learn from.\n"
        f"{verdict(median, points)}\n{_learning(found)} {_crowd(found)}"
    )


def verdict(median: float, frontier: Sequence[inspection.Best]) -> str:
    """Whether the aim can be reached by anybody."""
    aim, least = AIM * median, inspection.least_lag(frontier, POLLS)
    if least <= aim:
        return f"The aim, {aim:.2f} s with {POLLS:g} looks, is possible: the least is {least:.2f} s."
    return (
        f"The aim, {aim:.2f} s ({AIM:.0%} of the median) with {POLLS:g} looks, is beyond every schedule: with so many "
        f"looks the least mean lag is {least:.2f} s ({least / median:.1%}), and {aim:.2f} s take at least "
        f"{inspection.least_polls(frontier, aim):.1f} looks."
    )


def _learning(found: Result) -> str:
    """How soon it is learnt from operations one after the other, and what a wrong catalog costs the first."""
    alone = [stage for stage in found["learning"] if stage["at_once"] == 1]
    right = "; ".join(
        f"{_numbers(stage)}: {stage['lag']:.1f} s, {stage['polls']:.1f} looks" for stage in alone if stage["prior"] == 1
    )
    wrong = [stage for stage in alone if stage["prior"] != 1 and stage["last"] == 1]
    most, latest = max(stage["polls"] for stage in wrong), max(stage["lag"] for stage in wrong)
    return (
        f"From a cold start, the catalog's median being right, {right}; if it is wrong by three, the first takes up to "
        f"{most:.0f} looks, or {latest:.0f} s."
    )


def _numbers(stage: dict[str, Any]) -> str:
    first, last = stage["first"], stage["last"]
    return f"operation {first}" if first == last else f"{first} to {last}"


def _crowd(found: Result) -> str:
    """The largest number at once, with the budget that all operations share."""
    many = max((crowd for crowd in found["crowds"] if crowd["rate"] is not None), key=lambda crowd: crowd["operations"])
    return (
        f"With {many['operations']:,} submitted at one instant and `VEO3_POLL_RATE={many['rate']:g}`, "
        f"{many['polls']:.1f} looks each, and {many['lag']:.0f} s of lag."
    )


def aims(found: Result) -> list[Aim]:
    """The lag, where the looks are few enough; beside it the fixed interval that needs about as many."""
    median, groups = found["options"]["law"]["median"], _by_name(found["runs"])
    means = {
        name: (fmean(score["lag"] for score in group), fmean(score["polls"] for score in group))
        for name, group in groups.items()
    }
    lag, looks = means.pop(OURS)
    least = inspection.least_lag(_frontier(found), looks)
    other = min((name for name in means if name != OPTIMUM), key=lambda name: abs(means[name][1] - looks))
    return [
        Aim(
            f"a wait to be noticed, median {median:g} s",
            f"≤ {AIM:.0%} of the median, with ≤ {POLLS:g} looks",
            f"{lag / median:.1%}, {looks:.1f} looks; {least / median:.1%} is the least there can be",
            f"{other}: {means[other][0] / median:.1%}, {means[other][1]:.1f} looks",
            lag <= AIM * median and looks <= POLLS,
        )
    ]


def draw(found: Result, axes: Sequence[Axes]) -> None:
    """Lag against looks: every schedule a dot, aveo3's own and the least possible as lines."""
    panel, points = axes[0], _frontier(found)
    panel.plot([b.polls for b in points], [b.lag for b in points], color=plots.THEIRS, label="the least possible")
    line = _by_name(found["curve"]).values()
    panel.plot(
        [fmean(score["polls"] for score in group) for group in line],
        [fmean(score["lag"] for score in group) for group in line],
        color=plots.OURS,
        linestyle="--",
        label="√(2c/h), learnt from 100 ends, c varied",
    )
    for name, group in _by_name(found["runs"]).items():
        x, y = fmean(score["polls"] for score in group), fmean(score["lag"] for score in group)
        panel.plot(x, y, "o", color=plots.OURS if name == OURS else plots.THEIRS)
        below = name == OPTIMUM or "10 s ×" in name  # where the neighbour's name is not
        panel.annotate(name, (x, y), xytext=(6, -11 if below else 4), textcoords="offset points", fontsize=7)
    median = found["options"]["law"]["median"]
    panel.plot(POLLS, AIM * median, "x", color=plots.AIM, label=f"the aim: {AIM:.0%} of the median, {POLLS:g} looks")
    panel.set(xlabel="looks an operation", ylabel="mean lag, s", xlim=(0, 20), ylim=(0, median * 0.28))
    panel.legend(frameon=False, fontsize=8)


def _by_name(scores: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for score in scores:
        groups.setdefault(score["name"], []).append(score)
    return groups


def _frontier(found: Result) -> list[inspection.Best]:
    return [inspection.Best(point["worth"], point["lag"], point["polls"], ()) for point in found["frontier"]]
