"""The gate of a lane whose clips an `aveo3 serve` makes. The server has the quota, the breaker and the queue.

Here is only how many requests may be on their way and in its queue, and the pauses that it asks for.

It has the methods of `QuotaGate`, with the same meanings.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import inf

from aveo3._waker import Waker
from aveo3.config.settings import Settings
from aveo3.errors import GateClosed
from aveo3.events.kinds import LaneEvent
from aveo3.quota.breaker import Admission, BreakerState
from aveo3.quota.gate_stats import AtServer, GateStats
from aveo3.quota.lane_changes import LaneChanges
from aveo3.quota.permit import Permit
from aveo3.verdicts import Refusal, Verdict, VerdictKind, brief

log = logging.getLogger(__name__)

MOST_AT_ONCE = 32
"""Requests on their way at the same time; after a refusal one, and for each that is accepted one more."""

MOST_QUEUED = 10_000
"""Requests at the server at the same time, if VEO3_MAX_CONCURRENCY names no other number. Each holds a task here."""

FULL_WAIT = 10.0
"""Seconds to wait if the server refuses, and does not say for how long."""

_ADVICE = {
    Refusal.BAD_KEY: "set VEO3_SERVER_KEY to a key that the server knows (`aveo3 serve keys add NAME` makes one there)",
    Refusal.PERMISSION: "use another model, or have whoever runs the server allow it for your key",
    Refusal.NO_MODEL: "use a model that the server has: `aveo3 check` lists them",
}


class ServerGate:
    """Lets requests go to a server. `at_server` tells how they stand there. Needs a running loop."""

    met_a_stranger = False

    def __init__(
        self,
        settings: Settings,
        *,
        at_server: Callable[[], AtServer],
        now_utc: Callable[[], datetime] = lambda: datetime.now(UTC),
        lane: str = "",
        tell: Callable[[LaneEvent], object] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._at_server = at_server
        self._now_utc = now_utc
        self._now = asyncio.get_running_loop().time
        self._most = settings.max_concurrency or MOST_QUEUED
        self._running = self._unanswered = self._accepted = self._refused = 0
        self._at_once = MOST_AT_ONCE
        self._paused_until = -inf
        self._why = "", ""
        self._closed: GateClosed | None = None
        self.reached = True
        """The server was asked when the lane opened."""
        self._held_by: set[str] = set()
        self._changes = LaneChanges(lane, inf, tell, self._utc_at)
        self._turn = asyncio.Lock()
        self._waker = Waker()

    async def acquire(self, cost_usd: float = 0.0, waiting: Callable[[], int | None] | None = None) -> Permit:
        """Wait for a permit; first come, first served. Raises `GateClosed`: see `QuotaGate.acquire`."""
        arrived = self._now()
        async with self._turn:
            while (goes_at := self._goes_at()) > self._now():
                await self._waker.wait(goes_at)
        now = self._now()
        self._unanswered += 1
        self._running += 1
        if self._changes.pausing:
            self._changes.opened(now, BreakerState.CLOSED)
        return Permit(Admission(0, 0, probe=False), cost_usd, now, now - arrived)

    def _goes_at(self) -> float:
        now = self._now()
        if self._closed is not None:
            raise GateClosed(self._closed.kind, str(self._closed), self._closed.retry_at_utc)
        patience = self._settings.quota_patience
        if patience is not None and self._paused_until - now > patience:
            kind, message = self._why
            until = self._utc_at(self._paused_until)
            raise GateClosed(
                kind,
                f"the server takes no more before {until:%Y-%m-%d %H:%M:%S} UTC, past "
                f"VEO3_QUOTA_PATIENCE={patience:g} s: {message}",
                until,
            )
        if self._held_by or self._unanswered >= self._at_once or self._running >= self._most:
            return inf
        return max(now, self._paused_until)

    def is_free(self, cost_usd: float = 0.0) -> bool:
        """True if a request would go at once."""
        try:
            return not self._turn.locked() and self._goes_at() <= self._now()
        except GateClosed:
            return False

    # ---- answers -------------------------------------------------------------------------------------------------

    def settle(self, permit: Permit, verdict: Verdict) -> None:
        """Record the verdict on a permit's request, once per permit."""
        if permit.settled:
            raise RuntimeError("this permit is settled already")
        permit.settled = True
        self._unanswered -= 1
        if verdict.kind is VerdictKind.ACCEPTED:
            self._accepted += 1
            self._at_once = min(self._at_once + 1, MOST_AT_ONCE)
        else:
            self.finish(permit)
            self._take(verdict)
        self._waker.ring()

    def _take(self, verdict: Verdict) -> None:
        refusal, now = verdict.refusal, self._now()
        if verdict.kind is VerdictKind.REFUSED:
            self._refused += 1
        if refusal is not None and refusal.for_good:
            self.close(refusal.value, f"{verdict.message} What to do: {_ADVICE.get(refusal, refusal.advice)}.")
        elif refusal is Refusal.QUEUE:
            wait = verdict.retry_after or FULL_WAIT
            if now >= self._paused_until:
                log.info("the server takes no more now, and is asked again in %.3g s: %s", wait, brief(verdict.message))
            self._at_once = 1
            self._paused_until = max(self._paused_until, now + wait)
            self._why = verdict.error_kind, verdict.message
            self._changes.paused(now, self._paused_until, BreakerState.CLOSED, *self._why)
        elif verdict.kind is VerdictKind.UNAVAILABLE or (
            verdict.kind is VerdictKind.UNCERTAIN and verdict.status is None
        ):  # it was silent for as long as patience lasts
            self.close(verdict.error_kind, verdict.message)

    def refuse_late(self, permit: Permit, verdict: Verdict) -> None:
        """See `QuotaGate.refuse_late`. A server queues again by itself what Google refuses late."""

    def finish(self, permit: Permit, *, succeeded: bool = False) -> None:
        """The request has ended. Further calls do nothing."""
        if not permit.finished:
            permit.finished = True
            self._running -= 1
            self._waker.ring()

    def adopt(self) -> Permit:
        """A permit for a request that is at the server already."""
        self._running += 1
        return Permit(Admission(generation=-1, order=0, probe=False), 0.0, self._now(), 0.0, settled=True)

    def cancel(self, permit: Permit) -> None:
        """Give a permit back unused."""
        permit.settled = True
        self._unanswered -= 1
        self.finish(permit)
        self._waker.ring()

    # ---- held, closed --------------------------------------------------------------------------------------------

    def hold(self, by: str = "person") -> None:
        """Grant no permit until `go_on`."""
        self._held_by.add(by)

    def go_on(self, by: str = "person") -> None:
        """Grant permits again, if nobody else holds the gate."""
        self._held_by.discard(by)
        self._waker.ring()

    def reopen(self) -> bool:
        """Grant permits again after what closed the gate was mended; False if it was not closed."""
        if self._closed is None:
            return False
        self._closed = None
        self._changes.opened(self._now(), BreakerState.CLOSED)
        self._waker.ring()
        return True

    @property
    def held_by(self) -> str | None:
        """Who holds the gate: `person` before others. None if nobody does."""
        return max(self._held_by, key=lambda by: by == "person", default=None)

    def close(self, kind: str = "closed", message: str = "the client was closed", *, tells: bool = True) -> None:
        """Close the gate for good. `tells`: publish it."""
        if self._closed is None:
            self._closed = GateClosed(kind, message)
            if tells:
                self._changes.closed(self._now(), kind, message)
            self._waker.ring()

    @property
    def is_closed(self) -> bool:
        """True if no request will ever go again."""
        return self._closed is not None

    @property
    def refused(self) -> int:
        """Requests that were refused."""
        return self._refused

    def is_ill(self, besides: int) -> bool:
        """See `QuotaGate.is_ill`. A server that does not answer is waited for."""
        return False

    def stats(self) -> GateStats:
        """A frozen snapshot."""
        now = self._now()
        return GateStats(
            breaker=BreakerState.CLOSED,
            opens_in=max(0.0, self._paused_until - now),
            quota_used=0.0,
            quota_limit=inf,
            quota_period=self._settings.rate_period,
            running=self._running,
            running_limit=float(self._most),
            accepted=self._accepted,
            refused=self._refused,
            closed=None if self._closed is None else str(self._closed),
            at_server=self._at_server(),
        )

    def _utc_at(self, instant: float) -> datetime:
        return self._now_utc() + timedelta(seconds=instant - self._now())
