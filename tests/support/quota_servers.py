"""Servers that count a quota, and clients that drive a gate against them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from aveo3 import verdicts
from aveo3.quota.gate import QuotaGate
from aveo3.quota.permit import Permit
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.settings import settings
from tests.support.virtual import NoJitter, now, now_utc

ACCEPTED = verdicts.accepted("operations/1")
UNSENT = verdicts.unsent("connection refused")


def refused(refusal: Refusal | None, retry_after: float | None = None, limit: int | None = None) -> Verdict:
    return Verdict(VerdictKind.REFUSED, "quota exceeded", refusal=refusal, retry_after=retry_after, limit=limit)


def new_gate(**values: object) -> QuotaGate:
    """Ten a minute unless told otherwise; the calendar goes with the loop's clock; no jitter."""
    return QuotaGate(
        settings(**{"rate_limit": 10, **values}),
        rng=NoJitter(),
        now_utc=now_utc,
    )


async def send(gate: QuotaGate, verdict: Verdict = ACCEPTED, rtt: float = 0.0, *, runs: bool = False) -> float:
    """One submit, answered after `rtt` with `verdict`: the instant at which it went."""
    permit = await gate.acquire()
    went_at = now()
    if rtt:
        await asyncio.sleep(rtt)
    gate.settle(permit, verdict)
    if not runs:
        gate.finish(permit)
    return went_at


async def warm(gate: QuotaGate, accepted: int) -> None:
    """Get that many accepted, so that slow start is behind the gate."""
    for _ in range(accepted):
        await send(gate)


async def hold(gate: QuotaGate, count: int) -> list[Permit]:
    """Permits that are out together."""
    return [await gate.acquire() for _ in range(count)]


class Server(Protocol):
    def takes(self, at: float) -> bool: ...


@dataclass
class FixedWindows:
    """Counts anew every `period`, from an instant that nobody knows."""

    limit: int
    period: float
    phase: float
    window: int = -1
    count: int = 0

    def takes(self, at: float) -> bool:
        if (window := int((at + self.phase) // self.period)) != self.window:
            self.window, self.count = window, 0
        self.count += 1
        return self.count <= self.limit


@dataclass
class SlidingWindow:
    """Counts what it saw in the last `period`, what it refused included."""

    limit: int
    period: float
    seen: deque[float] = field(default_factory=deque)

    def takes(self, at: float) -> bool:
        while self.seen and self.seen[0] <= at - self.period:
            self.seen.popleft()
        self.seen.append(at)
        return len(self.seen) <= self.limit


@dataclass
class Bucket:
    """`limit` at once, refilled at `limit / period`."""

    limit: int
    period: float
    level: float = 0.0
    at: float = 0.0

    def takes(self, at: float) -> bool:
        self.level, self.at = max(0.0, self.level - (at - self.at) * self.limit / self.period), at
        if self.level + 1 > self.limit + 1e-9:
            return False
        self.level += 1
        return True


SERVERS: dict[str, Callable[[int, float, float], Server]] = {
    "fixed windows": FixedWindows,
    "sliding window": lambda limit, period, _: SlidingWindow(limit, period),
    "bucket": lambda limit, period, _: Bucket(limit, period),
}


async def drive(gate: QuotaGate, server: Server, clips: int, rtt: Callable[[], float]) -> tuple[int, float]:
    """Submit `clips` through `gate`, all at once, until each is accepted: the refusals, and when the last went in."""
    refusals, last_at = 0, 0.0

    async def clip() -> None:
        nonlocal refusals, last_at
        while True:
            permit = await gate.acquire()
            await asyncio.sleep(rtt())  # the way there
            taken = server.takes(now())
            if taken:
                last_at = max(last_at, now())
            await asyncio.sleep(rtt())  # and back
            gate.settle(permit, ACCEPTED if taken else refused(Refusal.MINUTE))
            gate.finish(permit)
            if taken:
                return
            refusals += 1

    await asyncio.gather(*(clip() for _ in range(clips)))
    return refusals, last_at
