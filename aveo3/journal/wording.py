"""Jobs, numbers and sums in the words of messages and tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aveo3.input_forms import SEVERAL_MEDIA
from aveo3.wording import counted as counted
from aveo3.wording import listed as listed
from aveo3.wording import plain as plain
from aveo3.wording import priced as priced

if TYPE_CHECKING:
    from aveo3.journal.rows import JobRecord


def prompt_words(prompt: Any) -> str:
    """A recorded prompt in one line: its text, or the names of its media."""
    text = plain(str(prompt.get("text", "")))
    media = [name for name in ("image", "video", "previous", *SEVERAL_MEDIA) if name in prompt]
    return text or f"({' and '.join(media) or 'no text'})"


def dollars(records: Iterable[JobRecord]) -> str:
    """The cost of all `records` at list price: `US$ 6.40`, `US$ 3.20 and 1 of unknown price`."""
    costs = [record.cost_usd for record in records]
    return priced(sum(cost or 0.0 for cost in costs), costs.count(None))
