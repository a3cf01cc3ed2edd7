"""What is known of how long one kind of operation takes. Pure: ages in seconds in, hazards out.

It starts from the catalog's median, learns from every end, and counts what has not ended for what it is: longer than it
has run so far. Leave that out, and a batch submitted at once seems as quick as its quickest.

Two estimates are blended. A log-normal law is fitted to the ends, to the ages that operations have outlived (by
expectation and maximisation), and to the prior; it is what a few ends are worth. Then each end weighs against `TRUST`
ends' worth of that law, which is Kaplan and Meier's estimator with a Dirichlet prior (Susarla and Van Ryzin, JASA 71,
1976, 897-902), as a hazard:

    h(t) = (TRUST·f₀(t) + d(t)) / (TRUST·S₀(t) + n(t))

with d(t) the density of the ends seen, n(t) the number seen running at t, and f₀, S₀ density and survival of the fitted
law. After a hundred ends the shape is that which was seen, whatever it is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate, pairwise
from math import erfc, exp, floor, log, log1p, pi, sqrt
from typing import Any

PRIOR_SIGMA = 0.45
"""Spread of the logarithm before any is known: Veo was seen at 0.35 to 0.5."""

PRIOR_ENDS = 0.15, 2.0
"""How many ends the prior's median and its spread are worth: so few that a median wrong by three is soon forgotten."""

TRUST = 20.0
"""How many ends the smooth law weighs against those that were seen."""

LIFETIME, RECALLED = 256.0, 30.0
"""Ends after which the older half counts half; and what an earlier run's are worth at most: the service changes."""

_STEP = log(2) / 8  # ages are told apart to nine hundredths
_START, _BINS = log(0.01), 8 * 24  # up to two days
_CENTRES = [_START + (n + 0.5) * _STEP for n in range(_BINS)]
_SHORTEST_SIGMA = 0.03


class LatencyModel:
    """How long operations of one kind take, from a prior median in seconds and what was seen since.

    What is learnt counts from the next `reckon` on.
    """

    def __init__(self, median: float) -> None:
        self._prior_mu = log(median)
        self._ends: dict[int, float] = {}
        self._outlived: dict[int, float] = {}
        self.ends = 0.0
        """Ends learnt, less what was forgotten."""
        self.era = 0
        """How often what was known has come to count half."""
        self.reckon()

    def weight(self, era: int) -> float:
        """What an operation that was submitted in `era` counts now.

        Its end counts as much as its running did. Were only the ends forgotten, then of ten thousand submitted at once
        the unfinished would soon outweigh them, and all seem slower than they are.
        """
        return 0.5 ** (self.era - era)

    def learn(self, after: float, by: float, weight: float = 1.0) -> None:
        """An operation ended at an age between `after` and `by` seconds: two polls, of which the second found it."""
        first, last = _bin(max(after, 0.0)), _bin(max(by, 0.0))
        # Where between them is told by what is believed so far: with polls far apart the middle would mislead.
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
        """An operation was left at `age` seconds while it was running, or came to nothing then."""
        self._outlived[_bin(age)] = self._outlived.get(_bin(age), 0.0) + weight

    def reckon(self, running: Iterable[tuple[float, float]] = ()) -> None:
        """Draw the conclusions. `running` are the ages at which operations that have not ended were last polled, and
        what each counts."""
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
        """All that was learnt, as JSON takes it."""
        return {
            name: {str(n): round(weight, 3) for n, weight in sorted(seen.items()) if weight >= 0.001}
            for name, seen in (("ends", self._ends), ("outlived", self._outlived))
        }

    def restore(self, memory: Mapping[str, Any]) -> None:
        """Add what an earlier run has learnt, as `remember` gave it. What cannot be read is as good as never seen."""
        for name, seen in (("ends", self._ends), ("outlived", self._outlived)):
            told = memory.get(name)
            for n, weight in told.items() if isinstance(told, Mapping) else ():
                if str(n).isdecimal() and int(n) < _BINS and isinstance(weight, int | float) and 0 < weight < 1e9:
                    seen[int(n)] = seen.get(int(n), 0.0) + weight
        self.ends = sum(self._ends.values())
        self._fade(min(1.0, RECALLED / max(self.ends, sum(self._outlived.values()), 1.0)))
        self.reckon()

    def _fade(self, share: float) -> None:
        self._ends = {n: weight * share for n, weight in self._ends.items()}
        self._outlived = {n: weight * share for n, weight in self._outlived.items()}
        self.ends *= share

    def _fit(self, beyond: Mapping[int, float]) -> tuple[float, float]:
        """Mean and standard deviation of the logarithm of what is to be expected: the likeliest law, widened by how
        little is known of its mean."""
        for_mean, for_spread = PRIOR_ENDS
        seen = [(_CENTRES[n], weight) for n, weight in self._ends.items()]
        over = [(_CENTRES[n], weight) for n, weight in beyond.items()]
        ends = sum(weight for _, weight in seen)
        count = ends + sum(weight for _, weight in over)
        known, known_squares = sum(w * x for x, w in seen), sum(w * x * x for x, w in seen)
        mu, sigma = self._prior_mu, PRIOR_SIGMA
        for _ in range(30):
            total, squares = known, known_squares
            for x, weight in over:  # what an operation that has outlived x will take, by the law so far
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
