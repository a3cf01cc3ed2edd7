"""A contest in virtual time: many seeds of one task on one lane, for aveo3 and for what others do about refusals.

The optimum knows the service. So that luck has its say, each seed has its own network, its own edges of fixed windows
and its own latencies, the same for every contestant.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Annotated, Any

import typer

from aveo3.testing import run_virtual
from benchmarks import machine
from benchmarks.lane import Service, VirtualGoogle
from benchmarks.rivals import VirtualTask, virtual_roster
from benchmarks.table import spread, table

PATIENCE = 20.0
"""A run is ended after this many times the optimum: what is not made by then is lost."""


@dataclass(frozen=True)
class Score:
    """What a run is judged by."""

    header: str
    of: Callable[[VirtualGoogle, VirtualTask], float]
    digits: int = 3


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
    """One question, its cases, and how an answer is judged. `main` measures and prints."""

    name: str
    question: str
    cases: Mapping[str, tuple[Service, VirtualTask]]
    score: Score
    lasts: float | None = None
    """Virtual seconds after which a run ends, however many clips are made; None: when all are."""
    optimum: Callable[[Service, VirtualTask], float] | None = None
    """Virtual seconds that bound a run that does not end."""

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
                whole = self.lasts is not None or not any(lost)
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

    def main(
        self,
        seeds: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 20,
        only: Annotated[list[str] | None, typer.Option(help="A contestant; repeatable; unset: all.")] = None,
        case: Annotated[list[str] | None, typer.Option(help="A case; repeatable; unset: all.")] = None,
        quick: Annotated[bool, typer.Option("--quick", help="Two seeds: to see that it works.")] = False,
        markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
        json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
    ) -> None:
        """Measure, and print a table."""
        seeds = 2 if quick else seeds
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)  # refusals are what this is about
        runs = [
            self.run(one, rival, seed)
            for one in self.cases
            if not case or one in case
            for rival in virtual_roster()
            if not only or rival in only
            for seed in range(seeds)
        ]
        logging.disable(before)
        about = machine.describe(["aveo3"])
        typer.echo(
            f"\n{self.question}\n\nVirtual time; median [lowest-highest] of {seeds} seeds.\n{machine.line(about)}\n"
        )
        headers = ("case", "contestant", "made", self.score.header, "mean", "refused", "of clips", "submits")
        typer.echo(table(headers, self.rows(runs), markdown=markdown))
        if json_path is not None:
            json_path.write_text(self._as_json(about, seeds, runs), "utf-8")

    def _as_json(self, about: Mapping[str, Any], seeds: int, runs: Sequence[Run]) -> str:
        cases = {
            name: {"service": asdict(service), "task": asdict(task)} for name, (service, task) in self.cases.items()
        }
        head = {"benchmark": self.name, "question": self.question, **about, "score": self.score.header, "seeds": seeds}
        head_text = json.dumps(head | {"cases": cases}, indent=1)
        lines = ",\n  ".join(json.dumps(asdict(run)) for run in runs)
        return f'{head_text[:-2]},\n "runs": [\n  {lines}\n ]\n}}\n'


def makespan(optimum: Callable[[Service, VirtualTask], float]) -> Score:
    """The end of the last operation against the earliest at which it could be."""

    def score(google: VirtualGoogle, task: VirtualTask) -> float:
        return max(google.done_at, default=0.0) / optimum(google.service, task)

    return Score("x optimum", score)
