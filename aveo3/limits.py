"""What one lane may use at a time, and what refusals teach about it: requests per period and per day, dollars per
period, operations at once. Knows no queue and waits for nothing; `gate` does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from math import inf

from aveo3.learner import Ceiling
from aveo3.settings import Rate, Settings
from aveo3.spill import Spill
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from aveo3.windows import DayWindow, QuotaWindow

log = logging.getLogger(__name__)

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

EARLY = 0.05
"""Fraction of a period by which a named delay must be shorter than a sliding window would ask for to prove that it is
none: round trips blur what is less, and nothing is to be gained by it."""

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
        self._dollars = QuotaWindow(
            settings.spend_limit or inf, settings.spend_period, margin=settings.spend_period * MARGIN
        )
        self._most_requests = Ceiling(rate.limit, settings.rate_limit, rounds=UNSET_ROUNDS)
        self._most_dollars = Ceiling(self._dollars.limit, settings.spend_limit, rounds=1)
        self._most_running = Ceiling(settings.max_concurrency or inf, settings.max_concurrency, rounds=1)
        self._requests_round, self._dollars_round = _Round(rate.period), _Round(settings.spend_period)
        self._succeeded = 0  # operations, since the running slots last changed
        self._accepted = QuotaWindow(inf, rate.period)  # what was accepted lately: the proof of what a period takes
        self._learnt = False  # some refusal has told the limit, or was counted
        self._counted = False  # the limit was not named but counted, from what was accepted before
        self._surprises = 0
        self._surprised_at = -inf
        self._spill = Spill(rate.period)
        self._begins_anew_at = inf  # the server has named the instant
        self._began_anew_at = -inf
        self._forgotten: list[tuple[float, float]] = []
        self._anew = False
        self._keeps_its_word = True  # no such instant was named in vain

    @property
    def running_limit(self) -> float:
        """Operations that may run at once."""
        return self._most_running.limit

    def ready_at(self, now: float, cost_usd: float, waiting: int | None = None) -> float:
        """When one more request has room; `inf` if that hangs on an answer or on an operation's end.

        `waiting` counts the submits to come, this one included, if anybody knows: see `spill`.
        """
        if self.running + 1 > self.running_limit:
            return inf
        if self._begins_anew_at <= now:
            self._forgotten = self.requests.forget()
            self._began_anew_at, self._begins_anew_at, self._anew = now, inf, True
        requests, dollars = self.requests.ready_at(now), self._dollars.ready_at(now, cost_usd)
        self._requests_round.pressed |= requests > now
        self._dollars_round.pressed |= dollars > now
        if self.requests.in_flight and self._goes_beyond_the_proven(now, cost_usd):
            return inf
        if requests > now:
            requests = min(requests, self._begins_anew_at, self._spill_at(now, requests, waiting))
        return max(requests, dollars, self.day.ready_at(now))

    def _spill_at(self, now: float, room_at: float, waiting: int | None) -> float:
        """When one request may go though the window is full until `room_at`."""
        if waiting is None or self.shared or self._most_requests.trying or self._spill.refused_at is not None:
            return inf
        window = self.requests
        if not self._spill.accepted:
            # Alone, and only where there is something to gain and nothing to lose.
            little = window.period * EARLY
            if window.in_flight or room_at - now < little or window.gap(now, waiting) > little:
                return inf
        return self._spill.ready_at(now, window.limit, window.in_flight)

    def _goes_beyond_the_proven(self, now: float, cost_usd: float) -> bool:
        """True if one more is a try: it goes alone, and a refusal costs one request."""
        sure = self._most_requests.proven * (SURE if self._counted else 1.0)
        return (
            ((self._most_requests.trying or self._counted) and self.requests.used(now) >= sure)
            or (self._most_running.trying and self.running >= self._most_running.proven)
            or (self._most_dollars.trying and self._dollars.used(now) + cost_usd > self._most_dollars.proven)
        )

    def take(self, now: float, cost_usd: float) -> bool:
        """A request goes out. True if the window had no room for it."""
        over = self.requests.ready_at(now) > now
        self.requests.take()
        self.day.take()
        self._dollars.take(cost_usd)
        self.running += 1
        return over

    def give_back(self, cost_usd: float) -> None:
        """A request provably never left. Its running slot is freed by `ended`."""
        self.requests.give_back()
        self.day.give_back()
        self._dollars.give_back(cost_usd)

    def answered(self, now: float, cost_usd: float, kind: VerdictKind) -> None:
        """A request was answered, or will not be. Refused ones used up their place too: some servers count them."""
        self.requests.answered(now)
        self._spill.answered(now, self.requests.limit)
        self.day.answered(now)
        if kind in (VerdictKind.ACCEPTED, VerdictKind.UNCERTAIN):
            self._dollars.answered(now, cost_usd)
        else:
            self._dollars.give_back(cost_usd)
        if kind is VerdictKind.ACCEPTED:
            self._accepted.take()
            self._accepted.answered(now)
            self._try_more(now)

    def was_not_accepted(self) -> None:
        """A request that was answered as accepted turns out to be refused: it proves nothing of what a period takes."""
        self._accepted.take_back()

    def ended(self, *, succeeded: bool) -> None:
        """An operation holds its running slot no more. Success tries the slots one higher once each has succeeded."""
        self.running -= 1
        self._succeeded += succeeded
        if self._succeeded >= self.running_limit:
            self._succeeded = 0
            if self._most_running.round():
                log.debug("trying %g operations at once", self.running_limit)

    def _try_more(self, now: float) -> None:
        if self._requests_round.over(now) and self._most_requests.round():
            log.debug("no refusal lately: trying %g requests a period", self._most_requests.limit)
        if self._dollars_round.over(now) and self._most_dollars.round():
            log.debug("no refusal lately: trying US$ %g a period", self._most_dollars.limit)
        self._apply()

    def _apply(self) -> None:
        self.requests.limit, self._dollars.limit = self._most_requests.limit, self._most_dollars.limit

    def refused(self, refusal: Refusal, now: float) -> None:
        """Take note of any refusal."""
        self._requests_round.begin(now)
        self._dollars_round.begin(now)
        if refusal is Refusal.DAY and not self.day.just_begun(now):
            self.day.close_today(now)

    def proved_one_more(self, refusal: Refusal) -> None:
        """A request that was still out when this refusal taught a limit has been accepted too."""
        if refusal is Refusal.MINUTE and self._counted:
            self._most_requests.proved()
        elif refusal is Refusal.CONCURRENT:
            self._most_running.proved()
        self._apply()

    def learn(self, refusal: Refusal, verdict: Verdict, sent_at: float, cost_usd: float, now: float) -> None:
        """Lower the limit that this refusal disproves. One that names no rule disproves none."""
        if refusal is Refusal.MINUTE:
            alone = self._learn_requests(verdict.limit, sent_at)
            # A bucket would take one more before long.
            if (
                verdict.retry_after is not None
                and alone
                and verdict.retry_after > 1.5 * self.requests.period / (self._most_requests.limit)
            ):
                self._learn_edge(verdict.retry_after, now)
        elif refusal is Refusal.SPEND:
            spent = self._dollars.used(now)
            self._most_dollars.first_step = max(cost_usd, spent / 10)
            self._most_dollars.refused(spent, least=cost_usd)
        elif refusal is Refusal.CONCURRENT:
            # What is out may be refused as well; what of it is accepted will prove itself.
            self._most_running.refused(self.running - self.requests.in_flight)
            self._succeeded = 0
        self._apply()

    def _learn_requests(self, named: int | None, sent_at: float) -> bool:
        """`named` is the quota's value if the refusal told it; else what a period took before is all that is known.

        True if what we sent explains the refusal.
        """
        taken = self._accepted.used(sent_at)
        known = min(self._most_requests.proven if self._learnt else inf, inf if named is None else named)
        # Below what is known to be there: an earlier run of ours used it, which passes, or others do, which goes on.
        alone = taken + self.requests.in_flight >= known or known == inf
        if not alone:
            recent = sent_at - self._surprised_at <= SURPRISES * self.requests.period
            self._surprises = self._surprises + 1 if recent or self.shared else 1
            self._surprised_at = sent_at
        self._counted = named is None or self.shared
        if named is not None and not self.shared:
            self._most_requests.refused(named, rounds=NAMED_ROUNDS)
        elif taken:  # otherwise others have it all: that says nothing of how much there is
            rounds = SHARED_ROUNDS if self.shared and taken < FEW else COUNTED_ROUNDS
            self._most_requests.refused(taken, rounds=rounds)
        self._learnt = True
        return alone

    def spilled(self, now: float, verdict: Verdict) -> None:
        """What came of a request that went though the window was full."""
        if verdict.kind is VerdictKind.ACCEPTED:
            self._spill.accepted += 1
        elif verdict.kind is VerdictKind.REFUSED:
            self._spill.refused_at = now
            if verdict.limit is not None and verdict.limit < self.requests.limit:
                self._most_requests.refused(verdict.limit, rounds=NAMED_ROUNDS)
                self._apply()
            if verdict.retry_after is not None:
                self._learn_edge(verdict.retry_after, now)

    @property
    def begins_anew(self) -> bool:
        """True if the server has named an instant at which its window ends."""
        return self._begins_anew_at < inf

    def has_begun_anew(self) -> bool:
        """True once after that instant."""
        anew, self._anew = self._anew, False
        return anew

    def _learn_edge(self, delay: float, now: float) -> None:
        """A delay that ends before anything of ours is a period old is the time to the end of a fixed window, if the
        server is no bucket: it begins anew then, and so may we."""
        period, oldest = self.requests.period, self.requests.oldest(now)
        if now - self._began_anew_at < period * (1 - EARLY):
            self.requests.recall(self._forgotten)  # it had, they said, and yet it is full
            self._forgotten = []
            self._keeps_its_word = False
        early = oldest is not None and now + delay < oldest + period * (1 - EARLY)
        if early and self._keeps_its_word and not self.shared:
            self._begins_anew_at = now + delay

    @property
    def shared(self) -> bool:
        """True if others seem to use the same quota."""
        return self._surprises >= SURPRISES

    def period_of(self, refusal: Refusal) -> float | None:
        """Seconds after which the quota that refused is whole again; None if that is not known."""
        return {Refusal.MINUTE: self.requests.period, Refusal.SPEND: self._dollars.period}.get(refusal)

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
            return 0.0 if self._accepted.used(now) else self.requests.period
        if refusal is Refusal.SPEND:
            return 0.0 if self._dollars.used(now) else self._dollars.period
        return None


class _Round:
    """A period without refusal in which somebody waited for room: what is idle proves nothing."""

    __slots__ = ("_period", "_since", "pressed")

    def __init__(self, period: float) -> None:
        self._period = period
        self._since = -inf
        self.pressed = False

    def begin(self, now: float) -> None:
        self._since, self.pressed = now, False

    def over(self, now: float) -> bool:
        """True if one has passed; the next begins."""
        if self._since == -inf:
            self.begin(now)
        if not self.pressed or now - self._since <= self._period:
            return False
        self.begin(now)
        return True
