"""aiolimiter + tenacity + semaphore, as an experienced user writes it.

The limiter is configured with the quota, and every attempt passes it. Only refusals are retried (never a submit that
may be paid already), with exponential backoff and jitter.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiolimiter import AsyncLimiter
from google.genai import types
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from benchmarks.rivals import MakeAll, Task, sdk

NAME = "aiolimiter + tenacity"
PACKAGES: tuple[str, ...] = ("google-genai", "aiohttp", "aiolimiter", "tenacity")

ATTEMPTS = 20
"""High enough: the last wait begins a quarter of an hour after the first."""


@asynccontextmanager
async def ready(task: Task) -> AsyncIterator[MakeAll]:
    limiter = AsyncLimiter(task.limit, task.period)
    semaphore = asyncio.Semaphore(task.concurrency)
    async with sdk.client(task) as google:

        @retry(
            retry=retry_if_exception(sdk.refused),
            wait=wait_exponential_jitter(initial=task.seconds(1), max=task.seconds(60), jitter=task.seconds(1)),
            stop=stop_after_attempt(ATTEMPTS),
            reraise=True,
        )
        async def submit(prompt: str) -> types.GenerateVideosOperation:
            async with limiter:
                return await sdk.submit(google, prompt)

        async def make(number: int, prompt: str) -> None:
            async with semaphore:
                operation = await submit(prompt)
                await sdk.poll_and_save(google, task, operation, number)

        yield lambda: sdk.all_at_once(task, make)
