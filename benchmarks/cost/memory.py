"""Twenty inline videos of 20 MB that are ready at once: the most memory that the process held beyond idle.

Held whole, a video is 27 MB of base64 in the answer, the same in the JSON that is read from it, and 20 MB of bytes. The
optimum holds none of it: what arrives goes to disk. See `arrivals` for how it is measured.
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

QUESTION = "How much memory do twenty inline videos of 20 MB take that arrive at once?"

AIM = 1 / 3
"""Of what the SDK's bare loop takes."""

SDK, OURS = CONTESTANTS


def summary(found: Result, *, markdown: bool = False) -> str:
    """The table, and whether the aim is met."""
    runs, options = found["runs"], found["options"]
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
    headers = ["", "peak MB over idle", "times the SDK", "times the videos", "CPU s"]
    [aim] = aims(found)
    return f"{table(headers, rows, words=1, markdown=markdown)}\n\n{arrivals.conditions(found)} Aim: {aim}"


def aims(found: Result) -> list[Aim]:
    """Against the SDK's own."""
    ours, theirs = (median(of(found["runs"], contestant, "peak_mb")) for contestant in (OURS, SDK))
    return [
        Aim(
            "peak beyond idle",
            "at most a third of the SDK's",
            f"{ours:.0f} MB, {ours / theirs:.2f} of it",
            f"{SDK}: {theirs:.0f} MB",
            ours <= AIM * theirs,
        )
    ]


def draw(found: Result, axes: Sequence[Axes]) -> None:
    """One bar a contestant."""
    values = {contestant: of(found["runs"], contestant, "peak_mb") for contestant in CONTESTANTS}
    plots.bars(axes[0], values, "peak MB over idle", aim=AIM * median(values[SDK]))


PANELS = 1

main = arrivals.command("memory", QUESTION, summary)
