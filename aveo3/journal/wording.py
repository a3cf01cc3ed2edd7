"""Jobs, numbers and sums in the words of messages and tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aveo3.input_forms import SEVERAL_MEDIA

if TYPE_CHECKING:
    from aveo3.journal.rows import JobRecord


def plain(text: str) -> str:
    """`text` in one line, without control characters."""
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(text.split())


def prompt_words(prompt: Any) -> str:
    """A recorded prompt in one line: its text, or the names of its media."""
    text = plain(str(prompt.get("text", "")))
    media = [name for name in ("image", "video", "previous", *SEVERAL_MEDIA) if name in prompt]
    return text or f"({' and '.join(media) or 'no text'})"


def counted(number: int, thing: str = "job") -> str:
    """`1 job`, `1,200 jobs`."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def listed(parts: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def dollars(records: Iterable[JobRecord]) -> str:
    """The cost of all `records` at list price: `US$ 6.40`, `US$ 3.20 and 1 of unknown price`."""
    costs = [record.cost_usd for record in records]
    return priced(sum(cost or 0.0 for cost in costs), costs.count(None))


def priced(total: float, unknown: int) -> str:
    """`total` dollars and the number of jobs with an `unknown` price, in words; see `dollars`."""
    return f"US$ {total:,.2f}" + (f" and {unknown:,} of unknown price" if unknown else "")
