"""tenacity alone, as in OpenAI's cookbook ("How to handle rate limits", read 2026-11-23).

A decorator adds exponential backoff and six attempts. It retries every error, including those after which a clip may be
paid already.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from google.genai import types
from tenacity import retry, stop_after_attempt, wait_random_exponential

from benchmarks.rivals import MakeAll, Task, sdk

NAME = "tenacity alone"
PACKAGES: tuple[str, ...] = ("google-genai", "aiohttp", "tenacity")


@asynccontextmanager
async def ready(task: Task) -> AsyncIterator[MakeAll]:
    async with sdk.client(task) as google:

        @retry(
            wait=wait_random_exponential(multiplier=task.seconds(1), min=task.seconds(1), max=task.seconds(60)),
            stop=stop_after_attempt(6),
            reraise=True,  # the last error instead of RetryError: `sdk.lost` needs it
        )
        async def submit(prompt: str) -> types.GenerateVideosOperation:
            return await sdk.submit(google, prompt)

        async def make(number: int, prompt: str) -> None:
            operation = await submit(prompt)
            await sdk.poll_and_save(google, task, operation, number)

        yield lambda: sdk.all_at_once(task, make)
