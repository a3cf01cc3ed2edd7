"""When a waiting request will be sent, as far as the gates of its lanes know. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, inf

from aveo3.engine.open_lane import OpenLane
from aveo3.lanes.lanes import Lane


def seconds_until(place: int, tiers: tuple[tuple[Lane, ...], ...], opened: Mapping[Lane, OpenLane]) -> float:
    """Seconds until the request goes that `place` others go before.

    It assumes that the first tier that is not closed takes them all, that its quota frees up one period after it was
    used, and that nothing else changes: no refusal, no other program, no new request that goes before. Infinite if all
    lanes are closed until a person has mended why.
    """
    room, per_period, period = 0.0, 0.0, 60.0
    pauses: list[float] = []
    if not tiers:
        return 0.0  # it ends at once, with the reason
    for lane in next((tier for tier in tiers if not all(_is_closed(lane, opened) for lane in tier)), ()):
        if (in_use := opened.get(lane)) is None:
            rate = lane.settings.rate(lane.model)
            room, per_period, period = room + rate.limit, per_period + rate.limit, rate.period
            pauses.append(0.0)
            continue
        stats = in_use.gate.stats()
        if stats.closed is not None:
            continue
        room += max(0.0, stats.quota_limit - stats.quota_used)
        per_period += stats.quota_limit
        period = stats.quota_period
        pauses.append(stats.opens_in)
    wait = min(pauses, default=inf)
    if place < room or per_period < 1:
        return wait
    return max(wait, period * ceil((place + 1 - room) / per_period))


def _is_closed(lane: Lane, opened: Mapping[Lane, OpenLane]) -> bool:
    return lane in opened and opened[lane].gate.is_closed
