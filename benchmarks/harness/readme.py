"""From the results to the README: what stands between `<!-- benchmark NAME -->` and `<!-- end -->` is written here.

Every benchmark has a `summary`, its table in words, a `draw`, its plot, and `aims`, of which the place named `all` has
a table. The others are folded, unless the place says `<!-- benchmark NAME open -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.harness import plots, results
from benchmarks.harness.aims import Aim, overview
from benchmarks.harness.machine import ROOT
from benchmarks.harness.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PATH = ROOT / "README.md"

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
        benchmark, found = benchmarks[name], read(name)
        return place[0] if found is None else begin + section(found, benchmark, folded=not opened) + end

    return _PLACE.sub(fill, text)


def everything(benchmarks: Mapping[str, Benchmark], read: Callable[[str], Any] = results.read) -> str:
    """The table of all aims of which there are results."""
    found = {name: read(name) for name in benchmarks}
    reached = {name: benchmarks[name].aims(of) for name, of in found.items() if of is not None}
    return f"\n{overview(reached, markdown=True)}\n\n"


def section(found: Result, benchmark: Benchmark, *, folded: bool = False) -> str:
    """What the README shows of a result."""
    name = found["benchmark"]
    shown = (
        f"{benchmark.summary(found, markdown=True)} {_circumstances(found)}\n"
        f"([every run](benchmarks/results/{name}.json), `python -m benchmarks {name}`)\n\n"
        f"![{name}](benchmarks/pictures/{name}.png)\n"
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
