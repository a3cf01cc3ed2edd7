"""What the answers to submits do to a lane: to its breaker, its limits and its pauses. Pure: instants in.

The gate matches each answer to its permit; this module decides what follows from it.
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
"""Seconds that the breaker first stays open if `retry_wait_base` is 0: failed probes double it, and twice 0 is 0."""

LONGEST_PERIODS = 10
"""Most periods between two probes of a quota that others use up: it may become free at any time."""


class Answers:
    """Applies the answers to one lane's submits. The gate does the counting and wakes the waiters.

    All instants are seconds on the caller's clock.
    """

    def __init__(self, settings: Settings, breaker: CircuitBreaker, limits: Limits, cooldown: Cooldown) -> None:
        self._settings = settings
        self._breaker = breaker
        self._limits = limits
        self._cooldown = cooldown
        self._before_lesson = 0  # admissions up to this order were in flight when a limit was last learnt
        self._lesson = Refusal.UNKNOWN  # the kind of refusal that taught it

    def accepted(self, permit: Permit, now: float) -> None:
        """The lane is healthy, and its limit is at least the number of requests that it accepted."""
        self._breaker.settle(permit.admission, Health.HEALTHY, now)
        if permit.admission.order <= self._before_lesson:
            self._limits.proved_one_more(self._lesson)  # it was in flight when the limit was counted
        self._cooldown.accepted(permit.admission.order)

    def prove_nothing(self, permit: Permit, now: float) -> None:
        """Nothing was sent, or the request itself was wrong: this says nothing about the service."""
        self._breaker.settle(permit.admission, Health.UNKNOWN, now)

    def failed(self, permit: Permit, verdict: Verdict, now: float) -> None:
        """The service is down or loses answers. At full pace the lane would lose, or pay for, each clip in turn."""
        self._cooldown.begin(verdict, self._breaker.admitted, now)
        wait = verdict.retry_after or self._settings.retry_wait_base or SHORTEST_STAY
        # After UNAVAILABLE a probe creates nothing, so probes come often. One whose answer is lost may cost a clip.
        uncertain = verdict.kind is not VerdictKind.UNAVAILABLE
        longest = None if uncertain else 2 * self._settings.quota_wait_time
        # What is not Google answers every clip alike: the next ones wait until Google answers a free request.
        trips = uncertain and verdict.not_google
        self._breaker.settle(
            permit.admission, Health.UNHEALTHY, now, open_for=wait, longest=longest, draws=True, trips=trips
        )
        self._cooldown.pause(now + (verdict.retry_after or 0.0))

    def refused(self, permit: Permit, verdict: Verdict, now: float) -> bool:
        """Pause the lane and learn the limit. True if this is the first refusal of the requests in flight together."""
        refusal = verdict.refusal or Refusal.UNKNOWN
        self._cooldown.begin(verdict, self._breaker.admitted, now)
        self._limits.refused(refusal, now)
        pause = self._limits.pause_after(refusal, verdict, now)
        # A full quota is no failure. The day's window holds the lane until the day ends; the next operation that ends
        # makes room.
        full = refusal is Refusal.DAY or (refusal is Refusal.CONCURRENT and pause == 0.0)
        health = Health.UNKNOWN if full else Health.UNHEALTHY
        whole_after = self._limits.period_of(refusal)
        longest = whole_after and LONGEST_PERIODS * whole_after
        self._breaker.settle(permit.admission, health, now, open_for=pause or whole_after, longest=longest)
        is_first = permit.admission.order > self._before_lesson  # not in flight together with one that taught the limit
        if is_first:
            self._before_lesson, self._lesson = self._breaker.admitted, refusal
            self._limits.learn(refusal, verdict, permit.granted_at, permit.cost_usd, now)
        if pause is None:
            pause = self._cooldown.growing_wait(self._breaker.failures)
        self._cooldown.pause(now + pause)
        return is_first

    def refused_overflow(self, permit: Permit, verdict: Verdict, now: float) -> None:
        """A request beyond the full window was refused. That is the reason, whatever the answer says: no failure."""
        self._breaker.settle(permit.admission, Health.UNKNOWN, now)
        if self._limits.edge.at < inf:  # the refusal named a window's edge: one scout tests it first
            self._cooldown.begin(verdict, self._breaker.admitted, now)
        self._cooldown.pause(now + (verdict.retry_after or 0.0))
