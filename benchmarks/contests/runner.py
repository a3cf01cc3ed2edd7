"""Runs a contest in virtual time: many seeds of one task on one lane, for aveo3 and its rivals.

The optimum knows the service. Each seed has its own network, edges of fixed windows and latencies, the same for every
contestant, so that the results include luck. A run depends only on its case, contestant and seed. So runs are spread
over processes, and give the same results on every machine.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from aveo3.testing import run_virtual
from benchmarks.contests import report
from benchmarks.contests.contest import Contest
from benchmarks.harness.aims import Aim
from benchmarks.harness.environment import forget_the_environment
from benchmarks.harness.lane import VirtualGoogle
from benchmarks.harness.results import Result, new_result, publish
from benchmarks.harness.table import spread, table
from benchmarks.rivals import roster, virtual_roster
from benchmarks.rivals.virtual_sdk import OverTheLane

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PATIENCE = 20.0
"""A run ends after this multiple of the optimum. Clips that are not made by then are lost."""


@dataclass(frozen=True)
class Run:
    """The result of one run."""

    case: str
    rival: str
    seed: int
    clips: int
    made: int
    lasted: float
    """Virtual seconds to the end of the last operation."""
    score: float
    submits: int
    refused: int
    unavailable: int


@dataclass(frozen=True)
class ContestBenchmark(Contest):
    """A contest that can run and report. It implements the protocol `Benchmark` of `harness.readme`.

    It is the `CONTEST` of the module with its name, with `_` for `-`.
    """

    PANELS: ClassVar[int] = 2

    def run(self, case: str, rival: str, seed: int) -> Run:
        """Make one run."""
        service, task = self.cases[case]
        rng = random.Random(f"edges {seed}")
        service = replace(service, edge_in=rng.uniform(0.02, 0.98) * service.period)
        task = replace(task, seed=seed)
        google = VirtualGoogle(service, seed)
        longest = self.lasts or PATIENCE * (self.optimum(service, task) if self.optimum else 3600.0)

        async def main() -> None:
            google.open()
            try:
                async with asyncio.timeout(longest):
                    await virtual_roster()[rival].make_all(google, task)
            except TimeoutError:
                pass
            finally:
                google.shut()

        random.seed(f"{rival} {seed}")  # tenacity and async-batch-llm take their jitter from the global generator
        run_virtual(main())
        made = len(google.accepted_at)
        return Run(
            case,
            rival,
            seed,
            task.clips,
            made,
            round(max(google.done_at, default=0.0), 3),
            round(self.score.of(google, task), 4),
            google.submits,
            google.refused,
            google.unavailable,
        )

    def measure(self, cases: Iterable[str], seeds: Mapping[str, int], processes: int) -> list[Run]:
        """Run every case for every contestant of `seeds`, which gives the number of seeds, in this order."""
        jobs = [(case, rival, seed) for case in cases for rival, count in seeds.items() for seed in range(count)]
        if processes == 1:
            before = logging.root.manager.disable
            _be_quiet()
            try:
                return [self.run(*job) for job in jobs]
            finally:
                logging.disable(before)
        with ProcessPoolExecutor(processes, get_context("spawn"), _be_quiet) as pool:
            return list(pool.map(_run, [self.name] * len(jobs), *zip(*jobs, strict=True), chunksize=3))

    def rows(self, runs: Sequence[Run]) -> list[list[str]]:
        """Return a row per case and contestant: medians with their range. A contestant that lost clips has no score."""
        names = {name: rival.NAME for name, rival in virtual_roster().items()}
        lines = []
        for case in self.cases:
            for rival, name in names.items():
                group = [run for run in runs if (run.case, run.rival) == (case, rival)]
                if not group:
                    continue
                lost = [run.clips - run.made for run in group]
                complete = not self.every_clip or not any(lost)
                lines.append(
                    [
                        case,
                        name,
                        spread([run.made for run in group], 0),
                        spread([run.score for run in group], self.score.digits) if complete else f"lost {max(lost)}",
                        f"{mean(run.score for run in group):.3f}" if complete else "",
                        spread([run.refused for run in group], 0),
                        f"{median(100 * run.refused / max(run.made, 1) for run in group):.1f} %",
                        spread([run.submits for run in group], 0),
                    ]
                )
        return lines

    def summary(self, result: Result, *, markdown: bool = False) -> str:
        """Return a table with a row per contestant and a column per goal."""
        return report.summary(self, result, markdown=markdown)

    def draw(self, result: Result, axes: Sequence[Axes]) -> None:
        """Draw scores and refusals."""
        report.draw(self, result, axes)

    def aims(self, result: Result) -> list[Aim]:
        """Return an aim for each goal."""
        return report.aims(self, result)

    def main(
        self,
        seeds: Annotated[int, typer.Option(min=1, help="Runs of aveo3 in each case.")] = 20,
        rival_seeds: Annotated[int, typer.Option(min=1, help="Runs of rivals that need no SDK.")] = 5,
        sdk_seeds: Annotated[int | None, typer.Option(min=1, help="Runs of the other rivals; unset: 1 to 3.")] = None,
        only: Annotated[list[str] | None, typer.Option(help="A contestant; repeatable; unset: all.")] = None,
        case: Annotated[list[str] | None, typer.Option(help="A case; repeatable; unset: all.")] = None,
        quick: Annotated[bool, typer.Option("--quick", help="One seed, one case, as a check.")] = False,
        processes: Annotated[int | None, typer.Option(min=1, help="Runs at a time; unset: one per core.")] = None,
        json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
    ) -> None:
        """Measure, and print tables."""
        cases, rivals = _chosen("--case", case, self.cases), _chosen("--only", only, virtual_roster())
        sdk_seeds = sdk_seeds or self.sdk_seeds
        if quick:
            seeds = rival_seeds = sdk_seeds = 1
            cases = cases if case else cases[:1]
        counts = {
            name: seeds if name == "aveo3" else sdk_seeds if isinstance(rival, OverTheLane) else rival_seeds
            for name, rival in virtual_roster().items()
            if name in rivals
        }
        forget_the_environment()
        runs = self.measure(cases, counts, processes or os.cpu_count() or 1)
        chosen = [(name, self.cases[name]) for name in cases]
        options = {
            "virtual_time": True,
            "score": self.score.header,
            "seeds": counts,
            "cases": {name: {"service": asdict(service), "task": asdict(task)} for name, (service, task) in chosen},
        }
        packages = {package for rival in roster().values() for package in rival.PACKAGES}
        result = new_result(self.name, self.QUESTION, packages, options, runs)
        headers = ("case", "contestant", "made", self.score.header, "mean", "refused", "of clips", "submits")
        publish(result, f"{table(headers, self.rows(runs))}\n\n{self.summary(result)}", json_path)


def _chosen(option: str, names: Sequence[str] | None, choices: Iterable[str]) -> list[str]:
    """Return `names`, or all `choices` if it is empty, in the order of `choices`. Raises `typer.BadParameter`."""
    choices = list(choices)
    for name in names or ():
        if name not in choices:
            raise typer.BadParameter(f"{option} {name!r} is none of: {'; '.join(choices)}")
    return [name for name in choices if not names or name in names]


def _be_quiet() -> None:
    logging.disable(logging.CRITICAL)  # thousands of refusals are expected


def _run(name: str, case: str, rival: str, seed: int) -> Run:
    """Make one run in another process. It gets the name of the contest, because lambdas cannot be pickled."""
    contest: ContestBenchmark = import_module(f"benchmarks.contests.{name.replace('-', '_')}").CONTEST
    return contest.run(case, rival, seed)
