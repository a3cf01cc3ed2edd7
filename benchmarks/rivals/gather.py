"""Plain gather: all clips at once, without retries. A refused clip is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.rivals import MakeAll, Task, sdk

NAME = "gather"
PACKAGES: tuple[str, ...] = ("google-genai", "aiohttp")


@asynccontextmanager
async def ready(task: Task) -> AsyncIterator[MakeAll]:
    async with sdk.client(task) as google:

        async def make(number: int, prompt: str) -> None:
            operation = await sdk.submit(google, prompt)
            await sdk.poll_and_save(google, task, operation, number)

        yield lambda: sdk.all_at_once(task, make)
