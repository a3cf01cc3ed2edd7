"""The purse of a directory: what is spent, what is promised to clips under way, and what still fits. Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import inf


class Budget:
    """At most `limit` US$ in all; None is no limit. An estimate is reserved before its submit and booked after it."""

    def __init__(self, limit: float | None, before: float = 0.0) -> None:
        self.limit = inf if limit is None else limit
        self.before = before
        """What earlier runs have spent of it, in US$."""
        self.spent = 0.0
        """What this one has."""
        self.reserved = 0.0
        self.waiting: set[Callable[[], object]] = set()
        """Called once, at the next booking: batches share a purse, and one may wait for what another gives back."""

    def fits(self, cost: float) -> bool:
        """True if `cost` can be reserved now."""
        return self.before + self.spent + self.reserved + cost <= self.limit + _ROUNDING

    @property
    def told(self) -> str:
        """The limit and what is left of it, in words."""
        earlier = f", US$ {self.before:.2f} of it by earlier runs" if self.before else ""
        return f"the budget of US$ {self.limit:g} (US$ {self.before + self.spent:.2f} spent{earlier})"

    def can_ever_fit(self, cost: float) -> bool:
        """True if `cost` would fit, were everything reserved given back."""
        return self.before + self.spent + cost <= self.limit + _ROUNDING

    def reserve(self, cost: float) -> None:
        """Set `cost` aside for a clip about to be submitted."""
        self.reserved += cost

    def correct(self, told: float, spent: float) -> None:
        """A clip that an earlier run had put down with `told` turns out to have cost `spent`."""
        self.before = max(0.0, self.before + spent - told)
        self._wake()

    def book(self, reserved: float, spent: float) -> None:
        """The clip for which `reserved` was set aside has cost `spent`."""
        self.reserved -= reserved
        self.spent += spent
        self._wake()

    def _wake(self) -> None:
        waiting, self.waiting = self.waiting, set()
        for wake in waiting:
            wake()


_ROUNDING = 1e-6  # a millionth of a dollar
