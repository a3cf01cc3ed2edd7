"""The report of an output directory: how soon it is made, how large it is, and how soon a browser shows it.

A journal with that many clips, each with a film of its own (links to one file of the emulator), as a run leaves it. The
first report cuts stills, the second finds them. Each is opened from the disk in a headless Chromium, if there is one.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aveo3 import Settings
from aveo3.cli.report_file import write
from aveo3.journal.journal import Journal
from aveo3.lifecycle import State
from aveo3.mock.state.films import bundled
from benchmarks.harness import plots
from benchmarks.harness.aims import Aim
from benchmarks.harness.results import Result, new_result, publish
from benchmarks.harness.table import spread, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUESTION = "How soon is the report of thousands of clips made, and seen in a browser?"

SIZES = (1, 100, 5000)
MOST = 2.0
"""Seconds until the page of 5,000 clips is painted: the aim."""


@dataclass(frozen=True)
class Run:
    """One report of so many clips. `paint_s` and `usable_s` are None without a browser."""

    clips: int
    first_s: float
    """Until it is written, with new stills for at most 20 s."""
    again_s: float
    """The same, once every clip has a still."""
    bytes: int
    paint_s: float | None
    """Until the browser shows the first contents."""
    usable_s: float | None
    """Until the first card of the gallery is there."""


def measure(sizes: Sequence[int], repeat: int) -> list[Run]:
    """Make and open `repeat` reports of each size, each in a directory of its own."""
    runs = []
    for _ in range(repeat):
        for clips in sizes:
            with tempfile.TemporaryDirectory() as place:
                runs.append(_run(clips, Path(place)))
    return runs


def _run(clips: int, directory: Path) -> Run:
    _past(clips, directory)
    settings, path = Settings(output_dir=directory), directory / "report.html"
    began = time.perf_counter()
    made = write(settings, path)
    first = time.perf_counter() - began
    while made.left_out:
        made = write(settings, path)
    began = time.perf_counter()
    write(settings, path)
    again = time.perf_counter() - began
    paint, usable = _opened(path)
    return Run(clips, first, again, path.stat().st_size, paint, usable)


def _past(clips: int, directory: Path) -> None:
    """The journal and the films of so many clips, sent ten a minute."""
    film = bundled()
    begin = datetime(2026, 11, 23, 12, tzinfo=UTC)
    with Journal(directory / ".aveo3" / "journal.db") as journal:
        stream = journal.claims.begin_stream()
        for number in range(clips):
            prompt = {"text": f"a paper boat on a river at dawn, take {number}", "project_id": f"film {number % 7}"}
            digest = f"{number:08x}" + "0" * 56
            journal.claims.plan(stream, "google", digest, position=number, model=MODEL, prompt=prompt)
        journal.claims.end_stream(stream, all_made=True)
    first = directory / "0.mp4"
    first.write_bytes(film)
    with closing(sqlite3.connect(directory / ".aveo3" / "journal.db")) as db, db:
        for number in range(clips):
            if number:
                os.link(first, directory / f"{number}.mp4")
            sent = begin + timedelta(seconds=6 * number)
            made = sent + timedelta(seconds=70 + number % 9)
            files = f'[{{"path": "{number}.mp4", "size": {len(film)}, "sha256": "{number:032x}{number:032x}"}}]'
            name = f"operations/{number}"
            db.execute(
                "UPDATE jobs SET state = ?, attempts = 1, cost_usd = 3.2, place = ?, files = ?, submitted_utc = ?, "
                "finished_utc = ?, fetched_utc = ?, operation = ? WHERE position = ?",
                (
                    State.SUCCEEDED,
                    PLACE,
                    files,
                    sent.isoformat(),
                    *[made.isoformat()] * 2,
                    name,
                    number,
                ),
            )
            steps = ((State.SUBMITTING, sent), (State.RUNNING, sent), (State.FETCHING, made), (State.SUCCEEDED, made))
            db.executemany(
                "INSERT INTO events (job, at_utc, state, changes) VALUES (?, ?, ?, ?)",
                [(number + 1, at.isoformat(), state, f'{{"model": "{MODEL}"}}') for state, at in steps],
            )


MODEL = "veo-3.1-generate-001"
PLACE = '{"backend": "vertex", "project": "p", "location": "us-central1", "api_version": "v1"}'


def _opened(path: Path) -> tuple[float | None, float | None]:
    """Seconds until a browser paints the page, and until a card is there; None without a browser."""
    program = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None, None
    if program is None:
        return None, None
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium's sandbox refuses to work for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"] if root else [])
        page = browser.new_page()
        page.add_init_script(_WATCH)
        page.goto(path.as_uri())
        page.wait_for_function("window.firstCard !== undefined")
        figures: Any = page.evaluate(_FIGURES)
        browser.close()
    return figures[0] / 1000, figures[1] / 1000


_WATCH = """
new MutationObserver((_, watch) => {
  if (document.querySelector('#cards > *')) { window.firstCard = performance.now(); watch.disconnect(); }
}).observe(document, {childList: true, subtree: true});
"""
_FIGURES = "[performance.getEntriesByName('first-contentful-paint')[0].startTime, window.firstCard]"


def _of(result: Result, clips: int, figure: str) -> list[float]:
    return [run[figure] for run in result["runs"] if run["clips"] == clips and run[figure] is not None]


def _sizes(result: Result) -> list[int]:
    return sorted({run["clips"] for run in result["runs"]})


def _shown(values: list[float], digits: int) -> str:
    return spread(values, digits) if values else "no browser"


def summary(result: Result, *, markdown: bool = False) -> str:
    """Return a row per size: seconds until the file is written and seen, and its size."""
    rows = [
        [
            f"{clips:,}",
            spread(_of(result, clips, "first_s"), 1),
            spread(_of(result, clips, "again_s"), 1),
            f"{median(_of(result, clips, 'bytes')) / 1e6:.1f}",
            _shown(_of(result, clips, "paint_s"), 2),
            _shown(_of(result, clips, "usable_s"), 2),
        ]
        for clips in _sizes(result)
    ]
    headers = ["clips", "s to make", "s to make again", "MB", "s to first paint", "s to first card"]
    return (
        f"{table(headers, rows, markdown=markdown)}\n\n"
        f"Median [lowest-highest] of {result['options']['repeat']} runs, opened from the disk in headless Chromium. "
        "The first report cuts stills for at most 20 s, the last one finds all of them. Films of 320 by 180 pixels: "
        "larger ones take longer to cut."
    )


def aims(result: Result) -> list[Aim]:
    """Return the time to the first card of the largest report."""
    clips = max(_sizes(result))
    seconds = _of(result, clips, "usable_s")
    measured = f"{median(seconds):.2f} s" if seconds else "no browser"
    made = f"made in {median(_of(result, clips, 'again_s')):.1f} s"
    met = median(seconds) < MOST if seconds else None
    return [Aim(f"a report of {clips:,} clips, first card", f"below {MOST:g} s", measured, made, met)]


PANELS = 1


def draw(result: Result, axes: Sequence[Axes]) -> None:
    """Draw one bar per size."""
    bars = {f"aveo3 {clips:,} clips": _of(result, clips, "usable_s") or [0.0] for clips in _sizes(result)}
    plots.bars(axes[0], bars, "seconds to the first card")


def main(
    clips: Annotated[list[int] | None, typer.Option(help="Clips of a report; repeatable.")] = None,
    repeat: Annotated[int, typer.Option(help="Reports of each size.")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="Few clips, one run, as a check that it works.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
) -> None:
    """Measure, and print a table."""
    sizes = (1, 20) if quick else tuple(clips or SIZES)
    repeat = 1 if quick else repeat
    _run_once()
    runs = measure(sizes, repeat)
    options = {"clips": list(sizes), "repeat": repeat}
    packages = ("aveo3", "av", "bokeh", "jinja2", "pillow")
    result = new_result("first-paint", QUESTION, packages, options, runs)
    publish(result, summary(result), json_path)


def _run_once() -> None:
    """A warm-up: imports."""
    with tempfile.TemporaryDirectory() as place:
        _past(1, Path(place))
        write(Settings(output_dir=Path(place)), Path(place) / "report.html")
