"""Time and memory of a stream of prompts that nobody holds in memory, from a thousand to a million.

A quota of ten thousand a minute, clips of twenty seconds: ten thousand in flight at most. Virtual time and a scripted
service that forgets what it has answered, so that what grows is the client's. Each run is a process of its own, which
tells its peak beyond what it held when idle. Growth is judged by CPU time, which neighbours disturb less.

The rival is what a careful user writes without a library: a task a prompt, aiolimiter for the pace. It has no retries,
no window, no polling but a sleep, and writes nothing down. The optimum is a straight line through the shortest run.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from math import log
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer
from aiolimiter import AsyncLimiter

from aveo3 import Settings, VeoClient, VideoPrompt
from aveo3.backends.base import Finished, Look, Probe, Running, Video
from aveo3.testing import run_virtual
from aveo3.verdicts import Verdict, accepted
from benchmarks import memory_of, plots
from benchmarks.environment import forget_the_environment
from benchmarks.machine import ROOT
from benchmarks.results import Result, result, tell
from benchmarks.table import spread, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUESTION = "Do time and memory of a stream follow what is in flight, or how many prompts there are?"

AIM_TIME, AIM_MEMORY = 1.1, 1.5
"""Time grows at most with this power of the prompts, memory by at most this factor from a quota's worth of them on."""

LIMIT, PERIOD, LATENCY = 10_000, 60.0, 20.0

MADE = Finished((Video(uri="gs://bucket/film.mp4"),))

BARE, WITH = "aveo3 without a journal", "aveo3"
RIVAL = "aiolimiter, a task a prompt"
CONTESTANTS = (RIVAL, BARE, WITH)


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

    async def look(self, operation: str) -> Look:
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
        await backend.look(verdict.operation)
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


def measure(sizes: Sequence[int], most_with_journal: int, most_of_rival: int, repeat: int, seed: int) -> list[Run]:
    """`repeat` runs of each contestant and size, each in a process of its own, in an order that is drawn."""
    most = {RIVAL: most_of_rival, BARE: max(sizes), WITH: most_with_journal}
    cases = [(contestant, size) for contestant in CONTESTANTS for size in sizes if size <= most[contestant]]
    rng, runs = random.Random(seed), []
    for repetition in range(repeat):
        for contestant, size in rng.sample(cases, len(cases)):
            said = subprocess.run(
                [sys.executable, "-m", __name__, contestant, str(size)],
                check=True,
                capture_output=True,
                cwd=ROOT,
                text=True,
            )
            runs.append(Run(repetition, contestant, size, **json.loads(said.stdout)))
            typer.echo(f"{contestant}, {size:,}: {runs[-1].seconds:.1f} s, {runs[-1].peak_mb:.0f} MB", err=True)
    return runs


# ---- telling -------------------------------------------------------------------------------------------------------


def _of(found: Result, contestant: str, size: int, figure: str) -> list[float]:
    runs = found["runs"]
    return [run[figure] for run in runs if (run["contestant"], run["prompts"]) == (contestant, size)]


def _sizes(found: Result, contestant: str) -> list[int]:
    return sorted({run["prompts"] for run in found["runs"] if run["contestant"] == contestant})


def growth(found: Result, contestant: str, figure: str, least: int = 0) -> tuple[float, float] | None:
    """How a figure grows from the smallest size of at least `least` to the largest: its factor, and as which power.

    None if there are no two such sizes.
    """
    sizes = [size for size in _sizes(found, contestant) if size >= least]
    if len(sizes) < 2:
        return None
    first, last = (median(_of(found, contestant, sizes[end], figure)) for end in (0, -1))
    return last / first, log(last / first) / log(sizes[-1] / sizes[0])


def summary(found: Result, *, markdown: bool = False) -> str:
    """The table, and whether the aims are met."""
    rows = [
        [
            contestant,
            f"{size:,}",
            spread(_of(found, contestant, size, "seconds"), 1),
            spread([seconds / size * 1e3 for seconds in _of(found, contestant, size, "cpu_seconds")], 2),
            spread(_of(found, contestant, size, "peak_mb"), 0),
        ]
        for contestant in CONTESTANTS
        for size in _sizes(found, contestant)
    ]
    headers = ["", "prompts", "seconds", "CPU ms a clip", "peak MB over idle"]
    lines, met = [table(headers, rows, words=1, markdown=markdown), ""], True
    for contestant in CONTESTANTS:
        time_grows = growth(found, contestant, "cpu_seconds")
        memory_grows = growth(found, contestant, "peak_mb", LIMIT)
        if time_grows is None or memory_grows is None:
            return f"{lines[0]}\n\nThe aim needs two sizes from {LIMIT:,} prompts on."
        power, factor = time_grows[1], memory_grows[0]
        lines.append(f"- {contestant}: time grows as prompts^{power:.2f}, memory by {factor:.2f} from {LIMIT:,} on.")
        met = met and (contestant == RIVAL or (power <= AIM_TIME and factor <= AIM_MEMORY))
    aim = f"Aim: time linear (a power of at most {AIM_TIME:g}), memory flat (at most by {AIM_MEMORY:g})"
    return "\n".join([*lines, "", f"{aim}; {'met' if met else 'missed'}."])


def draw(found: Result, axes: Sequence[Axes]) -> None:
    """Time and memory over prompts, both logarithmic."""
    for panel, figure, label in zip(
        axes, ("cpu_seconds", "peak_mb"), ("CPU seconds", "peak MB over idle"), strict=True
    ):
        for contestant, colour in zip(CONTESTANTS, (plots.THEIRS, "#4ac26b", plots.OURS), strict=True):
            sizes = _sizes(found, contestant)
            plots.line(panel, sizes, [_of(found, contestant, size, figure) for size in sizes], contestant, colour)
        panel.set(xscale="log", yscale="log", xlabel="prompts", ylabel=label)
    axes[0].legend(frameon=False)


PANELS = 2


def main(
    size: Annotated[list[int] | None, typer.Option(help="Prompts; repeatable; unset: 1,000 to 100,000.")] = None,
    most_with_journal: Annotated[int, typer.Option(help="The largest size with a journal.")] = 20_000,
    most_of_rival: Annotated[int, typer.Option(help="The rival's largest size: it holds them all.")] = 100_000,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 1,
    seed: Annotated[int, typer.Option(help="Decides the order.")] = 0,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few prompts, once: to see that it works.")] = False,
) -> None:
    sizes = sorted(size or (1000, 10_000, 20_000, 100_000))
    if quick:
        sizes, repeat = [100, 300], 1
    runs = measure(sizes, most_with_journal, most_of_rival, repeat, seed)
    options = {"limit": LIMIT, "period": PERIOD, "latency": LATENCY, "repeat": repeat, "seed": seed}
    found = result("scale", QUESTION, ("aveo3", "aiolimiter"), options, runs)
    tell(found, summary(found), json_path)


if __name__ == "__main__":
    print(json.dumps(alone(sys.argv[1], int(sys.argv[2]))))
