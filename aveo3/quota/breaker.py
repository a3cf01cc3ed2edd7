"""The circuit breaker: after `threshold` consecutive failures no submit leaves until a probe is accepted. Pure.

                 threshold consecutive failures
        CLOSED ────────────────────────────────► OPEN ◄──────────────┐
          ▲                                        │ its time is up  │ probe failed: open for longer
          └──────────── probe succeeded ────── HALF-OPEN ────────────┘

Every admission carries the breaker's *generation*; answers from an earlier one prove nothing and are ignored, so
calls that were in flight when the state changed can neither open nor close it (as sony/gobreaker does).

A service that fails every other time never fails `threshold` times in a row. So retries have a budget, as in gRPC's
retry throttling (gRFC A6): failures draw on it, successes fill it, and while it is less than half full a single failure
opens the breaker.
"""

from __future__ import annotations

from enum import StrEnum
from math import inf
from typing import NamedTuple

RETRIES = 10.0
"""The retry budget when it is full."""

EARNED = 0.5
"""What a success adds to the budget: a third of all calls may fail without using it up."""


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Health(StrEnum):
    """What an answer says about the service. UNKNOWN (cancelled, lost, the caller's own fault) proves nothing."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


class Admission(NamedTuple):
    """The right to make one call: settle it exactly once."""

    generation: int
    order: int
    probe: bool


class CircuitBreaker:
    """`threshold` consecutive failures open it, for `reset_interval` seconds unless the failure names a time.

    Calls that were in flight together when the first of them failed count as one failure, not as many. Each failed
    probe doubles the time it stays open, up to `longest`. A probe is a lease of `probe_lease` seconds: one that never
    settles cannot lock the breaker. All instants are seconds on the caller's clock.
    """

    def __init__(
        self, threshold: int, reset_interval: float, *, probe_lease: float, longest: float | None = None
    ) -> None:
        self.threshold = threshold
        self.reset_interval = reset_interval
        self.probe_lease = probe_lease
        self.longest = max(longest if longest is not None else 24 * 3600.0, reset_interval)
        self.generation = 0
        self.failures = 0  # consecutive
        self.failed_probes = 0  # consecutive
        self.open_until = -inf
        self.retries_left = RETRIES
        self._opened = False
        self._probe_until = -inf  # end of the lease of the probe in flight
        self.admitted = 0
        self._first_after_failure = 0  # admissions of a lower order were in flight with a failure that counted

    @property
    def retries_owed(self) -> float:
        """Failures that later successes have not made up for."""
        return RETRIES - self.retries_left

    def state(self, now: float) -> BreakerState:
        """The state at `now`. Open turns into half-open by time alone; no call is needed."""
        if not self._opened:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.open_until else BreakerState.HALF_OPEN

    def ready_at(self, now: float) -> float:
        """The earliest instant at which a call may be admitted, unless another settles before; `now` if at once."""
        return max(now, self.open_until, self._probe_until) if self._opened else now

    def admit(self, now: float) -> Admission:
        """Let one call through. Call it only when `ready_at(now) <= now`."""
        if self._opened:
            if self.ready_at(now) > now:
                raise RuntimeError(f"the breaker is {self.state(now)}: not ready before {self.ready_at(now)}")
            self.generation += 1  # the answer to a probe whose lease ran out must not count for this one
            self._probe_until = now + self.probe_lease
        self.admitted += 1
        return Admission(self.generation, self.admitted, probe=self._opened)

    def settle(
        self,
        admission: Admission,
        health: Health,
        now: float,
        *,
        open_for: float | None = None,
        longest: float | None = None,
        draws: bool = False,
        trips: bool = False,
    ) -> bool:
        """Record the outcome of an admitted call. True if it counts as a failure of its own.

        `open_for` is the delay in seconds that the failure names, None if it names none. Failed probes double it, up to
        `longest` if set. A failure that `draws` costs the budget one retry; one that `trips` opens the breaker alone.
        """
        if admission.generation != self.generation:
            return False
        if admission.probe:
            self._probe_until = -inf
        in_flight_with_failure = admission.order < self._first_after_failure
        if health is Health.HEALTHY:
            self.retries_left = min(self.retries_left + EARNED, RETRIES)
            if admission.probe:
                self.failed_probes = 0
                self._change(opened=False)
            elif not in_flight_with_failure:
                self.failures = 0
        if health is not Health.UNHEALTHY or in_flight_with_failure:
            return False
        self._first_after_failure = self.admitted + 1
        self.failures += 1
        self.retries_left = max(0.0, self.retries_left - draws)
        used_up = draws and self.retries_left <= RETRIES / 2
        self.failed_probes += admission.probe
        if admission.probe or trips or used_up or self.failures >= self.threshold:
            stay = (open_for if open_for is not None else self.reset_interval) * 2.0 ** min(self.failed_probes, 64)
            self._change(opened=True)
            self.open_until = now + min(stay, max(self.longest if longest is None else longest, open_for or 0.0))
        return True

    def _change(self, *, opened: bool) -> None:
        self.generation += 1
        self._opened = opened
        if not opened:
            self.failures = 0

    def __repr__(self) -> str:
        return (
            f"<CircuitBreaker {'open until ' + str(self.open_until) if self._opened else 'closed'}, "
            f"{self.failures}/{self.threshold} failures, generation {self.generation}>"
        )
