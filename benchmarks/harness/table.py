"""Formats rows as text: aligned columns for a terminal, or a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 2, markdown: bool = False) -> str:
    """Return a table. The first `words` columns are texts; the others are figures, aligned to the right."""
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |" if markdown else "  ".join(padded).rstrip()

    rule = ["-" * width if place < words else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    plain = ["-" * width for width in widths]
    return "\n".join([line(headers), line(rule if markdown else plain), *map(line, rows)])


def spread(values: Sequence[float], digits: int) -> str:
    """Return the median, and the lowest and highest value in brackets if they differ as printed."""
    middle, low, high = (f"{value:.{digits}f}" for value in (median(values), min(values), max(values)))
    return middle if low == high else f"{middle} [{low}-{high}]"
