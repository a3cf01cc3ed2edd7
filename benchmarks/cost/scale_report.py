"""The report of `scale`: a row per contestant and size, and the growth of time and memory."""

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
"""The aims: the highest power of the number of prompts for time, and the highest factor for memory from `LIMIT` on."""

LIMIT = 10_000
"""The quota, in requests per minute. From this number of prompts on, memory should not grow."""

BARE, WITH = "aveo3 without a journal", "aveo3"
RIVAL = "aiolimiter, a task a prompt"
CONTESTANTS = (RIVAL, BARE, WITH)


def _of(result: Result, contestant: str, size: int, figure: str) -> list[float]:
    runs = result["runs"]
    return [run[figure] for run in runs if (run["contestant"], run["prompts"]) == (contestant, size)]


def _sizes(result: Result, contestant: str) -> list[int]:
    return sorted({run["prompts"] for run in result["runs"] if run["contestant"] == contestant})


def growth(result: Result, contestant: str, figure: str, least: int = 0) -> tuple[float, float] | None:
    """Return the growth of a figure from the smallest size (at least `least`) to the largest: its factor and power.

    Returns None with fewer than two such sizes.
    """
    sizes = [size for size in _sizes(result, contestant) if size >= least]
    if len(sizes) < 2:
        return None
    first, last = (median(_of(result, contestant, sizes[end], figure)) for end in (0, -1))
    return last / first, log(last / first) / log(sizes[-1] / sizes[0])


def summary(result: Result, *, markdown: bool = False) -> str:
    """Return the table and the aims."""
    rows = [
        [
            contestant,
            f"{size:,}",
            spread(_of(result, contestant, size, "seconds"), 1),
            spread([seconds / size * 1e3 for seconds in _of(result, contestant, size, "cpu_seconds")], 2),
            spread(_of(result, contestant, size, "peak_mb"), 0),
        ]
        for contestant in CONTESTANTS
        for size in _sizes(result, contestant)
    ]
    headers = ["", "prompts", "seconds", "CPU ms per clip", "peak MB above idle"]
    text = table(headers, rows, words=1, markdown=markdown)
    reports = aims(result)
    if not reports:
        return f"{text}\n\nThe aims need two sizes of at least {LIMIT:,} prompts."
    lines = [f"- {aim.of}: {aim.measured} ({aim.others}). Aim: {aim}" for aim in reports]
    options = result["options"]
    service = f"{options['limit']:,} per {options['period']:g} s, clips of {options['latency']:g} s, in virtual time."
    return "\n".join([text, "", *lines, "", service])


def aims(result: Result) -> list[Aim]:
    """Return the aims for time and memory; none with too few sizes."""
    growths = {
        contestant: (time_grows[1], memory_grows[0])
        for contestant in CONTESTANTS
        if (time_grows := growth(result, contestant, "cpu_seconds")) is not None
        and (memory_grows := growth(result, contestant, "peak_mb", LIMIT)) is not None
    }
    if len(growths) < len(CONTESTANTS):
        return []
    largest = {contestant: _sizes(result, contestant)[-1] for contestant in CONTESTANTS}
    to = f"to {largest[BARE]:,} prompts, {largest[WITH]:,} with a journal"

    def memory(contestant: str) -> str:
        most = median(_of(result, contestant, largest[contestant], "peak_mb"))
        return f"{growths[contestant][1]:.2f} times, to {most:.0f} MB"

    def power(contestant: str) -> str:
        return f"prompts^{growths[contestant][0]:.2f}"

    ours = BARE, WITH
    return [
        Aim(
            f"CPU, {to}",
            f"linear: at most prompts^{AIM_TIME:g}",
            f"{power(BARE)}; with a journal {power(WITH)}",
            f"{RIVAL}: {power(RIVAL)}",
            all(growths[contestant][0] <= AIM_TIME for contestant in ours),
        ),
        Aim(
            f"memory, from {LIMIT:,} {to}",
            f"flat: at most {AIM_MEMORY:g} times",
            f"{memory(BARE)}; with a journal {memory(WITH)}",
            f"{RIVAL}: {memory(RIVAL)} at {largest[RIVAL]:,}",
            all(growths[contestant][1] <= AIM_MEMORY for contestant in ours),
        ),
    ]


def draw(result: Result, axes: Sequence[Axes]) -> None:
    """Draw time and memory over the number of prompts, on logarithmic scales."""
    for panel, figure, label in zip(
        axes, ("cpu_seconds", "peak_mb"), ("CPU seconds", "peak MB above idle"), strict=True
    ):
        for contestant, colour in zip(CONTESTANTS, (plots.THEIRS, "#4ac26b", plots.OURS), strict=True):
            sizes = _sizes(result, contestant)
            plots.line(panel, sizes, [_of(result, contestant, size, figure) for size in sizes], contestant, colour)
        panel.set(xscale="log", yscale="log", xlabel="prompts", ylabel=label)
    axes[0].legend(frameon=False)
