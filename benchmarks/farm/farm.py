"""Several processes on one quota, and what happens to those who run them: workers are killed, the engine goes away, the
clocks of the machines differ. Beside aveo3: DBOS's queue with its limiter, and a limiter library over Redis.

Real time. Every worker is a process of its own, and so are the emulator and the engine (PostgreSQL with fsync, or
Redis). The judge is the emulator's log: see `checker`. What only aveo3 has, such as a leader that freezes, is measured
besides.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.farm import report, takeovers
from benchmarks.farm.contestants import roster
from benchmarks.farm.names import OURS
from benchmarks.farm.plan import CLOCKS, DISTURBANCES, OF_OURS, QUICK, QUICK_DISTURBANCES, Plan
from benchmarks.farm.runner import Run, run
from benchmarks.harness.emulator import EmulatorProcess
from benchmarks.harness.environment import forget_the_environment
from benchmarks.harness.postgres_server import NoPostgres, binaries
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
                for name in names if disturbance in DISTURBANCES else {OURS}.intersection(names):
                    one = await run(name, roster()[name], disturbance, plan, emulator, seed + repetition)
                    typer.echo(report.line(one), err=True)
                    runs.append(one)
    return runs


async def _takeovers(deaths: int, freezes: int, seed: int) -> list[takeovers.Takeovers]:
    runs, contestant = [], roster()[OURS]
    async with EmulatorProcess() as emulator:
        for kind, strikes in ((takeovers.KILLED, deaths), (takeovers.FROZEN, freezes)):
            if strikes:
                runs.append(await takeovers.measure(contestant, kind, strikes, emulator, seed))
                typer.echo(f"{kind}: {', '.join(map(str, runs[-1].seconds))} s", err=True)
    return runs


def main(
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each contestant in each case.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="A contestant; repeatable; unset: all.")] = None,
    case: Annotated[list[str] | None, typer.Option(help="A disturbance; repeatable; unset: all.")] = None,
    deaths: Annotated[int, typer.Option(min=0, help="Leaders of aveo3 that are killed, to time takeovers.")] = 30,
    freezes: Annotated[int, typer.Option(min=0, help="Leaders of aveo3 that are frozen.")] = 3,
    seed: Annotated[int, typer.Option(help="Decides latencies and who is killed.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Few clips, short outages, as a check that it works.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
) -> None:
    """Measure, and print tables."""
    names = []
    for name in _chosen("--only", only, list(roster())):
        if missing := roster()[name].missing():
            typer.echo(f"{name}: left out: {missing}", err=True)
        else:
            names.append(name)
    disturbances = _chosen("--case", case or (QUICK_DISTURBANCES if quick else None), (*DISTURBANCES, *OF_OURS))
    if not can_shift() and CLOCKS in disturbances:
        typer.echo(f"{CLOCKS}: left out, for there is no C compiler", err=True)
        disturbances = [each for each in disturbances if each != CLOCKS]
    plan = QUICK if quick else Plan()
    if quick:
        deaths, freezes = min(deaths, 2), 0
    forget_the_environment()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the processes of the farm end with this one
    runs: list[Any] = asyncio.run(_races(plan, names, disturbances, repeat, seed))
    if OURS in names and not case:
        runs += asyncio.run(_takeovers(deaths, freezes, seed))
    packages = {package for name in names for package in roster()[name].PACKAGES}
    options = {**asdict(plan), "optimum": plan.optimum, "repeat": repeat, "seed": seed, "engines": _engines()}
    result = new_result("farm", QUESTION, packages, options, runs)
    publish(result, summary(result), json_path)


def _engines() -> list[str]:
    """The versions of the servers, as they say them themselves."""
    found = []
    for program in ("postgres", "redis-server"):
        with suppress(OSError, NoPostgres):
            path = str(binaries() / program) if program == "postgres" else program
            found.append(
                subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout.strip()
            )
    return found


def _chosen(option: str, names: Sequence[str] | None, choices: Sequence[str]) -> list[str]:
    """Return `names`, or all `choices` if it is empty, in the order of `choices`. Raises `typer.BadParameter`."""
    for name in names or ():
        if name not in choices:
            raise typer.BadParameter(f"{option} {name!r} is none of: {'; '.join(choices)}")
    return [name for name in choices if not names or name in names]
