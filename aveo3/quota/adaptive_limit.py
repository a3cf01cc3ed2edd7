"""How high a limit is that nobody can be asked for: refusals lower it, rounds without one try it higher. Pure.

A refusal leaves what it proves: what was taken just before. After a few clean rounds one step up is tried. A step that
holds is followed by one twice as large in the next round already, so that a limit that was raised is found in a few
rounds; a step that is refused costs one request (what lies beyond the proven goes one at a time) and is tried again
after twice as many rounds, so that a limit that stays where it is costs ever less.
"""

from __future__ import annotations

from math import inf

LONGEST_PATIENCE = 64
"""Rounds between two tries at most: about an hour, by the minute."""


class AdaptiveLimit:
    """A limit of `start` now and `most` ever; None for `most` if nothing is known to be too much.

    A round is what its owner says it is: a period that was used in full, or as many successes as there are slots.
    """

    __slots__ = ("_patience", "_rounds", "_rounds_first", "_step", "first_step", "limit", "most", "proven")

    def __init__(self, start: float, most: float | None, *, rounds: int, step: float = 1.0) -> None:
        self.limit = start
        self.most = inf if most is None else most
        self.proven = start
        """Up to here nothing was ever refused, as far as is known; what goes beyond it is a try."""
        self.first_step = step
        self._rounds_first = self._patience = rounds
        self._rounds = 0
        self._step = step

    @property
    def trying(self) -> bool:
        """True while the limit is higher than what is proven."""
        return self.limit > self.proven

    def round(self) -> bool:
        """A round has passed without refusal, with the limit used in full. True if the limit is higher now."""
        if self.trying:
            self.proven, self._step = self.limit, 2 * self._step
            self._patience, self._rounds = self._rounds_first, self._rounds_first  # and on without waiting
        self._rounds += 1
        if self.limit >= self.most or self._rounds < self._patience:
            return False
        self.limit, self._rounds = min(self.limit + self._step, self.most), 0
        return True

    def refused(self, proven: float, *, least: float = 1.0, rounds: int | None = None) -> None:
        """So much was taken before the refusal, and no more; `rounds` to stay there before the first try, if given."""
        if rounds is not None:
            self._rounds_first = rounds
        proven = max(proven, least)
        if self.trying and proven >= self.limit:
            proven = self.proven  # whatever was counted: one more than is proven was refused
        self._patience = min(2 * self._patience, LONGEST_PATIENCE) if self.trying else self._rounds_first
        self.limit = self.proven = min(self.limit, proven)
        self._rounds, self._step = 0, self.first_step

    def restore(self, limit: float, *, rounds: int) -> None:
        """An earlier run has learnt this: begin there, and wait for as many rounds before it is tried higher."""
        self.refused(limit, rounds=rounds)
        self.limit = self.proven = min(max(self.limit, limit), self.most)

    def proved(self, amount: float = 1.0) -> None:
        """What was out when the refusal came has been taken too: so much more is proven."""
        self.limit = self.proven = min(max(self.limit, self.proven + amount), self.most)


class Round:
    """A period without refusal in which somebody waited for room: what is idle proves nothing."""

    __slots__ = ("_period", "_since", "pressed")

    def __init__(self, period: float) -> None:
        self._period = period
        self._since = -inf
        self.pressed = False

    def begin(self, now: float) -> None:
        self._since, self.pressed = now, False

    def over(self, now: float) -> bool:
        """True if one has passed; the next begins."""
        if self._since == -inf:
            self.begin(now)
        if not self.pressed or now - self._since <= self._period:
            return False
        self.begin(now)
        return True
