"""When to poll a running operation next. Pure: a latency model and the operation's age in, seconds to wait out.

Polling at density n(t) costs ∫n·S polls and leaves a mean lag of ∫f/2n, where S is the share of operations that still
run at t and f = h·S the density of ends. With one poll worth c seconds of lag, the sum is least for

    Δ(t) = 1/n(t) = √(2c / h(t)),        h = f/S the hazard

(J. B. Keller, Optimum checking schedules for systems subject to random failure, Management Science 21, 1974, 256-260,
https://doi.org/10.1287/mnsc.21.3.256). So a poll is due soonest where operations are likeliest to end; a fixed interval
is right only for a constant hazard, and one that grows from poll to poll only for a falling one. For every law the
product of lag and polls is (∫√(f·S))²/2: to halve the lag takes twice the polls.

`python -m benchmarks poll` computes the least that any schedule can reach; this one comes within a few hundredths.
"""

from __future__ import annotations

from math import sqrt

from aveo3.polling.latency import LatencyModel

FIRST = 0.08
"""The first poll comes when this share of operations should be done: nearest to the optimum at six to eight polls."""

POLL_SHARE, POLL_COST = 1 / 175, 0.05
"""Seconds of lag that one poll is worth, c in the formula: a share of the median, plus the cost of any request. The
latter keeps operations of a second from being polled all the time. At a median of 60 s this makes seven to eight polls
of a log-normal law with sigma 0.5."""

SHORTEST, LONGEST = 0.02, 30.0
"""Bounds of an interval. The lower one is a share of the median, at most a second; the upper one is in seconds."""

LATEST_FIRST = 0.5
"""However few polls the budget allows, the first comes when this share of operations should be done, at the latest."""


def next_poll(latency: LatencyModel, age: float, stretch: float = 1.0) -> float:
    """Seconds from now to the next poll of an operation that has run for `age` seconds.

    `stretch` makes the intervals that many times longer than the optimum, where the budget of polls is short: c is then
    `stretch`² times as large.
    """
    first = latency.quantile(min(FIRST * stretch, LATEST_FIRST))
    if age < first:
        return max(first - age, 1e-6)  # a rounding rest would make it poll for ever at one instant
    # The hazard in the middle of the interval stands for the whole of it.
    return _interval(latency, age + stretch * _interval(latency, age) / 2) * stretch


def _interval(latency: LatencyModel, t: float) -> float:
    worth = POLL_SHARE * latency.median + POLL_COST
    interval = sqrt(2 * worth / max(latency.hazard(t), 1e-9))
    return min(max(interval, min(SHORTEST * latency.median, 1.0)), LONGEST)
