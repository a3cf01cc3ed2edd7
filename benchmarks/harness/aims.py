"""What was aimed at and what was measured, a line each: the rows of the table above all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.harness.table import table

HEADERS = ("benchmark", "of", "aim", "aveo3", "the best of the others", "aim met")


@dataclass(frozen=True)
class Aim:
    """One thing that was wanted of aveo3. Words and figures as they are to be read."""

    of: str
    aim: str
    measured: str
    others: str
    met: bool | None
    """None: nothing was aimed at."""

    def __str__(self) -> str:
        return f"{self.aim}; {'met' if self.met else 'missed'}."


def overview(aims: Mapping[str, Iterable[Aim]], *, markdown: bool = False) -> str:
    """Every aim of every benchmark; in Markdown each benchmark's name leads to its plot."""
    rows: list[Sequence[str]] = []
    for name, group in aims.items():
        shown = f"[{name}](pictures/{name}.png)" if markdown else name
        for aim in group:
            rows.append((shown, aim.of, aim.aim, aim.measured, aim.others, met(aim, markdown=markdown)))
            shown = ""
    return table(HEADERS, rows, words=len(HEADERS), markdown=markdown)


def met(aim: Aim, *, markdown: bool = False) -> str:
    """Whether an aim was met, in a word."""
    return {True: "yes", False: "**no**" if markdown else "NO", None: "–"}[aim.met]


def between(values: Iterable[float], digits: int) -> str:
    """The lowest and the highest, or the one figure that both are written as."""
    seen = sorted(values)
    low, high = (f"{value:.{digits}f}" for value in (seen[0], seen[-1]))
    return low if low == high else f"{low} to {high}"
