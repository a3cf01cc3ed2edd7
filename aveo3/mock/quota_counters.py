"""Counters of used quota, one class for each way of counting. Pure: they get instants and read no clock."""

import math
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from aveo3.mock.quota_rules import Moment, QuotaRule

_PACIFIC = ZoneInfo("America/Los_Angeles")
_DUST = 1e-9  # three times 3.20 US$ is 9.600000000000001 in binary; rounding must not refuse a request


class Counter(Protocol):
    def free_at(self, rule: QuotaRule, moment: Moment, amount: float) -> float:
        """Return the earliest instant at which `amount` fits; `moment.at` if it fits now."""

    def take(self, rule: QuotaRule, moment: Moment, amount: float) -> None: ...

    def in_use(self, rule: QuotaRule, moment: Moment) -> float:
        """Return how much of the limit is used at `moment`."""


@dataclass(slots=True)
class FixedWindow:
    """Counts in windows with edges at `phase + k × period`, and starts again at each edge.

    Two full windows can meet at an edge. So almost twice the limit can pass in less than one period.
    """

    window: int = 0
    used: float = 0.0

    def _enter(self, rule: QuotaRule, moment: Moment) -> None:
        window = math.floor((moment.at - rule.phase) / rule.period + _DUST)
        if window != self.window:
            self.window, self.used = window, 0.0

    def free_at(self, rule: QuotaRule, moment: Moment, amount: float) -> float:
        self._enter(rule, moment)
        if self.used + amount <= rule.most + _DUST:
            return moment.at
        return rule.phase + (self.window + 1) * rule.period if amount <= rule.most + _DUST else math.inf

    def take(self, rule: QuotaRule, moment: Moment, amount: float) -> None:
        self._enter(rule, moment)
        self.used += amount

    def in_use(self, rule: QuotaRule, moment: Moment) -> float:
        self._enter(rule, moment)
        return self.used


@dataclass(slots=True)
class SlidingLog:
    """At most `limit` in any `period`: a slot used at t is free again at exactly t + period."""

    taken: deque[tuple[float, float]] = field(default_factory=deque)
    used: float = 0.0

    def free_at(self, rule: QuotaRule, moment: Moment, amount: float) -> float:
        self._forget(rule, moment)
        if amount > rule.most + _DUST:
            return math.inf
        used = self.used
        if used + amount <= rule.most + _DUST:
            return moment.at
        for instant, spent in self.taken:
            used -= spent
            if used + amount <= rule.most + _DUST:
                return instant + rule.period
        return moment.at

    def take(self, rule: QuotaRule, moment: Moment, amount: float) -> None:
        self._forget(rule, moment)
        self.taken.append((moment.at, amount))
        self.used += amount

    def in_use(self, rule: QuotaRule, moment: Moment) -> float:
        self._forget(rule, moment)
        return self.used

    def _forget(self, rule: QuotaRule, moment: Moment) -> None:
        while self.taken and self.taken[0][0] + rule.period <= moment.at:
            self.used -= self.taken.popleft()[1]
        if not self.taken:
            self.used = 0.0


@dataclass(slots=True)
class LeakyBucket:
    """Holds `limit` and refills `limit / period` per second: at most limit × (1 + w / period) in any w seconds."""

    level: float = 0.0
    updated_at: float = 0.0

    def _leak(self, rule: QuotaRule, moment: Moment) -> None:
        leaked = (moment.at - self.updated_at) * rule.most / rule.period
        self.level, self.updated_at = max(0.0, self.level - leaked), moment.at

    def free_at(self, rule: QuotaRule, moment: Moment, amount: float) -> float:
        self._leak(rule, moment)
        excess = self.level + amount - rule.most
        if amount > rule.most + _DUST:
            return math.inf
        return moment.at if excess <= _DUST else moment.at + excess * rule.period / rule.most

    def take(self, rule: QuotaRule, moment: Moment, amount: float) -> None:
        self._leak(rule, moment)
        # The level never exceeds the limit: refused requests that count keep the bucket empty, but build up no debt.
        self.level = min(rule.most, self.level + amount)

    def in_use(self, rule: QuotaRule, moment: Moment) -> float:
        self._leak(rule, moment)
        return self.level


@dataclass(slots=True)
class PacificDay:
    """Counts in calendar days of Los Angeles, which last 23, 24 or 25 hours."""

    day: date | None = None
    used: float = 0.0

    def _enter(self, moment: Moment) -> None:
        today = moment.utc.astimezone(_PACIFIC).date()
        if today != self.day:
            self.day, self.used = today, 0.0

    def free_at(self, rule: QuotaRule, moment: Moment, amount: float) -> float:
        self._enter(moment)
        if self.used + amount <= rule.most + _DUST:
            return moment.at
        return moment.at + seconds_to_midnight(moment.utc) if amount <= rule.most + _DUST else math.inf

    def take(self, rule: QuotaRule, moment: Moment, amount: float) -> None:
        self._enter(moment)
        self.used += amount

    def in_use(self, rule: QuotaRule, moment: Moment) -> float:
        self._enter(moment)
        return self.used


def seconds_to_midnight(utc: datetime) -> float:
    """Return the seconds to midnight in Los Angeles. Subtracts in UTC, because local clocks skip and repeat hours."""
    tomorrow = utc.astimezone(_PACIFIC).date() + timedelta(days=1)
    return (datetime.combine(tomorrow, time(), _PACIFIC).astimezone(UTC) - utc).total_seconds()


def counter_for(rule: QuotaRule) -> Counter:
    if rule.kind == "day":
        return PacificDay()
    if rule.kind == "spend" or rule.counting == "sliding":
        return SlidingLog()
    return FixedWindow() if rule.counting == "fixed" else LeakyBucket()
