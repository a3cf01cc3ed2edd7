"""Runs with many large inline videos that arrive at once, for the benchmarks `memory` and `stall`.

Each run is a process, which measures its peak memory and the longest stall of its event loop. The videos come from the
emulator, which is another process, as base64 in the JSON of a poll response. All operations end at the same instant.
Idle memory is read after a first, small clip, so that imports and open connections do not count.
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
from benchmarks.harness.results import Result, new_result, publish
from benchmarks.rivals import Task, aveo3, gather

CONTESTANTS = {"google-genai, bare loop": gather.ready, "aveo3": aveo3.ready}

LATENCY = 1.0

RESTS = 2.0
"""Seconds for which the idle loop is measured before a run."""

BEAT = 0.001
"""Seconds between two beats of `Heart`. A late beat is a stall."""


@dataclass(frozen=True)
class Run:
    """One run of one contestant."""

    repetition: int
    contestant: str
    videos: int
    video_mb: float
    idle_mb: float
    peak_mb: float
    """Peak memory above idle."""
    stall_ms: float
    """The longest time during which nothing else in the event loop could run."""
    resting_ms: float
    """The same for the idle loop, which shows how busy the machine was."""
    cpu_seconds: float
    seconds: float
    """From the first submit to the last byte on disk."""


class Heart:
    """Beats in the loop inside an `async with`. `longest` is the longest delay of a beat, in seconds."""

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
    """Make one run in this process. `url` serves the large videos, `small` the small one of the warm-up."""
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
        if (count := len(list(Path(directory).glob("*.mp4")))) != videos:  # noqa: ASYNC240 - the run is over
            raise RuntimeError(f"{contestant} made {count} of {videos} clips")
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
    # A minute of the documentation lasts 3 s, which gives a poll every 0.5 s.
    return Task(prompts, Path(directory), url, limit=clips, period=60.0, minute=3.0, concurrency=clips)


async def measure(videos: int, video_mb: float, repeat: int, seed: int) -> list[Run]:
    """Make `repeat` runs of each contestant, each in its own process, in random order."""
    rng, runs = random.Random(seed), list[Run]()
    options = {"rpm": None, "latency": str(LATENCY), "films": "bundled"}
    async with EmulatorProcess() as google, EmulatorProcess() as small:
        small_url = await small.start(options | {"latency": "0.1"})
        for repetition in range(repeat):
            for contestant in rng.sample([*CONTESTANTS], len(CONTESTANTS)):
                url = await google.start(options | {"film_mb": video_mb})
                output = await _run_process(contestant, str(videos), url, small_url)
                await google.stop()
                runs.append(Run(repetition, contestant, videos, video_mb, **json.loads(output)))
                typer.echo(f"{contestant}: {runs[-1].peak_mb:.0f} MB, {runs[-1].stall_ms:.0f} ms", err=True)
        await small.stop()
    return runs


async def _run_process(*arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the process of {arguments[0]} ended with {process.returncode}; its output is above")
    return output


def command(benchmark: str, question: str, summary: Callable[[Result], str]) -> Callable[..., None]:
    """Return the `main` of a benchmark that reports these runs."""

    def main(
        videos: Annotated[int, typer.Option(min=1, help="Number of clips, all at once.")] = 20,
        video_mb: Annotated[float, typer.Option(min=0.1, help="Megabytes per video.")] = 20.0,
        repeat: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 3,
        seed: Annotated[int, typer.Option(help="Decides the order.")] = 0,
        json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
        quick: Annotated[bool, typer.Option("--quick", help="Small videos, one run, as a check.")] = False,
    ) -> None:
        if quick:
            videos, video_mb, repeat = 3, 1.0, 1
        runs = asyncio.run(measure(videos, video_mb, repeat, seed))
        options = {"videos": videos, "video_mb": video_mb, "repeat": repeat, "seed": seed}
        result = new_result(benchmark, question, aveo3.PACKAGES, options, runs)
        publish(result, summary(result), json_path)

    return main


def conditions(result: Result) -> str:
    """Return the number of videos and runs as a sentence."""
    options = result["options"]
    runs = f"median [lowest-highest] of {options['repeat']} runs"
    return f"{options['videos']} videos of {options['video_mb']:g} MB, {runs}."


def of(runs: Sequence[dict[str, float | str]], contestant: str, figure: str) -> list[float]:
    """Return one figure of each run of a contestant."""
    return [float(run[figure]) for run in runs if run["contestant"] == contestant]


if __name__ == "__main__":
    forget_the_environment()
    name, count, address, small_address = sys.argv[1:]
    print(json.dumps(asyncio.run(alone(name, int(count), address, small_address))))
