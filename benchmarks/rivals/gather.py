"""Plain gather: all at once, no retry. What a refusal hits is lost."""

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
            await sdk.see_through(google, task, operation, number)

        yield lambda: sdk.all_at_once(task, make)
