"""How long the event loop stands still while twenty inline videos of 20 MB arrive at once.

While it stands, no other clip is looked at, nothing else that a program does in the same loop has its turn, and a
connection may be given up on the other side. The optimum is 0; a loop with nothing to do is late by a few milliseconds,
too, if the machine is busy: that is measured in the same process just before. See `arrivals` for how.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.harness import plots
from benchmarks.harness.aims import Aim
from benchmarks.harness.table import spread, table
from benchmarks.makespan import arrivals
from benchmarks.makespan.arrivals import CONTESTANTS, of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from benchmarks.harness.results import Result

QUESTION = "How long does the event loop stand still while twenty inline videos of 20 MB arrive at once?"

AIM = 50.0
"""Milliseconds."""

SDK, OURS = CONTESTANTS


def summary(found: Result, *, markdown: bool = False) -> str:
    """The table, and whether the aim is met."""
    runs = found["runs"]
    rows = [
        [
            contestant,
            spread(of(runs, contestant, "stall_ms"), 0),
            spread(of(runs, contestant, "resting_ms"), 0),
            spread(of(runs, contestant, "seconds"), 1),
            spread(of(runs, contestant, "cpu_seconds"), 1),
        ]
        for contestant in CONTESTANTS
    ]
    headers = ["", "longest stall ms", "with nothing to do", "seconds in all", "CPU s"]
    [aim] = aims(found)
    return f"{table(headers, rows, words=1, markdown=markdown)}\n\n{arrivals.conditions(found)} Aim: {aim}"


def aims(found: Result) -> list[Aim]:
    """The longest stall; beside it the SDK's."""
    ours, theirs = (median(of(found["runs"], contestant, "stall_ms")) for contestant in (OURS, SDK))
    return [
        Aim("the longest stall", f"at most {AIM:g} ms", f"{ours:.0f} ms", f"{SDK}: {theirs:.0f} ms", ours <= AIM),
    ]


def draw(found: Result, axes: Sequence[Axes]) -> None:
    """One bar a contestant, on a logarithmic scale."""
    values = {contestant: of(found["runs"], contestant, "stall_ms") for contestant in CONTESTANTS}
    plots.bars(axes[0], values, "longest stall, ms", aim=AIM)
    axes[0].set_xscale("log")


PANELS = 1

main = arrivals.command("stall", QUESTION, summary)
