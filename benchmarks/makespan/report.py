"""The results of `makespan` as the README shows them: a line a contestant, a column a way of counting."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median
from typing import TYPE_CHECKING

from benchmarks.harness import plots
from benchmarks.harness.aims import Aim
from benchmarks.harness.table import table
from benchmarks.makespan.optimum import COUNTINGS
from benchmarks.rivals import roster

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.harness.results import Result

PANELS = len(COUNTINGS)

AIM, REFUSALS = 1.03, 1
"""Times the optimum, and refusals in a run, at most, whichever way the server counts."""


def summary(found: Result, *, markdown: bool = False) -> str:
    """Makespan as a multiple of the optimum, and refusals; what was lost, where clips were."""
    names = {name: rival.NAME for name, rival in roster().items()}
    present = {run["rival"] for run in found["runs"]}
    rows = [
        [names[name], *(_cell(_group(found, name, counting)) for counting in COUNTINGS)]
        for name in names
        if name in present
    ]
    options = found["options"]
    paid_twice = sum(run["paid_twice"] for run in found["runs"])
    return (
        f"{table(['', *COUNTINGS], rows, words=1, markdown=markdown)}\n\n"
        f"{options['clips']} clips, {options['limit']} per {options['period']:g} s; times the optimum, and refusals: "
        f"medians of {options['repeat']} runs. Paid twice in all of them: {paid_twice or 'nothing'}."
    )


def aims(found: Result) -> list[Aim]:
    """All ways of counting together. Beside it whoever of the others loses least, and of them whoever is first."""
    names = {name: rival.NAME for name, rival in roster().items()}
    others = [name for name in names if name != "aveo3" and any(run["rival"] == name for run in found["runs"])]
    best = min(others, key=lambda name: _rank(found, name), default=None)
    options = found["options"]
    ours = [_group(found, "aveo3", counting) for counting in COUNTINGS]
    met = all(
        _ratios(group) and median(_ratios(group)) <= AIM and max(run["refused"] for run in group) <= REFUSALS
        for group in ours
    )
    return [
        Aim(
            f"{options['clips']} clips, {options['limit']} per {options['period']:g} s, over HTTP",
            f"≤ {AIM:g} x optimum; ≤ {REFUSALS} refused",
            _in_words(found, "aveo3"),
            "" if best is None else f"{names[best]}: {_in_words(found, best)}",
            met,
        )
    ]


def _rank(found: Result, rival: str) -> tuple[float, float]:
    runs = [run for run in found["runs"] if run["rival"] == rival]
    return mean(run["clips"] - run["made"] for run in runs), mean(run["makespan"] / run["optimum"] for run in runs)


def _in_words(found: Result, rival: str) -> str:
    return "; ".join(f"{counting} {_cell(_group(found, rival, counting))}" for counting in COUNTINGS)


def draw(found: Result, axes: Sequence[Axes]) -> None:
    """A panel for each way of counting; who lost clips has no bar."""
    names = {name: rival.NAME for name, rival in roster().items()}
    for panel, counting in zip(axes, COUNTINGS, strict=True):
        groups = {names[name]: group for name in names if (group := _group(found, name, counting))}
        plots.bars(panel, {name: _ratios(group) or [0.0] for name, group in groups.items()}, "times the optimum")
        for place, name in enumerate(reversed(groups)):
            if not _ratios(groups[name]):
                panel.text(0.02, place, " loses clips", color=plots.AIM, fontsize=7, va="center")
        panel.set_title(counting, fontsize=9)
        panel.axvline(1.0, color="#444", linewidth=0.8)
        if panel is not axes[0]:
            panel.set_yticklabels([])


def _group(found: Result, rival: str, counting: str) -> list[dict[str, float]]:
    return [run for run in found["runs"] if (run["rival"], run["counting"]) == (rival, counting)]


def _ratios(group: Sequence[dict[str, float]]) -> list[float]:
    """To the optimum; none if clips were lost."""
    if any(run["made"] < run["clips"] for run in group):
        return []
    return [run["makespan"] / run["optimum"] for run in group]


def _cell(group: Sequence[dict[str, float]]) -> str:
    if not group:
        return ""
    refused = f"{median(run['refused'] for run in group):.0f} refused"
    if lost := median(run["clips"] - run["made"] for run in group):
        return f"loses {lost:.0f}, {refused}"
    return f"{median(run['makespan'] / run['optimum'] for run in group):.2f}, {refused}"
