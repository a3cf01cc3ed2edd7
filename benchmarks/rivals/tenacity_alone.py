"""tenacity alone, as OpenAI's cookbook has it ("How to handle rate limits", read 2026-11-23): exponential backoff and
six attempts decorate the call, and every error is tried again, those after which a clip may be paid included."""

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
            reraise=True,  # the last error rather than RetryError: it tells us what to count as lost
        )
        async def submit(prompt: str) -> types.GenerateVideosOperation:
            return await sdk.submit(google, prompt)

        async def make(number: int, prompt: str) -> None:
            operation = await submit(prompt)
            await sdk.see_through(google, task, operation, number)

        yield lambda: sdk.all_at_once(task, make)
