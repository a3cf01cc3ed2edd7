"""The budget of an output directory: US$ spent, US$ reserved for clips in flight, and what still fits. Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import inf


class Budget:
    """Spends at most `limit` US$ in total; None means no limit. A clip's estimate is reserved before its submit, and
    its cost is booked when it ends."""

    def __init__(self, limit: float | None, before: float = 0.0) -> None:
        self.limit = inf if limit is None else limit
        self.before = before
        """US$ spent by earlier runs."""
        self.spent = 0.0
        """US$ spent by this run."""
        self.reserved = 0.0
        self.in_flight = 0.0
        """US$ at stake for clips in flight, those that earlier runs sent and counted included."""
        self.in_flight_unpriced = 0
        """How many clips in flight have no known price."""
        self.waiting: set[Callable[[], object]] = set()
        """Called once, at the next booking. Batches share the budget, so one may wait for another's reservation."""

    def fits(self, cost: float) -> bool:
        """True if `cost` can be reserved now."""
        return self.before + self.spent + self.reserved + cost <= self.limit + _ROUNDING

    @property
    def summary(self) -> str:
        """The limit and the money spent, for messages."""
        earlier = f", US$ {self.before:.2f} of it by earlier runs" if self.before else ""
        return f"the budget of US$ {self.limit:g} (US$ {self.before + self.spent:.2f} spent{earlier})"

    def why_not(self, model: str) -> str:
        """Why no clip of `model`, whose price is unknown, may be made, and what to do."""
        return f"{self.summary} cannot hold {unpriced(model)}"

    def can_ever_fit(self, cost: float) -> bool:
        """True if `cost` would fit once all reservations were released."""
        return self.before + self.spent + cost <= self.limit + _ROUNDING

    def reserve(self, cost: float) -> None:
        """Set `cost` aside for a clip about to be submitted."""
        self.reserved += cost

    def launch(self, stake: float | None) -> None:
        """Note that a clip is in flight, with `stake` US$ at stake; None for an unknown price."""
        self.in_flight += stake or 0.0
        self.in_flight_unpriced += stake is None

    def land(self, stake: float | None) -> None:
        """Note that a clip is no longer in flight."""
        self.in_flight -= stake or 0.0
        self.in_flight_unpriced -= stake is None

    def correct(self, noted: float, spent: float) -> None:
        """Correct the cost of an earlier run's clip from `noted` US$ to `spent` US$."""
        self.before = max(0.0, self.before + spent - noted)
        self._wake()

    def book(self, reserved: float, spent: float) -> None:
        """Replace a clip's reservation of `reserved` US$ by its cost, `spent` US$."""
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
