"""Poll schedules on random durations: fixed and computed schedules, and aveo3's own `Pollers` in virtual time."""

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
    """One schedule on the operations of one seed: mean lag in seconds, mean polls per operation."""

    name: str
    seed: int
    lag: float
    polls: float


# ---- schedules that need no clock ------------------------------------------------------------------------------------


def fixed(interval: float) -> Callable[[], Callable[[float], float]]:
    return lambda: lambda _: interval


def backoff(first: float, factor: float, longest: float) -> Callable[[], Callable[[float], float]]:
    """Each wait `factor` times the last one, from `first` to `longest` seconds."""

    def start() -> Callable[[float], float]:
        wait = first / factor

        def poll(_: float) -> float:
            nonlocal wait
            wait = min(wait * factor, longest)
            return wait

        return poll

    return start


def listed(ages: Sequence[float]) -> Callable[[], Callable[[float], float]]:
    """Poll at these ages. After the last age, repeat the last interval."""
    gaps = [later - sooner for sooner, later in pairwise((0.0, *ages))]

    def start() -> Callable[[float], float]:
        remaining = iter(gaps)
        return lambda _: next(remaining, gaps[-1])

    return start


def evaluate(name: str, start: Callable[[], Callable[[float], float]], durations: Sequence[float], seed: int) -> Score:
    """Return lag and polls of a schedule. `start` returns, for each operation, a function from age to the next wait."""
    lags, polls = 0.0, 0
    for seconds in durations:
        poll, age = start(), 0.0
        while age < seconds:
            age += poll(age)
            polls += 1
        lags += age - seconds
    return Score(name, seed, lags / len(durations), polls / len(durations))


# ---- aveo3, on its own clock -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Observation:
    """Lags and polls of the operations of one run, in the order of their submits."""

    lags: list[float]
    polls: list[int]
    seconds: float
    busiest: int
    """Polls in the busiest second."""
    cpu: float
    """CPU seconds of this process."""


async def _watch(pollers: Pollers, median: float, durations: Sequence[float], at_once: int) -> Observation:
    """Poll operations, `at_once` at a time, until the end of each is noticed."""
    loop = asyncio.get_running_loop()
    lags, polls = [0.0] * len(durations), [0] * len(durations)
    by_second: Counter[int] = Counter()
    queue = iter(enumerate(durations))
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

    started_at, cpu = loop.time(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    cpu = time.process_time() - cpu
    return Observation(lags, polls, loop.time() - started_at, max(by_second.values()), cpu)


def watch(
    durations: Sequence[float],
    seed: int,
    *,
    prior: float,
    at_once: int = 1,
    rate: float | None = None,
    learnt: Sequence[float] = (),
) -> Observation:
    """Run aveo3's pollers on these durations. `learnt` are the durations of an earlier run."""
    pollers = Pollers(interval=None, rate=rate, rng=random.Random(seed))
    if learnt:
        pollers.restore({KIND: trained_model(prior, learnt).remember()})
    return run_virtual(_watch(pollers, prior, durations, at_once))


def trained_model(prior: float, durations: Sequence[float]) -> LatencyModel:
    latency = LatencyModel(prior)
    for seconds in durations:
        latency.learn(seconds, seconds)
    latency.reckon()
    return latency
