"""What one lane may use at a time, and what refusals teach about it: requests per period and per day, dollars per
period, operations at once. Knows no queue and waits for nothing; `gate` does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from math import inf

from aveo3.settings import Rate, Settings
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from aveo3.windows import DayWindow, QuotaWindow

log = logging.getLogger(__name__)

MARGIN = 0.01
"""Fraction of a period by which a window's room comes back late: two clocks never run quite alike."""

CLEAN_PERIODS = 5
"""Periods without a refusal after which a limit that was counted from what had been accepted is tried one higher."""

CLEAN_PERIODS_NAMED = 60
"""The same for a limit that the refusal named, which is right until Google moves it: an hour, by the minute."""


class Limits:
    """The limits of one lane. They start as the settings have them; refusals lower them, success raises them again.

    All instants are seconds on the caller's clock; `utc_at` turns one into calendar time.
    """

    def __init__(self, rate: Rate, settings: Settings, utc_at: Callable[[float], datetime]) -> None:
        self._rate = rate
        self.requests = QuotaWindow(rate.limit, rate.period, margin=rate.period * MARGIN)
        self.day = DayWindow(settings.daily_limit or inf, utc_at)
        self.running = 0
        self.running_limit: float = settings.max_concurrency or inf
        self._most_running = self.running_limit
        self._dollars = QuotaWindow(
            settings.spend_limit or inf, settings.spend_period, margin=settings.spend_period * MARGIN
        )
        self._most_dollars = self._dollars.limit
        self._accepted = QuotaWindow(inf, rate.period)  # what was accepted lately: the proof of what a period takes
        self._counted = False  # the limit was not named but counted, from what was accepted before
        self._clean_since = -inf

    def ready_at(self, now: float, cost_usd: float) -> float:
        """When one more request has room; `inf` if that hangs on an answer or on an operation's end."""
        if self.running + 1 > self.running_limit:
            return inf
        return max(self.requests.ready_at(now), self._dollars.ready_at(now, cost_usd), self.day.ready_at(now))

    def take(self, cost_usd: float) -> None:
        """A request goes out."""
        self.requests.take()
        self.day.take()
        self._dollars.take(cost_usd)
        self.running += 1

    def give_back(self, cost_usd: float) -> None:
        """A request provably never left. Its running slot is freed by `ended`."""
        self.requests.give_back()
        self.day.give_back()
        self._dollars.give_back(cost_usd)

    def answered(self, now: float, cost_usd: float, kind: VerdictKind) -> None:
        """A request was answered, or will not be. Refused ones used up their place too: some servers count them."""
        self.requests.answered(now)
        self.day.answered(now)
        if kind in (VerdictKind.ACCEPTED, VerdictKind.UNCERTAIN):
            self._dollars.answered(now, cost_usd)
        else:
            self._dollars.give_back(cost_usd)
        if kind is VerdictKind.ACCEPTED:
            self._accepted.take()
            self._accepted.answered(now)
            self._try_one_more(now)

    def was_not_accepted(self) -> None:
        """A request that was answered as accepted turns out to be refused: it proves nothing of what a period takes."""
        self._accepted.take_back()

    def ended(self, *, succeeded: bool) -> None:
        """An operation holds its running slot no more. Success tries the slots one higher once each has succeeded."""
        self.running -= 1
        if succeeded and self.running_limit < self._most_running:
            self.running_limit = min(self.running_limit + 1 / self.running_limit, self._most_running)

    def _try_one_more(self, now: float) -> None:
        periods = CLEAN_PERIODS if self._counted else CLEAN_PERIODS_NAMED
        if self.requests.limit < self._rate.limit and now - self._clean_since > periods * self._rate.period:
            self.requests.limit += 1
            self._clean_since = now
            log.debug("no refusal for %d periods: trying %g a period", periods, self.requests.limit)
        if self._dollars.limit < self._most_dollars and now - self._clean_since > self._dollars.period:
            self._dollars.limit = min(self._dollars.limit * 1.5, self._most_dollars)
            self._clean_since = now
            log.debug("no refusal for %g s: trying US$ %g", self._dollars.period, self._dollars.limit)

    def refused(self, refusal: Refusal, now: float) -> None:
        """Take note of any refusal."""
        self._clean_since = now
        if refusal is Refusal.DAY and not self.day.just_begun(now):
            self.day.close_today(now)

    def proved_one_more(self) -> None:
        """A request that was still out when the limit was counted has been accepted too."""
        if self._counted and self.requests.limit < self._rate.limit:
            self.requests.limit += 1

    def learn(self, refusal: Refusal, verdict: Verdict, sent_at: float, cost_usd: float, now: float) -> None:
        """Lower the limit that this refusal disproves. One that names no rule disproves none."""
        if refusal is Refusal.MINUTE:
            self._counted = verdict.limit is None
            proven = float(verdict.limit or max(1.0, self._accepted.used(sent_at)))
            self.requests.limit = min(self.requests.limit, proven)
        elif refusal is Refusal.SPEND:
            self._dollars.limit = min(self._dollars.limit, max(self._dollars.used(now), cost_usd))
        elif refusal is Refusal.CONCURRENT:
            self.running_limit = min(self.running_limit, max(1, self.running))

    def period_of(self, refusal: Refusal) -> float | None:
        """Seconds after which the quota that refused is whole again; None if that is not known."""
        return {Refusal.MINUTE: self._rate.period, Refusal.SPEND: self._dollars.period}.get(refusal)

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
            return 0.0 if self._accepted.used(now) else self._rate.period
        if refusal is Refusal.SPEND:
            return 0.0 if self._dollars.used(now) else self._dollars.period
        return None
