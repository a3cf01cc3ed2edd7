"""The plain pause: a token bucket as told (aiolimiter), and after a refusal nobody sends until the delay that it names
is over, or else a minute."""

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
        while self._until > now():  # noqa: ASYNC110  # it may be put off meanwhile
            await asyncio.sleep(self._until - now())

    def told(self, sent_at: float, verdict: Verdict) -> None:
        if verdict.kind is not VerdictKind.ACCEPTED and sent_at >= self._until:  # a burst is one refusal
            self._until = asyncio.get_running_loop().time() + (verdict.retry_after or 60.0)


async def make_all(google: VirtualGoogle, task: VirtualTask) -> None:
    await workers.run(google, task, Pause(task))
