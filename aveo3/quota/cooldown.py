"""How a lane pauses after refusals and failures, when a wait is too long, and how it resumes. Pure: instants in, out.

It resumes slowly. The first submit goes alone, as a scout. After that, the number of submits that may be unanswered at
once grows by half with each round trip.
"""

from __future__ import annotations

import random
from math import inf

from aveo3.config.settings import Settings
from aveo3.verdicts import Verdict

GROWTH = 0.5
"""How much each acceptance adds to the number of submits that may be unanswered at once: half as many again with every
round trip. TCP's slow start doubles. Here each submit too many is a refusal, so doubling draws twice the refusals."""

_ROUNDING = 1e-3


class Cooldown:
    """What a lane remembers of refusals and failures, until a submit sent after them is accepted.

    All instants are seconds on the caller's clock. `rng` adds jitter to pauses for which Google names no delay.
    """

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self._before_scout = 0  # admissions up to this order came before the last refusal or failure
        self._since: float | None = None  # first refusal or failure since the last acceptance
        self._failed_at = -inf
        self.paused_until = -inf
        self.at_once = 1.0
        """Submits that may be unanswered at once."""
        self.last: Verdict | None = None
        """The last refusal or failure; None once a later submit is accepted."""

    def begin(self, verdict: Verdict, admitted: int, now: float) -> None:
        """Note a refusal or failure. `admitted` is the number of admissions so far: in flight, or answered."""
        self.last = verdict
        self.resume_slowly(admitted)
        self._failed_at = now
        if self._since is None:
            self._since = now

    def resume_slowly(self, admitted: int) -> None:
        """Let one submit go alone, until one is accepted that was admitted later than the first `admitted` ones."""
        self.at_once, self._before_scout = 1.0, admitted

    def pause(self, until: float) -> None:
        """Let no submit go before `until`."""
        self.paused_until = max(self.paused_until, until)

    def accepted(self, order: int) -> None:
        """The admission of this order was accepted. It counts if it was made after the last refusal or failure."""
        if order > self._before_scout:
            self._since = self.last = None
            self.at_once += GROWTH

    def skip(self, start: float, end: float) -> None:
        """Leave the time between two instants out of the patience: a person held the lane."""
        if self._since is not None:
            self._since += max(0.0, end - max(start, self._since))

    def growing_wait(self, in_a_row: int) -> float:
        """Seconds to pause after a refusal that names neither rule nor delay; doubles with each one in a row."""
        shortest, longest = self._settings.quota_wait_time, self._settings.quota_reset_interval
        wait = min(shortest * 2.0 ** min(max(in_a_row, 1) - 1, 20), max(shortest, longest))
        return wait * self._rng.uniform(1.0, 1.2)

    def outlasts_patience(self, now: float, until: float) -> bool:
        """True if a pause `until` then exceeds the patience, or the lane has paused longer than that already.

        A probe that is due within the patience is awaited: only its failure can show that the wait was in vain.
        """
        patience = self._settings.quota_patience
        if patience is None or until <= now or until == inf:
            return False
        pause_so_far = 0.0 if self._since is None else self._failed_at - self._since
        return until - now > patience + _ROUNDING or pause_so_far >= max(patience, _ROUNDING)
