"""aveo3: `VeoClient.generate_many`, configured with the quota, with its own poll schedule."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr

from aveo3 import Settings, VeoClient
from aveo3.events import Event
from benchmarks.rivals import MODEL, MakeAll, Task

NAME = "aveo3"
PACKAGES: tuple[str, ...] = ("aveo3", "google-genai", "aiolimiter", "aiohttp")


@asynccontextmanager
async def ready(task: Task) -> AsyncIterator[MakeAll]:
    async with client(task) as veo:
        yield lambda: veo.generate_many(task.prompts)


def client(task: Task, *, on_event: Callable[[Event], object] | None = None, **more: Any) -> VeoClient:
    """Return a client that knows the task's quota and nothing else about the service. `more` are further settings."""
    settings = Settings(
        _env_file=None,
        backend="vertex",
        model=MODEL,
        base_url=task.url,
        api_key=SecretStr("benchmark"),
        rate_limit=task.limit,
        rate_period=task.period,
        max_concurrency=task.concurrency,
        output_dir=task.directory,
        retry_wait_base=task.seconds(30),
        quota_wait_time=task.seconds(300),
        quota_reset_interval=task.seconds(3600),
        **more,
    )
    return VeoClient(settings, rng=random.Random(task.seed), on_event=on_event)
