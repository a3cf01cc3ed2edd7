"""The report of `makespan`: a row per contestant and a column per way of counting."""

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
"""The aim for every way of counting: the highest multiple of the optimum, and the most refusals in a run."""


def summary(result: Result, *, markdown: bool = False) -> str:
    """Return a table of makespans as multiples of the optimum, with refusals and lost clips."""
    names = {name: rival.NAME for name, rival in roster().items()}
    present = {run["rival"] for run in result["runs"]}
    rows = [
        [names[name], *(_cell(_group(result, name, counting)) for counting in COUNTINGS)]
        for name in names
        if name in present
    ]
    options = result["options"]
    paid_twice = sum(run["paid_twice"] for run in result["runs"])
    return (
        f"{table(['', *COUNTINGS], rows, words=1, markdown=markdown)}\n\n"
        f"{options['clips']} clips, {options['limit']} per {options['period']:g} s. In a cell: times the optimum, and "
        f"refusals; medians of {options['repeat']} runs. Clips paid twice in all runs: {paid_twice or 'none'}."
    )


def aims(result: Result) -> list[Aim]:
    """Return one aim for all ways of counting, with the best rival: it loses the fewest clips, then is the fastest."""
    names = {name: rival.NAME for name, rival in roster().items()}
    others = [name for name in names if name != "aveo3" and any(run["rival"] == name for run in result["runs"])]
    best = min(others, key=lambda name: _rank(result, name), default=None)
    options = result["options"]
    ours = [_group(result, "aveo3", counting) for counting in COUNTINGS]
    met = all(
        _ratios(group) and median(_ratios(group)) <= AIM and max(run["refused"] for run in group) <= REFUSALS
        for group in ours
    )
    return [
        Aim(
            f"{options['clips']} clips, {options['limit']} per {options['period']:g} s, over HTTP",
            f"≤ {AIM:g} x optimum; ≤ {REFUSALS} refused",
            _cells(result, "aveo3"),
            "" if best is None else f"{names[best]}: {_cells(result, best)}",
            met,
        )
    ]


def _rank(result: Result, rival: str) -> tuple[float, float]:
    runs = [run for run in result["runs"] if run["rival"] == rival]
    return mean(run["clips"] - run["made"] for run in runs), mean(run["makespan"] / run["optimum"] for run in runs)


def _cells(result: Result, rival: str) -> str:
    return "; ".join(f"{counting} {_cell(_group(result, rival, counting))}" for counting in COUNTINGS)


def draw(result: Result, axes: Sequence[Axes]) -> None:
    """Draw a panel per way of counting. A contestant that lost clips has no bar."""
    names = {name: rival.NAME for name, rival in roster().items()}
    for panel, counting in zip(axes, COUNTINGS, strict=True):
        groups = {names[name]: group for name in names if (group := _group(result, name, counting))}
        plots.bars(panel, {name: _ratios(group) or [0.0] for name, group in groups.items()}, "times the optimum")
        for place, name in enumerate(reversed(groups)):
            if not _ratios(groups[name]):
                panel.text(0.02, place, " loses clips", color=plots.AIM, fontsize=7, va="center")
        panel.set_title(counting, fontsize=9)
        panel.axvline(1.0, color="#444", linewidth=0.8)
        if panel is not axes[0]:
            panel.set_yticklabels([])


def _group(result: Result, rival: str, counting: str) -> list[dict[str, float]]:
    return [run for run in result["runs"] if (run["rival"], run["counting"]) == (rival, counting)]


def _ratios(group: Sequence[dict[str, float]]) -> list[float]:
    """Return the ratios to the optimum; none if clips were lost."""
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
