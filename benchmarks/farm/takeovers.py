"""How soon another process submits after the one that leads has died, or has stopped where it is (SIGSTOP).

The quota is small and frees all the time, so that the time until the next submit is that of the takeover, and too
long by a slot's at most.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from benchmarks.farm import checker
from benchmarks.farm.contestants import Contestant
from benchmarks.farm.crew import Crew, Worker
from benchmarks.farm.plan import Plan
from benchmarks.farm.runner import target
from benchmarks.harness.emulator import EmulatorProcess
from benchmarks.harness.machine import load

KILLED, FROZEN = "killed", "frozen"

LEASE = 15.0
"""Seconds after which the database ends the session of a process that gives no sign of life."""

_FAST = Plan(limit=1, period=0.05, latency=0.5)
_ASLEEP = 3.0
"""Seconds that a frozen leader stays so after another one has begun."""


@dataclass(frozen=True)
class Takeovers:
    """What followed one kind of strike against the leader, several times. Durations in seconds."""

    kind: str
    seconds: tuple[float, ...]
    strikes: int
    sent: int
    sent_twice: int
    refused: int
    uncertain: int
    two_leaders: int
    without_intent: int
    load: float | None

    def percentile(self, part: float) -> float:
        """The duration that `part` of the takeovers do not exceed, from 0 to 1: one that was measured."""
        return sorted(self.seconds)[max(0, ceil(part * len(self.seconds)) - 1)]


ROUND = 6
"""Strikes against one farm, whose queue then has some hundred clips all the time. A successor reads the queue."""


async def measure(
    contestant: Contestant, kind: str, strikes: int, emulator: EmulatorProcess, seed: int, *, pause: float = 2.0
) -> Takeovers:
    """Strike the leader `strikes` times, and let `pause` seconds pass in between."""
    rounds = [
        await _round(contestant, kind, min(ROUND, strikes - done), emulator, seed + done, pause=pause)
        for done in range(0, strikes, ROUND)
    ]
    return Takeovers(
        kind=kind,
        seconds=tuple(seconds for each in rounds for seconds in each.seconds),
        strikes=strikes,
        sent=sum(each.sent for each in rounds),
        sent_twice=sum(each.sent_twice for each in rounds),
        refused=sum(each.refused for each in rounds),
        uncertain=sum(each.uncertain for each in rounds),
        two_leaders=sum(each.two_leaders for each in rounds),
        without_intent=sum(each.without_intent for each in rounds),
        load=max((each.load for each in rounds if each.load is not None), default=None),
    )


async def _round(
    contestant: Contestant, kind: str, strikes: int, emulator: EmulatorProcess, seed: int, *, pause: float
) -> Takeovers:
    longest = pause + (LEASE + _ASLEEP + 5.0 if kind == FROZEN else 5.0)  # with what a worker needs to be there again
    plan = replace(_FAST, clips=round(strikes * longest / _FAST.period))
    begun_with, rng = load(), random.Random(seed)
    url = await emulator.start({**plan.mock_options, "seed": seed})
    struck: list[tuple[float, int]] = []
    try:
        with tempfile.TemporaryDirectory(prefix="farm-") as place:
            async with contestant.open(plan, url, Path(place)) as farm:
                async with Crew(farm.workers(), restart_after=plan.restart_after, ready=farm.is_ready) as crew:
                    await farm.enqueue(plan.prompts)
                    for _ in range(strikes):
                        await asyncio.sleep(pause)
                        await _standby(crew)
                        leader = await target(crew, emulator, rng, leads=True)
                        if kind == KILLED:
                            struck.append((crew.kill(leader), leader.pid))
                        else:
                            struck.append(await _freeze(crew, leader, emulator))
                    await asyncio.sleep(pause)
                states, intents = await farm.states(), await farm.intents()
    finally:
        books = await emulator.stop()
    requests = checker.requests_of(books)
    return Takeovers(
        kind=kind,
        seconds=_seconds(requests, struck),
        strikes=strikes,
        sent=sum(request.accepted for request in requests),
        sent_twice=len(checker.paid_twice(requests)),
        refused=books["refused"],
        uncertain=states.get("uncertain", 0),
        two_leaders=len(checker.two_leaders(requests, (pid for _, pid in struck) if kind == KILLED else ())),
        without_intent=len(checker.without_intent(requests, intents or ())),
        load=begun_with,
    )


def _seconds(requests: Sequence[checker.Request], struck: Sequence[tuple[float, int]]) -> tuple[float, ...]:
    found = (checker.takeover(requests, at, pid) for at, pid in struck)
    return tuple(round(seconds, 3) for seconds in found if seconds is not None)


async def _standby(crew: Crew) -> None:
    """Wait until all workers are there: who takes over is one that stood by, not one that has just begun."""
    for worker in crew.workers:
        await worker.is_ready.wait()


async def _freeze(crew: Crew, leader: Worker, emulator: EmulatorProcess) -> tuple[float, int]:
    """Stop the leader, and wake it a while after another has begun."""
    pid, at = leader.pid, crew.freeze(leader)
    until = time.monotonic() + LEASE + 10.0
    while (await emulator.counts())["last"] == pid and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await asyncio.sleep(_ASLEEP)
    crew.wake(leader)
    return at, pid
