"""How long the event loop stands still while twenty inline videos of 20 MB arrive at once.

While it stands, no other clip is looked at, nothing else that a program does in the same loop has its turn, and a
connection may be given up on the other side. The optimum is 0; a loop with nothing to do is late by a few milliseconds,
too, if the machine is busy: that is measured in the same process just before. See `arrivals` for how.
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

QUESTION = "How long does the event loop stand still while twenty inline videos of 20 MB arrive at once?"

AIM = 50.0
"""Milliseconds."""

SDK, OURS = CONTESTANTS


def summary(found: Result, *, markdown: bool = False) -> str:
    """The table, and whether the aim is met."""
    runs, options = found["runs"], found["options"]
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
    met = "met" if median(of(runs, OURS, "stall_ms")) <= AIM else "missed"
    return (
        f"{table(headers, rows, words=1, markdown=markdown)}\n\n"
        f"{options['videos']} videos of {options['video_mb']:g} MB, median [lowest-highest] of {options['repeat']} "
        f"runs. Aim: at most {AIM:g} ms; {met}."
    )


def draw(found: Result, axes: Sequence[Axes]) -> None:
    """One bar a contestant, on a logarithmic scale."""
    values = {contestant: of(found["runs"], contestant, "stall_ms") for contestant in CONTESTANTS}
    plots.bars(axes[0], values, "longest stall, ms", aim=AIM)
    axes[0].set_xscale("log")


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
    found = result("stall", QUESTION, aveo3.PACKAGES, options, runs)
    tell(found, summary(found), json_path)
