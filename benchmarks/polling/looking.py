"""Operations and who looks at them: drawn durations, schedules that need only arithmetic, and aveo3's own `Pollers` on
virtual time."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, log

from aveo3.polling.latency import LatencyModel
from aveo3.polling.poller import Kind, Poller, Pollers
from aveo3.testing import run_virtual

KIND: Kind = ("a model", "720p", 8)


@dataclass(frozen=True)
class Law:
    """Log-normal durations: the median in seconds, and the standard deviation of the logarithm."""

    median: float
    sigma: float

    def draw(self, rng: random.Random, count: int) -> list[float]:
        return [rng.lognormvariate(log(self.median), self.sigma) for _ in range(count)]


@dataclass(frozen=True)
class Score:
    """One schedule over one seed's operations: mean seconds of lag, mean polls an operation."""

    name: str
    seed: int
    lag: float
    polls: float


# ---- schedules that need no clock ------------------------------------------------------------------------------------


def fixed(interval: float) -> Callable[[], Callable[[float], float]]:
    return lambda: lambda _: interval


def backoff(first: float, factor: float, longest: float) -> Callable[[], Callable[[float], float]]:
    """Each wait `factor` times the last one, from `first` to `longest` seconds."""

    def begin() -> Callable[[float], float]:
        wait = first / factor

        def poll(_: float) -> float:
            nonlocal wait
            wait = min(wait * factor, longest)
            return wait

        return poll

    return begin


def listed(ages: Sequence[float]) -> Callable[[], Callable[[float], float]]:
    """Looks at these ages, and from the last one on at the last two's distance."""
    gaps = [later - sooner for sooner, later in pairwise((0.0, *ages))]

    def begin() -> Callable[[float], float]:
        left = iter(gaps)
        return lambda _: next(left, gaps[-1])

    return begin


def reckon(name: str, begin: Callable[[], Callable[[float], float]], took: Sequence[float], seed: int) -> Score:
    """Lag and polls of a schedule whose `begin` gives, for each operation, the wait that follows on each age."""
    lags, polls = 0.0, 0
    for seconds in took:
        poll, age = begin(), 0.0
        while age < seconds:
            age += poll(age)
            polls += 1
        lags += age - seconds
    return Score(name, seed, lags / len(took), polls / len(took))


# ---- aveo3, on its own clock -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Watched:
    """What became of the operations of one run, in the order of their submits."""

    lags: list[float]
    polls: list[int]
    seconds: float
    busiest: int
    """Looks in the busiest second."""
    cpu: float
    """Seconds of this process."""


async def _watch(pollers: Pollers, median: float, took: Sequence[float], at_once: int) -> Watched:
    """Follow operations, `at_once` of them together, until each has been found ended."""
    loop = asyncio.get_running_loop()
    lags, polls = [0.0] * len(took), [0] * len(took)
    by_second: Counter[int] = Counter()
    queue = iter(enumerate(took))
    poller: Poller = pollers.of("a lane", KIND, median)

    async def worker() -> None:
        for number, seconds in queue:
            sent_at = polled_at = before = loop.time()
            while polled_at - sent_at < seconds:
                await poller.wait(str(number), sent_at, polled_at, inf)
                before, polled_at = polled_at, loop.time()
                by_second[int(polled_at)] += 1
                polls[number] += 1
            lags[number] = polled_at - sent_at - seconds
            poller.ended(str(number), (before - sent_at, polled_at - sent_at))

    begun, cpu = loop.time(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    cpu = time.process_time() - cpu
    return Watched(lags, polls, loop.time() - begun, max(by_second.values()), cpu)


def watch(
    took: Sequence[float],
    seed: int,
    *,
    prior: float,
    at_once: int = 1,
    rate: float | None = None,
    learnt: Sequence[float] = (),
) -> Watched:
    """aveo3 on these durations, after an earlier run has learnt from others."""
    pollers = Pollers(interval=None, rate=rate, rng=random.Random(seed))
    if learnt:
        pollers.restore({KIND: taught(prior, learnt).remember()})
    return run_virtual(_watch(pollers, prior, took, at_once))


def taught(prior: float, took: Sequence[float]) -> LatencyModel:
    latency = LatencyModel(prior)
    for seconds in took:
        latency.learn(seconds, seconds)
    latency.reckon()
    return latency
