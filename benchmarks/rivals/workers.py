"""Code that contestants in virtual time share. They differ only in their pacer.

Every clip is a task. It waits for the pacer before each request and reports the verdict to it.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Protocol

from aveo3.backends.base import Running
from aveo3.verdicts import Verdict, VerdictKind
from benchmarks.harness.lane import VirtualGoogle
from benchmarks.rivals import VirtualTask

POLL = 10.0
"""Seconds between polls, as in the SDK's docstring of generate_videos."""


class Pacer(Protocol):
    async def wait(self, refused: int) -> None:
        """Wait until a clip that was refused `refused` times may send its next request."""

    def observe(self, sent_at: float, verdict: Verdict) -> None:
        """Receive the verdict on a request that was sent at `sent_at`."""


async def run(google: VirtualGoogle, task: VirtualTask, pacer: Pacer) -> None:
    """Make every clip, with unlimited retries of refusals."""
    now = asyncio.get_running_loop().time

    async def make() -> None:
        for refused in count():
            await pacer.wait(refused)
            sent_at = now()
            verdict = await google.submit()
            pacer.observe(sent_at, verdict)
            if verdict.kind is VerdictKind.ACCEPTED:
                break
        assert verdict.operation is not None
        while isinstance(await google.poll(verdict.operation), Running):  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(POLL)

    await asyncio.gather(*(make() for _ in range(task.clips)))


class Line:
    """A queue, first come, first served, with a fixed interval between turns."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self.next_at = 0.0
        self.blocked_until = 0.0

    async def wait(self, interval: float) -> None:
        """Wait for the caller's turn: `interval` seconds after the previous one, and not before `blocked_until`."""
        now = asyncio.get_running_loop().time
        async with self._turn:
            while (until := max(self.next_at, self.blocked_until)) > now():  # noqa: ASYNC110  # a refusal may block
                await asyncio.sleep(until - now())
            self.next_at = now() + interval
