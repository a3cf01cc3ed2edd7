"""The CPU time of a permit: the gate's `acquire` and `settle`, compared with aiolimiter alone, which is a part of it.

Without waiters there is quota for all, and no task waits. With waiters, many tasks share a quota of ten per minute, and
each sends as soon as it may. Virtual time leaves out the waits, so the benchmark measures only work. The cost of a
permit must not grow with the number of waiting tasks.
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
from benchmarks.harness.results import Result, new_result, publish
from benchmarks.harness.table import spread, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUESTION = "What does a permit cost, with no waiters and with thousands, compared with aiolimiter alone?"

AIM = 3.0
"""Highest multiple of aiolimiter's cost, without waiters."""

LIMIT, PERIOD = 10, 60.0
"""The quota that waiting tasks share."""

CONTESTANTS = ("aiolimiter", "aveo3")
ACCEPTED = accepted("operations/1")

Use = Callable[[], Awaitable[None]]
"""Takes a permit, then reports the submit as accepted and ended."""


@dataclass(frozen=True)
class Run:
    """One run. CPU time, because other processes disturb it less than wall time."""

    repetition: int
    contestant: str
    waiters: int
    """Number of tasks that wait at once; 0: one task, which never waits."""
    microseconds: float
    """CPU time per permit."""


def _permit_user(contestant: str, limit: int) -> Use:
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
            use_permit = _permit_user(contestant, permits)
            started_at = time.process_time()
            for _ in range(permits):
                await use_permit()
            return time.process_time() - started_at
        use_permit = _permit_user(contestant, LIMIT)
        started_at = time.process_time()
        await asyncio.gather(*(use_permit() for _ in range(waiters)))
        return time.process_time() - started_at

    gc.collect()
    seconds = run_virtual(main()) if waiters else asyncio.run(main())
    return Run(repetition, contestant, waiters, round(seconds / (waiters or permits) * 1e6, 3))


def measure(permits: int, waiters: Sequence[int], repeat: int, seed: int) -> list[Run]:
    """Make `repeat` runs of each contestant without waiters and with each number of waiters, in random order."""
    rng = random.Random(seed)
    cases = [(contestant, crowd) for contestant in CONTESTANTS for crowd in (0, *waiters)]
    for contestant in CONTESTANTS:
        _run(0, contestant, 100, 0)
    order = [(number, *case) for number in range(repeat) for case in rng.sample(cases, len(cases))]
    return [_run(number, contestant, permits, crowd) for number, contestant, crowd in order]


def _of(result: Result, contestant: str, waiters: int) -> list[float]:
    return [
        run["microseconds"] for run in result["runs"] if (run["contestant"], run["waiters"]) == (contestant, waiters)
    ]


def summary(result: Result, *, markdown: bool = False) -> str:
    """Return the table and the aims."""
    rows = []
    for waiters in (0, *result["options"]["waiters"]):
        bare, ours = (_of(result, contestant, waiters) for contestant in CONTESTANTS)
        ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
        rows.append([f"{waiters:,}" if waiters else "none", spread(bare, 1), spread(ours, 1), spread(ratios, 1)])
    headers = ["waiting", "aiolimiter µs per permit", "aveo3 µs per permit", "times"]
    verdicts = " ".join(f"{aim.of}: {aim}" for aim in aims(result))
    return f"{table(headers, rows, words=1, markdown=markdown)}\n\nAims: {verdicts}"


def aims(result: Result) -> list[Aim]:
    """Return two aims: the cost without waiters, and its growth with their number."""
    crowds = result["options"]["waiters"]
    alone, gate = (median(_of(result, contestant, 0)) for contestant in CONTESTANTS)
    bare, ours = (
        median(_of(result, contestant, crowds[-1])) / median(_of(result, contestant, crowds[0]))
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
            f"at most logarithmic growth: {steps:.1f} times",
            f"{ours:.2f} times",
            f"{CONTESTANTS[0]}: {bare:.2f} times",
            ours <= steps,
        ),
    ]


def draw(result: Result, axes: Sequence[Axes]) -> None:
    """Draw the cost of a permit over the number of waiting tasks."""
    crowds = result["options"]["waiters"]
    for contestant, colour in zip(CONTESTANTS, (plots.THEIRS, plots.OURS), strict=True):
        plots.line(axes[0], crowds, [_of(result, contestant, crowd) for crowd in crowds], contestant, colour)
    axes[0].set(xscale="log", xlabel="tasks waiting", ylabel="µs per permit")
    axes[0].set_ylim(bottom=0)
    axes[0].legend(frameon=False)


PANELS = 1


def main(
    permits: Annotated[int, typer.Option(min=1, help="Permits in a run without waiters.")] = 20_000,
    waiters: Annotated[list[int] | None, typer.Option(help="Waiting tasks; repeatable; unset: 10 to 100,000.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 3,
    seed: Annotated[int, typer.Option(help="Decides the order.")] = 0,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few permits, one run, as a check that it works.")] = False,
) -> None:
    crowds = sorted(waiters or (10, 100, 1000, 10_000, 100_000))
    if quick:
        permits, crowds, repeat = 1000, [10, 100], 1
    runs = measure(permits, crowds, repeat, seed)
    options = {"permits": permits, "waiters": crowds, "repeat": repeat, "seed": seed, "limit": LIMIT, "period": PERIOD}
    result = new_result("gate", QUESTION, ("aveo3", "aiolimiter"), options, runs)
    publish(result, summary(result), json_path)
