"""Judges whether a request fits its quotas. Pure: instants in, verdict out; no bodies, no clock, no HTTP.

Every lane (project or key, location, model) has counters of its own. A request must fit every rule of its lane, or it
takes nothing from any; only rules with `count_refused` also count the requests that they refuse. Of several rules of
one kind, the last that matches a lane holds there: a general rule comes first, its exceptions after it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from aveo3.mock.quota_counters import Counter, counter_for
from aveo3.mock.quota_rules import Moment, QuotaLane, QuotaRule


class Violation(NamedTuple):
    """A rule that has no room, and when it will; `free_at` is infinite where no clock can tell."""

    rule: QuotaRule
    free_at: float


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
        self.lanes: dict[QuotaLane, Visits] = {}
        """Every lane that was ever asked for, in order of appearance."""
        self._counters: dict[tuple[object, ...], Counter] = {}

    def judge(self, lane: QuotaLane, moment: Moment, *, usd: float, running: int) -> tuple[Violation, ...]:
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

    def rules_of(self, lane: QuotaLane) -> tuple[QuotaRule, ...]:
        """The rules that hold in `lane`: the last that matches of each kind."""
        held = {rule.kind: rule for rule in self.rules if rule.holds_in(lane)}
        return tuple(rule for rule in held.values() if rule.limit is not None)

    def usage(self, lane: QuotaLane, moment: Moment, *, running: int) -> tuple[Use, ...]:
        """What `lane` uses of each of its rules at this moment; takes nothing."""
        return tuple(
            Use(rule, running if rule.kind == "concurrent" else self._of(rule, lane).in_use(rule, moment))
            for rule in self.rules_of(lane)
        )

    def _of(self, rule: QuotaRule, lane: QuotaLane) -> Counter:
        # Neither the limit nor whom it is for is part of the key: Google raising, cutting or splitting a quota does not
        # forget what was used.
        key = (lane, rule.kind, rule.period, rule.counting, rule.phase)
        if key not in self._counters:
            self._counters[key] = counter_for(rule)
        return self._counters[key]
