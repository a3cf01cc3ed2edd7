"""Time and memory of a stream of prompts that nobody holds in memory, from a thousand to a million.

A quota of ten thousand a minute, clips of twenty seconds: ten thousand in flight at most. Virtual time and a scripted
service that forgets what it has answered, so that what grows is the client's. Each run is a process of its own, which
tells its peak beyond what it held when idle. Growth is judged by CPU time, which neighbours disturb less, so that one
may run on each core.

The rival is what a careful user writes without a library: a task a prompt, aiolimiter for the pace. It has no retries,
no window, no polling but a sleep, and writes nothing down. The optimum is a straight line through the shortest run.
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
from benchmarks.cost.scale_shown import BARE, CONTESTANTS, LIMIT, RIVAL, WITH
from benchmarks.cost.scale_shown import PANELS as PANELS
from benchmarks.cost.scale_shown import aims as aims
from benchmarks.cost.scale_shown import draw as draw
from benchmarks.cost.scale_shown import summary as summary
from benchmarks.harness.environment import forget_the_environment
from benchmarks.harness.machine import ROOT
from benchmarks.harness.results import result, tell

QUESTION = "Do time and memory of a stream follow what is in flight, or how many prompts there are?"

PERIOD, LATENCY = 60.0, 20.0
"""Seconds, of the quota and of a clip; `LIMIT` are let through in a period."""

MILLION = 1_000_000

MADE = Finished((Video(uri="gs://bucket/film.mp4"),))


@dataclass(frozen=True)
class Run:
    """One run, in a process of its own."""

    repetition: int
    contestant: str
    prompts: int
    seconds: float
    """Of processor and disk: virtual waiting takes none."""
    cpu_seconds: float
    idle_mb: float
    peak_mb: float
    """Beyond idle."""


class Service:
    """A backend that makes every clip in `LATENCY`, and keeps nothing of what it has answered."""

    def __init__(self) -> None:
        self._done_at: dict[str, float] = {}
        self._names = map(str, count())

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Verdict:
        """Accepted."""
        name = next(self._names)
        self._done_at[name] = asyncio.get_running_loop().time() + LATENCY
        return accepted(name)

    async def poll(self, operation: str) -> PollResult:
        """A video once its time has come."""
        if asyncio.get_running_loop().time() < self._done_at[operation]:
            return Running()
        del self._done_at[operation]
        return MADE

    async def find(self, output_uri: str) -> Sequence[Video]:
        """None."""
        return ()

    async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
        """It stays there."""
        return None

    async def check(self, model: str) -> Probe:
        """Always well."""
        return Probe("in memory", status=200)

    async def aclose(self) -> None:
        """Nothing to close."""


def prompts(number: int) -> Iterator[str]:
    """Made as they are read."""
    return (f"prompt {each}: a paper boat on a river" for each in range(number))


async def _ours(number: int, *, journal: bool) -> int:
    made = 0
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(
            _env_file=None,
            backend="vertex",
            rate_limit=LIMIT,
            rate_period=PERIOD,
            poll_interval=LATENCY * 1.01,  # a look a clip: what polling costs is another benchmark's question
            journal="auto" if journal else None,
            output_dir=directory,
        )
        async with (
            VeoClient(settings, backend=Service(), rng=random.Random(0)) as veo,
            veo.stream(prompts(number)) as clips,
        ):
            async for clip in clips:
                made += clip.succeeded
    return made


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
    """One run in this process: what it took and held."""
    forget_the_environment()
    work = {RIVAL: lambda n: _rival(n), BARE: lambda n: _ours(n, journal=False), WITH: lambda n: _ours(n, journal=True)}
    run_virtual(work[contestant](10))  # imports
    memory_of.forget_peak()
    idle = memory_of.resident_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    made = run_virtual(work[contestant](number))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if made != number:
        raise RuntimeError(f"{contestant} made {made} of {number} clips")
    return {
        "seconds": round(wall, 3),
        "cpu_seconds": round(cpu, 3),
        "idle_mb": round(idle, 1),
        "peak_mb": round(memory_of.peak_mb() - idle, 1),
    }


def measure(sizes: Mapping[str, Sequence[int]], repeat: int, seed: int, processes: int) -> list[Run]:
    """`repeat` runs of each contestant in its sizes, each in a process of its own, so many at a time.

    The order is drawn, but the largest are first, so that they do not keep everybody waiting at the end.
    """
    cases = [(contestant, size) for contestant in CONTESTANTS for size in sizes[contestant]]
    rng = random.Random(seed)
    order = [(number, *case) for number in range(repeat) for case in rng.sample(cases, len(cases))]
    order.sort(key=lambda job: job[2], reverse=True)
    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(lambda job: _in_a_process(*job), order))


def _in_a_process(repetition: int, contestant: str, size: int) -> Run:
    words = [sys.executable, "-m", __name__, contestant, str(size)]
    said = subprocess.run(words, check=True, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    run = Run(repetition, contestant, size, **json.loads(said.stdout))
    typer.echo(f"{contestant}, {size:,}: {run.seconds:.1f} s, {run.peak_mb:.0f} MB", err=True)
    return run


def main(
    size: Annotated[list[int] | None, typer.Option(help="Prompts; repeatable; unset: 1,000 to 100,000.")] = None,
    million: Annotated[bool, typer.Option("--million", help="And a million, without a journal: five minutes.")] = False,
    most_with_journal: Annotated[int, typer.Option(help="The largest size with a journal.")] = 100_000,
    most_of_rival: Annotated[int, typer.Option(help="The rival's largest size: it holds them all.")] = 100_000,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 1,
    seed: Annotated[int, typer.Option(help="Decides the order.")] = 0,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Runs at a time; unset: one a core.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few prompts, once: to see that it works.")] = False,
) -> None:
    sizes = sorted(size or (1000, 10_000, 100_000, *([MILLION] if million else [])))
    if quick:
        sizes, repeat = [100, 300], 1
    most = {RIVAL: most_of_rival, BARE: max(sizes), WITH: most_with_journal}
    of_each = {contestant: [size for size in sizes if size <= most[contestant]] for contestant in CONTESTANTS}
    at_once = processes or os.cpu_count() or 1
    runs = measure(of_each, repeat, seed, at_once)
    service = {"limit": LIMIT, "period": PERIOD, "latency": LATENCY}
    options = service | {"repeat": repeat, "seed": seed, "processes": at_once}
    found = result("scale", QUESTION, ("aveo3", "aiolimiter"), options, runs)
    tell(found, summary(found), json_path)


if __name__ == "__main__":
    print(json.dumps(alone(sys.argv[1], int(sys.argv[2]))))
