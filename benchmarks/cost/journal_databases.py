"""What the journal itself takes for a clip: in a file of SQLite, and on a PostgreSQL server on the same machine.

A clip is one request that a server accepts, and its four moves. The intent to submit and the acceptance are waited for
until they are on the disk; both databases sync to it. What a clip does besides is left out.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr

from aveo3.journal.journal import Journal
from aveo3.journal.place import Place, SharedJournal
from aveo3.lifecycle import State
from benchmarks.harness import plots
from benchmarks.harness.aims import Aim
from benchmarks.harness.postgres_server import PostgresServer
from benchmarks.harness.results import Result, new_result, publish
from benchmarks.harness.table import spread, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUESTION = "What does the journal of a clip cost in a file, and on a PostgreSQL server?"

AIM = 3.0
"""Milliseconds a clip, many at once."""

SQLITE, POSTGRES = "SQLite", "PostgreSQL"
KINDS = (SQLITE, POSTGRES)
AT_ONCE = (1, 10, 50)
"""Clips under way."""


@dataclass(frozen=True)
class Run:
    """One run with one database: wall time per clip, which includes waits for the disk, and this process's CPU time."""

    kind: str
    at_once: int
    wall_ms: float
    cpu_ms: float


def measure(clips: int, repeat: int, seed: int) -> list[Run]:
    """Make `repeat` runs of each kind and number at once, in random order."""
    rng = random.Random(seed)
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer(fsync=True))
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def run(number: int, kind: str, at_once: int) -> Run:
            name = f"run{number}"
            place: Place = home / name / "journal.db"
            if kind == POSTGRES:
                place = SharedJournal(SecretStr(server.create(name)), home)
            return _run(place, kind, at_once, clips)

        for number, kind in enumerate(KINDS):
            run(number, kind, 10)  # warm-up: imports
        plan = [(kind, at_once) for kind in KINDS for at_once in AT_ONCE] * repeat
        return [run(number, *each) for number, each in enumerate(rng.sample(plan, len(plan)), start=len(KINDS))]


def _run(place: Place, kind: str, at_once: int, clips: int) -> Run:
    with Journal(place) as journal:
        wall, cpu = time.perf_counter(), time.process_time()
        asyncio.run(_make(journal, clips, at_once))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if journal.counts() != {State.SUCCEEDED: clips}:
            raise RuntimeError(f"{kind}: {journal.counts()}")
    return Run(kind, at_once, wall / clips * 1e3, cpu / clips * 1e3)


async def _make(journal: Journal, clips: int, at_once: int) -> None:
    numbers = iter(range(clips))

    async def work() -> None:
        for number in numbers:
            await _clip(journal, number)

    locks = journal.lane_locks()
    await locks.take_free(["a lane"])  # only a leader notes intents
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    journal.commit()
    await journal.on_disk()
    await locks.release()


async def _clip(journal: Journal, number: int) -> None:
    request, _ = journal.requests.accept(
        "google",
        f"{number:064x}",
        model="veo-3.1-generate-001",
        prompt={"text": f"a paper boat on river {number}"},
        position=number,
        caller="web",
        key=f"key-{number}",
        body="0" * 64,
        priority=0,
        door_name=f"door-{number}",
        resource="v1beta/models/veo-3.1-generate-001",
        storage_uri=None,
    )
    await journal.on_disk()
    job, name = request.job, f"models/veo/operations/{number:032x}"
    journal.move(job, State.PLANNED, State.SUBMITTING, attempts=1, cost_usd=3.2, place={"backend": "gemini"})
    await journal.on_disk()
    journal.move(job, State.SUBMITTING, State.RUNNING, operation=name)
    await asyncio.sleep(0)
    journal.move(job, State.RUNNING, State.FETCHING, uris=["https://example.com/video"])
    await asyncio.sleep(0)
    journal.move(job, State.FETCHING, State.SUCCEEDED, files=[{"path": "0001.mp4", "size": 1, "sha256": "0" * 64}])
    await asyncio.sleep(0)


def _of(result: Result, kind: str, at_once: int, figure: str) -> list[float]:
    return [run[figure] for run in result["runs"] if (run["kind"], run["at_once"]) == (kind, at_once)]


def summary(result: Result, *, markdown: bool = False) -> str:
    """Return a row per database and number of clips at once."""
    rows = [
        [
            kind,
            str(at_once),
            spread(_of(result, kind, at_once, "wall_ms"), 2),
            spread(_of(result, kind, at_once, "cpu_ms"), 2),
        ]
        for kind in KINDS
        for at_once in AT_ONCE
    ]
    headers = ["", "clips at once", "ms per clip", "CPU ms per clip, without the server's"]
    [aim] = aims(result)
    options = result["options"]
    return (
        f"{table(headers, rows, words=1, markdown=markdown)}\n\n"
        f"{options['clips']:,} clips, median [lowest-highest] of {options['repeat']} runs. Aim: {aim}"
    )


def aims(result: Result) -> list[Aim]:
    """Return the aim, compared with SQLite."""
    ours, theirs = (median(_of(result, kind, 50, "wall_ms")) for kind in (POSTGRES, SQLITE))
    return [
        Aim(
            "a clip's journal on PostgreSQL, 50 at once",
            f"at most {AIM:g} ms",
            f"{ours:.2f} ms",
            f"SQLite: {theirs:.2f} ms",
            ours <= AIM,
        )
    ]


PANELS = 1


def draw(result: Result, axes: Sequence[Axes]) -> None:
    """Draw one bar per database and number of clips at once."""
    values = {f"{kind}, {n} at once": _of(result, kind, n, "wall_ms") for kind in KINDS for n in AT_ONCE}
    plots.bars(axes[0], values, "ms per clip", aim=AIM)


def main(
    clips: Annotated[int, typer.Option(help="Clips per run.")] = 500,
    repeat: Annotated[int, typer.Option(help="Runs of each kind.")] = 5,
    seed: Annotated[int, typer.Option(help="Decides the order of the runs.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Few clips, one run, as a check that it works.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
) -> None:
    """Measure, and print a table."""
    if quick:
        clips, repeat = 50, 1
    runs = measure(clips, repeat, seed)
    options = {"clips": clips, "repeat": repeat, "seed": seed}
    result = new_result("journal-databases", QUESTION, ("aveo3", "psycopg"), options, runs)
    publish(result, summary(result), json_path)
