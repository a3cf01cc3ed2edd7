"""The budget of an output directory: what is spent, what is reserved for clips under way, what still fits. Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import inf


class Budget:
    """At most `limit` US$ in all; None is no limit. A clip's estimate is reserved before its submit, and its cost
    booked when it ends."""

    def __init__(self, limit: float | None, before: float = 0.0) -> None:
        self.limit = inf if limit is None else limit
        self.before = before
        """US$ that earlier runs have spent of it."""
        self.spent = 0.0
        """US$ that this run has spent."""
        self.reserved = 0.0
        self.waiting: set[Callable[[], object]] = set()
        """Called once, at the next booking: batches share the budget, and one may wait for what another gives back."""

    def fits(self, cost: float) -> bool:
        """True if `cost` can be reserved now."""
        return self.before + self.spent + self.reserved + cost <= self.limit + _ROUNDING

    @property
    def summary(self) -> str:
        """The limit and what is spent of it, in words."""
        earlier = f", US$ {self.before:.2f} of it by earlier runs" if self.before else ""
        return f"the budget of US$ {self.limit:g} (US$ {self.before + self.spent:.2f} spent{earlier})"

    def why_not(self, model: str) -> str:
        """Why no clip of `model`, whose price is unknown, may be made, and what to do."""
        return f"{self.summary} cannot hold {unpriced(model)}"

    def can_ever_fit(self, cost: float) -> bool:
        """True if `cost` would fit if everything reserved were given back."""
        return self.before + self.spent + cost <= self.limit + _ROUNDING

    def reserve(self, cost: float) -> None:
        """Set `cost` aside for a clip about to be submitted."""
        self.reserved += cost

    def correct(self, noted: float, spent: float) -> None:
        """A clip that earlier runs have counted with `noted` US$ has cost `spent`."""
        self.before = max(0.0, self.before + spent - noted)
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


def unpriced(model: str) -> str:
    """The rest of a sentence on a model without a price, and what to do."""
    return (
        f"{model}, whose price is unknown: name another model (`aveo3 models` lists them), add its price with "
        "VEO3_CATALOG, or leave the budget out"
    )


_ROUNDING = 1e-6  # a millionth of a dollar
