"""When a waiting request will be sent, as far as the gates of its lanes know. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from aveo3.engine.open_lane import OpenLane
from aveo3.lanes.lanes import Lane


def seconds_until(place: int, tiers: tuple[tuple[Lane, ...], ...], opened: Mapping[Lane, OpenLane]) -> float:
    """Seconds until the request goes that `place` others go before.

    It assumes that the first tier takes them all, that its quota frees up one period after it was used, and that
    nothing else changes: no refusal, no other program, no new request that goes before. Infinite if the lanes are
    closed for good.
    """
    room, per_period, period = 0.0, 0.0, 60.0
    pauses: list[float] = []
    for lane in tiers[0] if tiers else ():
        if (in_use := opened.get(lane)) is None:
            rate = lane.settings.rate(lane.model)
            room, per_period, period = room + rate.limit, per_period + rate.limit, rate.period
            pauses.append(0.0)
            continue
        stats = in_use.gate.stats()
        room += max(0.0, stats.quota_limit - stats.quota_used)
        per_period += stats.quota_limit
        period = stats.quota_period
        pauses.append(stats.opens_in)
    wait = min(pauses, default=0.0)
    if place < room or per_period < 1:
        return wait
    return max(wait, period * ceil((place + 1 - room) / per_period))
