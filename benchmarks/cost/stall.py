"""The longest stall of the event loop while twenty inline videos of 20 MB arrive at once.

During a stall no other clip is polled, nothing else in the same loop runs, and servers may close connections. The
optimum is 0. An idle loop is late by a few milliseconds too if the machine is busy; this is measured in the same
process just before. `makespan.arrivals` measures it.
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

QUESTION = "How long does the event loop stall while twenty inline videos of 20 MB arrive at once?"

AIM = 50.0
"""Milliseconds."""

SDK, OURS = CONTESTANTS


def summary(result: Result, *, markdown: bool = False) -> str:
    """Return the table and the aim."""
    runs = result["runs"]
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
    headers = ["", "longest stall ms", "idle loop ms", "total seconds", "CPU s"]
    [aim] = aims(result)
    return f"{table(headers, rows, words=1, markdown=markdown)}\n\n{arrivals.conditions(result)} Aim: {aim}"


def aims(result: Result) -> list[Aim]:
    """Return the aim, compared with the SDK."""
    ours, theirs = (median(of(result["runs"], contestant, "stall_ms")) for contestant in (OURS, SDK))
    return [
        Aim("longest stall", f"at most {AIM:g} ms", f"{ours:.0f} ms", f"{SDK}: {theirs:.0f} ms", ours <= AIM),
    ]


def draw(result: Result, axes: Sequence[Axes]) -> None:
    """Draw one bar per contestant, on a logarithmic scale."""
    values = {contestant: of(result["runs"], contestant, "stall_ms") for contestant in CONTESTANTS}
    plots.bars(axes[0], values, "longest stall, ms", aim=AIM)
    axes[0].set_xscale("log")


PANELS = 1

main = arrivals.command("stall", QUESTION, summary)
