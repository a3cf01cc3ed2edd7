"""Additive increase, multiplicative decrease of a rate, as in TCP Reno and Netflix's concurrency-limits.

A refusal halves the rate; a period without refusals adds one request per period. Requests are evenly spaced. There is
at most one cut per period: an exhausted quota refuses until the end of the period, and one cut per refusal would end at
one request per period.
"""

from __future__ import annotations

import asyncio

from aveo3.verdicts import Verdict, VerdictKind
from benchmarks.harness.lane import VirtualGoogle
from benchmarks.rivals import VirtualTask, workers

NAME = "AIMD"


class Aimd:
    def __init__(self, task: VirtualTask) -> None:
        self._period = task.period
        self._rate = float(task.told or 50)  # requests a period
        self._line = workers.Line()
        self._cut_at = -task.period
        self._clean_since = 0.0

    async def wait(self, refused: int) -> None:
        await self._line.wait(self._period / self._rate)

    def observe(self, sent_at: float, verdict: Verdict) -> None:
        now = asyncio.get_running_loop().time()
        if verdict.kind is not VerdictKind.ACCEPTED:
            if sent_at > self._cut_at + self._period:
                self._rate, self._cut_at = max(1.0, self._rate / 2), now
            self._clean_since = now
            self._line.blocked_until = max(self._line.blocked_until, now + (verdict.retry_after or 0.0))
        elif now - self._clean_since >= self._period:
            self._rate, self._clean_since = self._rate + 1, now


async def make_all(google: VirtualGoogle, task: VirtualTask) -> None:
    await workers.run(google, task, Aimd(task))
