"""Writes results into benchmarks/README.md and README.md, between `<!-- benchmark NAME -->` and `<!-- end -->`.

Every benchmark has a `summary` (its table with notes), a `draw` (its plot) and `aims`. The place `all` contains the
table of all aims. The place `headlines` contains the few rows of it that the README shows. Sections of single
benchmarks are folded, except at places marked `<!-- benchmark NAME open -->`.
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
"""The pages that contain results. Links in sections and in the table `all` are relative to the first page."""

HEADLINES: Mapping[tuple[str, str], str] = {
    # (benchmark, case of the aim): its name in the README
    (
        "makespan",
        "25 clips, 10 per 2 s, over HTTP",
    ): "25 clips, known quota: times the optimum, by way of counting",
    ("wrong-rate", "nothing named"): ("limiter set to four times the quota: times the optimum; refused per 100 clips"),
    ("changes", "10 to 30"): "the quota grows from 10 to 30: share that is used; refused",
    ("outage", "nothing but 503"): "an hour without service: requests sent in vain; refused per 100 clips",
    ("gate", "a permit, nobody waiting"): "a permit with nobody waiting, compared with aiolimiter alone",
    ("stall", "longest stall"): "longest stall of the event loop, twenty videos of 20 MB at once",
}
"""The rows of the README. aveo3 loses some of them."""

_PLACE = re.compile(r"(<!-- benchmark ([\w-]+)( open)? -->\n)(.*?)(<!-- end -->)", re.DOTALL)


class Benchmark(Protocol):
    """A benchmark: a module of this package, or a `Contest`."""

    @property
    def QUESTION(self) -> str: ...  # noqa: N802  # a constant where it is a module

    @property
    def PANELS(self) -> int:  # noqa: N802
        """Number of axes of the plot, side by side."""
        ...

    @property
    def main(self) -> Callable[..., None]:
        """The typer command: measures, prints, and writes every run to the file of --json."""
        ...

    def summary(self, result: Result, *, markdown: bool = False) -> str:
        """Return the table with its notes."""
        ...

    def draw(self, result: Result, axes: Sequence[Axes]) -> None:
        """Draw the plot."""
        ...

    def aims(self, result: Result) -> Sequence[Aim]:
        """Return the aims and their results."""
        ...


def plot(result: Result, benchmark: Benchmark) -> Path:
    """Draw the plot of a result in benchmarks/pictures/ and return its path."""
    return plots.save(result, benchmark.draw, benchmark.PANELS)


def filled_in(text: str, benchmarks: Mapping[str, Benchmark], read: Callable[[str], Any] = results.read) -> str:
    """Return `text` with every place filled from the results. Raises `KeyError` for an unknown benchmark."""

    def fill(place: re.Match[str]) -> str:
        begin, name, opened, _, end = place.groups()
        if name == "all":
            return begin + everything(benchmarks, read) + end
        if name == "headlines":
            return begin + headlines(benchmarks, read) + end
        benchmark, result = benchmarks[name], read(name)
        return place[0] if result is None else begin + section(result, benchmark, folded=not opened) + end

    return _PLACE.sub(fill, text)


def everything(benchmarks: Mapping[str, Benchmark], read: Callable[[str], Any] = results.read) -> str:
    """Return the table of all aims that have results."""
    result = {name: read(name) for name in benchmarks}
    reached = {name: benchmarks[name].aims(of) for name, of in result.items() if of is not None}
    return f"\n{overview(reached, markdown=True)}\n\n"


def headlines(benchmarks: Mapping[str, Benchmark], read: Callable[[str], Any] = results.read) -> str:
    """Return the table of `HEADLINES`, without rows that have no results."""
    rows = [
        (headline, aim.measured, aim.others, met(aim, markdown=True))
        for (name, of), headline in HEADLINES.items()
        if (result := read(name)) is not None
        for aim in benchmarks[name].aims(result)
        if aim.of == of
    ]
    headers = ("measurement", "aveo3", "best of the others", "aim met")
    return f"\n{table(headers, rows, words=len(headers), markdown=True)}\n\n"


def section(result: Result, benchmark: Benchmark, *, folded: bool = False) -> str:
    """Return the section of benchmarks/README.md about a result."""
    name = result["benchmark"]
    body = (
        f"{benchmark.summary(result, markdown=True)} {_circumstances(result)}\n"
        f"([every run](results/{name}.json), `python -m benchmarks {name}`)\n\n"
        f"![{name}](pictures/{name}.png)\n"
    )
    if not folded:
        return f"**{benchmark.QUESTION}**\n\n{body}"
    return f"<details>\n<summary><b>{name}</b>: {benchmark.QUESTION}</summary>\n\n{body}\n</details>\n"


def _circumstances(result: Result) -> str:
    """Return date and machine. In virtual time the machine does not matter."""
    day, host = result["date"][:10], result["machine"]
    if result["options"].get("virtual_time"):
        return f"In virtual time, on {day}."
    load = "" if host["load"] is None else f", load {host['load']:.1f}"
    return f"On {day}, {host['cpu']}, {host['cores']} cores{load}, {host['python']}."
