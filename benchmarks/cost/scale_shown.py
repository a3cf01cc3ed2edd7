"""The results of `scale` as the README shows them: a line a contestant and size, and how time and memory grow."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.harness import plots
from benchmarks.harness.aims import Aim
from benchmarks.harness.table import spread, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.harness.results import Result

PANELS = 2

AIM_TIME, AIM_MEMORY = 1.1, 1.5
"""Time grows at most with this power of the prompts, memory by at most this factor from a quota's worth of them on."""

LIMIT = 10_000
"""Requests a minute: the quota's worth."""

BARE, WITH = "aveo3 without a journal", "aveo3"
RIVAL = "aiolimiter, a task a prompt"
CONTESTANTS = (RIVAL, BARE, WITH)


def _of(found: Result, contestant: str, size: int, figure: str) -> list[float]:
    runs = found["runs"]
    return [run[figure] for run in runs if (run["contestant"], run["prompts"]) == (contestant, size)]


def _sizes(found: Result, contestant: str) -> list[int]:
    return sorted({run["prompts"] for run in found["runs"] if run["contestant"] == contestant})


def growth(found: Result, contestant: str, figure: str, least: int = 0) -> tuple[float, float] | None:
    """How a figure grows from the smallest size of at least `least` to the largest: its factor, and as which power.

    None if there are no two such sizes.
    """
    sizes = [size for size in _sizes(found, contestant) if size >= least]
    if len(sizes) < 2:
        return None
    first, last = (median(_of(found, contestant, sizes[end], figure)) for end in (0, -1))
    return last / first, log(last / first) / log(sizes[-1] / sizes[0])


def summary(found: Result, *, markdown: bool = False) -> str:
    """The table, and whether the aims are met."""
    rows = [
        [
            contestant,
            f"{size:,}",
            spread(_of(found, contestant, size, "seconds"), 1),
            spread([seconds / size * 1e3 for seconds in _of(found, contestant, size, "cpu_seconds")], 2),
            spread(_of(found, contestant, size, "peak_mb"), 0),
        ]
        for contestant in CONTESTANTS
        for size in _sizes(found, contestant)
    ]
    headers = ["", "prompts", "seconds", "CPU ms a clip", "peak MB over idle"]
    shown = table(headers, rows, words=1, markdown=markdown)
    reached = aims(found)
    if not reached:
        return f"{shown}\n\nThe aims need two sizes from {LIMIT:,} prompts on."
    lines = [f"- {aim.of}: {aim.measured} ({aim.others}). Aim: {aim}" for aim in reached]
    options = found["options"]
    service = f"{options['limit']:,} per {options['period']:g} s, clips of {options['latency']:g} s, in virtual time."
    return "\n".join([shown, "", *lines, "", service])


def aims(found: Result) -> list[Aim]:
    """Time and memory, from the smallest size and from a quota's worth on; none if there are too few sizes."""
    grown = {
        contestant: (time_grows[1], memory_grows[0])
        for contestant in CONTESTANTS
        if (time_grows := growth(found, contestant, "cpu_seconds")) is not None
        and (memory_grows := growth(found, contestant, "peak_mb", LIMIT)) is not None
    }
    if len(grown) < len(CONTESTANTS):
        return []
    largest = {contestant: _sizes(found, contestant)[-1] for contestant in CONTESTANTS}
    to = f"to {largest[BARE]:,} prompts, {largest[WITH]:,} with a journal"

    def held(contestant: str) -> str:
        most = median(_of(found, contestant, largest[contestant], "peak_mb"))
        return f"{grown[contestant][1]:.2f} times, to {most:.0f} MB"

    def power(contestant: str) -> str:
        return f"prompts^{grown[contestant][0]:.2f}"

    ours = BARE, WITH
    return [
        Aim(
            f"CPU, {to}",
            f"linear: prompts^{AIM_TIME:g} at most",
            f"{power(BARE)}; with a journal {power(WITH)}",
            f"{RIVAL}: {power(RIVAL)}",
            all(grown[contestant][0] <= AIM_TIME for contestant in ours),
        ),
        Aim(
            f"memory, from {LIMIT:,} {to}",
            f"flat: {AIM_MEMORY:g} times at most",
            f"{held(BARE)}; with a journal {held(WITH)}",
            f"{RIVAL}: {held(RIVAL)} at {largest[RIVAL]:,}",
            all(grown[contestant][1] <= AIM_MEMORY for contestant in ours),
        ),
    ]


def draw(found: Result, axes: Sequence[Axes]) -> None:
    """Time and memory over prompts, both logarithmic."""
    for panel, figure, label in zip(
        axes, ("cpu_seconds", "peak_mb"), ("CPU seconds", "peak MB over idle"), strict=True
    ):
        for contestant, colour in zip(CONTESTANTS, (plots.THEIRS, "#4ac26b", plots.OURS), strict=True):
            sizes = _sizes(found, contestant)
            plots.line(panel, sizes, [_of(found, contestant, size, figure) for size in sizes], contestant, colour)
        panel.set(xscale="log", yscale="log", xlabel="prompts", ylabel=label)
    axes[0].legend(frameon=False)
