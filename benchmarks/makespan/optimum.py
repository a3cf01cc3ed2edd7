"""The best that any client could do: when the last of n submits can be accepted at the earliest, the first at 0.

Pure arithmetic, for a quota of `limit` per `period` seconds and a network without delay. Whoever reaches these times
knows how the server counts and where its windows lie. Nobody outside Google does, so there is a fourth figure, `safe`.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Literal, get_args

Counting = Literal["fixed", "sliding", "bucket"]
COUNTINGS: tuple[Counting, ...] = get_args(Counting)


def last_submit(counting: Counting, n: int, limit: int, period: float, edge_in: float = 0.0) -> float:
    """Seconds from the first submit to the last of `n`; `edge_in` is when the fixed window they start in ends."""
    if counting == "fixed":
        return fixed(n, limit, period, edge_in)
    return sliding(n, limit, period) if counting == "sliding" else bucket(n, limit, period)


def in_slots(durations: Sequence[float], slots: int) -> float:
    """Seconds until the last of these operations ends, `slots` at a time, each begun as soon as one is free."""
    free_at = [0.0] * slots
    for duration in durations:
        heapq.heapreplace(free_at, free_at[0] + duration)
    return max(free_at)


def fixed(n: int, limit: int, period: float, edge_in: float) -> float:
    """`limit` at once, as many at the next edge, and at each one after that. 0 < `edge_in` <= `period`."""
    full_windows_before = (n - 1) // limit
    return edge_in + (full_windows_before - 1) * period if full_windows_before else 0.0


def sliding(n: int, limit: int, period: float) -> float:
    """`limit` at once, and each place again one period later."""
    return (n - 1) // limit * period


def bucket(n: int, limit: int, period: float) -> float:
    """`limit` at once, then one each `period / limit`, as the bucket refills."""
    return max(0, n - limit) * period / limit


def safe(n: int, limit: int, period: float) -> float:
    """The best without knowing how the server counts, and without ever being refused: the sliding optimum.

    More than `limit` within any one period would all fall into a single fixed window if its edges lay so, and are too
    many for a sliding one; `limit` in any period suits all three.
    """
    return sliding(n, limit, period)
