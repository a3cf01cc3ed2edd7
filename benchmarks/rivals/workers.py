"""What contestants in virtual time share: every clip a task of its own, that asks its pacer before each request and
tells it what came of it. They differ in the pacer alone."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Protocol

from aveo3.backends.base import Running
from aveo3.verdicts import Verdict, VerdictKind
from benchmarks.harness.lane import VirtualGoogle
from benchmarks.rivals import VirtualTask

POLL = 10.0
"""Seconds between looks, as in the SDK's docstring of generate_videos."""


class Pacer(Protocol):
    async def wait(self, refused: int) -> None:
        """Return when a clip that was refused so often may send its next request."""

    def told(self, sent_at: float, verdict: Verdict) -> None:
        """What came of the request that went at `sent_at`."""


async def run(google: VirtualGoogle, task: VirtualTask, pacer: Pacer) -> None:
    """Make every clip; never give up, whatever is refused."""
    now = asyncio.get_running_loop().time

    async def make() -> None:
        for refused in count():
            await pacer.wait(refused)
            sent_at = now()
            verdict = await google.submit()
            pacer.told(sent_at, verdict)
            if verdict.kind is VerdictKind.ACCEPTED:
                break
        assert verdict.operation is not None
        while isinstance(await google.poll(verdict.operation), Running):  # noqa: ASYNC110  # polling is all there is
            await asyncio.sleep(POLL)

    await asyncio.gather(*(make() for _ in range(task.clips)))


class Line:
    """First come, first served, one every so often."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self.next_at = 0.0
        self.blocked_until = 0.0

    async def wait(self, interval: float) -> None:
        """Until one's turn, `interval` seconds after the one before, and until nothing blocks."""
        now = asyncio.get_running_loop().time
        async with self._turn:
            while (until := max(self.next_at, self.blocked_until)) > now():  # noqa: ASYNC110  # or be put off meanwhile
                await asyncio.sleep(until - now())
            self.next_at = now() + interval
