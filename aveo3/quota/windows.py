"""Quota windows: at most `limit` units in any period, or requests per day of Google's. Pure: instants in, instants out.

A request counts from the moment it is taken. Its room comes back one period (plus a margin) after its *answer*: the
earliest instant that is safe whether the server counts in fixed minutes, sliding minutes or a bucket, and however
the network delayed the request on its way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import inf
from zoneinfo import ZoneInfo

PACIFIC = ZoneInfo("America/Los_Angeles")
"""Google's daily quotas end at midnight here (Gemini API rate limits page, read 2026-05-28)."""


class QuotaWindow:
    """At most `limit` units (requests, or dollars) in any `period` seconds.

    Instants are seconds on one clock, the caller's; they must not run backwards. Memory: one entry per request of the
    last period.
    """

    def __init__(self, limit: float, period: float, *, margin: float = 0.0) -> None:
        self.limit = limit
        self.period = period
        self.margin = margin
        self._in_flight = 0.0
        self._answered: deque[tuple[float, float]] = deque()  # (instant its room comes back, amount), oldest first
        self._answered_sum = 0.0

    def used(self, now: float) -> float:
        """Units that count against the limit at `now`."""
        while self._answered and self._answered[0][0] <= now:
            self._answered_sum -= self._answered.popleft()[1]
        if not self._answered:
            self._answered_sum = 0.0  # sums of dollars drift; an empty window holds exactly nothing
        return self._in_flight + self._answered_sum

    def ready_at(self, now: float, amount: float = 1.0) -> float:
        """The earliest instant at which `amount` has room: `now` if at once, `inf` if that depends on answers to come.

        An amount above the whole limit goes when the window is empty: otherwise it could never go.
        """
        if self._in_flight + self._answered_sum + amount <= self.limit:
            return now  # it has room even if expired answers still count
        missing = self.used(now) + min(amount, self.limit) - self.limit
        if missing <= _ROUNDING:
            return now
        for back_at, freed in self._answered:
            missing -= freed
            if missing <= _ROUNDING:
                return back_at
        return inf

    def take(self, amount: float = 1.0) -> None:
        """Count `amount` as used from now on, until it is answered or given back."""
        self._in_flight += amount

    def answered(self, now: float, amount: float = 1.0) -> None:
        """The answer to a request of `amount` has come: its room comes back a period from `now`."""
        self._in_flight -= amount
        self.count(now, amount)

    def count(self, now: float, amount: float = 1.0) -> None:
        """Count `amount` as answered at `now`, without a `take` before."""
        self.used(now)  # drops expired answers: memory follows the last period
        self._answered.append((now + self.period + self.margin, amount))
        self._answered_sum += amount

    def give_back(self, amount: float = 1.0) -> None:
        """Release `amount`: the request provably never left and used up nothing."""
        self._in_flight -= amount

    def take_back(self) -> None:
        """Drop the latest answer: it does not count after all. Does nothing if no answer counts any more."""
        if self._answered:
            self._answered_sum -= self._answered.pop()[1]

    @property
    def in_flight(self) -> float:
        """Units that were taken and are not answered yet."""
        return self._in_flight

    def oldest(self, now: float, within: float | None = None) -> float | None:
        """The instant of the oldest answer that still counts, among those of the last `within` seconds; None if there
        is none.
        """
        self.used(now)
        since = -inf if within is None else now - within
        answered = (back_at - self.period - self.margin for back_at, _ in self._answered)
        return next((at for at in answered if at >= since), None)

    def gap(self, now: float, ahead: int) -> float:
        """Seconds by which the `ahead`-th request from now would go later if one more were taken first."""
        self.used(now)
        backs = self._answered
        skipped = max(0, len(backs) - int(self.limit))  # more than the limit: the first to come back make no room
        count = len(backs) - skipped
        if not count:
            return 0.0
        place = (ahead - 1) % count
        later = backs[skipped + place + 1][0] if place + 1 < count else backs[skipped][0] + self.period + self.margin
        return later - backs[skipped + place][0]

    def forget(self) -> list[tuple[float, float]]:
        """Drop all answers and return them: the server has begun to count anew. `put_back` undoes it."""
        forgotten = list(self._answered)
        self._answered.clear()
        self._answered_sum = 0.0
        return forgotten

    def restore(self, answers: list[tuple[float, float]]) -> None:
        """Count the answers of an earlier run: (instant, amount), oldest first, as `answers` returned them."""
        self.put_back([(at + self.period + self.margin, amount) for at, amount in answers])

    def put_back(self, forgotten: list[tuple[float, float]]) -> None:
        """Count the answers again that `forget` returned."""
        self._answered.extendleft(reversed(forgotten))
        self._answered_sum += sum(amount for _, amount in forgotten)

    def answers(self, now: float) -> list[tuple[float, float]]:
        """(instant, amount) of every answer that still counts, oldest first. Units in flight count as answered now."""
        self.used(now)
        answers = [(back_at - self.period - self.margin, amount) for back_at, amount in self._answered]
        return [*answers, (now, self._in_flight)] if self._in_flight else answers


_ROUNDING = 1e-9  # a billionth of a dollar or request is a sum's rounding, not a quota


DAY_MARGIN = timedelta(minutes=1)
"""Our day begins this much later than Google's: a request that comes a moment too early would cost a whole day."""

JUST_BEGUN = timedelta(minutes=10)
"""This early in a day, a refusal is more likely a late reset than a quota that is used up already."""

READ_AGAIN_AFTER = 1.0
"""Seconds between two reads of the calendar for a day without a limit, which is only counted."""


class DayWindow:
    """At most `limit` requests per calendar day in Los Angeles, where Google's daily quotas begin anew.

    `utc_at` turns an instant of the caller's clock into calendar time. The window reads the calendar whenever a
    decision depends on it, so a machine that slept wakes up in the right day.
    """

    def __init__(self, limit: float, utc_at: Callable[[float], datetime]) -> None:
        self.limit = limit  # inf: no known limit
        self._utc_at = utc_at
        self._in_flight = 0
        self._answered = 0
        self._resets_utc = datetime.min.replace(tzinfo=UTC)
        self._closed_today = False
        self._read_at = -inf

    def used(self, now: float) -> int:
        """Requests that count against the day of `now`."""
        self._read_at = now
        if (utc := self._utc_at(now)) >= self._resets_utc:
            begins = utc - DAY_MARGIN
            self._answered, self._closed_today, self._resets_utc = 0, False, next_pacific_midnight(begins) + DAY_MARGIN
        return self._in_flight + self._answered

    def close_today(self, now: float) -> None:
        """Close the window for today: the server says that the day's quota is used up, whatever we counted."""
        self.used(now)
        self._closed_today = True

    def ready_at(self, now: float) -> float:
        """The earliest instant at which a request has room: `now`, or the day's end."""
        if self.limit == inf and not self._closed_today:
            return now  # without the calendar, which is slow to read
        if self.used(now) < self.limit and not self._closed_today:
            return now
        if self._in_flight >= self.limit:
            return inf
        return self.ends_at(now)

    def just_begun(self, now: float) -> bool:
        """True in the first minutes of a day."""
        utc = self._utc_at(now) - DAY_MARGIN
        return next_pacific_midnight(utc - JUST_BEGUN) <= utc

    def ends_at(self, now: float) -> float:
        """The instant one minute after the next midnight in Los Angeles."""
        self.used(now)
        return now + (self._resets_utc - self._utc_at(now)).total_seconds()

    def take(self) -> None:
        """Count one request as used until it is answered or given back."""
        self._in_flight += 1

    def answered(self, now: float) -> None:
        """The answer has come: the request counts for the day of its answer."""
        self._in_flight -= 1
        if self.limit < inf or now - self._read_at >= READ_AGAIN_AFTER:
            self.used(now)
        self._answered += 1

    def give_back(self) -> None:
        """Release the request: it provably never left and used up nothing."""
        self._in_flight -= 1

    def restore(self, used: int, ends_utc: datetime, now: float) -> None:
        """Count `used` requests of an earlier run, if its day (the one that ends at `ends_utc`) is still today."""
        self.used(now)
        if ends_utc == self._resets_utc:
            self._answered += used

    def ends_utc(self, now: float) -> datetime:
        """The end of the day of `now`."""
        self.used(now)
        return self._resets_utc


def next_pacific_midnight(utc: datetime) -> datetime:
    """The next midnight in Los Angeles after `utc`, as UTC. Days there last 23 to 25 hours."""
    tomorrow = utc.astimezone(PACIFIC).date() + timedelta(days=1)
    return datetime.combine(tomorrow, datetime.min.time(), PACIFIC).astimezone(UTC)
