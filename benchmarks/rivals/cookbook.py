"""The algorithm of OpenAI's cookbook, "api_request_parallel_processor.py" (read 2026-11-23), rewritten.

One loop starts requests while a capacity, which refills evenly, allows it. Failed requests go to a queue that is served
first, with five attempts in all. After a refusal the loop starts nothing for 15 seconds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf

from google.genai.client import AsyncClient

from benchmarks.rivals import MakeAll, Task, sdk

NAME = "OpenAI cookbook's processor"
PACKAGES: tuple[str, ...] = ("google-genai", "aiohttp")

ATTEMPTS = 5
"""The script's default for --max_attempts."""

NAP = 0.001
"""Seconds between two rounds of the loop: a thousand requests per second, as in the script."""

NAP_OF_A_MINUTE = 0.03
"""The same in virtual time, where a minute lasts 60 s and every round costs as much CPU time as in real time."""


@dataclass
class Request:
    """One clip, until it is made or abandoned."""

    number: int
    prompt: str
    attempts_left: int = ATTEMPTS


@asynccontextmanager
async def ready(task: Task) -> AsyncIterator[MakeAll]:
    async with sdk.client(task) as google:
        yield lambda: Processor(task, google).run()


class Processor:
    """The main loop of the script, for one task."""

    def __init__(self, task: Task, google: AsyncClient) -> None:
        self._task = task
        self._google = google
        self._nap = NAP if task.lane is None else task.seconds(NAP_OF_A_MINUTE)
        self._fresh = deque(Request(*each) for each in enumerate(task.prompts))
        self._again: deque[Request] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._refused_at = -inf

    async def run(self) -> None:
        """Make every clip that succeeds within five attempts."""
        now = asyncio.get_running_loop().time
        room, polled_at = float(self._task.limit), now()
        while self._fresh or self._again or self._running:
            room += (now() - polled_at) * self._task.limit / self._task.period
            room, polled_at = min(room, self._task.limit), now()
            waiting = self._again or self._fresh
            if waiting and room >= 1 and len(self._running) < self._task.concurrency:
                room -= 1
                self._start(waiting.popleft())
            await asyncio.sleep(self._nap)
            pause_over = self._refused_at + self._task.seconds(15)
            if now() < pause_over:
                await asyncio.sleep(pause_over - now())

    def _start(self, request: Request) -> None:
        request.attempts_left -= 1
        running = asyncio.create_task(self._make(request))
        self._running.add(running)
        running.add_done_callback(self._done)

    def _done(self, running: asyncio.Task[None]) -> None:
        self._running.discard(running)
        running.result()

    async def _make(self, request: Request) -> None:
        try:
            operation = await sdk.submit(self._google, request.prompt)
            await sdk.poll_and_save(self._google, self._task, operation, request.number)
        except Exception as error:
            if not sdk.lost(error):
                raise
            if sdk.refused(error):
                self._refused_at = asyncio.get_running_loop().time()
            if request.attempts_left:
                self._again.append(request)
