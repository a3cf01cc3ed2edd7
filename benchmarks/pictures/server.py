"""A server in front of the emulator, with requests of three callers, for the picture of its page. In virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import aiohttp

from aveo3 import Settings
from aveo3.mock import Latency, MockOptions, MockServer
from aveo3.server.door.callers import Caller, CallerFile
from aveo3.server.door.page_view import EVERY, DoorView
from aveo3.server.door.server import DoorServer

MODEL = "veo-3.1-generate-001"
LOOKS = 12
"""Looks of the page: stills and films are read a few at a time."""

Still = TypeVar("Still")


async def serve(
    output_dir: Path,
    texts: tuple[str, ...],
    seconds: float,
    now_utc: Callable[[], datetime],
    keep: Callable[[DoorView], Still],
) -> Still:
    """Serve for so many seconds, and return what `keep` makes of the page by then."""
    callers = CallerFile(output_dir)
    keys = {
        caller.name: callers.add(caller)
        for caller in (
            Caller(name="film-team", weight=2, day_budget=150),
            Caller(name="web-shop", total_budget=40),
            Caller(name="intern", max_queued=5),
        )
    }
    options = MockOptions(
        rpm=4,
        latency=Latency(law="lognormal", a=40, b=0.3),
        faults=("filtered-safety@3", "error-14@5"),
        films="drawn",
        seed=3,
    )
    async with MockServer(options) as emulator:
        settings = Settings(
            backend="vertex",
            api_key="emulator",
            base_url=emulator.url,
            output_dir=output_dir,
            rate_limit=4,
            rate_period=60,
            budget=250,
            _env_file=None,
        )
        async with DoorServer(settings, port=0, rng=random.Random(1), now_utc=now_utc) as door:
            view = door.page_view()
            for number in range(30):
                await _order(door.url, keys["film-team"], f"{texts[number % len(texts)]}, take {number + 1}")
                if number % 5 == 0:
                    await _order(door.url, keys["web-shop"], f"a product turns on a table, no. {number // 5 + 1}")
            await asyncio.sleep(seconds - LOOKS * (EVERY + 1))
            for _ in range(LOOKS):
                await asyncio.sleep(EVERY + 1)
                await view.refresh()
            return keep(view)


async def _order(url: str, key: str, text: str) -> None:
    body = {"instances": [{"prompt": text}], "parameters": {"durationSeconds": 8, "resolution": "720p"}}
    path = f"{url}/v1beta/models/{MODEL}:predictLongRunning"
    async with aiohttp.ClientSession() as http, http.post(path, json=body, headers={"x-goog-api-key": key}) as answer:
        answer.raise_for_status()
