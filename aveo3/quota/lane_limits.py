"""What one lane may use at a time, and what refusals teach about it: requests per period and per day, dollars per
period, operations at once. Knows no queue and waits for nothing; `gate` does."""

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
"""What can be learnt: three limits, and that the server takes no more than a sliding window would."""

MARGIN = 0.01
"""Fraction of a period by which a window's room comes back late: two clocks never run quite alike."""

COUNTED_ROUNDS = 2
"""Periods without a refusal after which a limit that was counted from what had been accepted is tried one higher."""

NAMED_ROUNDS = 10
"""The same for a limit that the refusal named, which is right until Google moves it."""

UNSET_ROUNDS = 10
"""The same for the model's usual quota, where nothing was set: this project's may be higher. What is set is never
exceeded."""

SURE = 0.75
"""The part of a counted limit that goes as fast as answers come; the rest goes one at a time."""

SHARED_ROUNDS = 5
"""The same for a limit of few requests that others share: it never stays where it is, so that each try, and not only
the first, is likely to be refused, and where few go a period, one in every second is many."""

FEW = 10

SURPRISES = 2
"""Refusals well below the quota they name, within as many periods each, after which others must be using it too."""


class Limits:
    """The limits of one lane. They start as the settings have them; refusals lower them, success raises them again.

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
        self.under = {  # the settings under which it is learnt
            REQUESTS: [settings.rate_limit, rate.limit, rate.period],
            DOLLARS: [settings.spend_limit, settings.spend_period],
            RUNNING: [settings.max_concurrency],
            STRICT: [settings.rate_limit, rate.limit, rate.period],
        }
        self._requests_round, self._dollars_round = Round(rate.period), Round(settings.spend_period)
        self._succeeded = 0  # operations, since the running slots last changed
        self.accepted = QuotaWindow(inf, rate.period)  # what was accepted lately: the proof of what a period takes
        self.counted = False  # the limit was not named but counted, from what was accepted before
        self._surprises = 0
        self._surprised_at = -inf
        self.overflow = Overflow(rate.period)
        self.edge = Edge(self.requests)

    @property
    def running_limit(self) -> float:
        """Operations that may run at once."""
        return self.most_running.limit

    def ready_at(self, now: float, cost_usd: float, waiting: int | None = None) -> float:
        """When one more request has room; `inf` if that hangs on an answer or on an operation's end.

        `waiting` counts the submits to come, this one included, if anybody knows: see `overflow`.
        """
        if self.running + 1 > self.running_limit:
            return inf
        self.edge.pass_by(now)
        requests, dollars = self.requests.ready_at(now), self.dollars.ready_at(now, cost_usd)
        if requests > now:
            self._requests_round.pressed = True
        if dollars > now:
            self._dollars_round.pressed = True
        if self.requests.in_flight and self._goes_beyond_the_proven(now, cost_usd):
            return inf
        if requests > now:
            requests = min(requests, self.edge.at, self._overflow_at(now, requests, waiting))
        return max(requests, dollars, self.day.ready_at(now))

    def _overflow_at(self, now: float, room_at: float, waiting: int | None) -> float:
        """When one request may go though the window is full until `room_at`."""
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

    def _goes_beyond_the_proven(self, now: float, cost_usd: float) -> bool:
        """True if one more is a try: it goes alone, and a refusal costs one request."""
        sure = self.most_requests.proven * (SURE if self.counted else 1.0)
        return (
            ((self.most_requests.trying or self.counted) and self.requests.used(now) >= sure)
            or (self.most_running.trying and self.running >= self.most_running.proven)
            or (self.most_dollars.trying and self.dollars.used(now) + cost_usd > self.most_dollars.proven)
        )

    def take(self, now: float, cost_usd: float) -> bool:
        """A request goes out. True if the window had no room for it."""
        over = self.requests.ready_at(now) > now
        self.requests.take()
        self.day.take()
        self.dollars.take(cost_usd)
        self.running += 1
        return over

    def give_back(self, cost_usd: float) -> None:
        """A request provably never left. Its running slot is freed by `ended`."""
        self.requests.give_back()
        self.day.give_back()
        self.dollars.give_back(cost_usd)

    def answered(self, now: float, cost_usd: float, kind: VerdictKind) -> None:
        """A request was answered, or will not be. Refused ones used up their place too: some servers count them."""
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
        """A request that was answered as accepted turns out to be refused: it proves nothing of what a period takes."""
        self.accepted.take_back()

    def ended(self, *, succeeded: bool) -> None:
        """An operation holds its running slot no more. Success tries the slots one higher once each has succeeded."""
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
        """Let the windows hold what the ceilings say."""
        self.requests.limit, self.dollars.limit = self.most_requests.limit, self.most_dollars.limit

    def refused(self, refusal: Refusal, now: float) -> None:
        """Take note of any refusal."""
        self._requests_round.begin(now)
        self._dollars_round.begin(now)
        if refusal is Refusal.MINUTE:
            self.edge.refused(now)
        if refusal is Refusal.DAY and not self.day.just_begun(now):
            self.day.close_today(now)

    def proved_one_more(self, refusal: Refusal) -> None:
        """A request that was still out when this refusal taught a limit has been accepted too."""
        if refusal is Refusal.MINUTE and self.counted:
            self.most_requests.proved()
        elif refusal is Refusal.CONCURRENT:
            self.most_running.proved()
        self.apply()

    def learn(self, refusal: Refusal, verdict: Verdict, sent_at: float, cost_usd: float, now: float) -> None:
        """Lower the limit that this refusal disproves. One that names no rule disproves none."""
        if refusal is Refusal.MINUTE:
            alone = self._learn_requests(verdict.limit, sent_at)
            a_buckets_delay = 1.5 * self.requests.period / self.most_requests.limit  # for one more, and a little
            if alone and verdict.retry_after is not None and verdict.retry_after > a_buckets_delay:
                self.edge.named(verdict.retry_after, now)
        elif refusal is Refusal.SPEND:
            spent = self.dollars.used(now)
            self.most_dollars.first_step = max(cost_usd, spent / 10)
            self.most_dollars.refused(spent, least=cost_usd)
            self._note(DOLLARS, now)
        elif refusal is Refusal.CONCURRENT:
            # What is out may be refused as well; what of it is accepted will prove itself.
            self.most_running.refused(self.running - self.requests.in_flight)
            self._succeeded = 0
            self._note(RUNNING, now)
        self.apply()

    def _note(self, what: str, now: float) -> None:
        self.learnt_utc[what] = self.utc_at(now)

    def _learn_requests(self, named: int | None, sent_at: float) -> bool:
        """`named` is the quota's value if the refusal told it; else what a period took before is all that is known.

        True if what we sent explains the refusal.
        """
        taken = self.accepted.used(sent_at)
        known = min(self.most_requests.proven if REQUESTS in self.learnt_utc else inf, inf if named is None else named)
        # Below what is known to be there: an earlier run of ours used it, which passes, or others do, which goes on.
        alone = taken + self.requests.in_flight >= known or known == inf
        if not alone:
            recent = sent_at - self._surprised_at <= SURPRISES * self.requests.period
            self._surprises = self._surprises + 1 if recent or self.shared else 1
            self._surprised_at = sent_at
        self.counted = named is None or self.shared
        if named is not None and not self.shared:
            self.most_requests.refused(named, rounds=NAMED_ROUNDS)
        elif taken:  # otherwise others have it all: that says nothing of how much there is
            rounds = SHARED_ROUNDS if self.shared and taken < FEW else COUNTED_ROUNDS
            self.most_requests.refused(taken, rounds=rounds)
        if named is not None or taken:
            self._note(REQUESTS, sent_at)
        return alone

    def spilled(self, now: float, verdict: Verdict) -> None:
        """What came of a request that went though the window was full."""
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
        """Seconds after which the quota that refused is whole again; None if that is not known."""
        return {Refusal.MINUTE: self.requests.period, Refusal.SPEND: self.dollars.period}.get(refusal)

    def pause_after(self, refusal: Refusal, verdict: Verdict, now: float) -> float | None:
        """Seconds for which a refusal of this kind keeps the lane from submitting; None if nobody can say."""
        if refusal is Refusal.DAY and not self.day.just_begun(now):
            return 0.0  # the day's window holds, whatever the body says: the delay it names is too short by hours
        if refusal is Refusal.CONCURRENT and self.running:
            return 0.0  # the next operation that ends makes room
        if verdict.retry_after is not None:
            return verdict.retry_after
        if refusal is Refusal.MINUTE:
            # What we used comes back through the window; if we used nothing, others do.
            return 0.0 if self.accepted.used(now) else self.requests.period
        if refusal is Refusal.SPEND:
            return 0.0 if self.dollars.used(now) else self.dollars.period
        return None
