"""Computes the best poll schedule for a known distribution of durations: its mean lag and mean number of polls.

A running operation gives no information, so a schedule is a list of ages at which to poll. Between two polls at the
ages a and b the lag is ∫(b−u)f(u)du = (b−a)S(a) − ∫S, and the poll at b costs S(a) polls. Dynamic programming over a
grid of ages finds the list with the least lag + c·polls (the problem of Barlow, Hunter and Proschan, Optimum checking
procedures, SIAM J. 11, 1963). No schedule, random or not, has lag + c·polls below this least sum V(c). So a schedule
with B polls has a lag of at least V(c) − c·B for every c, and the highest of these values is the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import erfc, inf, log, sqrt

Survival = Callable[[float], float]

STEP = 0.1
"""Seconds between two ages of the grid. Rounding a schedule up to the grid adds less than this to its lag."""


def lognormal(median: float, sigma: float) -> Survival:
    """Return the survival function: the share of operations that run longer than t seconds."""
    return lambda t: erfc(log(t / median) / sigma / sqrt(2)) / 2 if t > 0 else 1.0


@dataclass(frozen=True)
class Best:
    """The best schedule for one price of a poll: its mean lag, its mean number of polls, and the ages of its polls."""

    worth: float
    lag: float
    polls: float
    ages: tuple[float, ...]

    @property
    def cost(self) -> float:
        return self.lag + self.worth * self.polls


def best(survival: Survival, worth: float, *, longest: float, step: float = STEP) -> Best:
    """Return the schedule with the least lag + worth·polls. All operations end before the age `longest` in seconds."""
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
            if waiting >= least:  # it grows with `later`
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
    """Return the least mean lag, in seconds, of any schedule with this mean number of polls."""
    return max(point.cost - point.worth * polls for point in frontier)


def least_polls(frontier: Sequence[Best], lag: float) -> float:
    """Return the least mean number of polls of any schedule with this mean lag."""
    return max((point.cost - lag) / point.worth for point in frontier)


def frontier(survival: Survival, median: float, worths: Sequence[float], *, step: float = STEP) -> list[Best]:
    """Return the best schedule for each price of a poll, in seconds of lag."""
    longest = median
    while survival(longest) > 1e-6:
        longest *= 1.1
    return [best(survival, worth, longest=longest, step=step) for worth in worths]
