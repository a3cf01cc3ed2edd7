"""The cost of the journal: the same clips with a journal, without one, and returned again from it.

Virtual time and a scripted service, so that the benchmark measures only the client's own work. The journal is on the
disk of `--directory`, and requests wait until their intents are on that disk.
"""

from __future__ import annotations

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

from aveo3 import Settings, VeoClient
from aveo3.testing import ScriptedBackend, run_virtual
from benchmarks.harness import plots
from benchmarks.harness.aims import Aim
from benchmarks.harness.results import Result, new_result, publish
from benchmarks.harness.table import spread, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUESTION = "What does the journal cost per clip, compared with the same run without one?"

WITHOUT, WITH, CACHED = "without a journal", "with a journal", "again, all cached"
KINDS = (WITHOUT, WITH, CACHED)


@dataclass(frozen=True)
class Run:
    """One run of one kind: wall time per clip, which includes waits for the disk, and CPU time per clip."""

    kind: str
    wall_ms: float
    cpu_ms: float
    journal_bytes: int


def measure(clips: int, repeat: int, directory: Path | None, seed: int) -> list[Run]:
    """Make `repeat` runs of each kind, interleaved. The order of the runs with and without a journal is random."""
    rng = random.Random(seed)
    runs = []
    for _ in range(repeat):
        with ExitStack() as stack:
            places = {
                kind: Path(stack.enter_context(tempfile.TemporaryDirectory(dir=directory))) for kind in (WITHOUT, WITH)
            }
            kinds = rng.sample([WITHOUT, WITH], 2)
            runs += [_run(kind, clips, places[kind]) for kind in kinds]
            runs.append(_run(CACHED, clips, places[WITH]))
    return runs


def _run(kind: str, clips: int, directory: Path) -> Run:
    settings = Settings(
        output_dir=directory,
        journal=None if kind == WITHOUT else "auto",
        rate_limit=clips,
        poll_interval=60,
        backend="vertex",
    )
    backend = ScriptedBackend(latency=50.0)

    async def main() -> int:
        async with VeoClient(settings, backend=backend) as veo:
            results = await veo.generate_many(f"prompt {number}" for number in range(clips))
            return sum(clip.succeeded for clip in results)

    wall, cpu = time.perf_counter(), time.process_time()
    count = run_virtual(main())
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if count != clips or len(backend.submits) != (0 if kind == CACHED else clips):
        raise RuntimeError(f"{kind}: {count} of {clips} clips with {len(backend.submits)} submits")
    path = settings.journal_path
    return Run(kind, wall / clips * 1e3, cpu / clips * 1e3, path.stat().st_size if path is not None else 0)


def _of(result: Result, kind: str, figure: str) -> list[float]:
    return [run[figure] for run in result["runs"] if run["kind"] == kind]


def summary(result: Result, *, markdown: bool = False) -> str:
    """Return a row per kind: time per clip, ratio to the run without a journal (same repetition), bytes per clip."""
    bare, clips = _of(result, WITHOUT, "wall_ms"), result["options"]["clips"]
    rows = [
        [
            kind,
            spread(_of(result, kind, "wall_ms"), 2),
            spread(_of(result, kind, "cpu_ms"), 2),
            spread([wall / other for wall, other in zip(_of(result, kind, "wall_ms"), bare, strict=True)], 1),
            spread([size / clips for size in _of(result, kind, "journal_bytes")], 0),
        ]
        for kind in KINDS
    ]
    headers = ["", "ms per clip", "CPU ms per clip", "times the run without", "bytes per clip"]
    return (
        f"{table(headers, rows, words=1, markdown=markdown)}\n\n"
        f"{clips:,} clips, median [lowest-highest] of {result['options']['repeat']} runs, in virtual time."
    )


def aims(result: Result) -> list[Aim]:
    """Return the cost without an aim; the aim of `overhead` includes it."""
    extra = [f"{median(_of(result, WITH, figure)):.2f} ms" for figure in ("wall_ms", "cpu_ms")]
    without = median(_of(result, WITHOUT, "wall_ms"))
    return [Aim("a clip with a journal", "", f"{extra[0]}, CPU {extra[1]}", f"without: {without:.2f} ms", None)]


PANELS = 1


def draw(result: Result, axes: Sequence[Axes]) -> None:
    """Draw one bar per kind."""
    plots.bars(axes[0], {f"aveo3 {kind}": _of(result, kind, "wall_ms") for kind in KINDS}, "ms per clip")


def main(
    clips: Annotated[int, typer.Option(help="Clips per run.")] = 1000,
    repeat: Annotated[int, typer.Option(help="Runs of each kind.")] = 7,
    directory: Annotated[Path | None, typer.Option(help="Where the runs write; requests wait for this disk.")] = None,
    seed: Annotated[int, typer.Option(help="Decides which kind runs first.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Few clips, one run, as a check that it works.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
) -> None:
    """Measure, and print a table."""
    if quick:
        clips, repeat = 50, 1
    with tempfile.TemporaryDirectory(dir=directory) as place:
        _run(WITH, 20, Path(place))  # warm-up: imports
    runs = measure(clips, repeat, directory, seed)
    options = {"clips": clips, "repeat": repeat, "seed": seed}
    result = new_result("journal", QUESTION, ("aveo3", "google-genai"), options, runs)
    publish(result, summary(result), json_path)
