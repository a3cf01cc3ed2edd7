"""When to look next at a running operation. Pure: elapsed seconds in, seconds to wait out.

Looking at density n(t) costs n·S(t) polls and leaves a mean lag of f(t)/2n(t), where S is the share of operations
still running at t and f = h·S the density of ends. With one poll worth c seconds of lag, the sum is least for

    Δ(t) = 1/n(t) = √(2c / h(t)),        h = f/S the hazard

so a look is due soonest where operations are likeliest to end, and a fixed interval is right only for a constant
hazard. The first look comes when the fastest twentieth would be done.
"""

from __future__ import annotations

from math import erfc, exp, log, pi, sqrt

POLL_WORTH = 1.0
"""Seconds of lag that one poll may save: c in the formula."""

SHORTEST, LONGEST = 0.02, 30.0
"""Bounds of an interval, as a share of the expected median (shortest) and in seconds (longest)."""

_Z05 = -1.6448536269514722  # the normal distribution's 5th percentile
_PRIOR_SIGMA = 1.2


class Latency:
    """What is known of how long one kind of operation takes: log-normal, learnt from those that ended.

    The prior is `median` seconds with a spread so wide (a factor of three either way) that a few ends outweigh it.
    """

    def __init__(self, median: float) -> None:
        self._prior_mu = log(median)
        self._n = 0
        self._sum = self._squares = 0.0

    def learn(self, seconds: float) -> None:
        """An operation ended `seconds` after its submit."""
        x = log(max(seconds, 1e-3))
        self._n += 1
        self._sum += x
        self._squares += x * x

    @property
    def mu(self) -> float:
        """Mean of the logarithm of the latency: the prior's, replaced by what was seen as the sample grows."""
        # The prior's share fades with the square of the sample: three ends that agree are worth believing.
        return (self._prior_mu + self._n * self._sum) / (1 + self._n**2)

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm: the prior's, replaced by what was seen as the sample grows."""
        if self._n < 2:
            return _PRIOR_SIGMA
        seen = max(self._squares / self._n - (self._sum / self._n) ** 2, 0.01)
        return sqrt((_PRIOR_SIGMA**2 + self._n**2 * seen) / (1 + self._n**2))

    def hazard(self, t: float) -> float:
        """Ends per second among operations that have run for `t` seconds."""
        z = (log(t) - self.mu) / self.sigma
        survival = erfc(z / sqrt(2)) / 2
        density = exp(-z * z / 2) / (t * self.sigma * sqrt(2 * pi))
        return density / max(survival, 1e-12)

    def next_look(self, elapsed: float) -> float:
        """Seconds from now to the next look at an operation that has run for `elapsed` seconds."""
        median = exp(self.mu)
        first = exp(self.mu + _Z05 * self.sigma)
        if elapsed < first:
            return max(first - elapsed, 1e-6)  # what rounding leaves of it would have us look for ever at one instant
        shortest = min(SHORTEST * median, 1.0)
        interval = self._interval(elapsed, shortest)
        # The hazard in the middle of the interval stands for the whole of it.
        return self._interval(elapsed + interval / 2, shortest)

    def _interval(self, t: float, shortest: float) -> float:
        worth = POLL_WORTH * exp(self.mu) / 70  # a poll is worth a share of the latency, one second in Veo's seventy
        return min(max(sqrt(2 * worth / max(self.hazard(t), 1e-9)), shortest), LONGEST)
