"""What writing every job down costs: the same clips with a journal and without one, and handed out again from it.

Virtual time and a scripted service, so that nothing but the client's own work is measured; the journal's files are on
the disk that `--directory` is on, and requests wait for their intents to reach that disk.
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
from benchmarks.harness.results import Result, result, tell
from benchmarks.harness.table import spread, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUESTION = "What does the journal cost a clip, against the same run without one?"

WITHOUT, WITH, CACHED = "without a journal", "with a journal", "again, all cached"
KINDS = (WITHOUT, WITH, CACHED)


@dataclass(frozen=True)
class Run:
    """One run of one kind: milliseconds a clip, waiting for the disk included and not."""

    kind: str
    wall_ms: float
    cpu_ms: float
    journal_bytes: int


def measure(clips: int, repeat: int, directory: Path | None, seed: int) -> list[Run]:
    """`repeat` runs of each kind, interleaved; whether the journal or its absence comes first is drawn."""
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
            made = await veo.generate_many(f"prompt {number}" for number in range(clips))
            return sum(clip.succeeded for clip in made)

    wall, cpu = time.perf_counter(), time.process_time()
    made = run_virtual(main())
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if made != clips or len(backend.submits) != (0 if kind == CACHED else clips):
        raise RuntimeError(f"{kind}: {made} of {clips} clips with {len(backend.submits)} submits")
    path = settings.journal_path
    return Run(kind, wall / clips * 1e3, cpu / clips * 1e3, path.stat().st_size if path is not None else 0)


def _of(found: Result, kind: str, figure: str) -> list[float]:
    return [run[figure] for run in found["runs"] if run["kind"] == kind]


def summary(found: Result, *, markdown: bool = False) -> str:
    """A line for each kind: milliseconds a clip, the ratio to the run without of the same repetition, bytes a clip."""
    bare, clips = _of(found, WITHOUT, "wall_ms"), found["options"]["clips"]
    rows = [
        [
            kind,
            spread(_of(found, kind, "wall_ms"), 2),
            spread(_of(found, kind, "cpu_ms"), 2),
            spread([wall / other for wall, other in zip(_of(found, kind, "wall_ms"), bare, strict=True)], 1),
            spread([size / clips for size in _of(found, kind, "journal_bytes")], 0),
        ]
        for kind in KINDS
    ]
    headers = ["", "ms a clip", "of it CPU", "times the run without", "bytes a clip"]
    return (
        f"{table(headers, rows, words=1, markdown=markdown)}\n\n"
        f"{clips:,} clips, median [lowest-highest] of {found['options']['repeat']} runs, in virtual time."
    )


def aims(found: Result) -> list[Aim]:
    """None: what it costs is told, and is in `overhead` too."""
    extra = [f"{median(_of(found, WITH, figure)):.2f} ms" for figure in ("wall_ms", "cpu_ms")]
    without = median(_of(found, WITHOUT, "wall_ms"))
    return [Aim("a clip with a journal", "", f"{extra[0]}, {extra[1]} of it CPU", f"without: {without:.2f} ms", None)]


PANELS = 1


def draw(found: Result, axes: Sequence[Axes]) -> None:
    """One bar a kind."""
    plots.bars(axes[0], {f"aveo3 {kind}": _of(found, kind, "wall_ms") for kind in KINDS}, "ms a clip")


def main(
    clips: Annotated[int, typer.Option(help="Clips a run.")] = 1000,
    repeat: Annotated[int, typer.Option(help="Runs of each kind.")] = 7,
    directory: Annotated[
        Path | None, typer.Option(help="Where the runs write; its disk is what requests wait for.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws which kind goes first.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A few clips, once: to see that it works.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
) -> None:
    """Measure, and print a table."""
    if quick:
        clips, repeat = 50, 1
    with tempfile.TemporaryDirectory(dir=directory) as place:
        _run(WITH, 20, Path(place))  # imports
    runs = measure(clips, repeat, directory, seed)
    options = {"clips": clips, "repeat": repeat, "seed": seed}
    found = result("journal", QUESTION, ("aveo3", "google-genai"), options, runs)
    tell(found, summary(found), json_path)
