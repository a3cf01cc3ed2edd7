"""How many requests may go in how long: as set, or as usual for a model."""

from __future__ import annotations

from typing import NamedTuple

DEFAULT_REQUESTS_PER_MINUTE = 10


class Rate(NamedTuple):
    """At most `limit` requests per `period` seconds, at most `burst` of them at once."""

    limit: int
    period: float
    burst: int


def rate_of(limit: int | None, period: float, burst: int | None, *, usual_per_minute: int | None) -> Rate:
    """The rate with this `limit` per `period` seconds; without a limit, the usual quota, else 10 a minute."""
    if limit is None:
        per_minute = usual_per_minute or DEFAULT_REQUESTS_PER_MINUTE
        period = max(period, 60 / per_minute)  # the usual quota makes no whole request in less
        limit = max(1, int(per_minute * period / 60))
    return Rate(limit, period, min(burst or limit, limit))
