"""What the answers to submits do to a lane: to its breaker, its limits and its pauses. Pure: instants in.

The gate says which answer came to which permit; here stands what follows from it.
"""

from __future__ import annotations

from math import inf

from aveo3.config.settings import Settings
from aveo3.quota.breaker import CircuitBreaker, Health
from aveo3.quota.cooldown import Cooldown
from aveo3.quota.lane_limits import Limits
from aveo3.quota.permit import Permit
from aveo3.verdicts import Refusal, Verdict, VerdictKind

SHORTEST_STAY = 1.0
"""Seconds that the breaker stays open at first when no wait between tries is wanted: doubling nothing gives nothing."""

LONGEST_PERIODS = 10
"""Periods of a quota that others use up, after which it is asked for again at the latest: it may be free any time."""


class Answers:
    """Draws the conclusions from the answers to one lane's submits. Counts nothing and wakes nobody: the gate does.

    All instants are seconds on the caller's clock.
    """

    def __init__(self, settings: Settings, breaker: CircuitBreaker, limits: Limits, cooldown: Cooldown) -> None:
        self._settings = settings
        self._breaker = breaker
        self._limits = limits
        self._cooldown = cooldown
        self._before_lesson = 0  # admissions up to this one were out when a refusal last taught something
        self._lesson = Refusal.UNKNOWN  # what that refusal was

    def accepted(self, permit: Permit, now: float) -> None:
        """The lane is well, and takes at least what it was sent."""
        self._breaker.settle(permit.admission, Health.HEALTHY, now)
        if permit.admission.order <= self._before_lesson:
            self._limits.proved_one_more(self._lesson)  # it was out when the limit was counted
        self._cooldown.accepted(permit.admission.order)

    def prove_nothing(self, permit: Permit, now: float) -> None:
        """Nothing was sent, or the request itself was at fault."""
        self._breaker.settle(permit.admission, Health.UNKNOWN, now)

    def failed(self, permit: Permit, verdict: Verdict, now: float) -> None:
        """The service is away or loses answers. Going on at full pace would lose, or pay for, every clip in turn."""
        self._cooldown.begin(verdict, self._breaker.admitted, now)
        wait = verdict.retry_after or self._settings.retry_wait_base or SHORTEST_STAY
        # A probe that creates nothing costs nothing: try again before long. One whose answer is lost may cost a clip.
        longest = 2 * self._settings.quota_wait_time if verdict.kind is VerdictKind.UNAVAILABLE else None
        self._breaker.settle(permit.admission, Health.UNHEALTHY, now, open_for=wait, longest=longest, draws=True)
        self._cooldown.pause(now + (verdict.retry_after or 0.0))

    def refused(self, permit: Permit, verdict: Verdict, now: float) -> bool:
        """All pause, and the limit that refused is learnt. True if this refusal is the first of those out together."""
        refusal = verdict.refusal or Refusal.UNKNOWN
        self._cooldown.begin(verdict, self._breaker.admitted, now)
        self._limits.refused(refusal, now)
        pause = self._limits.pause_after(refusal, verdict, now)
        # Full is not ill: until its end the day's window holds the lane, and the next operation that ends makes room.
        full = refusal is Refusal.DAY or (refusal is Refusal.CONCURRENT and pause == 0.0)
        health = Health.UNKNOWN if full else Health.UNHEALTHY
        whole_after = self._limits.period_of(refusal)
        longest = whole_after and LONGEST_PERIODS * whole_after
        self._breaker.settle(permit.admission, health, now, open_for=pause or whole_after, longest=longest)
        is_first = permit.admission.order > self._before_lesson  # not out with one that has taught us already
        if is_first:
            self._before_lesson, self._lesson = self._breaker.admitted, refusal
            self._limits.learn(refusal, verdict, permit.granted_at, permit.cost_usd, now)
        if pause is None:
            pause = self._cooldown.growing_wait(self._breaker.failures)
        self._cooldown.pause(now + pause)
        return is_first

    def refused_overflow(self, permit: Permit, verdict: Verdict, now: float) -> None:
        """One more than fits was tried and refused: whatever is said of the reason, that is it, and nobody is ill."""
        self._breaker.settle(permit.admission, Health.UNKNOWN, now)
        if self._limits.edge.at < inf:  # what one delay tells is told to a scout first
            self._cooldown.begin(verdict, self._breaker.admitted, now)
        self._cooldown.pause(now + (verdict.retry_after or 0.0))
