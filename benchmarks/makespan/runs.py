"""Makes the runs of `makespan`. Each run has its own emulator.

All runs of a repetition share the instant at which fixed windows end, and their order is random.
"""

from __future__ import annotations

import asyncio
import gc
import random
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer

from benchmarks.harness.emulator import EmulatorProcess
from benchmarks.makespan import optimum
from benchmarks.makespan.optimum import COUNTINGS, Counting
from benchmarks.rivals import Rival, Task, roster

PATIENCE = 20.0
"""A run ends after this multiple of the safe optimum. Clips that are not on disk by then are lost."""


@dataclass(frozen=True)
class Plan:
    """The options of one invocation. Durations in seconds."""

    clips: int = 25
    limit: int = 10
    period: float = 2.0
    told: int | None = None
    """The limit that the contestants are configured with. None: `limit`."""
    minute: float | None = None
    """How many seconds a minute of the contestants' documentation lasts. None: `period`."""
    latency: float | None = None
    """From accepted to done. None: 15 s of a minute, halfway between two polls at an interval of 10 s."""
    rtt: float | None = None
    """Round trip. None: 0.3 s of a minute."""
    refusal_body: str = "vertex"
    repeat: int = 5
    seed: int = 0
    countings: tuple[Counting, ...] = COUNTINGS
    only: tuple[str, ...] = ()

    def of_a_minute(self, value: float | None, seconds: float) -> float:
        """Return `value`. If it is None, convert `seconds` of a minute to seconds of this plan."""
        return value if value is not None else seconds * self.period / 60

    @property
    def clip_latency(self) -> float:
        return self.of_a_minute(self.latency, 15)

    def mock_options(self, counting: Counting) -> dict[str, Any]:
        """Return the options of the emulator, the same for every contestant."""
        return {
            "rpm": self.limit,
            "period": self.period,
            "counting": counting,
            "latency": str(self.clip_latency),
            "rtt": str(self.of_a_minute(self.rtt, 0.3)),
            "refusal_body": self.refusal_body,
            "films": "bundled",
            "seed": self.seed,
        }

    def task(self, url: str, directory: Path) -> Task:
        """Return the task of a contestant."""
        return Task(
            prompts=tuple(f"clip {number} of a benchmark" for number in range(self.clips)),
            directory=directory,
            url=url,
            limit=self.told or self.limit,
            period=self.period,
            minute=self.minute or self.period,
            concurrency=self.clips,
            seed=self.seed,
        )


@dataclass(frozen=True)
class Slot:
    """One planned run."""

    repetition: int
    counting: Counting
    rival: str
    edge_in: float
    """Seconds from the start to the end of the first fixed window."""


@dataclass(frozen=True)
class Run:
    """The result of one run. Durations in seconds; the counts after `last_accepted` are from the books."""

    repetition: int
    counting: Counting
    rival: str
    edge_in: float
    clips: int
    made: int
    makespan: float
    optimum: float
    safe: float
    last_accepted: float
    """From the start to the last accepted submit. The rest of the makespan is latency, polls and disk."""
    submits: int
    refused: int
    paid_twice: int
    polls: int


def slots(plan: Plan, rivals: Iterable[str]) -> Iterator[Slot]:
    """Yield every run of the plan, in an order that depends on the seed."""
    rng = random.Random(plan.seed)
    rivals = tuple(rivals)
    for repetition in range(plan.repeat):
        edge_in = round(rng.uniform(0.1, 0.9) * plan.period, 6)
        batch = [Slot(repetition, counting, rival, edge_in) for counting in plan.countings for rival in rivals]
        rng.shuffle(batch)
        yield from batch


async def measure(plan: Plan) -> list[Run]:
    """Make every run of the plan, with progress on stderr."""
    rivals = {name: rival for name, rival in roster().items() if not plan.only or name in plan.only}
    planned = list(slots(plan, rivals))
    runs = []
    async with EmulatorProcess() as google:
        for rival in rivals.values():
            await _warm_up(rival, google)
        for number, slot in enumerate(planned, start=1):
            run = await _run(plan, slot, rivals[slot.rival], google)
            runs.append(run)
            _log(f"{number}/{len(planned)} {run.counting} {run.rival}: {run.made}/{run.clips} in {run.makespan:.2f} s")
    return runs


async def _warm_up(rival: Rival, google: EmulatorProcess) -> None:
    """Make a few clips first, so that lazy imports and caches are not part of a makespan."""
    plan = Plan(clips=3, limit=1000, period=0.1)
    with tempfile.TemporaryDirectory() as directory:
        url = await google.start(plan.mock_options("sliding"))
        async with rival.ready(plan.task(url, Path(directory))) as make_all:
            await make_all()
        await google.stop()


async def _run(plan: Plan, slot: Slot, rival: Rival, google: EmulatorProcess) -> Run:
    now = asyncio.get_running_loop().time
    submits = optimum.last_submit(slot.counting, plan.clips, plan.limit, plan.period, slot.edge_in)
    safe = optimum.safe(plan.clips, plan.limit, plan.period) + plan.clip_latency
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        url = await google.start(plan.mock_options(slot.counting))
        async with rival.ready(plan.task(url, directory)) as make_all:
            random.seed(f"{plan.seed} {slot}")  # tenacity takes its jitter from the global generator
            gc.collect()
            await google.align(slot.edge_in)
            started_at = now()
            try:
                async with asyncio.timeout(PATIENCE * safe):
                    await make_all()
            except TimeoutError:
                _log(f"{slot.rival} was stopped after {PATIENCE:g} times the safe optimum")
            makespan = now() - started_at
        books = await google.stop()
        count = await asyncio.to_thread(_count_films, directory)
    return Run(
        **asdict(slot),
        clips=plan.clips,
        made=count,
        makespan=round(makespan, 6),
        optimum=round(submits + plan.clip_latency, 6),
        safe=round(safe, 6),
        last_accepted=max(books["accepted_at"], default=0.0),
        submits=books["submits"],
        refused=books["refused"],
        paid_twice=len(books["accepted_twice"]),
        polls=books["polls"],
    )


def _count_films(directory: Path) -> int:
    return sum(1 for film in directory.glob("*.mp4") if film.stat().st_size)


def _log(text: str) -> None:
    typer.echo(text, err=True)
