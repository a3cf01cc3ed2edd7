"""Durations of operations, and a model of latency that has learnt them."""

from __future__ import annotations

import math
from statistics import NormalDist

from aveo3.polling.latency import LatencyModel

NORMAL = NormalDist()


def durations(median: float, sigma: float, count: int = 200) -> list[float]:
    """A sample that is as log-normal as a sample of this size can be: its quantiles."""
    return [median * math.exp(sigma * NORMAL.inv_cdf((n + 0.5) / count)) for n in range(count)]


def learnt(took: list[float], *, prior: float = 70.0) -> LatencyModel:
    latency = LatencyModel(prior)
    for seconds in took:
        latency.learn(seconds, seconds)
    latency.reckon()
    return latency
