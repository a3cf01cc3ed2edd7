"""Runs one contestant through one disturbance, and has the emulator's books judged."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.farm import checker
from benchmarks.farm.contestants import Contestant, Farm
from benchmarks.farm.crew import Crew, Worker
from benchmarks.farm.plan import AWAY, CLOCKS, KILLS, NONE, RESTART, SKEWS, Plan
from benchmarks.harness.emulator import EmulatorProcess
from benchmarks.harness.machine import load
from benchmarks.harness.shifted_clock import shifted_clock

RESTARTS = 3

UNENDED = {"planned", "submitting", "running", "fetching"}

SETTLED = 3.0
"""Seconds without anything that happened at Google, after which the journal is asked whether all clips have ended."""

QUIET = 90.0
"""A run ends this many seconds after the last thing that happened at Google, and after its disturbance, with what
it has. DBOS waits up to a minute between its tries to reach a database that is away."""


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
    uncertain: int
    """Clips whose answer was lost, by the journal. They are not sent again by themselves."""
    two_leaders: int | None
    """Requests of a process that another had succeeded; None where nobody leads."""
    without_intent: int | None
    """Requests that no record in the journal preceded; None without a journal."""
    load: float | None
    """The machine's load average when the run began."""

    @property
    def ratio(self) -> float:
        return self.makespan / self.optimum

    @property
    def lost(self) -> int:
        """Clips that nobody will make, and that nobody says are uncertain."""
        return max(0, self.clips - self.made - self.uncertain)


@dataclass
class Happened:
    """What a disturbance did, for the judge. Instants are seconds since the epoch."""

    deaths: list[float] = field(default_factory=list)
    killed: list[int] = field(default_factory=list)
    """The ids of the processes that died, in the same order."""
    outages: list[tuple[float, float]] = field(default_factory=list)
    """When the engine was away."""


async def run(
    name: str, contestant: Contestant, disturbance: str, plan: Plan, emulator: EmulatorProcess, seed: int
) -> Run:
    """Make one run."""
    url = await emulator.start({**plan.mock_options, "seed": seed})
    begun_with = load()
    try:
        with tempfile.TemporaryDirectory(prefix="farm-") as place:
            async with contestant.open(plan, url, Path(place)) as farm:
                began, happened, crashes = await _disturbed(
                    farm, disturbance, plan, emulator, random.Random(seed), leads=contestant.LEADS
                )
                states, intents = await farm.states(), await farm.intents()
    finally:
        books = await emulator.stop()
    requests = checker.requests_of(books)
    began = min([began, *(request.at for request in requests[:1])])  # the first may go while the others are enqueued
    unsent = checker.never_sent(requests, plan.prompts)
    outages = happened.outages
    stalls = checker.idle(requests, plan.limit, plan.period, clips=plan.clips - len(unsent), began=began)
    leaders = checker.two_leaders(requests, happened.killed, (gone_at for gone_at, _ in outages))
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
        pause=round(max(checker.pause(requests, *outage) for outage in outages), 3) if outages else None,
        resumed=_latest([checker.resumed(requests, back_at) for _, back_at in outages]),
        idle=round(stalls[0].seconds, 3) if stalls else 0.0,
        crashes=crashes,
        uncertain=states.get("uncertain", 0),
        two_leaders=len(leaders) if contestant.LEADS else None,
        without_intent=None if intents is None else len(checker.without_intent(requests, intents)),
        load=begun_with,
    )


def _latest(values: Sequence[float | None]) -> float | None:
    """The largest; None if there is none, or submits never resumed."""
    found = [value for value in values if value is not None]
    return round(max(found), 3) if found and len(found) == len(values) else None


async def _disturbed(
    farm: Farm, disturbance: str, plan: Plan, emulator: EmulatorProcess, rng: random.Random, *, leads: bool
) -> tuple[float, Happened, int]:
    workers = farm.workers()
    if disturbance == CLOCKS:
        workers = [_off(worker, SKEWS[worker.number % len(SKEWS)]) for worker in workers]
    happened = Happened()
    async with Crew(workers, restart_after=plan.restart_after, ready=farm.is_ready) as crew:
        await farm.enqueue(plan.prompts)
        began = time.time()
        disturbing = asyncio.create_task(_disturb(disturbance, farm, crew, plan, emulator, rng, happened, leads=leads))
        try:
            await _until_the_end(farm, plan, emulator, disturbing)
        finally:
            disturbing.cancel()
            await asyncio.gather(disturbing, return_exceptions=True)
        crashes = sum(worker.ended_by_itself for worker in crew.workers)
    return began, happened, crashes


def _off(worker: Worker, seconds: int) -> Worker:
    return replace(worker, environment={**worker.environment, **shifted_clock(seconds, worker.directory)})


async def _disturb(
    disturbance: str,
    farm: Farm,
    crew: Crew,
    plan: Plan,
    emulator: EmulatorProcess,
    rng: random.Random,
    happened: Happened,
    *,
    leads: bool,
) -> None:
    began = time.monotonic()
    if disturbance == KILLS:
        for at in plan.kills_at():
            await asyncio.sleep(began + at - time.monotonic())
            worker = await target(crew, emulator, rng, leads=leads)
            happened.killed.append(worker.pid)
            happened.deaths.append(crew.kill(worker))
    elif disturbance == AWAY:
        await asyncio.sleep(plan.optimum / 3)
        gone_at = time.time()
        await asyncio.to_thread(farm.engine.kill)
        await asyncio.sleep(gone_at + plan.away - time.time())
        await asyncio.to_thread(farm.engine.again)
        happened.outages.append((gone_at, time.time()))
    elif disturbance == RESTART:
        for at in plan.kills_at()[:RESTARTS]:
            await asyncio.sleep(began + at - time.monotonic())
            gone_at = time.time()
            await asyncio.to_thread(farm.engine.kill)
            await asyncio.to_thread(farm.engine.again)
            happened.outages.append((gone_at, time.time()))
    elif disturbance not in (NONE, CLOCKS):
        raise ValueError(f"no contestant goes through {disturbance!r}")


async def target(crew: Crew, emulator: EmulatorProcess, rng: random.Random, *, leads: bool) -> Worker:
    """The worker that is struck: the one that has sent the last request, if one sends for all, else any."""
    if leads and (worker := crew.by_pid((await emulator.counts())["last"])) is not None:
        return worker
    return rng.choice([worker for worker in crew.workers if worker.process is not None and worker.is_ready.is_set()])


async def _until_the_end(farm: Farm, plan: Plan, emulator: EmulatorProcess, disturbing: asyncio.Task[None]) -> None:
    last, changed_at = await emulator.counts(), time.monotonic()
    while last["fetched"] < plan.clips:
        if disturbing.done() and (error := disturbing.exception()) is not None:
            raise error
        if not disturbing.done():
            changed_at = time.monotonic()
        quiet = time.monotonic() - changed_at
        if quiet > QUIET or (quiet > SETTLED and await _all_ended(farm)):
            return
        await asyncio.sleep(0.1)
        counts = await emulator.counts()
        if counts != last:
            last, changed_at = counts, time.monotonic()


async def _all_ended(farm: Farm) -> bool:
    """Whether the journal says that nothing waits or runs: some clips may be uncertain."""
    states = await farm.states()
    return bool(states) and not states.keys() & UNENDED
