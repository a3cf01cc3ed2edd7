"""Mock mode: runs the emulator in this process, with the quotas that the lanes expect, and points the lanes at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from aveo3.config.settings import Settings
from aveo3.lanes.lanes import Lane, Lanes
from aveo3.lifecycle import is_emulated

FASTEST, SLOWEST = 0.5, 2.0
"""Range of a clip's time in seconds."""

MEDIAN = (FASTEST + SLOWEST) / 2


def clip_seconds(settings: Settings) -> float | None:
    """The time of a clip in mock mode, for estimates; None without mock mode, where the catalog knows better."""
    return SLOWEST if settings.mock_mode or is_emulated(settings.backend) else None


@asynccontextmanager
async def emulator(settings: Settings, lanes: Sequence[Lane]) -> AsyncIterator[Lanes]:
    """Run the emulator while the block lasts. Yields `settings` and `lanes`, changed to use it."""
    from aveo3.mock import Latency, MockOptions, MockServer  # costly to import
    from aveo3.mock.config.quota import Quota

    common = settings.rate(settings.model)
    rates = [lane.settings.rate(lane.model) for lane in lanes]
    period = max((rate.period for rate in rates), default=common.period)
    quotas = [Quota(key=_key(n), rpm=int(rate.limit * period / rate.period)) for n, rate in enumerate(rates)]
    latency = Latency(law="uniform", a=FASTEST, b=SLOWEST)
    options = MockOptions(rpm=common.limit, period=period, latency=latency, quotas=tuple(quotas))
    async with MockServer(options) as server:
        listed = [
            replace(lane, settings=_pointed_at(server.url, lane.settings, _key(n))) for n, lane in enumerate(lanes)
        ]
        yield Lanes(_pointed_at(server.url, settings, "mock"), listed)


def _key(number: int) -> str:
    """The API key by which the emulator tells lanes apart."""
    return f"mock-{number}"


def _pointed_at(url: str, settings: Settings, key: str) -> Settings:
    """`settings` with an emulator's address and key, and without real credentials."""
    identity: dict[str, Any] = {"api_key": SecretStr(key), "project": None, "credentials_file": None}
    return settings.model_copy(update={**identity, "base_url": url, "storage_url": url})
