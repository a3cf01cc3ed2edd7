"""A lane that stands still after refusals and failures: until when, whether that is worth waiting for, and how it sets
off again. Pure: instants in, instants out.

It sets off slowly: the first submit goes alone, as a scout; as long as answers are out, others follow one at a time at
first, and half as many again with each round trip.
"""

from __future__ import annotations

import random
from math import inf

from aveo3.config.settings import Settings
from aveo3.verdicts import Verdict

GROWTH = 0.5
"""By how much each acceptance raises the number of submits that may be unanswered at once: half as many again with
every round trip. TCP's slow start doubles; where one too many is one refused, that draws twice the refusals."""

_ROUNDING = 1e-3


class Cooldown:
    """What refusals and failures that name no limit leave behind, until a submit that came after them is accepted.

    All instants are seconds on the caller's clock. `rng` spreads the pauses that nobody named a length for.
    """

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self._before_scout = 0  # admissions up to this one were out when the lane last stood still
        self._since: float | None = None  # first refusal or failure since the last acceptance
        self._failed_at = -inf
        self.paused_until = -inf
        self.at_once = 1.0
        """Submits that may be unanswered at once."""
        self.last: Verdict | None = None
        """What the lane stands still for, if it does."""

    def begin(self, verdict: Verdict, admitted: int, now: float) -> None:
        """A refusal, or a failure, has come after so many admissions; all of them were out, or are answered."""
        self.last = verdict
        self.at_once, self._before_scout = 1, admitted
        self._failed_at = now
        if self._since is None:
            self._since = now

    def pause(self, until: float) -> None:
        """Let no submit go before `until`."""
        self.paused_until = max(self.paused_until, until)

    def accepted(self, order: int) -> None:
        """The admission of this order has been accepted; it proves something if it was made since."""
        if order > self._before_scout:
            self._since = self.last = None
            self.at_once += GROWTH

    def growing_wait(self, in_a_row: int) -> float:
        """Seconds to pause after a refusal that tells neither rule nor delay; doubles with each in a row."""
        shortest, longest = self._settings.quota_wait_time, self._settings.quota_reset_interval
        wait = min(shortest * 2.0 ** min(max(in_a_row, 1) - 1, 20), max(shortest, longest))
        return wait * self._rng.uniform(1.0, 1.2)

    def outlasts_patience(self, now: float, until: float) -> bool:
        """True if it goes on `until` then, and nobody should wait so long; or if too long has been waited already.

        A probe that is due within the patience is waited for; only its failure can show that it was in vain.
        """
        patience = self._settings.quota_patience
        if patience is None or until <= now or until == inf:
            return False
        stood_still = 0.0 if self._since is None else self._failed_at - self._since
        return until - now > patience + _ROUNDING or stood_still >= max(patience, _ROUNDING)
