"""Twenty inline videos of 20 MB that are ready at once: the most memory that the process held beyond idle.

Held whole, a video is 27 MB of base64 in the answer, the same in the JSON that is read from it, and 20 MB of bytes. The
optimum holds none of it: what arrives goes to disk. See `arrivals` for how it is measured.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks import arrivals, plots
from benchmarks.arrivals import CONTESTANTS, of
from benchmarks.results import Result, result, tell
from benchmarks.rivals import aveo3
from benchmarks.table import spread, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

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
    met = "met" if median(of(runs, OURS, "peak_mb")) <= AIM * theirs else "missed"
    return (
        f"{table(headers, rows, words=1, markdown=markdown)}\n\n"
        f"{options['videos']} videos of {options['video_mb']:g} MB, median [lowest-highest] of {options['repeat']} "
        f"runs. Aim: at most a third of the SDK's; {met}."
    )


def draw(found: Result, axes: Sequence[Axes]) -> None:
    """One bar a contestant."""
    values = {contestant: of(found["runs"], contestant, "peak_mb") for contestant in CONTESTANTS}
    plots.bars(axes[0], values, "peak MB over idle", aim=AIM * median(values[SDK]))


PANELS = 1


def main(
    videos: Annotated[int, typer.Option(min=1, help="Clips, all at once.")] = 20,
    video_mb: Annotated[float, typer.Option(min=0.1, help="Megabytes of each.")] = 20.0,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 3,
    seed: Annotated[int, typer.Option(help="Decides the order.")] = 0,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small videos, once: to see that it works.")] = False,
) -> None:
    if quick:
        videos, video_mb, repeat = 3, 1.0, 1
    runs = asyncio.run(arrivals.measure(videos, video_mb, repeat, seed))
    options: dict[str, Any] = {"videos": videos, "video_mb": video_mb, "repeat": repeat, "seed": seed}
    found = result("memory", QUESTION, aveo3.PACKAGES, options, runs)
    tell(found, summary(found), json_path)
