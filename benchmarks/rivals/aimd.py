"""Additive increase, multiplicative decrease, as TCP Reno and Netflix's concurrency-limits do it, on a rate: a refusal
halves it, a period without one adds a request a period. Requests are evenly spaced. At most one cut a period: a quota
that is used up refuses until the period is over, and a cut for each refusal would end at one request a period."""

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

    def told(self, sent_at: float, verdict: Verdict) -> None:
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
