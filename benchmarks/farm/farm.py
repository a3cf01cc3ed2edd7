"""Several processes on one quota, and what happens to those who run them: workers are killed, the engine goes away, the
clocks of the machines differ. Beside aveo3: DBOS's queue with its limiter, and a limiter library over Redis.

Real time. Every worker is a process of its own, and so are the emulator and the engine (PostgreSQL with fsync, or
Redis). The judge is the emulator's log: see `checker`. What only aveo3 has, such as a leader that freezes, is measured
besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.farm import report
from benchmarks.farm.contestants import roster
from benchmarks.farm.plan import CLOCKS, DISTURBANCES, QUICK, QUICK_DISTURBANCES, Plan
from benchmarks.farm.runner import Run, run
from benchmarks.harness.emulator import EmulatorProcess
from benchmarks.harness.environment import forget_the_environment
from benchmarks.harness.results import new_result, publish
from benchmarks.harness.shifted_clock import can_shift

QUESTION = report.QUESTION
PANELS = report.PANELS
summary, aims, draw = report.summary, report.aims, report.draw


async def _races(plan: Plan, names: Sequence[str], disturbances: Sequence[str], repeat: int, seed: int) -> list[Run]:
    runs = []
    async with EmulatorProcess() as emulator:
        for repetition in range(repeat):
            for disturbance in disturbances:
                for name in names:
                    one = await run(name, roster()[name], disturbance, plan, emulator, seed + repetition)
                    typer.echo(report.line(one), err=True)
                    runs.append(one)
    return runs


def main(
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each contestant in each case.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="A contestant; repeatable; unset: all.")] = None,
    case: Annotated[list[str] | None, typer.Option(help="A disturbance; repeatable; unset: all.")] = None,
    seed: Annotated[int, typer.Option(help="Decides latencies and who is killed.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Few clips, short outages, as a check that it works.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
) -> None:
    """Measure, and print tables."""
    names = _chosen("--only", only, list(roster()))
    disturbances = _chosen("--case", case or (QUICK_DISTURBANCES if quick else None), DISTURBANCES)
    if not can_shift() and CLOCKS in disturbances:
        typer.echo(f"{CLOCKS}: left out, for there is no C compiler", err=True)
        disturbances = [each for each in disturbances if each != CLOCKS]
    plan = QUICK if quick else Plan()
    forget_the_environment()
    runs: list[Any] = asyncio.run(_races(plan, names, disturbances, repeat, seed))
    packages = {package for name in names for package in roster()[name].PACKAGES}
    options = {**asdict(plan), "optimum": plan.optimum, "repeat": repeat, "seed": seed}
    result = new_result("farm", QUESTION, packages, options, runs)
    publish(result, summary(result), json_path)


def _chosen(option: str, names: Sequence[str] | None, choices: Sequence[str]) -> list[str]:
    """Return `names`, or all `choices` if it is empty, in the order of `choices`. Raises `typer.BadParameter`."""
    for name in names or ():
        if name not in choices:
            raise typer.BadParameter(f"{option} {name!r} is none of: {'; '.join(choices)}")
    return [name for name in choices if not names or name in names]
