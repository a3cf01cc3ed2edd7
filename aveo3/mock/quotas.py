"""Whether a request fits its quotas: instants in, verdict out. Writes no bodies, reads no clock, knows no HTTP.

Every lane (project or key, location, model) has counters of its own. A request must fit every rule of its lane or it
takes nothing from any; only rules with `count_refused` also count what they turn away. Of several rules of one kind the
last that matches a lane is the one that holds there, so a general rule comes first and its exceptions after it.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

Counting = Literal["fixed", "sliding", "bucket"]
Kind = Literal["minute", "day", "spend", "concurrent"]

_PACIFIC = ZoneInfo("America/Los_Angeles")
_DUST = 1e-9  # three times 3.20 US$ is 9.600000000000001 in binary; nobody is refused for the last digit


class QuotaRule(BaseModel):
    """One limit. `limit=0` means the lane has no access at all; None, or no rule, that there is no limit.

    `project`, `key` and `model` say whom it is for; * stands for anything, None for everybody. Each lane that they
    match has the limit to itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Kind = Field(
        description="minute: requests per `period`; day: requests per Pacific calendar day; "
        "spend: US$ per rolling `period`; concurrent: operations running at once"
    )
    limit: float | None = Field(ge=0, description="requests, US$ or operations, by kind; None lifts a general rule")
    period: float = Field(default=60.0, gt=0, description="emulator seconds; not used by day and concurrent")
    counting: Counting = Field(
        "sliding", description="how a minute rule counts; nobody outside Google knows which is true"
    )
    count_refused: bool = Field(
        default=False, description="refused requests use up the quota too, as some servers have it"
    )
    phase: float = Field(default=0.0, description="emulator seconds by which the edges of fixed windows are shifted")
    project: str | None = Field(default=None, description="only for projects of this name, * for anything")
    key: str | None = Field(
        default=None, repr=False, description="only for callers with this key or token, * for anything"
    )
    model: str | None = Field(default=None, description="only for models of this id, * for anything")

    @property
    def label(self) -> str:
        """The name under which the books count its refusals."""
        return "zero" if self.limit == 0 else self.kind

    @property
    def most(self) -> float:
        """The limit as a number: infinite where there is none."""
        return math.inf if self.limit is None else self.limit

    def holds_in(self, lane: "Lane") -> bool:
        if self.project is not None and (lane.secret or not fnmatchcase(lane.owner, self.project)):
            return False
        if self.key is not None and not (lane.secret and fnmatchcase(lane.owner, self.key)):
            return False
        return self.model is None or fnmatchcase(lane.model, self.model)


class Lane(NamedTuple):
    """Where a quota applies. `owner` is the project on Vertex, elsewhere the caller's key or token (`secret`)."""

    owner: str
    location: str
    model: str
    secret: bool = False


class Moment(NamedTuple):
    """One instant on both calendars: the emulator's own seconds, and the wall's date."""

    at: float
    utc: datetime


class Violation(NamedTuple):
    """A rule that has no room, and when it will; `free_at` is infinite where no clock can tell."""

    rule: QuotaRule
    free_at: float


class Counter(Protocol):
    def free_at(self, rule: QuotaRule, moment: Moment, amount: float) -> float:
        """The earliest instant at which `amount` fits; `moment.at` if it fits now."""

    def take(self, rule: QuotaRule, moment: Moment, amount: float) -> None: ...

    def in_use(self, rule: QuotaRule, moment: Moment) -> float:
        """How much of the limit is taken at `moment`."""


@dataclass(slots=True)
class FixedWindow:
    """Counts within windows whose edges lie at `phase + k × period`, and forgets at each edge.

    Two full windows may meet at an edge, so almost twice the limit can pass in less than one period.
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
    """At most `limit` in any `period`: what was taken at t is free again at exactly t + period."""

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
    """Holds `limit` and refills evenly, `limit / period` each second: limit × (1 + w / period) in any w seconds."""

    level: float = 0.0
    looked_at: float = 0.0

    def _leak(self, rule: QuotaRule, moment: Moment) -> None:
        leaked = (moment.at - self.looked_at) * rule.most / rule.period
        self.level, self.looked_at = max(0.0, self.level - leaked), moment.at

    def free_at(self, rule: QuotaRule, moment: Moment, amount: float) -> float:
        self._leak(rule, moment)
        excess = self.level + amount - rule.most
        if amount > rule.most + _DUST:
            return math.inf
        return moment.at if excess <= _DUST else moment.at + excess * rule.period / rule.most

    def take(self, rule: QuotaRule, moment: Moment, amount: float) -> None:
        self._leak(rule, moment)
        # A bucket cannot be emptier than empty: refused requests that count keep it so, but build up no debt.
        self.level = min(rule.most, self.level + amount)

    def in_use(self, rule: QuotaRule, moment: Moment) -> float:
        self._leak(rule, moment)
        return self.level


@dataclass(slots=True)
class PacificDay:
    """Counts within calendar days of Los Angeles, which last 23, 24 or 25 hours."""

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
    """From `utc` to the next midnight in Los Angeles. Subtracted in UTC, for local clocks skip and repeat hours."""
    tomorrow = utc.astimezone(_PACIFIC).date() + timedelta(days=1)
    return (datetime.combine(tomorrow, time(), _PACIFIC).astimezone(UTC) - utc).total_seconds()


def _counter(rule: QuotaRule) -> Counter:
    if rule.kind == "day":
        return PacificDay()
    if rule.kind == "spend" or rule.counting == "sliding":
        return SlidingLog()
    return FixedWindow() if rule.counting == "fixed" else LeakyBucket()


class Use(NamedTuple):
    """One rule in one lane: what is taken of it now."""

    rule: QuotaRule
    used: float


@dataclass(slots=True)
class Visits:
    """How often a lane was asked for, and what it said."""

    accepted: int = 0
    refused: int = 0


class Quotas:
    """The rules of every lane and what has been used of them. Rules may change at any time; usage stays."""

    def __init__(self, rules: Iterable[QuotaRule]) -> None:
        self.rules = tuple(rules)
        self.lanes: dict[Lane, Visits] = {}
        """Every lane that was ever asked for, in order of appearance."""
        self._counters: dict[tuple[object, ...], Counter] = {}

    def judge(self, lane: Lane, moment: Moment, *, usd: float, running: int) -> tuple[Violation, ...]:
        """Empty: the request fits and has been counted. Otherwise every rule that refused it."""
        mine = self.rules_of(lane)
        violations = []
        for rule in mine:
            if rule.kind == "concurrent":
                free_at = moment.at if running < rule.most else math.inf
            else:
                free_at = self._of(rule, lane).free_at(rule, moment, usd if rule.kind == "spend" else 1)
            if free_at > moment.at or rule.limit == 0:
                violations.append(Violation(rule, free_at))
        for rule in mine:
            counted = rule.count_refused and rule.kind != "spend" if violations else True
            if counted and rule.kind != "concurrent":
                self._of(rule, lane).take(rule, moment, usd if rule.kind == "spend" else 1)
        visits = self.lanes.setdefault(lane, Visits())
        visits.refused += bool(violations)
        visits.accepted += not violations
        return tuple(violations)

    def rules_of(self, lane: Lane) -> tuple[QuotaRule, ...]:
        """The rules that hold in `lane`: the last that matches of each kind."""
        held = {rule.kind: rule for rule in self.rules if rule.holds_in(lane)}
        return tuple(rule for rule in held.values() if rule.limit is not None)

    def usage(self, lane: Lane, moment: Moment, *, running: int) -> tuple[Use, ...]:
        """What `lane` uses of each of its rules at this moment; takes nothing."""
        return tuple(
            Use(rule, running if rule.kind == "concurrent" else self._of(rule, lane).in_use(rule, moment))
            for rule in self.rules_of(lane)
        )

    def _of(self, rule: QuotaRule, lane: Lane) -> Counter:
        # Neither the limit nor whom it is for is part of the key: Google raising, cutting or splitting a quota does not
        # forget what was used.
        key = (lane, rule.kind, rule.period, rule.counting, rule.phase)
        if key not in self._counters:
            self._counters[key] = _counter(rule)
        return self._counters[key]
