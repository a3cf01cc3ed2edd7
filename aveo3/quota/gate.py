"""The quota gate of one lane: which job may submit, and when. Circuit breaker, limits and token bucket are behind one
`acquire()`; each submit's verdict comes back through `settle()` and `finish()`. `answers` decides what follows from it.

First come, first served. A waiter takes nothing until the moment it goes, so one that is cancelled owes nothing; only
the head of the queue watches the clock. A refusal pauses the whole lane, never one job alone.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import inf

from aveo3._waker import Waker
from aveo3.config.settings import Settings
from aveo3.errors import GateClosed
from aveo3.events.kinds import LaneEvent
from aveo3.quota import snapshot
from aveo3.quota.answers import Answers
from aveo3.quota.breaker import Admission, BreakerState, CircuitBreaker
from aveo3.quota.cooldown import Cooldown
from aveo3.quota.gate_stats import GateStats
from aveo3.quota.lane_changes import LaneChanges
from aveo3.quota.lane_limits import REQUESTS, Limits
from aveo3.quota.permit import Permit
from aveo3.quota.token_bucket import TokenBucket
from aveo3.verdicts import Refusal, Verdict, VerdictKind, brief

log = logging.getLogger(__name__)

PROBE_GRACE = 5.0
"""Seconds beyond the request's timeout after which a half-open probe counts as lost."""

LONGEST_NAP = 60.0
"""Seconds after which a waiting gate reads the calendar again: clocks stop while a machine sleeps."""


class QuotaGate:
    """Lets submits through as fast as one lane's quota allows, and no faster.

    `now_utc` serves only Google's calendar day; every other instant is the running loop's. `rng` adds jitter to pauses
    for which Google names no delay. `remembered` is what the gate of an earlier run on this lane returned from
    `remember()`: with it no burst follows a restart. `tell` gets the events of the lane, which is named `lane` in them;
    it must neither raise nor wait. Needs a running loop.
    """

    def __init__(
        self,
        settings: Settings,
        model: str | None = None,
        *,
        rng: random.Random | None = None,
        now_utc: Callable[[], datetime] = lambda: datetime.now(UTC),
        remembered: snapshot.Memory | None = None,
        lane: str = "",
        tell: Callable[[LaneEvent], object] = lambda _: None,
    ) -> None:
        self.rate = settings.rate(model or settings.model)
        self._settings = settings
        self._now_utc = now_utc
        self._now = asyncio.get_running_loop().time
        self._breaker = CircuitBreaker(
            settings.consecutive_failure_threshold,
            settings.quota_reset_interval,
            probe_lease=settings.request_timeout + PROBE_GRACE,
        )
        self._limits = Limits(self.rate, settings, self._utc_at)
        self._bucket = TokenBucket(self.rate)
        self._cooldown = Cooldown(settings, rng or random.Random())
        self._answers = Answers(settings, self._breaker, self._limits, self._cooldown)
        self._in_line = 0  # callers that wait for their turn, or have it
        self._unanswered = 0
        self._accepted = self._refused = 0
        self.reached = False
        """True once a request of this run has left for the lane."""
        self._closed: GateClosed | None = None
        if remembered is not None:
            snapshot.restore(self._limits, remembered, self._now())
        self._changes = LaneChanges(lane, self._limits.requests.limit, tell, self._utc_at)
        self._turn = asyncio.Lock()
        self._waker = Waker()
        self._held_at: float | None = None
        self._held_before = 0.0  # seconds

    # ---- admission ---------------------------------------------------------------------------------------------------

    async def acquire(self, cost_usd: float = 0.0, waiting: Callable[[], int | None] | None = None) -> Permit:
        """Wait for a permit to submit once; first come, first served. `cost_usd` counts against the spend window.

        `waiting` returns the number of submits still to come, this one included, or None if it is unknown. It decides
        whether the end of a batch may try for more than the window holds.
        Raises `GateClosed` if no submit is possible within the settings' `quota_patience`, or ever.
        """
        if not self._in_line and self._goes_at(now := self._now(), cost_usd, waiting) <= now:  # nobody is in line
            await self._bucket.take()
            return self._grant(now, cost_usd, 0.0)
        self._in_line += 1
        try:
            async with self._turn:  # asyncio.Lock wakes in order of arrival
                return await self._next_turn(cost_usd, waiting)
        finally:
            self._in_line -= 1

    async def _next_turn(self, cost_usd: float, waiting: Callable[[], int | None] | None) -> Permit:
        arrived = self._now() - self._held_for()
        while True:
            now, alone = self._now(), self._in_line == 1  # `waiting` counts no other callers
            if (goes_at := self._goes_at(now, cost_usd, waiting if alone else None)) <= now:
                await self._bucket.take()
                return self._grant(now, cost_usd, now - arrived - self._held_before)
            await self._waker.wait(min(goes_at, now + LONGEST_NAP))

    def _goes_at(self, now: float, cost_usd: float, waiting: Callable[[], int | None] | None) -> float:
        """When the next in line may go; `inf` if that depends on an answer, an operation's end or a token.

        These ring the waker, and so does `go_on`. Raises `GateClosed` if the wait exceeds the patience.
        """
        if self._held_at is not None and self._closed is None:
            return inf
        paused_until = self._paused_until(now)
        if paused_until > now or self._closed is not None:
            self._tell_pause(now, paused_until)
            self._check_patience(now, paused_until)
        ready_at = self._ready_at(now, paused_until, cost_usd, None if waiting is None else waiting())
        self._bucket.keep_up(self._limits.requests.limit, anew=self._limits.edge.has_passed())
        if ready_at > now or self._bucket.ready:
            return ready_at
        self._bucket.call_when_ready(self._waker.ring)
        return inf

    def _ready_at(self, now: float, paused_until: float, cost_usd: float, waiting: int | None) -> float:
        """When everything but the bucket admits the next submit; `inf` if it needs an answer or an operation's end."""
        if self._unanswered + 1 > self._cooldown.at_once and self._breaker.state(now) is BreakerState.CLOSED:
            return inf  # an open breaker limits submits itself, and its probe is a lease
        return max(paused_until, self._breaker.ready_at(now), self._limits.ready_at(now, cost_usd, waiting))

    def _paused_until(self, now: float) -> float:
        """When the lane may submit again after refusals. Waits for one's turn or for a probe's answer do not count."""
        return max(now, self._breaker.open_until, self._cooldown.paused_until, self._limits.day.ready_at(now))

    def _check_patience(self, now: float, until: float) -> None:
        """Raise `GateClosed` if the gate is closed for good, or the pause until then or so far exceeds the patience."""
        if self._closed is not None:
            raise GateClosed(self._closed.kind, str(self._closed))
        if not self._cooldown.outlasts_patience(now, until):
            return
        patience, retry_at, last = self._settings.quota_patience, self._utc_at(until), self._cooldown.last
        kind, message = self._why_paused()
        raise GateClosed(
            kind,
            f"no submit is possible before {retry_at:%Y-%m-%d %H:%M:%S} UTC, past VEO3_QUOTA_PATIENCE={patience:g} s; "
            + (f"the last answer was: {message}" if last else message),
            retry_at,
        )

    def _why_paused(self) -> tuple[str, str]:
        """Kind and message of what paused the lane."""
        if (last := self._cooldown.last) is not None:
            return last.error_kind, last.message
        return Refusal.DAY.value, f"all {self._limits.day.limit:g} requests of today are used up"

    def _tell_pause(self, now: float, until: float) -> None:
        if until > now and self._closed is None:
            self._changes.paused(now, until, self._breaker.state(now), *self._why_paused())

    def _grant(self, now: float, cost_usd: float, waited: float) -> Permit:
        over = self._limits.take(now, cost_usd)
        self._unanswered += 1
        admission = self._breaker.admit(now)
        if self._changes.pausing:
            self._changes.opened(now, self._breaker.state(now))
        return Permit(admission, cost_usd, now, waited, over=over)

    @property
    def refused(self) -> int:
        """Submits that were refused."""
        return self._refused

    def is_ill(self, besides: int) -> bool:
        """True if more than `besides` submits failed lately: the service is at fault, not the request."""
        return self._breaker.retries_owed > besides

    @property
    def is_closed(self) -> bool:
        """True if no submit will ever be possible again."""
        return self._closed is not None

    @property
    def met_a_stranger(self) -> bool:
        """True if the last failure was an answer that is not Google's, and no submit was accepted since."""
        return self._cooldown.last is not None and self._cooldown.last.not_google

    def is_free(self, cost_usd: float = 0.0) -> bool:
        """True if a submit would go at once."""
        now = self._now()
        return (
            self._closed is None
            and self._held_at is None
            and not self._turn.locked()
            and self._bucket.ready
            and self._ready_at(now, self._paused_until(now), cost_usd, None) <= now
        )

    # ---- held by a person --------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Grant no permit until `go_on`. What runs goes on, and so do the limits. A second call does nothing.

        The time does not count against the patience, nor as time that a clip waited for quota.
        """
        if self._held_at is None:
            self._held_at = self._now()

    def go_on(self) -> None:
        """Grant permits again, in the same order. Without a `hold` it does nothing."""
        if self._held_at is not None:
            now = self._now()
            self._cooldown.skip(self._held_at, now)
            self._held_before, self._held_at = self._held_for(), None
            self._waker.ring()

    @property
    def is_held(self) -> bool:
        """True between `hold` and `go_on`."""
        return self._held_at is not None

    def _held_for(self) -> float:
        """Seconds that the gate has been held so far."""
        return self._held_before + (0.0 if self._held_at is None else self._now() - self._held_at)

    # ---- verdicts ----------------------------------------------------------------------------------------------------

    def settle(self, permit: Permit, verdict: Verdict) -> None:
        """Record the verdict on a permit's submit, once per permit. Frees its running slot unless it was accepted."""
        if permit.settled:
            raise RuntimeError("this permit is settled already")
        permit.settled = True
        self._unanswered -= 1
        now = self._now()
        if verdict.not_google and verdict.kind is VerdictKind.UNCERTAIN and permit.admission.probe:
            self._close_to_strangers(verdict)
        if verdict.unsent:
            self._limits.give_back(permit.cost_usd)
        else:
            self.reached = True
            self._limits.answered(now, permit.cost_usd, verdict.kind)
        if permit.over:
            self._limits.spilled(now, verdict)
        if verdict.kind is VerdictKind.ACCEPTED:
            self._accepted += 1
            self._answers.accepted(permit, now)
        else:
            self.finish(permit)
            if verdict.kind is VerdictKind.REFUSED:
                self._take_refusal(permit, verdict, now)
            elif verdict.kind is VerdictKind.REJECTED:
                self._answers.prove_nothing(permit, now)
            else:
                self._answers.failed(permit, verdict, now)
        self._tell_changes(now)
        self._waker.ring()

    def refuse_late(self, permit: Permit, verdict: Verdict) -> None:
        """Record that an accepted submit was refused after all. Further calls for the same permit do nothing.

        `finish` frees its running slot.
        """
        if permit.refused:
            return
        permit.refused = True
        if permit.admission.order:  # not adopted, so this gate counted it as accepted
            self._accepted -= 1
            self._limits.was_not_accepted()
        now = self._now()
        self._take_refusal(permit, verdict, now)
        self._tell_changes(now)
        self._waker.ring()

    def _tell_changes(self, now: float) -> None:
        """Tell what the last answer has changed."""
        changes, requests = self._changes, self._limits.requests
        changes.limited(now, requests.limit, requests.period)
        if self._cooldown.last is not None:
            self._tell_pause(now, self._paused_until(now))
        elif changes.probing and self._breaker.state(now) is BreakerState.CLOSED:
            changes.opened(now, BreakerState.CLOSED)

    def finish(self, permit: Permit, *, succeeded: bool = False) -> None:
        """Free the running slot: the operation has ended, or is not polled any more. Further calls do nothing."""
        if not permit.finished:
            permit.finished = True
            self._limits.ended(succeeded=succeeded)
            self._waker.ring()

    def adopt(self) -> Permit:
        """A permit for an operation that already runs. It takes a running slot, free or not, and nothing else."""
        self._limits.running += 1
        return Permit(Admission(generation=-1, order=0, probe=False), 0.0, self._now(), 0.0, settled=True)

    def cancel(self, permit: Permit) -> None:
        """Give a permit back unused: nothing was sent. This says nothing about the service."""
        permit.settled = True
        self._unanswered -= 1
        self._limits.give_back(permit.cost_usd)
        self._bucket.put_back()
        self._answers.prove_nothing(permit, self._now())
        self.finish(permit)

    def close(self, kind: str = "closed", message: str = "the client was closed", *, tells: bool = True) -> None:
        """Close the gate for good: every waiter, now and later, gets `GateClosed`. `tells`: publish it."""
        if self._closed is None:
            self._closed = GateClosed(kind, message)
            if tells:
                self._changes.closed(self._now(), kind, message)
            self._bucket.close()
            self._waker.ring()

    def reopen(self) -> bool:
        """Grant permits again after a person has mended what closed the gate for good; False if it was not closed.

        One submit goes alone first. If it is refused for good, too, the gate is closed again.
        """
        if self._closed is None:
            return False
        now = self._now()
        self._closed = None
        self._cooldown.resume_slowly(self._breaker.admitted)
        self._changes.opened(now, self._breaker.state(now))
        self._waker.ring()
        return True

    def _close_to_strangers(self, verdict: Verdict) -> None:
        """Close the gate if Google answered a free request, and a filter the paid one: each probe may cost a clip."""
        if self.met_a_stranger:
            reason = f"Google answers free requests here, but not paid ones. The last answer was: {verdict.message}"
            log.warning("closed for good (not_google): %s", reason)
            self.close("not_google", reason)

    def _take_refusal(self, permit: Permit, verdict: Verdict, now: float) -> None:
        refusal = verdict.refusal or Refusal.UNKNOWN
        self._refused += 1
        if refusal.for_good:
            reason = f"{verdict.message} What to do: {refusal.advice}."
            log.warning("closed for good (%s): %s", refusal.value, reason)
            self.close(refusal.value, reason)
        elif permit.over and refusal in (Refusal.MINUTE, Refusal.UNKNOWN):
            self._answers.refused_overflow(permit, verdict, now)
            limit = self._limits.requests.limit
            log.info("tried one request more than %g a period, and it was refused: %s", limit, brief(verdict.message))
        else:
            before = self._limits.requests.limit
            is_first = self._answers.refused(permit, verdict, now)
            limit, period = self._limits.requests.limit, self._limits.requests.period
            learnt = f" and sends at most {limit:g} requests in {period:g} s from now on" if limit < before else ""
            wait = self._paused_until(now) - now
            level = logging.INFO if is_first else logging.DEBUG
            pause = f"{wait:.2g}" if wait < 10 else f"{wait:,.0f}"
            words = brief(verdict.message)
            log.log(level, "refused (%s); the lane pauses for %s s%s: %s", refusal.value, pause, learnt, words)

    # ---- state for others --------------------------------------------------------------------------------------------

    def stats(self) -> GateStats:
        """A frozen snapshot."""
        now = self._now()
        return GateStats(
            breaker=self._breaker.state(now),
            opens_in=max(0.0, self._paused_until(now) - now),
            quota_used=self._limits.requests.used(now),
            quota_limit=self._limits.requests.limit,
            quota_period=self._limits.requests.period,
            running=self._limits.running,
            running_limit=self._limits.running_limit,
            accepted=self._accepted,
            refused=self._refused,
            closed=None if self._closed is None else str(self._closed),
            next_in=self._next_in(now),
            quota_learnt=REQUESTS in self._limits.learnt_utc,
        )

    def _next_in(self, now: float) -> float | None:
        if self._closed is not None or self._held_at is not None:
            return None
        ready_at = self._ready_at(now, self._paused_until(now), 0.0, None)
        return ready_at - now if ready_at < inf else None

    def remember(self) -> snapshot.Memory:
        """State for a later run on this lane, ready for JSON: the requests and dollars of the current periods and of
        today with their times, and the learnt limits with theirs. Call it after any `settle`. A request in flight
        counts as answered now.
        """
        return snapshot.remember(self._limits, self._now())

    def _utc_at(self, instant: float) -> datetime:
        return self._now_utc() + timedelta(seconds=instant - self._now())
