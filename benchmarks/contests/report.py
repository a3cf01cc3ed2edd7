"""The results of a contest as the README shows them, and what is promised of them: a line a contestant, a column a
goal. A figure is the mean over the seeds of a case, and where a goal has several cases, the range of these means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from benchmarks.harness import plots
from benchmarks.harness.aims import Aim, between
from benchmarks.harness.table import table
from benchmarks.rivals import virtual_roster

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.contests.contest import Contest
    from benchmarks.harness.results import Result

OURS = "aveo3"


@dataclass(frozen=True)
class Goal:
    """What is wanted in some of a contest's cases."""

    of: str
    """Them, in words."""
    among: Callable[[str], bool] = lambda case: True
    score: float | None = None
    """At most, or at least where more is better: the mean over the seeds, in every case."""
    per_100: float | None = None
    """Refusals per 100 clips, at most: the mean over the seeds, in every case."""
    refusals: int | None = None
    """In any single run, at most."""


@dataclass(frozen=True)
class Figures:
    """What one contestant reached of one goal. `scores`, `lost` and `per_100` have one figure a case."""

    scores: tuple[float, ...]
    lost: tuple[float, ...]
    """Clips in a hundred."""
    per_100: tuple[float, ...]
    """Refusals in a hundred clips."""
    most: int
    """Refusals in a run."""


def figures(contest: Contest, found: Result, goal: Goal, rival: str) -> Figures | None:
    """None if this contestant has no run in the goal's cases."""
    by_case: dict[str, list[Mapping[str, Any]]] = {}
    for run in found["runs"]:
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


def _said(contest: Contest, goal: Goal, reached: Figures) -> str:
    """Score and refusals; who lost clips has no score."""
    refused = f"{reached.most}" if goal.refusals is not None else between(reached.per_100, 1)
    if any(reached.lost):
        return f"loses {between(reached.lost, 1)} %; {refused} refused"
    return f"{between(reached.scores, contest.score.digits)}; {refused} refused"


def _met(contest: Contest, goal: Goal, reached: Figures) -> bool | None:
    if not _wanted(contest, goal):
        return None
    worst = min(reached.scores) if contest.score.more else max(reached.scores)
    return not (
        any(reached.lost)
        or (goal.score is not None and (worst < goal.score if contest.score.more else worst > goal.score))
        or (goal.per_100 is not None and max(reached.per_100) > goal.per_100)
        or (goal.refusals is not None and reached.most > goal.refusals)
    )


def _wanted(contest: Contest, goal: Goal) -> str:
    sign = "≥" if contest.score.more else "≤"
    return "; ".join(
        [
            *(["every clip"] if contest.every_clip else []),
            *([f"{sign} {goal.score:g} {contest.score.header}"] if goal.score is not None else []),
            *([f"≤ {goal.per_100:g} refused per 100 clips"] if goal.per_100 is not None else []),
            *([f"≤ {goal.refusals} refused in any run"] if goal.refusals is not None else []),
        ]
    )


def aims(contest: Contest, found: Result) -> list[Aim]:
    """A line for each goal that aveo3 has runs of."""
    names = {name: rival.NAME for name, rival in virtual_roster().items()}
    lines = []
    for goal in contest.goals:
        ours = figures(contest, found, goal, OURS)
        if ours is None:
            continue
        others = {name: theirs for name in names if name != OURS and (theirs := figures(contest, found, goal, name))}
        best = min(others, key=lambda name: _rank(contest, others[name]), default=None)
        lines.append(
            Aim(
                goal.of,
                _wanted(contest, goal),
                _said(contest, goal, ours),
                "" if best is None else f"{names[best]}: {_said(contest, goal, others[best])}",
                _met(contest, goal, ours),
            )
        )
    return lines


def _rank(contest: Contest, reached: Figures) -> tuple[float, float]:
    """Whoever loses least, and of them the best score."""
    return mean(reached.lost), -mean(reached.scores) if contest.score.more else mean(reached.scores)


def summary(contest: Contest, found: Result, *, markdown: bool = False) -> str:
    """The table, how it came about, and whether aveo3 met the aims."""
    rows = []
    for name, rival in virtual_roster().items():
        reached = [figures(contest, found, goal, name) for goal in contest.goals]
        if any(reached):
            cells = [
                "" if one is None else _said(contest, goal, one)
                for goal, one in zip(contest.goals, reached, strict=True)
            ]
            rows.append([rival.NAME, *cells])
    per_run = any(goal.refusals is not None for goal in contest.goals)
    met = [f"{aim.of}: {aim}" for aim in aims(contest, found) if aim.met is not None]
    return (
        f"{table(['', *(goal.of for goal in contest.goals)], rows, words=1, markdown=markdown)}\n\n"
        f"In a cell: {contest.score.header}, and refusals {'in the worst run' if per_run else 'per 100 clips'}: "
        f"means over the seeds, their range over the cases. Seeds: {_seeds(found)}. "
        f"Aims: {' '.join(met) or 'none.'}"
    )


def _seeds(found: Result) -> str:
    """How many each contestant ran, from the most to the fewest; the last are `the others`."""
    names = {name: rival.NAME for name, rival in virtual_roster().items()}
    by_count: dict[int, list[str]] = {}
    for name, count in found["options"]["seeds"].items():
        by_count.setdefault(count, []).append(names[name])
    *some, (fewest, _) = sorted(by_count.items(), reverse=True)
    told = [f"{count} of {', '.join(group)}" for count, group in some]
    return "; ".join([*told, f"{fewest} of the others" if told else f"{fewest} of each"])


def draw(contest: Contest, found: Result, axes: Sequence[Axes]) -> None:
    """Every run of every case: on the left the scores of those that made every clip, on the right refusals."""
    scores: dict[str, list[float]] = {}
    refused: dict[str, list[float]] = {}
    lost: dict[str, float] = {}
    for name, rival in virtual_roster().items():
        if runs := [run for run in found["runs"] if run["rival"] == name]:
            scores[rival.NAME] = [run["score"] for run in runs if not _lost(contest, run)] or [0.0]
            refused[rival.NAME] = [_per_100(contest, run) for run in runs]
            lost[rival.NAME] = mean(100 * _lost(contest, run) / run["clips"] for run in runs)
    wanted = {goal.score for goal in contest.goals}
    plots.bars(axes[0], scores, contest.score.header, aim=wanted.pop() if len(wanted) == 1 else None)
    for place, name in enumerate(reversed(scores)):
        if lost[name]:
            words = f"  loses {lost[name]:.2g} % of its clips"
            axes[0].text(max(scores[name]), place, words, color=plots.AIM, fontsize=7, va="center")
    plots.bars(axes[1], refused, "refused per 100 clips")
    axes[1].set_xscale("symlog", linthresh=10)
    axes[1].set_yticklabels([])
