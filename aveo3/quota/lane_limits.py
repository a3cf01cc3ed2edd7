"""The limits of one lane, and what refusals teach about them: requests per period and per day, dollars per period,
operations at once. `gate` does the queueing and the waiting."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from math import inf

from aveo3.config.rates import Rate
from aveo3.config.settings import Settings
from aveo3.quota.adaptive_limit import AdaptiveLimit, Round
from aveo3.quota.overflow import EARLY, Edge, Overflow
from aveo3.quota.windows import DayWindow, QuotaWindow
from aveo3.verdicts import Refusal, Verdict, VerdictKind

log = logging.getLogger(__name__)

REQUESTS, DOLLARS, RUNNING, STRICT = "requests", "dollars", "running", "strict"
"""What refusals can teach: three limits, and that the server accepts no more than a sliding window would."""

MARGIN = 0.01
"""A window's room comes back late by this fraction of a period: two clocks never run quite alike."""

COUNTED_ROUNDS = 2
"""Periods without a refusal before a limit is tried one higher, if it was counted from accepted requests."""

NAMED_ROUNDS = 10
"""The same for a limit that the refusal named, which is right until Google changes it."""

UNSET_ROUNDS = 10
"""The same for the model's usual quota, if the settings name no limit: this project's quota may be higher. A limit in
the settings is never exceeded."""

SURE = 0.75
"""Fraction of a counted limit within which requests may be in flight together; beyond it they go one at a time."""

SHARED_ROUNDS = 5
"""`COUNTED_ROUNDS` for a small limit that others share. Such a limit keeps moving, so each try is likely to be refused,
not only the first. And where few requests go per period, one refusal in every second period is many."""

FEW = 10
"""A shared limit below this is small."""

SURPRISES = 2
"""Refusals below the known limit after which others must be using the quota too. Each must come within this many
periods of the last."""


class Limits:
    """The limits of one lane. They start from the settings; refusals lower them, success raises them again.

    All instants are seconds on the caller's clock; `utc_at` turns one into calendar time.
    """

    def __init__(self, rate: Rate, settings: Settings, utc_at: Callable[[float], datetime]) -> None:
        self.requests = QuotaWindow(rate.limit, rate.period, margin=rate.period * MARGIN)
        self.day = DayWindow(settings.daily_limit or inf, utc_at)
        self.running = 0
        self.dollars = QuotaWindow(
            settings.spend_limit or inf, settings.spend_period, margin=settings.spend_period * MARGIN
        )
        self.most_requests = AdaptiveLimit(rate.limit, settings.rate_limit, rounds=UNSET_ROUNDS)
        self.most_dollars = AdaptiveLimit(self.dollars.limit, settings.spend_limit, rounds=1)
        self.most_running = AdaptiveLimit(settings.max_concurrency or inf, settings.max_concurrency, rounds=1)
        self.utc_at = utc_at
        self.learnt_utc: dict[str, datetime] = {}
        self.under = {  # the settings under which each limit is learnt
            REQUESTS: [settings.rate_limit, rate.limit, rate.period],
            DOLLARS: [settings.spend_limit, settings.spend_period],
            RUNNING: [settings.max_concurrency],
            STRICT: [settings.rate_limit, rate.limit, rate.period],
        }
        self._requests_round, self._dollars_round = Round(rate.period), Round(settings.spend_period)
        self._succeeded = 0  # operations since the number of running slots last changed
        self.accepted = QuotaWindow(inf, rate.period)  # accepted lately: the proof of what a period allows
        self.counted = False  # no refusal named the limit: it was counted from accepted requests
        self._surprises = 0
        self._surprised_at = -inf
        self.overflow = Overflow(rate.period)
        self.edge = Edge(self.requests)

    @property
    def running_limit(self) -> float:
        """Operations that may run at once."""
        return self.most_running.limit

    def ready_at(self, now: float, cost_usd: float, waiting: int | None = None) -> float:
        """When one more request has room; `inf` if that depends on an answer or on an operation's end.

        `waiting` counts the submits to come, this one included; None if unknown. See `overflow`.
        """
        if self.running + 1 > self.running_limit:
            return inf
        self.edge.pass_by(now)
        requests, dollars = self.requests.ready_at(now), self.dollars.ready_at(now, cost_usd)
        if requests > now:
            self._requests_round.pressed = True
        if dollars > now:
            self._dollars_round.pressed = True
        if self.requests.in_flight and self._is_a_try(now, cost_usd):
            return inf
        if requests > now:
            requests = min(requests, self.edge.at, self._overflow_at(now, requests, waiting))
        return max(requests, dollars, self.day.ready_at(now))

    def _overflow_at(self, now: float, room_at: float, waiting: int | None) -> float:
        """When one request may go although the window is full until `room_at`."""
        if waiting is None or self.shared or self.most_requests.trying or self.overflow.refused:
            return inf
        window = self.requests
        if not self.overflow.accepted:
            # Alone, and only where there is something to gain and nothing to lose.
            little = window.period * EARLY
            if window.in_flight or room_at - now < little or window.gap(now, waiting) > little:
                return inf
            return self.overflow.first_try_at(now, window, waiting)
        return self.overflow.ready_at(now, window.limit, window.in_flight)

    def _is_a_try(self, now: float, cost_usd: float) -> bool:
        """True if one more request is a try: then it goes alone, so a refusal costs one request."""
        sure = self.most_requests.proven * (SURE if self.counted else 1.0)
        return (
            ((self.most_requests.trying or self.counted) and self.requests.used(now) >= sure)
            or (self.most_running.trying and self.running >= self.most_running.proven)
            or (self.most_dollars.trying and self.dollars.used(now) + cost_usd > self.most_dollars.proven)
        )

    def take(self, now: float, cost_usd: float) -> bool:
        """Count a request that goes out now. True if the window had no room for it."""
        over = self.requests.ready_at(now) > now
        self.requests.take()
        self.day.take()
        self.dollars.take(cost_usd)
        self.running += 1
        return over

    def give_back(self, cost_usd: float) -> None:
        """Release the room of a request that provably never left. `ended` frees its running slot."""
        self.requests.give_back()
        self.day.give_back()
        self.dollars.give_back(cost_usd)

    def answered(self, now: float, cost_usd: float, kind: VerdictKind) -> None:
        """A request was answered, or its answer is lost. Refused requests keep their room: some servers count them."""
        self.requests.answered(now)
        self.overflow.answered(now, self.requests.limit)
        self.day.answered(now)
        if kind in (VerdictKind.ACCEPTED, VerdictKind.UNCERTAIN):
            self.dollars.answered(now, cost_usd)
        else:
            self.dollars.give_back(cost_usd)
        if kind is VerdictKind.ACCEPTED:
            self.accepted.count(now)
            self._try_more(now)

    def was_not_accepted(self) -> None:
        """Take back an acceptance that turned out to be a refusal: it proves nothing about the limit."""
        self.accepted.take_back()

    def ended(self, *, succeeded: bool) -> None:
        """Free an operation's running slot. Once as many have succeeded as there are slots, one more slot is tried."""
        self.running -= 1
        self._succeeded += succeeded
        if self._succeeded >= self.running_limit:
            self._succeeded = 0
            if self.most_running.round():
                log.debug("trying %g operations at once", self.running_limit)

    def _try_more(self, now: float) -> None:
        if self._requests_round.over(now) and self.most_requests.round():
            log.debug("no refusal lately: trying %g requests a period", self.most_requests.limit)
            self.apply()
        if self._dollars_round.over(now) and self.most_dollars.round():
            log.debug("no refusal lately: trying US$ %g a period", self.most_dollars.limit)
            self.apply()

    def apply(self) -> None:
        """Set the windows to the adaptive limits."""
        self.requests.limit, self.dollars.limit = self.most_requests.limit, self.most_dollars.limit

    def refused(self, refusal: Refusal, now: float) -> None:
        """Note any refusal: the rounds begin anew, and the windows take in what it says."""
        self._requests_round.begin(now)
        self._dollars_round.begin(now)
        if refusal is Refusal.MINUTE:
            self.edge.refused(now)
        if refusal is Refusal.DAY and not self.day.just_begun(now):
            self.day.close_today(now)

    def proved_one_more(self, refusal: Refusal) -> None:
        """A request that was in flight when this refusal taught a limit was accepted too."""
        if refusal is Refusal.MINUTE and self.counted:
            self.most_requests.proved()
        elif refusal is Refusal.CONCURRENT:
            self.most_running.proved()
        self.apply()

    def learn(self, refusal: Refusal, verdict: Verdict, sent_at: float, cost_usd: float, now: float) -> None:
        """Lower the limit that this refusal disproves. A refusal that names no rule disproves none."""
        if refusal is Refusal.MINUTE:
            alone = self._learn_requests(verdict.limit, sent_at)
            bucket_delay = 1.5 * self.requests.period / self.most_requests.limit  # for one token, with some slack
            if alone and verdict.retry_after is not None and verdict.retry_after > bucket_delay:
                self.edge.named(verdict.retry_after, now)
        elif refusal is Refusal.SPEND:
            spent = self.dollars.used(now)
            self.most_dollars.first_step = max(cost_usd, spent / 10)
            self.most_dollars.refused(spent, least=cost_usd)
            self._note(DOLLARS, now)
        elif refusal is Refusal.CONCURRENT:
            # Requests in flight may be refused as well; each one that is accepted raises the limit again.
            self.most_running.refused(self.running - self.requests.in_flight)
            self._succeeded = 0
            self._note(RUNNING, now)
        self.apply()

    def _note(self, what: str, now: float) -> None:
        self.learnt_utc[what] = self.utc_at(now)

    def _learn_requests(self, named_limit: int | None, sent_at: float) -> bool:
        """Learn the request limit: `named_limit` if the refusal names one, else what the period before it accepted.

        True if our own requests explain the refusal.
        """
        accepted = self.accepted.used(sent_at)
        learnt = self.most_requests.proven if REQUESTS in self.learnt_utc else inf
        known_limit = min(learnt, inf if named_limit is None else named_limit)
        # Refused below the known limit: an earlier run of ours used the rest, which passes, or others do, which lasts.
        alone = accepted + self.requests.in_flight >= known_limit or known_limit == inf
        if not alone:
            recent = sent_at - self._surprised_at <= SURPRISES * self.requests.period
            self._surprises = self._surprises + 1 if recent or self.shared else 1
            self._surprised_at = sent_at
        self.counted = named_limit is None or self.shared
        if named_limit is not None and not self.shared:
            self.most_requests.refused(named_limit, rounds=NAMED_ROUNDS)
        elif accepted:  # otherwise others use all of it, which says nothing about the limit
            rounds = SHARED_ROUNDS if self.shared and accepted < FEW else COUNTED_ROUNDS
            self.most_requests.refused(accepted, rounds=rounds)
        if named_limit is not None or accepted:
            self._note(REQUESTS, sent_at)
        return alone

    def spilled(self, now: float, verdict: Verdict) -> None:
        """Record the verdict on a request that went although the window was full."""
        if verdict.kind is VerdictKind.ACCEPTED:
            self.overflow.accepted += 1
        elif verdict.kind is VerdictKind.REFUSED:
            self.overflow.refused = True
            self._note(STRICT, now)
            if verdict.limit is not None and verdict.limit < self.requests.limit:
                self.most_requests.refused(verdict.limit, rounds=NAMED_ROUNDS)
                self.apply()
            if verdict.retry_after is not None:
                self.edge.named(verdict.retry_after, now)

    @property
    def shared(self) -> bool:
        """True if others seem to use the same quota."""
        return self._surprises >= SURPRISES

    def period_of(self, refusal: Refusal) -> float | None:
        """Seconds after which the quota that refused is whole again; None if unknown."""
        return {Refusal.MINUTE: self.requests.period, Refusal.SPEND: self.dollars.period}.get(refusal)

    def pause_after(self, refusal: Refusal, verdict: Verdict, now: float) -> float | None:
        """Seconds for which a refusal of this kind pauses the lane; None if unknown."""
        if refusal is Refusal.DAY and not self.day.just_begun(now):
            return 0.0  # the day's window holds the lane: the delay in the body is hours too short
        if refusal is Refusal.CONCURRENT and self.running:
            return 0.0  # the next operation that ends makes room
        if verdict.retry_after is not None:
            return verdict.retry_after
        if refusal is Refusal.MINUTE:
            # Our own use comes back through the window; if we used nothing, others use it up.
            return 0.0 if self.accepted.used(now) else self.requests.period
        if refusal is Refusal.SPEND:
            return 0.0 if self.dollars.used(now) else self.dollars.period
        return None
