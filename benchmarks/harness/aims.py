"""Aims and measured values: the rows of the table at the top of benchmarks/README.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.harness.table import table

HEADERS = ("benchmark", "case", "aim", "aveo3", "best of the others", "aim met")


@dataclass(frozen=True)
class Aim:
    """One aim of a benchmark and its result, as texts for the table."""

    of: str
    aim: str
    measured: str
    others: str
    met: bool | None
    """None: there is no aim."""

    def __str__(self) -> str:
        return f"{self.aim}; {'met' if self.met else 'missed'}."


def overview(aims: Mapping[str, Iterable[Aim]], *, markdown: bool = False) -> str:
    """Return the table of all aims. In Markdown the name of a benchmark links to its plot."""
    rows: list[Sequence[str]] = []
    for name, group in aims.items():
        shown = f"[{name}](pictures/{name}.png)" if markdown else name
        for aim in group:
            rows.append((shown, aim.of, aim.aim, aim.measured, aim.others, met(aim, markdown=markdown)))
            shown = ""
    return table(HEADERS, rows, words=len(HEADERS), markdown=markdown)


def met(aim: Aim, *, markdown: bool = False) -> str:
    """Return yes, no or – for the last column."""
    return {True: "yes", False: "**no**" if markdown else "NO", None: "–"}[aim.met]


def between(values: Iterable[float], digits: int) -> str:
    """Return "lowest to highest", or one figure if both look the same."""
    ordered = sorted(values)
    low, high = (f"{value:.{digits}f}" for value in (ordered[0], ordered[-1]))
    return low if low == high else f"{low} to {high}"
