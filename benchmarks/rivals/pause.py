"""A shared pause: a token bucket (aiolimiter) with the configured quota, and a pause of all clips after a refusal.

The pause lasts for the delay that the refusal names, otherwise for a minute.
"""

from __future__ import annotations

import asyncio

from aiolimiter import AsyncLimiter

from aveo3.verdicts import Verdict, VerdictKind
from benchmarks.harness.lane import VirtualGoogle
from benchmarks.rivals import VirtualTask, workers

NAME = "aiolimiter + shared pause"


class Pause:
    def __init__(self, task: VirtualTask) -> None:
        self._limiter = AsyncLimiter(task.told or 50, task.period)
        self._until = 0.0

    async def wait(self, refused: int) -> None:
        await self._limiter.acquire()
        now = asyncio.get_running_loop().time
        while self._until > now():  # noqa: ASYNC110  # another refusal may extend the pause
            await asyncio.sleep(self._until - now())

    def observe(self, sent_at: float, verdict: Verdict) -> None:
        if verdict.kind is not VerdictKind.ACCEPTED and sent_at >= self._until:  # refusals of one burst count once
            self._until = asyncio.get_running_loop().time() + (verdict.retry_after or 60.0)


async def make_all(google: VirtualGoogle, task: VirtualTask) -> None:
    await workers.run(google, task, Pause(task))
