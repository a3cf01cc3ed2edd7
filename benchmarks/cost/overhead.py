"""The CPU time of a clip, compared with the SDK's bare loop: submit, poll at an interval, save.

All contestants make the same clips at once, on the same emulator, which runs in its own process and refuses nothing.
All poll at the same interval, so that fewer polls do not count as a gain; with `own polling` aveo3 uses its own
schedule. CPU time is that of the whole process, with threads and system calls.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aveo3.engine.job import Job
from aveo3.engine.job_events import JobEvents
from aveo3.events.bus import EventBus
from aveo3.models import VideoPrompt
from benchmarks.harness import plots
from benchmarks.harness.aims import Aim
from benchmarks.harness.emulator import EmulatorProcess
from benchmarks.harness.environment import forget_the_environment
from benchmarks.harness.results import Result, new_result, publish
from benchmarks.harness.table import spread, table
from benchmarks.rivals import MakeAll, Task, aveo3, gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

QUESTION = "How much CPU time does a clip cost, compared with the SDK's bare loop of submit, poll and save?"

AIM = 1.5
"""Highest multiple of the bare loop."""

LATENCY, POLLS = 4.0, 8
"""Seconds that a clip takes, and its number of polls: one minute with a poll every 8 s, fifteen times faster."""

UNHEARD_AIM = 2.0
"""Most microseconds of a step of a job that nobody listens to."""

BARE, PLAIN, FULL, OWN = "google-genai, bare loop", "aveo3 without a journal", "aveo3", "aveo3, own polling"
HEARD = "aveo3, events as JSON"

Ready = Callable[[Task], AbstractAsyncContextManager[MakeAll]]


@dataclass(frozen=True)
class Run:
    """One run of one contestant."""

    repetition: int
    contestant: str
    cpu_ms: float
    """CPU time per clip."""
    wall_s: float
    polls: float
    """Polls per clip."""


def _aveo3(*, journal: bool, own_polling: bool = False, heard: bool = False) -> Ready:
    @asynccontextmanager
    async def ready(task: Task) -> AsyncIterator[MakeAll]:
        interval = None if own_polling else task.poll_interval
        listener = (lambda event: json.dumps(event.as_dict())) if heard else None
        more: dict[str, Any] = {"poll_interval": interval, "journal": "auto" if journal else None}
        async with aveo3.client(task, on_event=listener, **more) as veo:
            yield lambda: veo.generate_many(task.prompts)

    return ready


CONTESTANTS: dict[str, Ready] = {
    BARE: gather.ready,
    PLAIN: _aveo3(journal=False),
    FULL: _aveo3(journal=True),
    HEARD: _aveo3(journal=True, heard=True),
    OWN: _aveo3(journal=True, own_polling=True),
}


def unheard_us(steps: int = 100_000) -> float:
    """Microseconds that the events of one step of a job cost with nobody listening: a submit, which tells most."""
    job = Job.planned(VideoPrompt(text="a boat"), 0, "veo", datetime.now(UTC))
    job.events = JobEvents(EventBus(), 1, lambda: datetime.now(UTC), str)
    fastest = math.inf
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(steps):
            job.events.submitted(job)
        told = time.perf_counter() - begun
        begun = time.perf_counter()
        for _ in range(steps):
            pass
        fastest = min(fastest, told - (time.perf_counter() - begun))
    return round(fastest / steps * 1e6, 3)


async def measure(clips: int, repeat: int, seed: int, latency: float) -> list[Run]:
    """Make `repeat` runs of each contestant, in random order."""
    rng = random.Random(seed)
    async with EmulatorProcess() as google:
        for name in CONTESTANTS:  # warm-up: imports, caches
            await _run(0, name, 5, google, 0.2)
        order = [(number, name) for number in range(repeat) for name in rng.sample([*CONTESTANTS], len(CONTESTANTS))]
        return [await _run(number, name, clips, google, latency) for number, name in order]


async def _run(repetition: int, name: str, clips: int, google: EmulatorProcess, latency: float) -> Run:
    with tempfile.TemporaryDirectory() as directory:
        url = await google.start({"rpm": None, "latency": str(latency), "films": "bundled"})
        # The documentation polls every 10 s: with this minute there are POLLS polls per clip.
        task = Task(
            prompts=tuple(f"clip {number} of a benchmark" for number in range(clips)),
            directory=Path(directory),
            url=url,
            limit=clips,
            period=60.0,
            minute=latency / POLLS * 6,
            concurrency=clips,
        )
        async with CONTESTANTS[name](task) as make_all:
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            await make_all()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        books = await google.stop()
        count = await asyncio.to_thread(lambda: len(list(Path(directory).glob("*.mp4"))))
    if count != clips:
        raise RuntimeError(f"{name} made {count} of {clips} clips")
    return Run(repetition, name, round(cpu / clips * 1e3, 3), round(wall, 3), books["polls"] / clips)


def _ratios(result: Result, name: str) -> list[float]:
    """Return the ratios to the bare loop of the same repetition."""
    cpu_ms = {(run["repetition"], run["contestant"]): run["cpu_ms"] for run in result["runs"]}
    return [cpu / cpu_ms[number, BARE] for (number, contestant), cpu in cpu_ms.items() if contestant == name]


def summary(result: Result, *, markdown: bool = False) -> str:
    """Return the table and the aim."""
    rows = []
    for name in CONTESTANTS:
        group = [run for run in result["runs"] if run["contestant"] == name]
        if not group:  # a result of before
            continue
        rows.append(
            [
                name,
                spread([run["cpu_ms"] for run in group], 1),
                spread(_ratios(result, name), 2),
                spread([run["polls"] for run in group], 1),
            ]
        )
    headers = ["", "CPU ms per clip", "times the bare loop", "polls per clip"]
    options, found = result["options"], aims(result)
    words = [f"{aim}" if len(found) == 1 else f"{aim.of}: {aim}" for aim in found]
    return (
        f"{table(headers, rows, words=1, markdown=markdown)}\n\n"
        f"{options['clips']} clips at once, median [lowest-highest] of {options['repeat']} runs. "
        f"Aim{'s' * (len(found) > 1)}: {' '.join(words)}"
    )


def aims(result: Result) -> list[Aim]:
    """Return the aims: for aveo3 with a journal and as many polls as the bare loop, and for events that nobody hears.

    A result from before the events has no second aim.
    """
    bare = median(run["cpu_ms"] for run in result["runs"] if run["contestant"] == BARE)
    ratio, own = (median(_ratios(result, name)) for name in (FULL, OWN))
    clip = Aim(
        "CPU time per clip, equal polling",
        f"at most {AIM:g} times the bare loop",
        f"{ratio:.2f} times; {own:.2f} with its own polling",
        f"{BARE}: {bare:.1f} ms",
        ratio <= AIM,
    )
    unheard: float | None = result["options"].get("unheard_us")
    if unheard is None:
        return [clip]
    heard = median(_ratios(result, HEARD))
    event = Aim(
        "a step of a job, nobody listening",
        f"less than {UNHEARD_AIM:g} µs for its event",
        f"{unheard:.2f} µs; all events as JSON: {heard:.2f} times the bare loop",
        "",
        unheard < UNHEARD_AIM,
    )
    return [clip, event]


def draw(result: Result, axes: Sequence[Axes]) -> None:
    """Draw one bar per contestant."""
    values = {n: [run["cpu_ms"] for run in result["runs"] if run["contestant"] == n] for n in CONTESTANTS}
    plots.bars(axes[0], values, "CPU ms per clip", aim=AIM * median(values[BARE]))


PANELS = 1


def main(
    clips: Annotated[int, typer.Option(min=1, help="Clips per run, all at once.")] = 100,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 5,
    seed: Annotated[int, typer.Option(help="Decides the order.")] = 0,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few clips, one run, as a check that it works.")] = False,
) -> None:
    latency = LATENCY
    if quick:
        clips, repeat, latency = 10, 1, 0.5
    forget_the_environment()
    runs = asyncio.run(measure(clips, repeat, seed, latency))
    options: dict[str, Any] = {"clips": clips, "repeat": repeat, "seed": seed, "latency": latency, "looks": POLLS}
    options["unheard_us"] = unheard_us()
    result = new_result("overhead", QUESTION, (*gather.PACKAGES, *aveo3.PACKAGES), options, runs)
    publish(result, summary(result), json_path)
