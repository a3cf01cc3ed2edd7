"""A model of how long one kind of operation takes. Pure: ages in seconds in, hazards out.

It starts from the catalog's median and learns from every end. A running operation counts too: it takes longer than its
age so far. Without that, a batch submitted at once would seem as quick as its quickest operation.

Two estimates are blended. A log-normal law is fitted to the ends, to the ages that operations have outlived (by
expectation and maximisation), and to the prior. It serves while there are few ends. Then each end weighs against
`TRUST` ends' worth of that law, which is Kaplan and Meier's estimator with a Dirichlet prior (Susarla and Van Ryzin,
JASA 71, 1976, 897-902), as a hazard:

    h(t) = (TRUST·f₀(t) + d(t)) / (TRUST·S₀(t) + n(t))

with d(t) the density of the observed ends, n(t) the number observed running at t, and f₀, S₀ density and survival of
the fitted law. After a hundred ends the shape is the observed one, whatever it is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate, pairwise
from math import erfc, exp, floor, log, log1p, pi, sqrt
from typing import Any

PRIOR_SIGMA = 0.45
"""Standard deviation of the logarithm before any end is observed: Veo's was 0.35 to 0.5."""

PRIOR_ENDS = 0.15, 2.0
"""Number of ends that the prior's median and its spread are worth: so few that a median wrong by a factor of three is
soon forgotten."""

TRUST = 20.0
"""Weight of the smooth law against the observed ends, in ends."""

LIFETIME, RECALLED = 256.0, 30.0
"""Number of ends after which all so far count half; and the most that an earlier run's ends count: the service
changes."""

_STEP = log(2) / 8  # bins of ages are nine hundredths wide
_START, _BINS = log(0.01), 8 * 24  # up to two days
_CENTRES = [_START + (n + 0.5) * _STEP for n in range(_BINS)]
_SHORTEST_SIGMA = 0.03


class LatencyModel:
    """How long operations of one kind take, from a prior median in seconds and the ends observed since.

    New evidence counts from the next `reckon` on.
    """

    def __init__(self, median: float) -> None:
        self._prior_mu = log(median)
        self._ends: dict[int, float] = {}
        self._outlived: dict[int, float] = {}
        self.ends = 0.0
        """Ends observed, as they count now: older ones count less."""
        self.era = 0
        """Number of times that all evidence was halved."""
        self.reckon()

    def weight(self, era: int) -> float:
        """The present weight of an operation that was submitted in `era`.

        Its end weighs as much as its running did. If only ends faded, then of ten thousand operations submitted at once
        the unfinished would soon outweigh them, and all would seem slower than they are.
        """
        return 0.5 ** (self.era - era)

    def learn(self, after: float, by: float, weight: float = 1.0) -> None:
        """Learn from an operation that ended at an age between `after` and `by` seconds, the ages of its last polls."""
        first, last = _bin(max(after, 0.0)), _bin(max(by, 0.0))
        # The model so far says where between them it ended: with polls far apart the middle would mislead.
        shares = [here - there for here, there in pairwise(self._survivals[first : last + 2])]
        total = sum(shares)
        for n, share in enumerate(shares, first):
            part = share / total if total > 1e-9 else 1 / len(shares)
            self._ends[n] = self._ends.get(n, 0.0) + weight * part
        self.ends += weight
        if self.ends > LIFETIME:
            self._fade(0.5)
            self.era += 1

    def outlived(self, age: float, weight: float = 1.0) -> None:
        """Learn from an operation that was abandoned at `age` seconds while it was running, or failed then."""
        self._outlived[_bin(age)] = self._outlived.get(_bin(age), 0.0) + weight

    def reckon(self, running: Iterable[tuple[float, float]] = ()) -> None:
        """Fit the model to all evidence. `running` holds an (age, weight) for each operation that has not ended: its
        age in seconds when it was last polled."""
        beyond = dict(self._outlived)
        for age, weight in running:
            if age > 0:
                n = _bin(age)
                beyond[n] = beyond.get(n, 0.0) + weight
        self.mu, self.sigma = self._fit(beyond)
        ends, left = self._ends, sum(self._ends.values()) + sum(beyond.values())
        self._rates, mu, sigma = [], self.mu, self.sigma
        for n, x in enumerate(_CENTRES):
            here = ends.get(n, 0.0)
            nearby = here / 2 + (ends.get(n - 1, 0.0) + ends.get(n + 1, 0.0)) / 4
            z = (x - mu) / sigma
            density, survival = exp(-z * z / 2) / (sigma * sqrt(2 * pi)), erfc(z / sqrt(2)) / 2
            at_risk = max(left - (here + beyond.get(n, 0.0)) / 2, nearby / 2)
            self._rates.append((TRUST * density + nearby / _STEP) / max(TRUST * survival + at_risk, 1e-12))
            left -= here + beyond.get(n, 0.0)
        self._hazards = [0.0, *accumulate(rate * _STEP for rate in self._rates)]
        self._survivals = [exp(-hazard) for hazard in self._hazards]
        self.median = self.quantile(0.5)

    def hazard(self, t: float) -> float:
        """Ends per second among operations that have run for `t` seconds."""
        place = min(max((log(t) - _CENTRES[0]) / _STEP, 0.0), _BINS - 1.001)
        n = int(place)
        low, high = self._rates[n], self._rates[n + 1]
        return (low + (high - low) * (place - n)) / t  # the rates are per unit of log t

    def quantile(self, share: float) -> float:
        """Seconds by which `share` (0 to 1, both excluded) of the operations have ended."""
        wanted = -log1p(-share)
        n = min(max(bisect_left(self._hazards, wanted), 1), _BINS)
        low, high = self._hazards[n - 1 : n + 1]
        part = (wanted - low) / (high - low) if high > low else 1.0
        return exp(_START + (n - 1 + min(part, 1.0)) * _STEP)

    def remember(self) -> dict[str, Any]:
        """All evidence, ready for JSON."""
        return {
            name: {str(n): round(weight, 3) for n, weight in sorted(bins.items()) if weight >= 0.001}
            for name, bins in (("ends", self._ends), ("outlived", self._outlived))
        }

    def restore(self, memory: Mapping[str, Any]) -> None:
        """Add the evidence of an earlier run, as `remember` returned it. Values that cannot be read are ignored."""
        for name, bins in (("ends", self._ends), ("outlived", self._outlived)):
            stored = memory.get(name)
            for n, weight in stored.items() if isinstance(stored, Mapping) else ():
                if str(n).isdecimal() and int(n) < _BINS and isinstance(weight, int | float) and 0 < weight < 1e9:
                    bins[int(n)] = bins.get(int(n), 0.0) + weight
        self.ends = sum(self._ends.values())
        self._fade(min(1.0, RECALLED / max(self.ends, sum(self._outlived.values()), 1.0)))
        self.reckon()

    def _fade(self, share: float) -> None:
        self._ends = {n: weight * share for n, weight in self._ends.items()}
        self._outlived = {n: weight * share for n, weight in self._outlived.items()}
        self.ends *= share

    def _fit(self, beyond: Mapping[int, float]) -> tuple[float, float]:
        """Mean and standard deviation of the logarithm of the next duration: the likeliest law, widened by the
        uncertainty of its mean."""
        for_mean, for_spread = PRIOR_ENDS
        ended = [(_CENTRES[n], weight) for n, weight in self._ends.items()]
        over = [(_CENTRES[n], weight) for n, weight in beyond.items()]
        ends = sum(weight for _, weight in ended)
        count = ends + sum(weight for _, weight in over)
        ended_sum, ended_squares = sum(w * x for x, w in ended), sum(w * x * x for x, w in ended)
        mu, sigma = self._prior_mu, PRIOR_SIGMA
        for _ in range(30):
            total, squares = ended_sum, ended_squares
            for x, weight in over:  # expected duration of an operation that has outlived x, by the law so far
                z = (x - mu) / sigma
                beyond_x = erfc(z / sqrt(2)) / 2
                mills = exp(-z * z / 2) / sqrt(2 * pi) / beyond_x if z < 6 else z + 1 / z
                total += weight * (mu + sigma * mills)
                squares += weight * (mu * mu + sigma * sigma + sigma * mills * (mu + x))
            before = mu, sigma
            mu = (for_mean * self._prior_mu + total) / (for_mean + count)
            around = squares - 2 * mu * total + count * mu * mu + for_mean * (mu - self._prior_mu) ** 2
            sigma = sqrt(max((for_spread * PRIOR_SIGMA**2 + around) / (for_spread + count), _SHORTEST_SIGMA**2))
            if abs(mu - before[0]) + abs(sigma - before[1]) < 1e-3:
                break
        return mu, sigma * sqrt(1 + 1 / (for_mean + ends))


def _bin(age: float) -> int:
    return min(max(floor((log(max(age, 1e-9)) - _START) / _STEP), 0), _BINS - 1)
