"""Runs one contestant through one disturbance, and has the emulator's books judged."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.farm import checker
from benchmarks.farm.contestants import Contestant, Farm
from benchmarks.farm.crew import Crew, Worker
from benchmarks.farm.plan import AWAY, CLOCKS, KILLS, NONE, SKEWS, Plan
from benchmarks.harness.emulator import EmulatorProcess
from benchmarks.harness.machine import load
from benchmarks.harness.shifted_clock import shifted_clock

QUIET = 15.0
"""A run ends this many seconds after the last thing that happened at Google, with what it has."""


@dataclass(frozen=True)
class Run:
    """One run. Durations in seconds; None where there is nothing to measure."""

    contestant: str
    disturbance: str
    seed: int
    clips: int
    made: int
    """Prompts whose film was fetched."""
    sent_twice: int
    refused: int
    never_sent: int
    optimum: float
    makespan: float
    slowest_poll: float | None
    """After a death, of an operation that ran then."""
    pause: float | None
    """The longest time without a submit around an outage of the engine."""
    resumed: float | None
    """From the engine's return to the next submit."""
    idle: float
    """The longest time in which work waited, quota was free and nothing was sent."""
    crashes: int
    """Workers that ended by themselves."""
    load: float | None
    """The machine's load average when the run began."""

    @property
    def ratio(self) -> float:
        return self.makespan / self.optimum


@dataclass
class Happened:
    """What a disturbance did, for the judge. Instants are seconds since the epoch."""

    deaths: list[float]
    away: tuple[float, float] | None = None


async def run(
    name: str, contestant: Contestant, disturbance: str, plan: Plan, emulator: EmulatorProcess, seed: int
) -> Run:
    """Make one run."""
    url = await emulator.start({**plan.mock_options, "seed": seed})
    begun_with = load()
    try:
        with tempfile.TemporaryDirectory(prefix="farm-") as place:
            async with contestant.open(plan, url, Path(place)) as farm:
                began, happened, crashes = await _disturbed(farm, disturbance, plan, emulator, random.Random(seed))
    finally:
        books = await emulator.stop()
    requests = checker.requests_of(books)
    unsent = checker.never_sent(requests, plan.prompts)
    away = happened.away
    stalls = checker.idle(requests, plan.limit, plan.period, clips=plan.clips - len(unsent), began=began)
    return Run(
        contestant=name,
        disturbance=disturbance,
        seed=seed,
        clips=plan.clips,
        made=len({request.prompt for request in requests if request.fetched_at is not None}),
        sent_twice=len(checker.paid_twice(requests)),
        refused=books["refused"],
        never_sent=len(unsent),
        optimum=plan.optimum,
        makespan=round(checker.makespan(requests, began), 3),
        slowest_poll=round(checker.slowest_poll(requests, happened.deaths), 3) if happened.deaths else None,
        pause=round(checker.pause(requests, *away), 3) if away else None,
        resumed=_rounded(checker.resumed(requests, away[1])) if away else None,
        idle=round(stalls[0].seconds, 3) if stalls else 0.0,
        crashes=crashes,
        load=begun_with,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


async def _disturbed(
    farm: Farm, disturbance: str, plan: Plan, emulator: EmulatorProcess, rng: random.Random
) -> tuple[float, Happened, int]:
    workers = farm.workers()
    if disturbance == CLOCKS:
        workers = [_off(worker, SKEWS[worker.number % len(SKEWS)]) for worker in workers]
    happened = Happened([])
    async with Crew(workers, restart_after=plan.restart_after, ready=farm.is_ready) as crew:
        began = time.time()
        disturbing = asyncio.create_task(_disturb(disturbance, farm, crew, plan, rng, happened))
        try:
            await farm.enqueue(plan.prompts)
            await _until_the_end(plan, emulator, disturbing)
        finally:
            disturbing.cancel()
            await asyncio.gather(disturbing, return_exceptions=True)
        crashes = sum(worker.ended_by_itself for worker in crew.workers)
    return began, happened, crashes


def _off(worker: Worker, seconds: int) -> Worker:
    return replace(worker, environment={**worker.environment, **shifted_clock(seconds, worker.directory)})


async def _disturb(
    disturbance: str, farm: Farm, crew: Crew, plan: Plan, rng: random.Random, happened: Happened
) -> None:
    if disturbance == KILLS:
        began = time.monotonic()
        for at in plan.kills_at():
            await asyncio.sleep(began + at - time.monotonic())
            worker = await farm.leader(crew) or _any(crew.workers, rng)
            happened.deaths.append(crew.kill(worker))
    elif disturbance == AWAY:
        await asyncio.sleep(plan.optimum / 3)
        gone_at = time.time()
        await asyncio.to_thread(farm.engine.kill)
        await asyncio.sleep(gone_at + plan.away - time.time())
        await asyncio.to_thread(farm.engine.again)
        happened.away = gone_at, time.time()
    elif disturbance not in (NONE, CLOCKS):
        raise ValueError(f"no contestant goes through {disturbance!r}")


def _any(workers: Sequence[Worker], rng: random.Random) -> Worker:
    return rng.choice([worker for worker in workers if worker.process is not None and worker.is_ready.is_set()])


async def _until_the_end(plan: Plan, emulator: EmulatorProcess, disturbing: asyncio.Task[None]) -> None:
    last, changed_at = await emulator.counts(), time.monotonic()
    while last["fetched"] < plan.clips:
        if disturbing.done() and (error := disturbing.exception()) is not None:
            raise error
        if time.monotonic() - changed_at > QUIET and disturbing.done():
            return
        await asyncio.sleep(0.1)
        counts = await emulator.counts()
        if counts != last:
            last, changed_at = counts, time.monotonic()
