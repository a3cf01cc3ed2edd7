"""The makespan of n clips with a known quota, for aveo3 and its rivals, compared with the optimum. Real time and HTTP.

Google's minute lasts `--period` seconds here (`rivals` explains the effect on the contestants). `runs` makes the runs.

The optimum knows the way of counting and the edges of windows, has no network, and adds the latency of one operation.
`safe` is the optimum of a client that knows neither counting nor edges and is never refused: see `optimum`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.harness import machine
from benchmarks.harness.environment import forget_the_environment
from benchmarks.harness.results import as_json
from benchmarks.harness.table import spread, table
from benchmarks.makespan.optimum import COUNTINGS, Counting
from benchmarks.makespan.report import PANELS as PANELS
from benchmarks.makespan.report import aims as aims
from benchmarks.makespan.report import draw as draw
from benchmarks.makespan.report import summary as summary
from benchmarks.makespan.runs import Plan, Run, measure
from benchmarks.rivals import roster

QUESTION = "With a known quota, how long do n clips take, compared with the optimum and with what people write today?"

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
