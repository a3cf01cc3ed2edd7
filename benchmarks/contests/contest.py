"""A contest in virtual time: many seeds of one task on one lane, for aveo3 and for what others do about refusals.

The optimum knows the service. So that luck has its say, each seed has its own network, its own edges of fixed windows
and its own latencies, the same for every contestant. A run depends on its case, contestant and seed alone, so they are
spread over processes, and come out the same on every machine.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from benchmarks.contests.report import Goal
from benchmarks.harness.aims import Aim
from benchmarks.harness.environment import forget_the_environment
from benchmarks.harness.lane import Service, VirtualGoogle
from benchmarks.harness.results import Result, result, tell
from benchmarks.harness.table import spread, table
from benchmarks.rivals import VirtualTask, roster, virtual_roster
from benchmarks.rivals.virtual_sdk import OverTheLane

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PATIENCE = 20.0
"""A run is ended after this many times the optimum: what is not made by then is lost."""


@dataclass(frozen=True)
class Score:
    """What a run is judged by."""

    header: str
    of: Callable[[VirtualGoogle, VirtualTask], float]
    digits: int = 3
    more: bool = False
    """The more, the better."""


@dataclass(frozen=True)
class Run:
    """One run as it went."""

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
class Contest:
    """One question, its cases, and how an answer is judged: a `Benchmark`, as the module `readme` has it.

    It is the `CONTEST` of a module of its name, with `_` for `-`.
    """

    name: str
    QUESTION: str
    cases: Mapping[str, tuple[Service, VirtualTask]]
    score: Score
    goals: tuple[Goal, ...]
    lasts: float | None = None
    """Virtual seconds after which a run ends, however many clips are made; None: when all are."""
    every_clip: bool = True
    """Whether a clip that is not made is lost; if not, there are more of them than anybody could make."""
    optimum: Callable[[Service, VirtualTask], float] | None = None
    """Virtual seconds that bound a run that does not end."""
    sdk_seeds: int = 3
    """Of contestants that go through the SDK, whose processor time is a multiple of the others'."""

    PANELS: ClassVar[int] = 2

    def run(self, case: str, rival: str, seed: int) -> Run:
        """One run."""
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

        random.seed(f"{rival} {seed}")  # the jitter of tenacity and async-batch-llm has no generator of its own
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
        """Every case for every contestant in `seeds`, which tells how many of them it runs, in this order."""
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
        """A line for each case and contestant: medians with their range. Who lost clips has no score."""
        names = {name: rival.NAME for name, rival in virtual_roster().items()}
        lines = []
        for case in self.cases:
            for rival, name in names.items():
                group = [run for run in runs if (run.case, run.rival) == (case, rival)]
                if not group:
                    continue
                lost = [run.clips - run.made for run in group]
                whole = not self.every_clip or not any(lost)
                lines.append(
                    [
                        case,
                        name,
                        spread([run.made for run in group], 0),
                        spread([run.score for run in group], self.score.digits) if whole else f"lost {max(lost)}",
                        f"{mean(run.score for run in group):.3f}" if whole else "",
                        spread([run.refused for run in group], 0),
                        f"{median(100 * run.refused / max(run.made, 1) for run in group):.1f} %",
                        spread([run.submits for run in group], 0),
                    ]
                )
        return lines

    def summary(self, found: Result, *, markdown: bool = False) -> str:
        """A line a contestant, a column a goal."""
        return report.summary(self, found, markdown=markdown)

    def draw(self, found: Result, axes: Sequence[Axes]) -> None:
        """Scores and refusals."""
        report.draw(self, found, axes)

    def aims(self, found: Result) -> list[Aim]:
        """What of each goal was reached."""
        return report.aims(self, found)

    def main(
        self,
        seeds: Annotated[int, typer.Option(min=1, help="Runs of aveo3 in each case.")] = 20,
        rival_seeds: Annotated[int, typer.Option(min=1, help="Of the others, if they need no SDK.")] = 5,
        sdk_seeds: Annotated[int | None, typer.Option(min=1, help="Of the others, if so; unset: 1 to 3.")] = None,
        only: Annotated[list[str] | None, typer.Option(help="A contestant; repeatable; unset: all.")] = None,
        case: Annotated[list[str] | None, typer.Option(help="A case; repeatable; unset: all.")] = None,
        quick: Annotated[bool, typer.Option("--quick", help="A seed, one case: to see that it works.")] = False,
        processes: Annotated[int | None, typer.Option(min=1, help="At once; unset: one a core.")] = None,
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
        asked = [(name, self.cases[name]) for name in cases]
        options = {
            "virtual_time": True,
            "score": self.score.header,
            "seeds": counts,
            "cases": {name: {"service": asdict(service), "task": asdict(task)} for name, (service, task) in asked},
        }
        packages = {package for rival in roster().values() for package in rival.PACKAGES}
        found = result(self.name, self.QUESTION, packages, options, runs)
        headers = ("case", "contestant", "made", self.score.header, "mean", "refused", "of clips", "submits")
        tell(found, f"{table(headers, self.rows(runs))}\n\n{self.summary(found)}", json_path)


def _chosen(option: str, names: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    """`names`, or else all that are `known`, in their order. Raises `typer.BadParameter` for one that is not."""
    there = list(known)
    for name in names or ():
        if name not in there:
            raise typer.BadParameter(f"{option} {name!r} is none of: {'; '.join(there)}")
    return [name for name in there if not names or name in names]


def _be_quiet() -> None:
    logging.disable(logging.CRITICAL)  # refusals are what this is about


def _run(contest: str, case: str, rival: str, seed: int) -> Run:
    """One run, in a process that knows a contest by its name only: what it is judged by cannot be sent there."""
    found: Contest = import_module(f"benchmarks.contests.{contest.replace('-', '_')}").CONTEST
    return found.run(case, rival, seed)


def makespan(optimum: Callable[[Service, VirtualTask], float]) -> Score:
    """The end of the last operation against the earliest at which it could be."""

    def score(google: VirtualGoogle, task: VirtualTask) -> float:
        return max(google.done_at, default=0.0) / optimum(google.service, task)

    return Score("x optimum", score)
