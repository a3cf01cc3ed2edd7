"""The best that any schedule of looks could do that knows the law of durations: mean lag and mean polls, figured.

Operations tell nothing while they run, so a schedule is a list of ages to look at. Between two looks at a and b the
lag is ∫(b−u)f(u)du = (b−a)S(a) − ∫S, and the look at b costs S(a) of a poll. The list that makes lag + c·polls least is
found by dynamic programming over a grid of ages (the problem is that of Barlow, Hunter and Proschan, Optimum checking
procedures, SIAM J. 11, 1963). Since no schedule, drawn or not, has lag + c·polls below that least sum V(c), whoever
makes do with B polls has a lag of at least V(c) − c·B, for every c; the highest of these is the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import erfc, inf, log, sqrt

Survival = Callable[[float], float]

STEP = 0.1
"""Seconds between the ages of the grid. Rounding a schedule up to it adds less than that to its lag."""


def lognormal(median: float, sigma: float) -> Survival:
    """The share of operations that run longer than t seconds."""
    return lambda t: erfc(log(t / median) / sigma / sqrt(2)) / 2 if t > 0 else 1.0


@dataclass(frozen=True)
class Best:
    """The best schedule for one worth of a poll: its mean lag, its mean polls, and the ages of its first looks."""

    worth: float
    lag: float
    polls: float
    ages: tuple[float, ...]

    @property
    def cost(self) -> float:
        return self.lag + self.worth * self.polls


def best(survival: Survival, worth: float, *, longest: float, step: float = STEP) -> Best:
    """The schedule with the least lag + worth·polls. By the age of `longest` seconds everything has ended."""
    count = round(longest / step)
    alive = [survival(n * step) for n in range(count + 1)]
    middle = [survival((n + 0.5) * step) * step for n in range(count)]
    area = [0.0, *accumulate(middle)]  # ∫S from 0
    cost, lag, polls = ([0.0] * (count + 1) for _ in range(3))
    following = [count] * (count + 1)
    for n in range(count - 1, -1, -1):
        least = inf
        for later in range(n + 1, count + 1):
            waiting = (later - n) * step * alive[n] - (area[later] - area[n])
            if waiting >= least:  # and it only grows
                break
            if (sum_ := waiting + worth * alive[n] + cost[later]) < least:
                least, following[n] = sum_, later
        after = following[n]
        cost[n] = least
        lag[n] = (after - n) * step * alive[n] - (area[after] - area[n]) + lag[after]
        polls[n] = alive[n] + polls[after]
    return Best(worth, lag[0], polls[0], tuple(_ages(following, count, step)))


def _ages(following: Sequence[int], count: int, step: float) -> Iterator[float]:
    at = 0
    while at < count:
        at = following[at]
        yield round(at * step, 6)


def least_lag(frontier: Sequence[Best], polls: float) -> float:
    """No schedule with so many polls an operation has a smaller mean lag."""
    return max(point.cost - point.worth * polls for point in frontier)


def least_polls(frontier: Sequence[Best], lag: float) -> float:
    """No schedule with so small a mean lag does with fewer polls an operation."""
    return max((point.cost - lag) / point.worth for point in frontier)


def frontier(survival: Survival, median: float, worths: Sequence[float], *, step: float = STEP) -> list[Best]:
    """The best schedules for these worths of a poll, in seconds of lag."""
    longest = median
    while survival(longest) > 1e-6:
        longest *= 1.1
    return [best(survival, worth, longest=longest, step=step) for worth in worths]
