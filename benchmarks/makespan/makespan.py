"""The makespan of n clips with a known quota, for aveo3 and its rivals, compared with the optimum. Real time and HTTP.

Google's minute lasts `--period` seconds here (`rivals` explains the effect on the contestants). Each run has its own
emulator. All runs of a repetition share the instant at which fixed windows end, and their order is random.

The optimum knows the way of counting and the edges of windows, has no network, and adds the latency of one operation.
`safe` is the optimum of a client that knows neither counting nor edges and is never refused: see `optimum`.
"""

from __future__ import annotations

import asyncio
import gc
import random
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.harness import machine
from benchmarks.harness.emulator import EmulatorProcess
from benchmarks.harness.environment import forget_the_environment
from benchmarks.harness.results import as_json
from benchmarks.harness.table import spread, table
from benchmarks.makespan import optimum
from benchmarks.makespan.optimum import COUNTINGS, Counting
from benchmarks.makespan.report import PANELS as PANELS
from benchmarks.makespan.report import aims as aims
from benchmarks.makespan.report import draw as draw
from benchmarks.makespan.report import summary as summary
from benchmarks.rivals import Rival, Task, roster

QUESTION = "With a known quota, how long do n clips take, compared with the optimum and with what people write today?"

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


# ---- report --------------------------------------------------------------------------------------------------------

HEADERS = ("counting", "contestant", "made", "makespan s", "x optimum", "x safe", "refused", "paid twice", "polls")


def rows(runs: Sequence[Run], names: Mapping[str, str]) -> list[list[str]]:
    """Return a row per counting and contestant: medians and ranges. A contestant that lost clips has no ratio."""
    groups: dict[tuple[Counting, str], list[Run]] = {}
    for run in sorted(runs, key=lambda run: (COUNTINGS.index(run.counting), list(names).index(run.rival))):
        groups.setdefault((run.counting, run.rival), []).append(run)
    return [
        [
            counting,
            names[rival],
            f"{spread([run.made for run in group], 0)}/{group[0].clips}",
            spread([run.makespan for run in group], 2),
            *_ratios(group),
            spread([run.refused for run in group], 0),
            spread([run.paid_twice for run in group], 0),
            spread([run.polls for run in group], 0),
        ]
        for (counting, rival), group in groups.items()
    ]


def _ratios(group: Sequence[Run]) -> tuple[str, str]:
    lost = [run.clips - run.made for run in group]
    if any(lost):
        return f"lost {spread(lost, 0)}", ""
    return (
        spread([run.makespan / run.optimum for run in group], 2),
        spread([run.makespan / run.safe for run in group], 2),
    )


def report(plan: Plan, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the options and all runs, ready for JSON."""
    packages = {package for rival in roster().values() for package in rival.PACKAGES}
    return {
        "benchmark": "makespan",
        "question": QUESTION,
        "seed": plan.seed,
        **machine.describe(packages),
        "options": asdict(plan) | {"mock": plan.mock_options(plan.countings[0]) | {"counting": plan.countings}},
        "runs": [asdict(run) for run in runs],
    }


def _log(text: str) -> None:
    typer.echo(text, err=True)


class CountingChoice(StrEnum):
    fixed = "fixed"
    sliding = "sliding"
    bucket = "bucket"


class RivalChoice(StrEnum):
    aveo3 = "aveo3"
    async_batch_llm = "async_batch_llm"
    limiter = "limiter"
    cookbook = "cookbook"
    tenacity_alone = "tenacity_alone"
    sdk_retries = "sdk_retries"
    gather = "gather"


class BodyChoice(StrEnum):
    detailed = "detailed"
    text = "text"
    bare = "bare"
    vertex = "vertex"


def main(
    clips: Annotated[int | None, typer.Option(min=1, help="Clips to make; unset: 2.5 times --limit.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The quota: requests per --period.")] = Plan.limit,
    period: Annotated[
        float | None, typer.Option(min=0.01, help="Length of the quota's period, seconds; unset: 2.")
    ] = None,
    told: Annotated[int | None, typer.Option(min=1, help="The limit that contestants are set to.")] = None,
    minute: Annotated[
        float | None,
        typer.Option(min=0.01, help="Seconds that a minute of the rivals' documentation lasts; unset: --period."),
    ] = None,
    latency: Annotated[
        float | None, typer.Option(min=0, help="Seconds from accepted to done; unset: a quarter of --period.")
    ] = None,
    rtt: Annotated[float | None, typer.Option(min=0, help="Round trip, seconds; unset: 0.005 --period.")] = None,
    refusal_body: Annotated[BodyChoice, typer.Option(help="The body of a 429.")] = BodyChoice.vertex,
    repeat: Annotated[int | None, typer.Option(min=1, help="Runs of each; unset: 5.")] = None,
    seed: Annotated[int, typer.Option(help="Decides order, edges of windows and jitter.")] = 0,
    counting: Annotated[list[CountingChoice] | None, typer.Option(help="Repeatable; unset: all.")] = None,
    only: Annotated[list[RivalChoice] | None, typer.Option(help="Repeatable; unset: all contestants.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="A period of one second, one run of each.")] = False,
) -> None:
    plan = Plan(
        clips=clips or max(1, limit * 5 // 2),
        limit=limit,
        period=period or (1.0 if quick else Plan.period),
        told=told,
        minute=minute,
        latency=latency,
        rtt=rtt,
        refusal_body=refusal_body.value,
        repeat=repeat or (1 if quick else Plan.repeat),
        seed=seed,
        countings=tuple(name for name in COUNTINGS if not counting or name in counting),
        only=tuple(dict.fromkeys(choice.value for choice in only or ())),
    )
    forget_the_environment()
    runs = asyncio.run(measure(plan))
    result = report(plan, runs)
    names = {name: rival.NAME for name, rival in roster().items()}
    typer.echo(f"\n{QUESTION}\n\n{_conditions(plan)}\n\n{machine.line(result)}\n")
    typer.echo(table(HEADERS, rows(runs, names), markdown=markdown))
    if json_path is not None:
        json_path.write_text(as_json(result), "utf-8")


def _conditions(plan: Plan) -> str:
    setting = f", contestants set to {plan.told}" if plan.told else ""
    runs = f"median [lowest-highest] of {plan.repeat} runs" if plan.repeat > 1 else "one run"
    return (
        f"{plan.clips} clips, {plan.limit} per {plan.period:g} s{setting}; latency {plan.clip_latency:g} s, "
        f"{runs}, seed {plan.seed}.\n"
        "x optimum: compared with a client that knows how the server counts.\n"
        "x safe: compared with a client that does not know it and is never refused."
    )
