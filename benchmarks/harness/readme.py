"""From the results to benchmarks/README.md and README.md: writes what stands between `<!-- benchmark NAME -->` and
`<!-- end -->`.

Every benchmark has a `summary`, its table in words, a `draw`, its plot, and `aims`. The place named `all` holds the
table of every aim, the one named `headlines` the few rows of it that the README has. The sections of single benchmarks
are folded, unless the place says `<!-- benchmark NAME open -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.harness import plots, results
from benchmarks.harness.aims import Aim, met, overview
from benchmarks.harness.machine import ROOT
from benchmarks.harness.results import Result
from benchmarks.harness.table import table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PATHS = (ROOT / "benchmarks" / "README.md", ROOT / "README.md")
"""The pages that results are written into. Links of the sections and of the table `all` start at the first."""

HEADLINES: Mapping[tuple[str, str], str] = {
    # benchmark, and what an aim of it is of: how the README calls it
    ("makespan", "25 clips, 10 per 2 s, over HTTP"): "25 clips, quota known: times the optimum, by way of counting",
    ("wrong-rate", "nothing named"): "told four times the quota: times the optimum; refused per 100 clips",
    ("changes", "10 to 30"): "the quota grows from 10 to 30: share of it that is used; refused",
    ("outage", "nothing but 503"): "an hour without service: requests sent in vain; refused per 100 clips",
    ("gate", "a permit, nobody waiting"): "a permit with nobody waiting, against aiolimiter alone",
    ("stall", "the longest stall"): "longest stall of the event loop, twenty videos of 20 MB at once",
}
"""Rows of which aveo3 loses some."""

_PLACE = re.compile(r"(<!-- benchmark ([\w-]+)( open)? -->\n)(.*?)(<!-- end -->)", re.DOTALL)


class Benchmark(Protocol):
    """A module of this package."""

    @property
    def QUESTION(self) -> str: ...  # noqa: N802  # a constant where it is a module

    @property
    def PANELS(self) -> int:  # noqa: N802
        """Axes of its plot, side by side."""
        ...

    @property
    def main(self) -> Callable[..., None]:
        """For typer: measures, prints, and writes every run to the file given with --json."""
        ...

    def summary(self, found: Result, *, markdown: bool = False) -> str:
        """Its table, and what it says."""
        ...

    def draw(self, found: Result, axes: Sequence[Axes]) -> None:
        """Its plot."""
        ...

    def aims(self, found: Result) -> Sequence[Aim]:
        """What was aimed at, and what came of it."""
        ...


def plot(found: Result, benchmark: Benchmark) -> Path:
    """The plot of a result, in benchmarks/pictures/."""
    return plots.save(found, benchmark.draw, benchmark.PANELS)


def filled_in(text: str, benchmarks: Mapping[str, Benchmark], read: Callable[[str], Any] = results.read) -> str:
    """`text` with each benchmark's place holding what was found. Raises `KeyError` for a place of no benchmark."""

    def fill(place: re.Match[str]) -> str:
        begin, name, opened, _, end = place.groups()
        if name == "all":
            return begin + everything(benchmarks, read) + end
        if name == "headlines":
            return begin + headlines(benchmarks, read) + end
        benchmark, found = benchmarks[name], read(name)
        return place[0] if found is None else begin + section(found, benchmark, folded=not opened) + end

    return _PLACE.sub(fill, text)


def everything(benchmarks: Mapping[str, Benchmark], read: Callable[[str], Any] = results.read) -> str:
    """The table of all aims of which there are results."""
    found = {name: read(name) for name in benchmarks}
    reached = {name: benchmarks[name].aims(of) for name, of in found.items() if of is not None}
    return f"\n{overview(reached, markdown=True)}\n\n"


def headlines(benchmarks: Mapping[str, Benchmark], read: Callable[[str], Any] = results.read) -> str:
    """The table of `HEADLINES`, as far as there are results."""
    rows = [
        (called, aim.measured, aim.others, met(aim, markdown=True))
        for (name, of), called in HEADLINES.items()
        if (found := read(name)) is not None
        for aim in benchmarks[name].aims(found)
        if aim.of == of
    ]
    headers = ("measured", "aveo3", "the best of the others", "aim met")
    return f"\n{table(headers, rows, words=len(headers), markdown=True)}\n\n"


def section(found: Result, benchmark: Benchmark, *, folded: bool = False) -> str:
    """What benchmarks/README.md shows of a result."""
    name = found["benchmark"]
    shown = (
        f"{benchmark.summary(found, markdown=True)} {_circumstances(found)}\n"
        f"([every run](results/{name}.json), `python -m benchmarks {name}`)\n\n"
        f"![{name}](pictures/{name}.png)\n"
    )
    if not folded:
        return f"**{benchmark.QUESTION}**\n\n{shown}"
    return f"<details>\n<summary><b>{name}</b>: {benchmark.QUESTION}</summary>\n\n{shown}\n</details>\n"


def _circumstances(found: Result) -> str:
    """When and where; in virtual time every machine comes to the same."""
    day, on = found["date"][:10], found["machine"]
    if found["options"].get("virtual_time"):
        return f"In virtual time, on {day}."
    busy = "" if on["load"] is None else f", load {on['load']:.1f}"
    return f"On {day}, {on['cpu']}, {on['cores']} cores{busy}, {on['python']}."
