"""One lane of Google in virtual time: the emulator's own rules and bodies, without its wire.

An hour of quota passes in milliseconds, so a contest can have many seeds and minutes of 60 seconds. `post` returns the
emulator's answer, and `submit` the verdict of `aveo3.verdicts` on it. A contestant learns no more than an answer says.
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
from aveo3.mock.error_bodies import UNAVAILABLE, Answer
from aveo3.mock.quota_rules import Counting, Moment, QuotaLane, QuotaRule
from aveo3.mock.quotas import Quotas
from aveo3.mock.refusals import RefusalWriter, misleading_delay
from aveo3.models import VideoPrompt
from aveo3.verdicts import Verdict

Body = Literal["detailed", "vertex"]

MODEL = "veo-3.1-generate-001"
NOON_UTC = datetime(2026, 11, 23, 12, tzinfo=UTC)
_LANE = QuotaLane("bench", "us-central1", MODEL)


@dataclass(frozen=True)
class Service:
    """Properties of the service. Durations in seconds; None means that the limit does not exist."""

    limit: int | None = 10
    period: float = 60.0
    counting: Counting = "sliding"
    edge_in: float = 0.0
    """Instant at which the first fixed window ends."""
    count_refused: bool = False
    body: Body = "vertex"
    retry_info: bool = True
    quota_value: bool = True
    concurrent: int | None = None
    rtt: float = 0.3
    """Mean round trip. Each direction takes half of it, times a random factor from 0.5 to 1.5."""
    latency: float = 15.0
    latency_spread: float = 0.0
    """Log-normal sigma of the latency."""
    changes: tuple[tuple[float, int], ...] = ()
    """(instant, new limit), in order."""
    others: float = 0.0
    """Requests of another program per period, at random instants. It does not repeat refused requests."""
    away: tuple[float, float] = (inf, inf)
    """Start and end of an outage with 503."""
    failing: float = 1.0
    """Share of the requests that get 503 during the outage."""


class VirtualGoogle:
    """The service, with books. It implements aveo3's `Backend` protocol and needs a loop in virtual time."""

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
        """Always succeeds."""
        return Probe("virtual", status=200)

    def open(self) -> None:
        """Start the other program, if there is one."""
        if self.service.others:
            self._others = asyncio.get_running_loop().create_task(self._run_other_program())

    async def aclose(self) -> None:
        """Do nothing: the books stay readable."""

    def shut(self) -> None:
        """Stop the other program."""
        if self._others is not None:
            self._others.cancel()

    # ---- the client's view -------------------------------------------------------------------------------------------

    async def submit(
        self, prompt: VideoPrompt | None = None, model: str = MODEL, *, output_uri: str | None = None
    ) -> Verdict:
        """Send one request and return the verdict on its answer."""
        answer = await self.post()
        if isinstance(answer, str):
            return verdicts.accepted(answer)
        return verdicts.from_answer(answer.status, answer.body)

    async def post(self) -> str | Answer:
        """Send one request: a trip there, the rules, a trip back. For contestants that read answers themselves.

        Returns the name of the operation, or the answer that refuses the request.
        """
        self.submits += 1
        await self._trip()
        answer = self._judge()
        await self._trip()
        return answer

    async def poll(self, operation: str) -> PollResult:
        """Return Running until the operation ends, then one video."""
        if _now() < self._ends_at[operation]:
            return Running()
        return Finished((Video(uri="gs://bench/film.mp4"),))

    async def find(self, output_uri: str) -> Sequence[Video]:
        """Find no videos."""
        return ()

    async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
        """Return None: films stay in their bucket."""
        return None

    # ---- the service -------------------------------------------------------------------------------------------------

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

    async def _run_other_program(self) -> None:
        """Send `others` requests in every period, at random instants."""
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
