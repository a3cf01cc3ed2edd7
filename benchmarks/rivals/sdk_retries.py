"""google-genai's own retries: gather with `HttpRetryOptions`.

Its defaults are five attempts with waits of about 1, 2, 4 and 8 s (docs.cloud.google.com, "Retry strategy", read
2026-11-23). They know neither the quota nor the other requests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from google.genai import types

from benchmarks.rivals import MakeAll, Task, sdk

NAME = "google-genai HttpRetryOptions"
PACKAGES: tuple[str, ...] = ("google-genai", "aiohttp", "tenacity")


@asynccontextmanager
async def ready(task: Task) -> AsyncIterator[MakeAll]:
    # The defaults of HttpRetryOptions(), written out in order to scale them. Attempts stay 5.
    retry_options = types.HttpRetryOptions(
        initial_delay=task.seconds(1), max_delay=task.seconds(60), jitter=task.seconds(1)
    )
    async with sdk.client(task, retry_options) as google:

        async def make(number: int, prompt: str) -> None:
            operation = await sdk.submit(google, prompt)
            await sdk.poll_and_save(google, task, operation, number)

        yield lambda: sdk.all_at_once(task, make)
