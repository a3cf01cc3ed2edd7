"""From the results to the README: what stands between `<!-- benchmark NAME -->` and `<!-- end -->` is written here.

A benchmark that is to be shown has a `summary`, its table in words, and a `draw`, its plot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks import plots, results
from benchmarks.machine import ROOT
from benchmarks.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PATH = ROOT / "README.md"

_PLACE = re.compile(r"(<!-- benchmark (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


class Benchmark(Protocol):
    """A module of this package."""

    QUESTION: str
    PANELS: int
    """Axes of its plot, side by side."""
    main: Callable[..., None]
    """For typer: measures, prints, and writes every run to the file given with --json."""

    def summary(self, found: Result, *, markdown: bool = False) -> str:
        """Its table, and what it says."""
        ...

    def draw(self, found: Result, axes: Sequence[Axes]) -> None:
        """Its plot."""
        ...


def plot(found: Result, benchmark: Benchmark) -> Path:
    """The plot of a result, in benchmarks/pictures/."""
    return plots.save(found, benchmark.draw, benchmark.PANELS)


def filled_in(text: str, benchmarks: Mapping[str, Benchmark], read: Callable[[str], Any] = results.read) -> str:
    """`text` with each benchmark's place holding what was found. Raises `KeyError` for a place of no benchmark."""

    def fill(place: re.Match[str]) -> str:
        benchmark, found = benchmarks[place[2]], read(place[2])
        return place[0] if found is None else place[1] + section(found, benchmark) + place[4]

    return _PLACE.sub(fill, text)


def section(found: Result, benchmark: Benchmark) -> str:
    """What the README shows of a result."""
    name, on = found["benchmark"], found["machine"]
    busy = "" if on["load"] is None else f", load {on['load']:.1f}"
    return (
        f"**{benchmark.QUESTION}**\n\n{benchmark.summary(found, markdown=True)} On {found['date'][:10]}, {on['cpu']}, "
        f"{on['cores']} cores{busy}, {on['python']}.\n"
        f"([plot](benchmarks/pictures/{name}.png), [every run](benchmarks/results/{name}.json), "
        f"`python -m benchmarks {name}`)\n"
    )
