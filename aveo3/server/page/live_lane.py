"""The row of a lane that this process uses, from its gate; and instants that stay the same while they hardly move."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import inf

from aveo3.journal.wording import plain
from aveo3.quota.gate_stats import GateStats
from aveo3.report.view import LaneRow

SAME = 1.0
"""Seconds by which an estimated instant must move to be a change."""

_LONGEST = 3650 * 86_400.0


def lane_row(
    name: str,
    gate: GateStats,
    now: datetime,
    *,
    before: LaneRow | None,
    model: str | None,
    why: str | None,
    active: bool,
    unsent: bool,
) -> LaneRow:
    """The row of the lane `name`; `before` is the last one, `why` what was said when it paused or closed last.

    `active` says that it may be used, `unsent` that something waits to be sent.
    """
    pauses = gate.closed is None and gate.opens_in > 0
    return LaneRow(
        name=name,
        model=model or (before["model"] if before else None),
        limit=gate.quota_limit if gate.quota_limit < inf else None,
        period=gate.quota_period if gate.quota_limit < inf else None,
        learnt=gate.quota_learnt,
        used=gate.quota_used,
        running=gate.running,
        breaker=gate.breaker.value,
        opens_utc=steady(before and before["opens_utc"], now, gate.opens_in) if pauses else None,
        closed=None if gate.closed is None or not active else plain(gate.closed),
        reason=plain(why) if pauses and why is not None else None,
        waits=_waits(gate) if active and unsent and not pauses else None,
    )


def _waits(gate: GateStats) -> str | None:
    """What the next submit on a lane waits for; None if it may go now, or depends on something else."""
    if gate.next_in is not None:
        return "quota" if gate.next_in >= SAME else None
    return "clips" if gate.running >= gate.running_limit else None


def steady(before: str | None, now: datetime, seconds: float | None) -> str | None:
    """The instant in so many `seconds`; the one `before` if it is nearly the same, so that it is no change."""
    if seconds is None:
        return None
    at = now + timedelta(seconds=min(seconds, _LONGEST))
    if before is not None and abs((datetime.fromisoformat(before) - at).total_seconds()) < SAME:
        return before
    return at.isoformat(timespec="milliseconds")
