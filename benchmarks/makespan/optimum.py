"""The optimum: the earliest time at which the last of n submits can be accepted, if the first is sent at 0.

Pure arithmetic, for a quota of `limit` per `period` seconds and a network without delay. A client can reach these times
only if it knows how the server counts and where its windows end. No client outside Google knows that, so there is a
fourth value, `safe`.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Literal, get_args

Counting = Literal["fixed", "sliding", "bucket"]
COUNTINGS: tuple[Counting, ...] = get_args(Counting)


def last_submit(counting: Counting, n: int, limit: int, period: float, edge_in: float = 0.0) -> float:
    """Return the seconds from the first submit to the last of `n`. The first fixed window ends at `edge_in`."""
    if counting == "fixed":
        return fixed(n, limit, period, edge_in)
    return sliding(n, limit, period) if counting == "sliding" else bucket(n, limit, period)


def in_slots(durations: Sequence[float], slots: int) -> float:
    """Return the seconds until the last of these operations ends, if each starts as soon as one of `slots` is free."""
    free_at = [0.0] * slots
    for duration in durations:
        heapq.heapreplace(free_at, free_at[0] + duration)
    return max(free_at)


def fixed(n: int, limit: int, period: float, edge_in: float) -> float:
    """`limit` requests at once, and `limit` at each following edge. 0 < `edge_in` <= `period`."""
    full_windows_before = (n - 1) // limit
    return edge_in + (full_windows_before - 1) * period if full_windows_before else 0.0


def sliding(n: int, limit: int, period: float) -> float:
    """`limit` requests at once, and each slot again one period later."""
    return (n - 1) // limit * period


def bucket(n: int, limit: int, period: float) -> float:
    """`limit` requests at once, then one per `period / limit`, as the bucket refills."""
    return max(0, n - limit) * period / limit


def safe(n: int, limit: int, period: float) -> float:
    """The optimum of a client that does not know how the server counts and is never refused: the sliding optimum.

    More than `limit` requests within one period are too many for a sliding window, and also for a fixed window with
    unlucky edges. `limit` requests in any period are allowed by all three ways of counting.
    """
    return sliding(n, limit, period)
