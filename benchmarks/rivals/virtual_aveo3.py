"""aveo3 in virtual time: the whole client with its defaults, configured only with a rate."""

from __future__ import annotations

import asyncio
import random
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from aveo3 import Settings, VeoClient
from benchmarks.harness.lane import MODEL, NOON_UTC, VirtualGoogle
from benchmarks.rivals import VirtualTask

NAME = "aveo3"


async def make_all(google: VirtualGoogle, task: VirtualTask) -> None:
    now = asyncio.get_running_loop().time

    def now_utc() -> datetime:
        return NOON_UTC + timedelta(seconds=now())

    with tempfile.TemporaryDirectory() as name:
        settings = Settings(
            _env_file=None,
            rate_limit=task.told,
            rate_period=task.period,
            model=MODEL,
            backend="vertex",
            journal=None,
            output_dir=Path(name),
            quota_patience=None,
        )
        async with VeoClient(settings, backend=google, rng=random.Random(task.seed), now_utc=now_utc) as veo:
            await veo.generate_many([f"clip {number} of a contest" for number in range(task.clips)])
