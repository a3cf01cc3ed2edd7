"""Simulates a batch before it costs money: runs the client in virtual time, on a service with the settings' quotas.

Gate, dispatcher and polling are real; Google and the clock are simulated. The service counts with the emulator's rules,
which share no code with the gate's.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from aveo3 import verdicts
from aveo3.client import VeoClient
from aveo3.config.settings import Settings
from aveo3.dispatch.stats import Stats
from aveo3.lanes.estimate import Estimate
from aveo3.mock import Latency, QuotaRule
from aveo3.mock.quota_rules import Moment, QuotaLane
from aveo3.mock.quotas import Quotas
from aveo3.models import VideoPrompt
from aveo3.testing import ScriptedBackend, run_virtual
from aveo3.verdicts import Refusal, Verdict, VerdictKind

SIGMA = 0.35
"""Spread of the latencies around their median, as measured on Veo 3.1: see the emulator's default."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The result of a simulated batch. Times are in seconds from its start, costs in US$ at list prices."""

    done_at: tuple[float, ...]
    """When each clip was done, in ascending order."""
    submitted_at: tuple[float, ...]
    stats: Stats
    shares: tuple[Estimate, ...]
    """The time that each lane's quota rules would take by themselves."""


def simulate(
    prompts: Sequence[VideoPrompt], settings: Settings, *, latency: float | None = None, seed: int = 0
) -> Forecast:
    """Run `prompts` with `settings`, starting now, in virtual time. `latency` is the median in seconds; None means the
    catalog's.

    Nothing is sent, and nothing stays on disk. Simulates some thousands of prompts a second.
    """
    with tempfile.TemporaryDirectory(prefix="aveo3-simulation-") as directory:
        changes: dict[str, Any] = {
            "journal": None,
            "quota_patience": None,
            "output_dir": Path(directory),
            "mock_mode": False,
        }
        if settings.lanes is None:  # a simulation needs no credentials
            card = settings.model_catalog.models.get(settings.model)
            changes["backend"] = "vertex" if card is None else card.backend
        return run_virtual(_run(prompts, settings.model_copy(update=changes), latency, random.Random(seed)))


async def _run(
    prompts: Sequence[VideoPrompt], settings: Settings, latency: float | None, rng: random.Random
) -> Forecast:
    began = datetime.now(UTC)

    def now_utc() -> datetime:
        return began + timedelta(seconds=_now())

    services: list[_Service] = []

    async def connect(_: str, settings: Settings) -> _Service:
        services.append(_Service(settings, latency, rng, now_utc))
        return services[-1]

    veo = VeoClient(settings, connect=connect, rng=rng, now_utc=now_utc)
    async with veo, veo.stream(prompts) as clips:
        done_at = tuple([_now() async for clip in clips if clip.succeeded])
        submitted = sorted(at for service in services for at, _ in service.submits)
        return Forecast(done_at, tuple(submitted), veo.stats(), tuple(veo.estimate(prompts)))


class _Service(ScriptedBackend):
    """One place with the quota that its lane expects. It counts like the strictest server."""

    def __init__(self, settings: Settings, latency: float | None, rng: random.Random, now_utc: Any) -> None:
        super().__init__(answer=self._judge, latency=self._latency, round_trip=0.5)
        rate = settings.rate(settings.model)
        self._quotas = Quotas(
            [
                QuotaRule(kind="minute", limit=rate.limit, period=rate.period),
                QuotaRule(kind="day", limit=settings.daily_limit),
                QuotaRule(kind="spend", limit=settings.spend_limit, period=settings.spend_period),
                QuotaRule(kind="concurrent", limit=settings.max_concurrency),
            ]
        )
        self._settings, self._median, self._rng, self._now_utc = settings, latency, rng, now_utc
        self._numbers = count(1)
        self._running: list[float] = []  # when each operation ends

    def _latency(self, prompt: VideoPrompt) -> float:
        median = self._median or self._settings.model_catalog.latency(self._settings.model, prompt.resolution)
        took = Latency(law="lognormal", a=median, b=SIGMA).draw(self._rng)
        heapq.heappush(self._running, _now() + took)
        return took

    def _judge(self, prompt: VideoPrompt) -> Verdict:
        now = _now()
        while self._running and self._running[0] <= now:
            heapq.heappop(self._running)
        cost = self._settings.model_catalog.cost_usd(prompt, self._settings.model) or 0.0
        lane = QuotaLane("simulated", self._settings.location, self._settings.model)
        moment = Moment(now, self._now_utc())
        violated = self._quotas.judge(lane, moment, usd=cost, running=len(self._running))
        if not violated:
            return verdicts.accepted(f"operations/{next(self._numbers)}")
        worst = violated[-1]
        return Verdict(VerdictKind.REFUSED, f"{worst.rule.kind} quota", refusal=_REFUSALS[worst.rule.kind])


_REFUSALS = {
    "minute": Refusal.MINUTE,
    "day": Refusal.DAY,
    "spend": Refusal.SPEND,
    "concurrent": Refusal.CONCURRENT,
}


def _now() -> float:
    return asyncio.get_running_loop().time()
