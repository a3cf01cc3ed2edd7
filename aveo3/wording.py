"""Numbers, sums and times in the words of messages, tables and pages."""

from __future__ import annotations

from collections.abc import Iterable


def plain(text: str) -> str:
    """`text` in one line, without control characters."""
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(text.split())


def counted(number: int, thing: str = "job") -> str:
    """`1 job`, `1,200 jobs`."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def listed(parts: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def priced(total: float, unknown: int) -> str:
    """`US$ 6.40`, `US$ 3.20 and 1 of unknown price`: `total` dollars and how many have an `unknown` price."""
    return f"US$ {total:,.2f}" + (f" and {unknown:,} of unknown price" if unknown else "")


def duration(seconds: float) -> str:
    """`0.4 s`, `42 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{round(seconds, 2):.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = whole % 3600 // 60
    return f"{whole // 3600} h" + (f" {minutes} min" if minutes else "")
