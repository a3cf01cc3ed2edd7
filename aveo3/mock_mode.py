"""Mock mode: the emulator in this process, with the quotas that the lanes expect of Google, and the lanes led there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from aveo3.config.settings import Settings
from aveo3.lanes.lanes import Lane, Lanes

FASTEST, SLOWEST = 0.5, 2.0
"""Seconds that a clip takes."""

MEDIAN = (FASTEST + SLOWEST) / 2


@asynccontextmanager
async def emulator(settings: Settings, lanes: Sequence[Lane]) -> AsyncIterator[Lanes]:
    """Run the emulator; `settings` and `lanes` as they are for it."""
    from aveo3.mock import Latency, MockOptions, MockServer  # costly to import
    from aveo3.mock.config.quota import Quota

    common = settings.rate(settings.model)
    rates = [lane.settings.rate(lane.model) for lane in lanes]
    period = max((rate.period for rate in rates), default=common.period)
    quotas = [Quota(key=_key(n), rpm=int(rate.limit * period / rate.period)) for n, rate in enumerate(rates)]
    latency = Latency(law="uniform", a=FASTEST, b=SLOWEST)
    options = MockOptions(rpm=common.limit, period=period, latency=latency, quotas=tuple(quotas))
    async with MockServer(options) as server:
        listed = [replace(lane, settings=_led_to(server.url, lane.settings, _key(n))) for n, lane in enumerate(lanes)]
        yield Lanes(_led_to(server.url, settings, "mock"), listed)


def _key(number: int) -> str:
    """The API key by which the emulator tells lanes apart."""
    return f"mock-{number}"


def _led_to(url: str, settings: Settings, key: str) -> Settings:
    """`settings` with an emulator's address and key; real credentials are none of its business."""
    identity: dict[str, Any] = {"api_key": SecretStr(key), "project": None, "credentials_file": None}
    return settings.model_copy(update={**identity, "base_url": url, "storage_url": url})
