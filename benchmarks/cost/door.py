"""What the server carries: durable accepts a second, how long they take beside many pollers, memory per request; and
what programs get through it on a quota, beside LiteLLM's proxy and a plain reverse proxy: see `door_quota`.

Real time. The server is a process of its own, and so is the emulator behind it; the load comes from this process. The
journal is on the disk of `--directory`: an accept is answered when it is on that disk.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Annotated, Any

import aiohttp
import typer

from benchmarks.cost import door_quota
from benchmarks.harness import plots
from benchmarks.harness.aims import Aim
from benchmarks.harness.emulator import EmulatorProcess
from benchmarks.harness.machine import ROOT
from benchmarks.harness.results import Result, new_result, publish
from benchmarks.harness.table import spread, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUESTION = "How many requests a second does the server accept durably, how fast, and in how much memory?"

FLAT_OUT, PACED = "as fast as possible", "100 a second, 500 polls a second"
KINDS = (FLAT_OUT, PACED)

CONNECTIONS = 64
PACE, POLLS = 100, 500
"""Accepts and polls a second: 500 polls are those of 5,000 clients that poll every ten seconds."""

_PATH = "/v1/publishers/google/models/veo-3.1-generate-001"


@dataclass(frozen=True)
class Run:
    """One run of one kind. `bytes_per_request` is what the server's memory grew by, 0 if the system does not tell."""

    kind: str
    accepts_per_s: float
    p50_ms: float
    p99_ms: float
    bytes_per_request: float


@asynccontextmanager
async def _server(google: str, directory: Path, rate: str = "1/3600s") -> AsyncIterator[tuple[str, int]]:
    """The address of a server, and its process."""
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    port = door_quota.free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("VEO3_")},
        "VEO3_BASE_URL": google,
        "VEO3_BACKEND": "vertex",
        "GOOGLE_API_KEY": "key",
        "VEO3_POLL_INTERVAL": f"{door_quota.POLL:g}",
        "PYTHONPATH": str(ROOT),
    }
    options = ("--quiet", "--port", str(port), "--output-dir", str(directory), "--rate", rate)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "aveo3", "serve", *options, cwd=directory, env=environment
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await door_quota.until_ready(f"{url}/readyz", process)
        yield url, process.pid
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _measure(requests: int, repeat: int, directory: Path | None) -> list[Run]:
    runs = []
    async with EmulatorProcess() as emulator:
        google = await emulator.start({"rpm": None, "latency": "1", "films": "bundled"})
        for _ in range(repeat):
            for kind in KINDS:
                with tempfile.TemporaryDirectory(dir=directory) as place:
                    async with _server(google, Path(place)) as (url, process):
                        runs.append(await _run(kind, requests, url, process))
    return runs


async def _run(kind: str, requests: int, url: str, process: int) -> Run:
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(url, connector=connector) as http:
        names: list[str] = []
        took: list[float] = []

        async def accept(number: int) -> None:
            body = {"instances": [{"prompt": f"a paper boat on a river, number {number}"}]}
            began = time.perf_counter()
            async with http.post(f"{_PATH}:predictLongRunning", json=body) as answer:
                names.append((await answer.json())["name"])
            took.append(time.perf_counter() - began)

        async def poll(number: int) -> None:
            body = {"operationName": names[number % len(names)]}
            async with http.post(f"{_PATH}:fetchPredictOperation", json=body) as answer:
                await answer.read()

        for number in range(100):  # warm-up: imports, connections, the first submit
            await accept(-1 - number)
        took.clear()
        before, began = _resident(process), time.perf_counter()
        if kind == FLAT_OUT:
            numbers = iter(range(requests))

            async def client() -> None:
                for number in numbers:
                    await accept(number)

            await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
        else:
            seconds = requests / PACE
            await asyncio.gather(_paced(accept, PACE, seconds), _paced(poll, POLLS, seconds))
        wall = time.perf_counter() - began
        grown = _resident(process) - before
    cuts = quantiles(took, n=100)
    return Run(kind, len(took) / wall, median(took) * 1e3, cuts[98] * 1e3, grown / len(took))


async def _paced(call: Callable[[int], Awaitable[None]], rate: int, seconds: float) -> None:
    """Make `rate` calls a second, each at its time, however long the others take."""
    began, calls = time.perf_counter(), []
    for number in range(round(rate * seconds)):
        await asyncio.sleep(began + number / rate - time.perf_counter())
        calls.append(asyncio.ensure_future(call(number)))
    await asyncio.gather(*calls)


def _resident(process: int) -> float:
    """The resident memory of a process in bytes; 0 if the system does not tell."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
        return 1024.0 * int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])
    return 0.0


def _of(result: Result, kind: str, figure: str) -> list[float]:
    return [run[figure] for run in result["runs"] if run["kind"] == kind]


def _on_the_quota(result: Result) -> dict[str, dict[str, Any]]:
    """The runs of the contestants, by name."""
    return {run["kind"]: run for run in result["runs"] if "makespan" in run}


def summary(result: Result, *, markdown: bool = False) -> str:
    """Return a row per kind."""
    rows = [
        [
            kind,
            spread(_of(result, kind, "accepts_per_s"), 0),
            spread(_of(result, kind, "p50_ms"), 1),
            spread(_of(result, kind, "p99_ms"), 1),
            spread(_of(result, kind, "bytes_per_request"), 0),
        ]
        for kind in KINDS
    ]
    headers = ["", "accepts a second", "ms, median", "ms, 99th percentile", "bytes of memory a request"]
    contestants, options = _on_the_quota(result), result["options"]
    alone = contestants[door_quota.ALONE]["makespan"]
    told = [
        [
            kind,
            f"{run['clips'] - run['made']}",
            f"{run['refusals']}",
            f"{run['at_google']}",
            f"{run['makespan']:.1f}",
            f"{run['makespan'] / alone:.3f}",
        ]
        for kind, run in contestants.items()
    ]
    columns = ["", "clips lost", "429s that programs saw", "429s of Google", "seconds", "times generate_many"]
    [shares] = [run for run in result["runs"] if run["kind"] == "shares"]
    return (
        f"{table(headers, rows, words=1, markdown=markdown)}\n\n"
        f"{options['requests']:,} requests, median [lowest-highest] of {options['repeat']} runs. "
        f"{CONNECTIONS} connections from one process on the same machine.\n\n"
        f"{table(columns, told, words=1, markdown=markdown)}\n\n"
        f"{options['clips']} clips at once, {options['limit']} in any {options['period']:g} s, clips of "
        f"{options['latency']:g} s, one run each. Of {shares['counted']} clips, callers with weights of 1, 2 and 5 "
        f"had {', '.join(map(str, shares['went'].values()))}."
    )


def aims(result: Result) -> list[Aim]:
    """Return the aims of accepts, of their time beside pollers, and of memory."""
    accepts = median(_of(result, FLAT_OUT, "accepts_per_s"))
    slowest = median(_of(result, PACED, "p99_ms"))
    grown = median(_of(result, FLAT_OUT, "bytes_per_request"))
    return [
        Aim("durable accepts", "≥ 400 a second", f"{accepts:.0f} a second", "", accepts >= 400),
        Aim("99 of 100 accepts, beside 5,000 pollers", "≤ 50 ms", f"{slowest:.0f} ms", "", slowest <= 50),
        Aim("memory of a queued request", "≤ 2 KB", f"{grown:.0f} bytes", "", grown <= 2048),
        *_quota_aims(result),
    ]


def _quota_aims(result: Result) -> list[Aim]:
    runs = _on_the_quota(result)
    ratio = runs[door_quota.DOOR]["makespan"] / runs[door_quota.ALONE]["makespan"]
    ours, others = (
        runs[door_quota.DOOR],
        [runs[kind] for kind in (door_quota.PROXY, door_quota.LITELLM) if kind in runs],
    )
    best = min(others, key=lambda run: (run["clips"] - run["made"], run["makespan"]))
    lost, theirs = ours["clips"] - ours["made"], best["clips"] - best["made"]
    [shares] = [door_quota.Shares(**run) for run in result["runs"] if run["kind"] == "shares"]
    return [
        Aim(
            f"{ours['clips']} clips at once, {result['options']['limit']} in any {result['options']['period']:g} s",
            "every clip; no 429; ≤ 1.01 x `generate_many`",
            f"{lost} lost; {ours['refusals']} 429s; {ratio:.3f}",
            f"{best['kind']}: {theirs} lost; {best['refusals']} 429s",
            lost == 0 and ours["refusals"] == 0 and ratio <= 1.01,
        ),
        Aim(
            "shares of three callers",
            "within 5% of their weights",
            f"{shares.furthest:.1%}",
            "",
            shares.furthest <= 0.05,
        ),
    ]


PANELS = 1


def draw(result: Result, axes: Sequence[Axes]) -> None:
    """Draw one bar per kind."""
    values = {f"aveo3 {kind}": _of(result, kind, "p99_ms") for kind in KINDS}
    plots.bars(axes[0], values, "ms, 99 of 100 accepts")


def main(
    requests: Annotated[int, typer.Option(help="Requests per run.")] = 3000,
    repeat: Annotated[int, typer.Option(help="Runs of each kind.")] = 3,
    directory: Annotated[Path | None, typer.Option(help="Where the server writes; accepts wait for this disk.")] = None,
    litellm: Annotated[str | None, typer.Option(help="LiteLLM's program; unset: as found on PATH, if it is.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few requests, one run, as a check that it works.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
) -> None:
    """Measure, and print a table."""
    plan, clips = door_quota.Plan(), 60
    if quick:
        requests, repeat, clips = 100, 1, 20
        plan = door_quota.Plan(clips=6, limit=3, period=1.0, latency=0.2)
    program = litellm or (None if quick else shutil.which("litellm"))
    runs = asyncio.run(_measure(requests, repeat, directory))
    contestants = asyncio.run(door_quota.measure(plan, _server, program, directory))
    shares = asyncio.run(door_quota.shares(_server, directory, clips=clips))
    options = {"requests": requests, "repeat": repeat, **asdict(plan)}
    every: list[Any] = [*runs, *contestants, shares]
    result = new_result("door", QUESTION, ("aveo3", "aiohttp", "google-genai", "openai"), options, every)
    publish(result, summary(result), json_path)
