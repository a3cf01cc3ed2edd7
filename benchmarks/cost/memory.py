"""Twenty inline videos of 20 MB that are ready at once: the peak memory of the process above idle.

A whole video in memory is 27 MB of base64 in the response, the same again in the parsed JSON, and 20 MB of bytes. The
optimum keeps nothing in memory and writes every piece to disk at once. `makespan.arrivals` measures it.
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

QUESTION = "How much memory do twenty inline videos of 20 MB need when they arrive at once?"

AIM = 1 / 3
"""Highest share of the memory of the SDK's bare loop."""

SDK, OURS = CONTESTANTS


def summary(result: Result, *, markdown: bool = False) -> str:
    """Return the table and the aim."""
    runs, options = result["runs"], result["options"]
    total = options["videos"] * options["video_mb"]
    theirs = median(of(runs, SDK, "peak_mb"))
    rows = [
        [
            contestant,
            spread(of(runs, contestant, "peak_mb"), 0),
            f"{median(of(runs, contestant, 'peak_mb')) / theirs:.2f}",
            spread([peak / total for peak in of(runs, contestant, "peak_mb")], 2),
            spread(of(runs, contestant, "cpu_seconds"), 1),
        ]
        for contestant in CONTESTANTS
    ]
    headers = ["", "peak MB above idle", "times the SDK", "times the videos", "CPU s"]
    [aim] = aims(result)
    return f"{table(headers, rows, words=1, markdown=markdown)}\n\n{arrivals.conditions(result)} Aim: {aim}"


def aims(result: Result) -> list[Aim]:
    """Return the aim, compared with the SDK."""
    ours, theirs = (median(of(result["runs"], contestant, "peak_mb")) for contestant in (OURS, SDK))
    return [
        Aim(
            "peak memory above idle",
            "at most a third of the SDK's",
            f"{ours:.0f} MB, {ours / theirs:.2f} times the SDK's",
            f"{SDK}: {theirs:.0f} MB",
            ours <= AIM * theirs,
        )
    ]


def draw(result: Result, axes: Sequence[Axes]) -> None:
    """Draw one bar per contestant."""
    values = {contestant: of(result["runs"], contestant, "peak_mb") for contestant in CONTESTANTS}
    plots.bars(axes[0], values, "peak MB above idle", aim=AIM * median(values[SDK]))


PANELS = 1

main = arrivals.command("memory", QUESTION, summary)
