"""Time and memory of a stream of prompts that are generated on the fly, from a thousand to a million.

The quota is ten thousand per minute and a clip takes twenty seconds, so at most ten thousand clips are in flight. The
benchmark runs in virtual time. Its scripted service forgets what it has answered, so any growth is the client's. Each
run is a process, which reports its peak memory above idle. Growth is measured in CPU time, because other processes
disturb it less. So one run per core is possible.

The rival is what a careful user writes without a library: one task per prompt, with aiolimiter for the pace. It has no
retries, no window and no journal, and it sleeps instead of polling. The optimum is linear growth from the smallest run.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated

import typer
from aiolimiter import AsyncLimiter

from aveo3 import Settings, VeoClient, VideoPrompt
from aveo3.backends.base import Finished, PollResult, Probe, Running, Video
from aveo3.testing import run_virtual
from aveo3.verdicts import Verdict, accepted
from benchmarks.cost import memory_of
from benchmarks.cost.scale_report import BARE, CONTESTANTS, LIMIT, RIVAL, WITH
from benchmarks.cost.scale_report import PANELS as PANELS
from benchmarks.cost.scale_report import aims as aims
from benchmarks.cost.scale_report import draw as draw
from benchmarks.cost.scale_report import summary as summary
from benchmarks.harness.environment import forget_the_environment
from benchmarks.harness.machine import ROOT
from benchmarks.harness.results import new_result, publish

QUESTION = "Do time and memory of a stream depend on the clips in flight, or on the number of prompts?"

PERIOD, LATENCY = 60.0, 20.0
"""The period of the quota (`LIMIT` requests) and the duration of a clip, in seconds."""

MILLION = 1_000_000

MADE = Finished((Video(uri="gs://bucket/film.mp4"),))


@dataclass(frozen=True)
class Run:
    """One run, in its own process."""

    repetition: int
    contestant: str
    prompts: int
    seconds: float
    """Wall time of work and disk; waits in virtual time take none."""
    cpu_seconds: float
    idle_mb: float
    peak_mb: float
    """Peak memory above idle."""


class Service:
    """A backend that makes every clip in `LATENCY` seconds and keeps nothing about finished ones."""

    def __init__(self) -> None:
        self._done_at: dict[str, float] = {}
        self._names = map(str, count())

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Verdict:
        """Accept every prompt."""
        name = next(self._names)
        self._done_at[name] = asyncio.get_running_loop().time() + LATENCY
        return accepted(name)

    async def poll(self, operation: str) -> PollResult:
        """Return Running until the clip is due, then its video."""
        if asyncio.get_running_loop().time() < self._done_at[operation]:
            return Running()
        del self._done_at[operation]
        return MADE

    async def find(self, output_uri: str) -> Sequence[Video]:
        """Find no videos."""
        return ()

    async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
        """Return None: the video stays where it is."""
        return None

    async def check(self, model: str) -> Probe:
        """Always succeeds."""
        return Probe("in memory", status=200)

    async def aclose(self) -> None:
        """Do nothing."""


def prompts(number: int) -> Iterator[str]:
    """Generate the prompts lazily."""
    return (f"prompt {each}: a paper boat on a river" for each in range(number))


async def _ours(number: int, *, journal: bool) -> int:
    count = 0
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(
            _env_file=None,
            backend="vertex",
            rate_limit=LIMIT,
            rate_period=PERIOD,
            poll_interval=LATENCY * 1.01,  # one poll per clip: `overhead` measures the cost of polls
            journal="auto" if journal else None,
            output_dir=directory,
        )
        async with (
            VeoClient(settings, backend=Service(), rng=random.Random(0)) as veo,
            veo.stream(prompts(number)) as clips,
        ):
            async for clip in clips:
                count += clip.succeeded
    return count


async def _rival(number: int) -> int:
    limiter, backend = AsyncLimiter(LIMIT, PERIOD), Service()

    async def make(text: str) -> int:
        async with limiter:
            verdict = await backend.submit(VideoPrompt(text=text), "veo")
        await asyncio.sleep(LATENCY * 1.01)
        assert verdict.operation is not None
        await backend.poll(verdict.operation)
        return 1

    return sum(await asyncio.gather(*(make(text) for text in prompts(number))))


def alone(contestant: str, number: int) -> dict[str, float]:
    """Make one run in this process and return its time and memory."""
    forget_the_environment()
    work = {RIVAL: lambda n: _rival(n), BARE: lambda n: _ours(n, journal=False), WITH: lambda n: _ours(n, journal=True)}
    run_virtual(work[contestant](10))  # warm-up: imports
    memory_of.forget_peak()
    idle = memory_of.resident_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    count = run_virtual(work[contestant](number))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if count != number:
        raise RuntimeError(f"{contestant} made {count} of {number} clips")
    return {
        "seconds": round(wall, 3),
        "cpu_seconds": round(cpu, 3),
        "idle_mb": round(idle, 1),
        "peak_mb": round(memory_of.peak_mb() - idle, 1),
    }


def measure(sizes: Mapping[str, Sequence[int]], repeat: int, seed: int, processes: int) -> list[Run]:
    """Make `repeat` runs of each contestant in each of its sizes, in `processes` processes at a time.

    The order is random, except that the largest runs come first: otherwise the last one would run alone at the end.
    """
    cases = [(contestant, size) for contestant in CONTESTANTS for size in sizes[contestant]]
    rng = random.Random(seed)
    order = [(number, *case) for number in range(repeat) for case in rng.sample(cases, len(cases))]
    order.sort(key=lambda job: job[2], reverse=True)
    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(lambda job: _in_a_process(*job), order))


def _in_a_process(repetition: int, contestant: str, size: int) -> Run:
    command = [sys.executable, "-m", __name__, contestant, str(size)]
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    run = Run(repetition, contestant, size, **json.loads(process.stdout))
    typer.echo(f"{contestant}, {size:,}: {run.seconds:.1f} s, {run.peak_mb:.0f} MB", err=True)
    return run


def main(
    size: Annotated[list[int] | None, typer.Option(help="Prompts; repeatable; unset: 1,000 to 100,000.")] = None,
    million: Annotated[bool, typer.Option("--million", help="Also a million, without a journal: 5 minutes.")] = False,
    most_with_journal: Annotated[int, typer.Option(help="Largest size with a journal.")] = 100_000,
    most_of_rival: Annotated[int, typer.Option(help="Largest size of the rival, which holds all.")] = 100_000,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 1,
    seed: Annotated[int, typer.Option(help="Decides the order.")] = 0,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Runs at a time; unset: one per core.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few prompts, one run, as a check that it works.")] = False,
) -> None:
    sizes = sorted(size or (1000, 10_000, 100_000, *([MILLION] if million else [])))
    if quick:
        sizes, repeat = [100, 300], 1
    most = {RIVAL: most_of_rival, BARE: max(sizes), WITH: most_with_journal}
    sizes_of = {contestant: [size for size in sizes if size <= most[contestant]] for contestant in CONTESTANTS}
    at_once = processes or os.cpu_count() or 1
    runs = measure(sizes_of, repeat, seed, at_once)
    service = {"limit": LIMIT, "period": PERIOD, "latency": LATENCY}
    options = service | {"repeat": repeat, "seed": seed, "processes": at_once}
    result = new_result("scale", QUESTION, ("aveo3", "aiolimiter"), options, runs)
    publish(result, summary(result), json_path)


if __name__ == "__main__":
    print(json.dumps(alone(sys.argv[1], int(sys.argv[2]))))
