"""CUBIC, as in botocore's adaptive retry mode (botocore/retries/adaptive.py, bucket.py and throttling.py), rewritten.

There is no limit until the first refusal. Then the rate of a token bucket follows a cubic curve around the rate at the
refusal, at most twice the measured rate and at least one request in two seconds. Each clip has its own backoff (up to
2^n s, at most 20 s). botocore stops after three attempts; here every clip is retried without limit.
"""

from __future__ import annotations

import asyncio
import random
from math import floor

from aveo3.verdicts import Verdict, VerdictKind
from benchmarks.harness.lane import VirtualGoogle
from benchmarks.rivals import VirtualTask, workers

NAME = "CUBIC (botocore)"

SCALE, BETA = 0.4, 0.7
LEAST_RATE = 0.5  # requests a second
SMOOTHING, BUCKET = 0.8, 0.5  # of the measured rate: weight of the newest sample, and its length in seconds
LONGEST_BACKOFF = 20.0


class Cubic:
    def __init__(self, task: VirtualTask) -> None:
        self._rng = random.Random(task.seed)
        self._line = workers.Line()
        self._rate = self._best = 0.0
        self._refused_at = 0.0
        self._limited = False
        self._measured, self._count, self._counted_until = 0.0, 0, 0.0

    async def wait(self, refused: int) -> None:
        if refused:
            await asyncio.sleep(min(self._rng.random() * 2 ** min(refused - 1, 10), LONGEST_BACKOFF))
        if self._limited:
            await self._line.wait(1 / self._rate)

    def observe(self, sent_at: float, verdict: Verdict) -> None:
        now = asyncio.get_running_loop().time()
        self._measure(now)
        if verdict.kind is VerdictKind.ACCEPTED:
            wide = ((self._best * (1 - BETA)) / SCALE) ** (1 / 3)
            rate = SCALE * (now - self._refused_at - wide) ** 3 + self._best
        else:
            self._best = min(self._measured, self._rate) if self._limited else self._measured
            self._refused_at, self._limited = now, True
            rate = self._best * BETA
        self._rate = max(min(rate, 2 * self._measured), LEAST_RATE)

    def _measure(self, now: float) -> None:
        self._count += 1
        bucket = floor(now / BUCKET) * BUCKET
        if bucket > self._counted_until:
            rate = self._count / (bucket - self._counted_until)
            self._measured = rate * SMOOTHING + self._measured * (1 - SMOOTHING)
            self._count, self._counted_until = 0, bucket


async def make_all(google: VirtualGoogle, task: VirtualTask) -> None:
    await workers.run(google, task, Cubic(task))
