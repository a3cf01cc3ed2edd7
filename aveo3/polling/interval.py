"""When to poll a running operation next. Pure: what is known and the operation's age in, seconds to wait out.

Polling at density n(t) costs ∫n·S polls and leaves a mean lag of ∫f/2n, where S is the share of operations that still
run at t and f = h·S the density of ends. With one poll worth c seconds of lag, the sum is least for

    Δ(t) = 1/n(t) = √(2c / h(t)),        h = f/S the hazard

(J. B. Keller, Optimum checking schedules for systems subject to random failure, Management Science 21, 1974, 256-260,
https://doi.org/10.1287/mnsc.21.3.256). So a poll is due soonest where operations are likeliest to end; a fixed interval
is right only for a constant hazard, and one that grows from poll to poll only for a falling one. For every law the
product of lag and polls is (∫√(f·S))²/2: to halve the lag takes twice the polls.

The least that any schedule can reach is figured by `python -m benchmarks poll`; this one comes within a few hundredths.
"""

from __future__ import annotations

from math import sqrt

from aveo3.polling.latency import LatencyModel

FIRST = 0.08
"""The first poll comes when this share of operations would be done: nearest to the optimum at six to eight polls."""

POLL_SHARE, POLL_COST = 1 / 175, 0.05
"""Seconds of lag that one poll is worth, c in the formula: a share of the median, and what any request costs, which is
what keeps operations of a second from being polled all the time. At a median of 60 s this makes seven to eight polls
of a log-normal law with sigma 0.5."""

SHORTEST, LONGEST = 0.02, 30.0
"""Bounds of an interval: a share of the median, or a second if that is less; and seconds."""

LATEST_FIRST = 0.5
"""However few polls there are, the first comes when half of the operations would be done."""


def next_poll(known: LatencyModel, age: float, stretch: float = 1.0) -> float:
    """Seconds from now to the next poll of an operation that has run for `age` seconds.

    `stretch` is how many times longer than worth their price the intervals have to be, for want of polls: c is then
    `stretch`² times as much.
    """
    first = known.quantile(min(FIRST * stretch, LATEST_FIRST))
    if age < first:
        return max(first - age, 1e-6)  # what rounding leaves of it would have us poll for ever at one instant
    # The hazard in the middle of the interval stands for the whole of it.
    return _interval(known, age + stretch * _interval(known, age) / 2) * stretch


def _interval(known: LatencyModel, t: float) -> float:
    worth = POLL_SHARE * known.median + POLL_COST
    interval = sqrt(2 * worth / max(known.hazard(t), 1e-9))
    return min(max(interval, min(SHORTEST * known.median, 1.0)), LONGEST)
