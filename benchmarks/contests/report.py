"""The report of a contest and its goals: a row per contestant and a column per goal.

A figure is the mean over the seeds of a case. If a goal has several cases, the report shows the range of these means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from benchmarks.harness import plots
from benchmarks.harness.aims import Aim, between
from benchmarks.harness.table import table
from benchmarks.rivals import virtual_roster

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.contests.contest import Contest, Goal
    from benchmarks.harness.results import Result

OURS = "aveo3"


@dataclass(frozen=True)
class Figures:
    """The figures of one contestant for one goal. `scores`, `lost` and `per_100` have one figure per case."""

    scores: tuple[float, ...]
    lost: tuple[float, ...]
    """Lost clips in percent."""
    per_100: tuple[float, ...]
    """Refusals per 100 clips."""
    most: int
    """Most refusals in one run."""


def figures(contest: Contest, result: Result, goal: Goal, rival: str) -> Figures | None:
    """Return the figures of a contestant; None without runs in the cases of the goal."""
    by_case: dict[str, list[Mapping[str, Any]]] = {}
    for run in result["runs"]:
        if run["rival"] == rival and goal.among(run["case"]):
            by_case.setdefault(run["case"], []).append(run)
    if not by_case:
        return None
    groups = by_case.values()
    return Figures(
        tuple(mean(run["score"] for run in group) for group in groups),
        tuple(mean(100 * _lost(contest, run) / run["clips"] for run in group) for group in groups),
        tuple(mean(_per_100(contest, run) for run in group) for group in groups),
        max(run["refused"] for group in groups for run in group),
    )


def _lost(contest: Contest, run: Mapping[str, Any]) -> float:
    return float(run["clips"] - run["made"]) if contest.every_clip else 0.0


def _per_100(contest: Contest, run: Mapping[str, Any]) -> float:
    return float(100 * run["refused"] / (run["clips"] if contest.every_clip else max(run["made"], 1)))


def _cell(contest: Contest, goal: Goal, reached: Figures) -> str:
    """Return score and refusals as text. A contestant that lost clips has no score."""
    refused = f"{reached.most}" if goal.refusals is not None else between(reached.per_100, 1)
    if any(reached.lost):
        return f"loses {between(reached.lost, 1)} %; {refused} refused"
    return f"{between(reached.scores, contest.score.digits)}; {refused} refused"


def _met(contest: Contest, goal: Goal, reached: Figures) -> bool | None:
    if not _aim(contest, goal):
        return None
    worst = min(reached.scores) if contest.score.more else max(reached.scores)
    return not (
        any(reached.lost)
        or (goal.score is not None and (worst < goal.score if contest.score.more else worst > goal.score))
        or (goal.per_100 is not None and max(reached.per_100) > goal.per_100)
        or (goal.refusals is not None and reached.most > goal.refusals)
    )


def _aim(contest: Contest, goal: Goal) -> str:
    sign = "≥" if contest.score.more else "≤"
    return "; ".join(
        [
            *(["every clip"] if contest.every_clip else []),
            *([f"{sign} {goal.score:g} {contest.score.header}"] if goal.score is not None else []),
            *([f"≤ {goal.per_100:g} refused per 100 clips"] if goal.per_100 is not None else []),
            *([f"≤ {goal.refusals} refused in any run"] if goal.refusals is not None else []),
        ]
    )


def aims(contest: Contest, result: Result) -> list[Aim]:
    """Return an aim for each goal with runs of aveo3."""
    names = {name: rival.NAME for name, rival in virtual_roster().items()}
    lines = []
    for goal in contest.goals:
        ours = figures(contest, result, goal, OURS)
        if ours is None:
            continue
        others = {name: theirs for name in names if name != OURS and (theirs := figures(contest, result, goal, name))}
        best = min(others, key=lambda name: _rank(contest, others[name]), default=None)
        lines.append(
            Aim(
                goal.of,
                _aim(contest, goal),
                _cell(contest, goal, ours),
                "" if best is None else f"{names[best]}: {_cell(contest, goal, others[best])}",
                _met(contest, goal, ours),
            )
        )
    return lines


def _rank(contest: Contest, reached: Figures) -> tuple[float, float]:
    """Return the sort key of rivals: the fewest lost clips, then the best score."""
    return mean(reached.lost), -mean(reached.scores) if contest.score.more else mean(reached.scores)


def summary(contest: Contest, result: Result, *, markdown: bool = False) -> str:
    """Return the table, its conditions, and the aims."""
    rows = []
    for name, rival in virtual_roster().items():
        reached = [figures(contest, result, goal, name) for goal in contest.goals]
        if any(reached):
            cells = [
                "" if one is None else _cell(contest, goal, one)
                for goal, one in zip(contest.goals, reached, strict=True)
            ]
            rows.append([rival.NAME, *cells])
    per_run = any(goal.refusals is not None for goal in contest.goals)
    verdicts = [f"{aim.of}: {aim}" for aim in aims(contest, result) if aim.met is not None]
    return (
        f"{table(['', *(goal.of for goal in contest.goals)], rows, words=1, markdown=markdown)}\n\n"
        f"In a cell: {contest.score.header}, and refusals {'in the worst run' if per_run else 'per 100 clips'}; "
        f"means over the seeds, as a range over the cases. Seeds: {_seeds(result)}. "
        f"Aims: {' '.join(verdicts) or 'none.'}"
    )


def _seeds(result: Result) -> str:
    """Return the number of seeds of each contestant, in decreasing order; the last group is "the others"."""
    names = {name: rival.NAME for name, rival in virtual_roster().items()}
    by_count: dict[int, list[str]] = {}
    for name, count in result["options"]["seeds"].items():
        by_count.setdefault(count, []).append(names[name])
    *some, (fewest, _) = sorted(by_count.items(), reverse=True)
    groups = [f"{count} of {', '.join(group)}" for count, group in some]
    return "; ".join([*groups, f"{fewest} of the others" if groups else f"{fewest} of each"])


def draw(contest: Contest, result: Result, axes: Sequence[Axes]) -> None:
    """Draw all runs of all cases: scores of runs without lost clips on the left, refusals on the right."""
    scores: dict[str, list[float]] = {}
    refused: dict[str, list[float]] = {}
    lost: dict[str, float] = {}
    for name, rival in virtual_roster().items():
        if runs := [run for run in result["runs"] if run["rival"] == name]:
            scores[rival.NAME] = [run["score"] for run in runs if not _lost(contest, run)] or [0.0]
            refused[rival.NAME] = [_per_100(contest, run) for run in runs]
            lost[rival.NAME] = mean(100 * _lost(contest, run) / run["clips"] for run in runs)
    aim_scores = {goal.score for goal in contest.goals}
    plots.bars(axes[0], scores, contest.score.header, aim=aim_scores.pop() if len(aim_scores) == 1 else None)
    for place, name in enumerate(reversed(scores)):
        if lost[name]:
            words = f"  loses {lost[name]:.2g} % of its clips"
            axes[0].text(max(scores[name]), place, words, color=plots.AIM, fontsize=7, va="center")
    plots.bars(axes[1], refused, "refused per 100 clips")
    axes[1].set_xscale("symlog", linthresh=10)
    axes[1].set_yticklabels([])
