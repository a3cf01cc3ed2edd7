"""The run's purse: what is spent, what is promised to clips under way, and what still fits the budget. Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import inf


class Budget:
    """At most `limit` US$ in all; None is no limit. An estimate is reserved before its submit and booked after it."""

    def __init__(self, limit: float | None) -> None:
        self.limit = inf if limit is None else limit
        self.spent = 0.0
        self.reserved = 0.0
        self.waiting: set[Callable[[], object]] = set()
        """Called once, at the next booking: batches share a purse, and one may wait for what another gives back."""

    def fits(self, cost: float) -> bool:
        """True if `cost` can be reserved now."""
        return self.spent + self.reserved + cost <= self.limit + _ROUNDING

    def can_ever_fit(self, cost: float) -> bool:
        """True if `cost` would fit, were everything reserved given back."""
        return self.spent + cost <= self.limit + _ROUNDING

    def reserve(self, cost: float) -> None:
        """Set `cost` aside for a clip about to be submitted."""
        self.reserved += cost

    def book(self, reserved: float, spent: float) -> None:
        """The clip for which `reserved` was set aside has cost `spent`."""
        self.reserved -= reserved
        self.spent += spent
        waiting, self.waiting = self.waiting, set()
        for wake in waiting:
            wake()


_ROUNDING = 1e-6  # a millionth of a dollar
