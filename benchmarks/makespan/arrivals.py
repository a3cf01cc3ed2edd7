"""Many large videos that arrive inline at once, in a process of its own: what it held at most, how long its loop stood.

Of the benchmarks `memory` and `stall`. The videos come from the emulator, which is another process, each in the JSON of
a poll's answer, base64 within; all operations end at the same instant. Idle is after a first, small clip: what is
imported and opened by then is nobody's fault.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cost import memory_of
from benchmarks.harness.emulator import EmulatorProcess
from benchmarks.harness.environment import forget_the_environment
from benchmarks.harness.machine import ROOT
from benchmarks.harness.results import Result, result, tell
from benchmarks.rivals import Task, aveo3, gather

CONTESTANTS = {"google-genai, bare loop": gather.ready, "aveo3": aveo3.ready}

LATENCY = 1.0

RESTS = 2.0
"""Seconds for which the heart is listened to before."""

BEAT = 0.001
"""Seconds between two beats of the loop's heart: what is missing to the next is a stall."""


@dataclass(frozen=True)
class Run:
    """One run of one contestant."""

    repetition: int
    contestant: str
    videos: int
    video_mb: float
    idle_mb: float
    peak_mb: float
    """Beyond idle."""
    stall_ms: float
    """The longest time for which nothing else in the event loop had its turn."""
    resting_ms: float
    """The same while the loop had nothing to do: how busy the machine was with others."""
    cpu_seconds: float
    seconds: float
    """From the first submit to the last byte on disk."""


class Heart:
    """Beats in the loop while `with` lasts; `longest` is the longest that a beat was late, in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def __aenter__(self) -> Heart:
        self._beating = asyncio.create_task(self._beat())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._beating.cancel()
        with suppress(asyncio.CancelledError):
            await self._beating

    async def _beat(self) -> None:
        while True:
            due = time.perf_counter() + BEAT
            await asyncio.sleep(BEAT)
            self.longest = max(self.longest, time.perf_counter() - due)


async def alone(contestant: str, videos: int, url: str, small: str) -> dict[str, float]:
    """One run in this process: `url` is where the large videos come from, `small` makes a small one before."""
    with tempfile.TemporaryDirectory() as directory:
        async with CONTESTANTS[contestant](_task(1, small, directory)) as make_all:
            await make_all()
    with tempfile.TemporaryDirectory() as directory:
        async with CONTESTANTS[contestant](_task(videos, url, directory)) as make_all:
            async with Heart() as resting:
                await asyncio.sleep(RESTS)
            memory_of.forget_peak()
            idle = memory_of.resident_mb()
            wall, cpu = time.perf_counter(), time.process_time()
            async with Heart() as heart:
                await make_all()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            peak = memory_of.peak_mb()
        if (made := len(list(Path(directory).glob("*.mp4")))) != videos:  # noqa: ASYNC240 - all is over
            raise RuntimeError(f"{contestant} made {made} of {videos} clips")
    return {
        "idle_mb": round(idle, 1),
        "peak_mb": round(peak - idle, 1),
        "stall_ms": round(heart.longest * 1e3, 1),
        "resting_ms": round(resting.longest * 1e3, 1),
        "cpu_seconds": round(cpu, 3),
        "seconds": round(wall, 3),
    }


def _task(clips: int, url: str, directory: str) -> Task:
    prompts = tuple(f"clip {number} of a benchmark" for number in range(clips))
    # A look every 0.5 s: the minute of its documentation lasts 3.
    return Task(prompts, Path(directory), url, limit=clips, period=60.0, minute=3.0, concurrency=clips)


async def measure(videos: int, video_mb: float, repeat: int, seed: int) -> list[Run]:
    """`repeat` runs of each contestant, each in a process of its own, in an order that is drawn."""
    rng, runs = random.Random(seed), list[Run]()
    options = {"rpm": None, "latency": str(LATENCY), "films": "bundled"}
    async with EmulatorProcess() as google, EmulatorProcess() as small:
        beside = await small.start(options | {"latency": "0.1"})
        for repetition in range(repeat):
            for contestant in rng.sample([*CONTESTANTS], len(CONTESTANTS)):
                url = await google.start(options | {"film_mb": video_mb})
                said = await _ask(contestant, str(videos), url, beside)
                await google.stop()
                runs.append(Run(repetition, contestant, videos, video_mb, **json.loads(said)))
                typer.echo(f"{contestant}: {runs[-1].peak_mb:.0f} MB, {runs[-1].stall_ms:.0f} ms", err=True)
        await small.stop()
    return runs


async def _ask(*words: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the process of {words[0]} ended with {process.returncode}; its last words are above")
    return said


def command(benchmark: str, question: str, summary: Callable[[Result], str]) -> Callable[..., None]:
    """The `main` of a benchmark that tells of these runs."""

    def main(
        videos: Annotated[int, typer.Option(min=1, help="Clips, all at once.")] = 20,
        video_mb: Annotated[float, typer.Option(min=0.1, help="Megabytes of each.")] = 20.0,
        repeat: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 3,
        seed: Annotated[int, typer.Option(help="Decides the order.")] = 0,
        json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
        quick: Annotated[bool, typer.Option("--quick", help="Small videos, once: to see that it works.")] = False,
    ) -> None:
        if quick:
            videos, video_mb, repeat = 3, 1.0, 1
        runs = asyncio.run(measure(videos, video_mb, repeat, seed))
        options = {"videos": videos, "video_mb": video_mb, "repeat": repeat, "seed": seed}
        found = result(benchmark, question, aveo3.PACKAGES, options, runs)
        tell(found, summary(found), json_path)

    return main


def conditions(found: Result) -> str:
    """What was run how often."""
    options = found["options"]
    runs = f"median [lowest-highest] of {options['repeat']} runs"
    return f"{options['videos']} videos of {options['video_mb']:g} MB, {runs}."


def of(runs: Sequence[dict[str, float | str]], contestant: str, figure: str) -> list[float]:
    """A figure of each run of a contestant."""
    return [float(run[figure]) for run in runs if run["contestant"] == contestant]


if __name__ == "__main__":
    forget_the_environment()
    name, count, address, beside = sys.argv[1:]
    print(json.dumps(asyncio.run(alone(name, int(count), address, beside))))
