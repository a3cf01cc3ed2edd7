"""What leave to submit costs: the gate's `acquire` and `settle`, against aiolimiter alone, of which the gate is made.

Uncontended, nobody waits: there is quota for all. With waiters, so many tasks ask at once for a quota of ten a minute,
and each sends as soon as it may, in virtual time: what is measured is the work, not the wait. What one permit costs
must not grow with how many wait for theirs.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer
from aiolimiter import AsyncLimiter

from aveo3 import Settings
from aveo3.quota.gate import QuotaGate
from aveo3.testing import run_virtual
from aveo3.verdicts import accepted
from benchmarks.harness import plots
from benchmarks.harness.aims import Aim
from benchmarks.harness.results import Result, result, tell
from benchmarks.harness.table import spread, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUESTION = "What does leave to submit cost, with nobody waiting and with thousands, against aiolimiter alone?"

AIM = 3.0
"""Times aiolimiter, with nobody waiting."""

LIMIT, PERIOD = 10, 60.0
"""The quota that waiters share."""

CONTESTANTS = ("aiolimiter", "aveo3")
ACCEPTED = accepted("operations/1")

Ask = Callable[[], Awaitable[None]]
"""Waits for leave, and says that the submit was accepted and has ended."""


@dataclass(frozen=True)
class Run:
    """One run. Microseconds of CPU time a permit, which neighbours disturb less than the clock."""

    repetition: int
    contestant: str
    waiters: int
    """Tasks that asked at once; 0: one after another, and nobody ever waited."""
    microseconds: float


def _ask(contestant: str, limit: int) -> Ask:
    if contestant == "aiolimiter":
        limiter = AsyncLimiter(limit, PERIOD)

        async def bare() -> None:
            async with limiter:
                pass

        return bare
    gate = QuotaGate(Settings(_env_file=None, rate_limit=limit, rate_period=PERIOD))

    async def ours() -> None:
        permit = await gate.acquire()
        gate.settle(permit, ACCEPTED)
        gate.finish(permit, succeeded=True)

    return ours


def _run(repetition: int, contestant: str, permits: int, waiters: int) -> Run:
    async def main() -> float:
        if not waiters:
            ask = _ask(contestant, permits)
            began = time.process_time()
            for _ in range(permits):
                await ask()
            return time.process_time() - began
        ask = _ask(contestant, LIMIT)
        began = time.process_time()
        await asyncio.gather(*(ask() for _ in range(waiters)))
        return time.process_time() - began

    gc.collect()
    seconds = run_virtual(main()) if waiters else asyncio.run(main())
    return Run(repetition, contestant, waiters, round(seconds / (waiters or permits) * 1e6, 3))


def measure(permits: int, waiters: Sequence[int], repeat: int, seed: int) -> list[Run]:
    """`repeat` runs of each contestant with each number of waiters, and with none, in an order that is drawn."""
    rng = random.Random(seed)
    cases = [(contestant, crowd) for contestant in CONTESTANTS for crowd in (0, *waiters)]
    for contestant in CONTESTANTS:
        _run(0, contestant, 100, 0)
    order = [(number, *case) for number in range(repeat) for case in rng.sample(cases, len(cases))]
    return [_run(number, contestant, permits, crowd) for number, contestant, crowd in order]


def _of(found: Result, contestant: str, waiters: int) -> list[float]:
    return [
        run["microseconds"] for run in found["runs"] if (run["contestant"], run["waiters"]) == (contestant, waiters)
    ]


def summary(found: Result, *, markdown: bool = False) -> str:
    """The table, and whether the aims are met."""
    rows = []
    for waiters in (0, *found["options"]["waiters"]):
        bare, ours = (_of(found, contestant, waiters) for contestant in CONTESTANTS)
        ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
        rows.append([f"{waiters:,}" if waiters else "none", spread(bare, 1), spread(ours, 1), spread(ratios, 1)])
    headers = ["waiting", "aiolimiter µs a permit", "aveo3 µs a permit", "times"]
    told = " ".join(f"{aim.of}: {aim}" for aim in aims(found))
    return f"{table(headers, rows, words=1, markdown=markdown)}\n\nAims: {told}"


def aims(found: Result) -> list[Aim]:
    """Against aiolimiter alone with nobody waiting, and against itself with few."""
    crowds = found["options"]["waiters"]
    alone, gate = (median(_of(found, contestant, 0)) for contestant in CONTESTANTS)
    bare, ours = (
        median(_of(found, contestant, crowds[-1])) / median(_of(found, contestant, crowds[0]))
        for contestant in CONTESTANTS
    )
    steps = log2(crowds[-1]) / log2(crowds[0])
    return [
        Aim(
            "a permit, nobody waiting",
            f"at most {AIM:g} times aiolimiter",
            f"{gate / alone:.1f} times, {gate:.1f} µs",
            f"{CONTESTANTS[0]}: {alone:.1f} µs",
            gate <= AIM * alone,
        ),
        Aim(
            f"a permit, from {crowds[0]:,} to {crowds[-1]:,} waiting",
            f"grows no more than their logarithm: {steps:.1f} times",
            f"{ours:.2f} times",
            f"{CONTESTANTS[0]}: {bare:.2f} times",
            ours <= steps,
        ),
    ]


def draw(found: Result, axes: Sequence[Axes]) -> None:
    """Cost by how many wait."""
    crowds = found["options"]["waiters"]
    for contestant, colour in zip(CONTESTANTS, (plots.THEIRS, plots.OURS), strict=True):
        plots.line(axes[0], crowds, [_of(found, contestant, crowd) for crowd in crowds], contestant, colour)
    axes[0].set(xscale="log", xlabel="tasks waiting", ylabel="µs a permit")
    axes[0].set_ylim(bottom=0)
    axes[0].legend(frameon=False)


PANELS = 1


def main(
    permits: Annotated[int, typer.Option(min=1, help="Permits asked for with nobody waiting.")] = 20_000,
    waiters: Annotated[list[int] | None, typer.Option(help="Tasks at once; repeatable; unset: 10 to 100,000.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 3,
    seed: Annotated[int, typer.Option(help="Decides the order.")] = 0,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few permits, once: to see that it works.")] = False,
) -> None:
    crowds = sorted(waiters or (10, 100, 1000, 10_000, 100_000))
    if quick:
        permits, crowds, repeat = 1000, [10, 100], 1
    runs = measure(permits, crowds, repeat, seed)
    options = {"permits": permits, "waiters": crowds, "repeat": repeat, "seed": seed, "limit": LIMIT, "period": PERIOD}
    found = result("gate", QUESTION, ("aveo3", "aiolimiter"), options, runs)
    tell(found, summary(found), json_path)
