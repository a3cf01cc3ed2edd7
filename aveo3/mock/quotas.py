"""Judges whether a request fits its quotas. Pure: instants in, verdict out; no bodies, no clock, no HTTP.

Every lane (project or key, location, model) has its own counters. A request must fit every rule of its lane; otherwise
it uses nothing of any rule, except of rules with `count_refused`. If several rules of one kind match a lane, the last
one applies: a general rule comes first, its exceptions after it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from aveo3.mock.quota_counters import Counter, counter_for
from aveo3.mock.quota_rules import Moment, QuotaLane, QuotaRule


class Violation(NamedTuple):
    """A rule without room, and the instant at which it has room; `free_at` is infinite if that is unknown."""

    rule: QuotaRule
    free_at: float


class Use(NamedTuple):
    """The used quota of one rule in one lane."""

    rule: QuotaRule
    used: float


@dataclass(slots=True)
class Visits:
    """The counts of accepted and refused requests of one lane."""

    accepted: int = 0
    refused: int = 0


class Quotas:
    """The rules and the used quota of every lane. Rules may change at any time; used quota stays used."""

    def __init__(self, rules: Iterable[QuotaRule]) -> None:
        self.rules = tuple(rules)
        self.lanes: dict[QuotaLane, Visits] = {}
        """Every lane with a request, in the order of their first requests."""
        self._counters: dict[tuple[object, ...], Counter] = {}

    def judge(self, lane: QuotaLane, moment: Moment, *, usd: float, running: int) -> tuple[Violation, ...]:
        """Count the request and return () if it fits. Otherwise return every rule that refused it."""
        rules = self.rules_of(lane)
        violations = []
        for rule in rules:
            if rule.kind == "concurrent":
                free_at = moment.at if running < rule.most else math.inf
            else:
                free_at = self._of(rule, lane).free_at(rule, moment, usd if rule.kind == "spend" else 1)
            if free_at > moment.at or rule.limit == 0:
                violations.append(Violation(rule, free_at))
        for rule in rules:
            counted = rule.count_refused and rule.kind != "spend" if violations else True
            if counted and rule.kind != "concurrent":
                self._of(rule, lane).take(rule, moment, usd if rule.kind == "spend" else 1)
        visits = self.lanes.setdefault(lane, Visits())
        visits.refused += bool(violations)
        visits.accepted += not violations
        return tuple(violations)

    def rules_of(self, lane: QuotaLane) -> tuple[QuotaRule, ...]:
        """Return the rules that apply to `lane`: the last matching one of each kind."""
        by_kind = {rule.kind: rule for rule in self.rules if rule.holds_in(lane)}
        return tuple(rule for rule in by_kind.values() if rule.limit is not None)

    def usage(self, lane: QuotaLane, moment: Moment, *, running: int) -> tuple[Use, ...]:
        """Return the used quota of each rule of `lane`. Uses nothing itself."""
        return tuple(
            Use(rule, running if rule.kind == "concurrent" else self._of(rule, lane).in_use(rule, moment))
            for rule in self.rules_of(lane)
        )

    def _of(self, rule: QuotaRule, lane: QuotaLane) -> Counter:
        # The key contains neither the limit nor project, key and model of the rule: if Google raises, cuts or splits a
        # quota, the used quota stays used.
        key = (lane, rule.kind, rule.period, rule.counting, rule.phase)
        if key not in self._counters:
            self._counters[key] = counter_for(rule)
        return self._counters[key]
