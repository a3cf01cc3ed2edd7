"""Shared by the tests in virtual time: a calendar that follows the loop, no jitter, and a bound on waiting."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta

from aveo3 import VeoClient, VideoClip
from aveo3.testing import ScriptedBackend, VirtualTimeLoop, run_virtual
from tests.support.settings import settings

START_UTC = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class NoJitter(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return a


def now() -> float:
    return asyncio.get_running_loop().time()


def now_utc() -> datetime:
    return START_UTC + timedelta(seconds=now())


def stall(seconds: float) -> None:
    """Let time pass while the loop stands still, as it does when a program blocks it or the process is stopped."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop._jumping.now += seconds


def virtual(main: Callable[[], Awaitable[None]]) -> None:
    """Run `main` on virtual time; what waits for ever fails after a virtual month instead of hanging."""

    async def bounded() -> None:
        async with asyncio.timeout(31 * 86_400):
            await main()

    run_virtual(bounded())


def client(backend: ScriptedBackend, **values: object) -> VeoClient:
    """A client that polls every second and has no jitter, unless `values` say otherwise."""
    return VeoClient(settings(**{"poll_interval": 1.0, **values}), backend=backend, rng=NoJitter(), now_utc=now_utc)


def statuses(clips: Iterable[VideoClip]) -> list[str]:
    return [clip.status.value for clip in clips]
