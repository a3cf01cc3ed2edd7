"""One lane at Google in virtual time: the emulator's own rules and words, without its wire.

An hour of quota passes in milliseconds, so a contest can have many seeds and minutes that last a minute. What comes
back from `post` is what the emulator would have written, and from `submit` what `aveo3.verdicts` reads in it:
nobody sees more than an answer carries.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Literal

from aveo3 import verdicts
from aveo3.backends.base import Finished, PollResult, Probe, Running, Video
from aveo3.mock.error_bodies import UNAVAILABLE, Answer, RefusalWriter, misleading_delay
from aveo3.mock.quotas import Counting, Lane, Moment, QuotaRule, Quotas
from aveo3.models import VideoPrompt
from aveo3.verdicts import Verdict

Body = Literal["detailed", "vertex"]

MODEL = "veo-3.1-generate-001"
NOON_UTC = datetime(2026, 11, 23, 12, tzinfo=UTC)
_LANE = Lane("bench", "us-central1", MODEL)


@dataclass(frozen=True)
class Service:
    """What Google is like. Durations in seconds; what is None does not exist."""

    limit: int | None = 10
    period: float = 60.0
    counting: Counting = "sliding"
    edge_in: float = 0.0
    """When the first fixed window ends."""
    count_refused: bool = False
    body: Body = "vertex"
    retry_info: bool = True
    quota_value: bool = True
    concurrent: int | None = None
    rtt: float = 0.3
    """On average; each way takes between half and one and a half times its half."""
    latency: float = 15.0
    latency_spread: float = 0.0
    """The log-normal sigma of it."""
    changes: tuple[tuple[float, int], ...] = ()
    """(instant, new limit), in order."""
    others: float = 0.0
    """Requests of another program per period, at random instants; refused ones are not repeated."""
    away: tuple[float, float] = (inf, inf)
    """From when until when 503 is said."""
    failing: float = 1.0
    """The part of the answers in that time that are 503."""


class VirtualGoogle:
    """Keeps aveo3's `Backend` protocol, and the books. Use it on a loop whose time jumps."""

    def __init__(self, service: Service, seed: int) -> None:
        self.service = service
        self._rng = random.Random(f"google {seed}")
        self._others_rng = random.Random(f"others {seed}")
        self._quotas = Quotas(())
        self._limit: int | None = service.limit
        self._writer = RefusalWriter(service.body, service.retry_info, service.quota_value)
        self._changes = list(service.changes)
        self._others: asyncio.Task[None] | None = None
        self._ends_at: dict[str, float] = {}
        self.submits = self.refused = self.unavailable = 0
        self.accepted_at: list[float] = []
        self.done_at: list[float] = []
        self.others_accepted_at: list[float] = []

    async def check(self, model: str) -> Probe:
        """Always well."""
        return Probe("virtual", status=200)

    def open(self) -> None:
        """Let the other program, if there is one, begin."""
        if self.service.others:
            self._others = asyncio.get_running_loop().create_task(self._be_somebody_else())

    async def aclose(self) -> None:
        """Nothing to close: the books stay."""

    def shut(self) -> None:
        """Let the other program end."""
        if self._others is not None:
            self._others.cancel()

    # ---- what a client sees ------------------------------------------------------------------------------------------

    async def submit(
        self, prompt: VideoPrompt | None = None, model: str = MODEL, *, output_uri: str | None = None
    ) -> Verdict:
        """One request, and what its answer means."""
        said = await self.post()
        if isinstance(said, str):
            return verdicts.accepted(said)
        return verdicts.from_answer(said.status, said.body)

    async def post(self) -> str | Answer:
        """One request for those who read answers themselves: a trip there, the rules, a trip back.

        Returns the operation's name, or the answer that says no.
        """
        self.submits += 1
        await self._trip()
        said = self._judge()
        await self._trip()
        return said

    async def poll(self, operation: str) -> PollResult:
        """Running until its time has come."""
        if _now() < self._ends_at[operation]:
            return Running()
        return Finished((Video(uri="gs://bench/film.mp4"),))

    async def find(self, output_uri: str) -> Sequence[Video]:
        """None."""
        return ()

    async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
        """Films stay in their bucket."""
        return None

    # ---- behind the counter ------------------------------------------------------------------------------------------

    async def _trip(self) -> None:
        await asyncio.sleep(self.service.rtt / 2 * self._rng.uniform(0.5, 1.5))

    def _moment(self) -> Moment:
        return Moment(_now(), NOON_UTC + timedelta(seconds=_now()))

    def _rules(self) -> tuple[QuotaRule, ...]:
        service = self.service
        while self._changes and self._changes[0][0] <= _now():
            self._limit = self._changes.pop(0)[1]
        minute = QuotaRule(
            kind="minute",
            limit=self._limit,
            period=service.period,
            counting=service.counting,
            count_refused=service.count_refused,
            phase=service.edge_in,
        )
        return minute, QuotaRule(kind="concurrent", limit=service.concurrent)

    def _judge(self) -> str | Answer:
        away_from, away_until = self.service.away
        if away_from <= _now() < away_until and self._rng.random() < self.service.failing:
            self.unavailable += 1
            return UNAVAILABLE
        self._quotas.rules = self._rules()
        running = sum(ends > _now() for ends in self._ends_at.values()) if self.service.concurrent else 0
        if violations := self._quotas.judge(_LANE, self._moment(), usd=0.0, running=running):
            self.refused += 1
            delay = misleading_delay(violations, _now(), self._rng)
            return self._writer.write(violations, _LANE, MODEL, "vertex", delay)
        name = f"operations/{len(self.accepted_at)}"
        spread = self.service.latency_spread
        latency = self.service.latency * (self._rng.lognormvariate(0.0, spread) if spread else 1.0)
        self._ends_at[name] = _now() + latency
        self.accepted_at.append(_now())
        self.done_at.append(_now() + latency)
        return name

    async def _be_somebody_else(self) -> None:
        """As many requests in every period as they make, each at an instant of its own."""
        service = self.service
        for number in range(10**9):
            begins = number * service.period
            count = int(service.others) + (self._others_rng.random() < service.others % 1)
            for at in sorted(begins + self._others_rng.random() * service.period for _ in range(count)):
                await asyncio.sleep(max(0.0, at - _now()))
                self._quotas.rules = self._rules()
                if not self._quotas.judge(_LANE, self._moment(), usd=0.0, running=0):
                    self.others_accepted_at.append(_now())


def _now() -> float:
    return asyncio.get_running_loop().time()
