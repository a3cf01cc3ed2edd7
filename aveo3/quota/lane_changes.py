"""Tells others what changes in a lane: pauses, openings, its end, and learnt limits. Each change is told once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from math import inf

from aveo3.events.kinds import LaneClosed, LaneEvent, LaneOpened, LanePaused, LimitLearnt
from aveo3.quota.breaker import BreakerState

GROWN = 1.0
"""Seconds by which a pause must grow to be told again."""

LONGEST = 3650 * 86_400.0
"""Seconds of the longest pause that is told: calendars end."""


class LaneChanges:
    """What was told of the lane so far. The gate reports to it; `tell` gets what is new.

    Instants are seconds on the gate's clock; `utc_at` turns one into calendar time.
    """

    def __init__(
        self, lane: str, limit: float, tell: Callable[[LaneEvent], object], utc_at: Callable[[float], datetime]
    ) -> None:
        self._lane = lane
        self._tell = tell
        self._utc_at = utc_at
        self._limit = limit
        self._until = -inf  # the end of the pause that was told
        self._breaker = BreakerState.CLOSED
        self.pausing = False
        """A pause was told, and no submit has left since."""

    @property
    def probing(self) -> bool:
        """True if a probe was let through, and its acceptance was not told yet."""
        return self._breaker is BreakerState.HALF_OPEN

    def limited(self, now: float, limit: float, period: float) -> None:
        """The lane sends at most `limit` requests in any `period` seconds."""
        if limit != self._limit:
            before, self._limit = self._limit, limit
            self._tell(
                LimitLearnt(at_utc=self._utc_at(now), lane=self._lane, limit=limit, period=period, before=before)
            )

    def paused(self, now: float, until: float, breaker: BreakerState, reason: str, message: str) -> None:
        """No submit leaves before `until`; `inf` if that depends on an answer, which is no pause."""
        if until == inf or (self.pausing and until < self._until + GROWN and breaker is self._breaker):
            return
        self.pausing, self._until, self._breaker = True, until, breaker
        self._tell(
            LanePaused(
                at_utc=self._utc_at(now),
                lane=self._lane,
                until_utc=self._utc_at(min(until, now + LONGEST)),
                breaker=breaker.value,
                reason=reason,
                message=message,
            )
        )

    def opened(self, now: float, breaker: BreakerState) -> None:
        """A submit leaves, or the probe was accepted."""
        self.pausing, self._until, self._breaker = False, -inf, breaker
        self._tell(LaneOpened(at_utc=self._utc_at(now), lane=self._lane, breaker=breaker.value))

    def closed(self, now: float, reason: str, message: str) -> None:
        """No submit leaves any more."""
        self._tell(LaneClosed(at_utc=self._utc_at(now), lane=self._lane, reason=reason, message=message))
