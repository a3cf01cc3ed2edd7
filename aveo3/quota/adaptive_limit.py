"""Searches for an unknown limit: refusals lower it, clean rounds probe higher. Pure.

A refusal lowers the limit to what it proves: the amount taken just before. After a few clean rounds the limit rises by
one step. If the step holds, the very next round tries one twice as large, so a raised limit is found in a few rounds.
A refused step costs one request, because requests beyond the proven limit go one at a time. The next try then comes
after twice as many rounds, so a limit that does not change costs less and less.
"""

from __future__ import annotations

from math import inf

LONGEST_PATIENCE = 64
"""Most rounds between two tries: about an hour if a round is a minute."""


class AdaptiveLimit:
    """A limit that starts at `start` and never exceeds `most` (None: no maximum is known).

    The owner defines a round: a period that was used in full, or as many successes as there are slots.
    """

    __slots__ = ("_patience", "_rounds", "_rounds_first", "_step", "first_step", "limit", "most", "proven")

    def __init__(self, start: float, most: float | None, *, rounds: int, step: float = 1.0) -> None:
        self.limit = start
        self.most = inf if most is None else most
        self.proven = start
        """The highest amount that, as far as is known, is never refused; anything beyond it is a try."""
        self.first_step = step
        self._rounds_first = self._patience = rounds
        self._rounds = 0
        self._step = step

    @property
    def trying(self) -> bool:
        """True while the limit is above what is proven."""
        return self.limit > self.proven

    def round(self) -> bool:
        """Count a round that used the limit in full without a refusal. True if the limit is higher now."""
        if self.trying:
            self.proven, self._step = self.limit, 2 * self._step
            self._patience, self._rounds = self._rounds_first, self._rounds_first  # the next step follows at once
        self._rounds += 1
        if self.limit >= self.most or self._rounds < self._patience:
            return False
        self.limit, self._rounds = min(self.limit + self._step, self.most), 0
        return True

    def refused(self, proven: float, *, least: float = 1.0, rounds: int | None = None) -> None:
        """Lower the limit to `proven`: the amount before the refusal. The next try comes `rounds` later."""
        if rounds is not None:
            self._rounds_first = rounds
        proven = max(proven, least)
        if self.trying and proven >= self.limit:
            proven = self.proven  # whatever the count says: one more than the proven limit was refused
        self._patience = min(2 * self._patience, LONGEST_PATIENCE) if self.trying else self._rounds_first
        self.limit = self.proven = min(self.limit, proven)
        self._rounds, self._step = 0, self.first_step

    def restore(self, limit: float, *, rounds: int) -> None:
        """Start at the `limit` that an earlier run learnt, and wait `rounds` rounds before a higher one is tried."""
        self.refused(limit, rounds=rounds)
        self.limit = self.proven = min(max(self.limit, limit), self.most)

    def proved(self, amount: float = 1.0) -> None:
        """Raise the proven limit: requests in flight during the refusal were accepted too, `amount` in all."""
        self.limit = self.proven = min(max(self.limit, self.proven + amount), self.most)


class Round:
    """A period without a refusal in which somebody waited for room: an idle period proves nothing."""

    __slots__ = ("_period", "_since", "pressed")

    def __init__(self, period: float) -> None:
        self._period = period
        self._since = -inf
        self.pressed = False

    def begin(self, now: float) -> None:
        self._since, self.pressed = now, False

    def over(self, now: float) -> bool:
        """True if a round has passed; then the next one begins."""
        if self._since == -inf:
            self.begin(now)
        if not self.pressed or now - self._since <= self._period:
            return False
        self.begin(now)
        return True
