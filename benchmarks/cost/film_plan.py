"""The plan of a long film: how soon `aveo3 film plan` knows what is made, what would be made anew, and for how much.

A story of that many scenes, a third of them by themselves and with a member of the cast, the others in chains of three.
It is planned twice: with an empty directory, and with a journal in which every clip is made. Nothing is sent.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from aveo3 import Settings, VeoClient
from aveo3.cli.film_desk import FilmDesk, desk
from aveo3.cli.film_lines import facts_of
from aveo3.film.takes import Stage
from aveo3.journal.journal import Journal
from aveo3.lifecycle import State
from aveo3.mock.state.films import bundled
from benchmarks.harness import plots
from benchmarks.harness.aims import Aim
from benchmarks.harness.results import Result, new_result, publish
from benchmarks.harness.table import spread, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUESTION = "How soon is a film of thousands of scenes planned?"

SIZES = (6, 200, 2000)
MOST = 1.0
"""Seconds until a film of 2,000 scenes is planned: the aim."""

PNG = b"\x89PNG\r\n\x1a\n" + bytes(500)


@dataclass(frozen=True)
class Run:
    """One story of so many scenes. Seconds from the story's file to the plan as JSON."""

    scenes: int
    new_s: float
    """With nothing made."""
    made_s: float
    """With all of it made."""


def measure(sizes: Sequence[int], repeat: int) -> list[Run]:
    """Plan `repeat` stories of each size, each in a directory of its own."""
    runs = []
    for _ in range(repeat):
        for scenes in sizes:
            with tempfile.TemporaryDirectory() as place:
                runs.append(_run(scenes, Path(place)))
    return runs


def _run(scenes: int, place: Path) -> Run:
    file = _story(scenes, place)
    new_s, [first] = _planned(file, place), [_desk(file, place)]
    _make(first, place / "out")
    return Run(scenes, new_s, _planned(file, place, made=scenes))


def _desk(file: Path, place: Path) -> FilmDesk:
    return desk(file, {"output_dir": place / "out", "mock_mode": True})


def _planned(file: Path, place: Path, *, made: int = 0) -> float:
    began = time.perf_counter()
    there = _desk(file, place)
    plan = there.plan(Stage.FINAL)[0]
    facts = facts_of([plan], there)
    seconds = time.perf_counter() - began
    assert facts["stages"][0]["made"] == made
    return seconds


def _story(scenes: int, place: Path) -> Path:
    (place / "mara.png").write_bytes(PNG)
    lines = [
        "title: A long film",
        "look: Warm light, 35 mm film.",
        "cast: {mara: {name: Mara, words: a woman of thirty, pictures: [mara.png]}}",
        "scenes:",
    ]
    for number in range(scenes):
        begins = f", from: s{number - 1}" if number % 3 else ""
        lines.append(f'  - {{id: s{number}, prompt: "{{mara}} walks through room {number}.", seconds: 8{begins}}}')
    file = place / "story.yaml"
    file.write_text("\n".join(lines))
    return file


def _make(there: FilmDesk, directory: Path) -> None:
    """The journal and the files of a film whose clips are made, link by link: a chain's next needs the one before."""
    directory.mkdir()
    first = directory / "0.mp4"
    first.write_bytes(bundled())
    with Journal(directory / ".aveo3" / "journal.db") as journal:
        stream = journal.claims.begin_stream()
        journal.claims.end_stream(stream, all_made=True)
    number = 0
    while True:
        todo = [each for each in there.plan(Stage.FINAL)[0].takes if each.is_to_send and _is_ready(each.prompt)]
        if not todo:
            return
        with Journal(directory / ".aveo3" / "journal.db") as journal:
            stream = journal.claims.begin_stream()
            for each in todo:
                prompt = each.prompt
                assert prompt is not None
                digest = prompt.digest(there.routes.model_of(prompt))
                journal.claims.plan(stream, there.service, digest, position=number, model="veo", prompt={})
                number += 1
            journal.claims.end_stream(stream, all_made=True)
        with closing(sqlite3.connect(directory / ".aveo3" / "journal.db")) as db, db:
            for position in range(number - len(todo), number):
                if position:
                    os.link(first, directory / f"{position}.mp4")
                files = f'[{{"path": "{position}.mp4", "size": 1, "sha256": "{position:064x}"}}]'
                db.execute(
                    "UPDATE jobs SET state = ?, attempts = 1, files = ? WHERE position = ?",
                    (State.SUCCEEDED, files, position),
                )


def _is_ready(prompt: object) -> bool:
    return not getattr(prompt, "clips", ())


def _of(result: Result, scenes: int, figure: str) -> list[float]:
    return [run[figure] for run in result["runs"] if run["scenes"] == scenes]


def _sizes(result: Result) -> list[int]:
    return sorted({run["scenes"] for run in result["runs"]})


def summary(result: Result, *, markdown: bool = False) -> str:
    """Return a row per size: seconds until it is planned, with nothing and with everything made."""
    rows = [
        [f"{scenes:,}", spread(_of(result, scenes, "new_s"), 3), spread(_of(result, scenes, "made_s"), 3)]
        for scenes in _sizes(result)
    ]
    headers = ["scenes", "s to plan, nothing made", "s to plan, all made"]
    return (
        f"{table(headers, rows, markdown=markdown)}\n\n"
        f"Median [lowest-highest] of {result['options']['repeat']} runs, from the story's file to the plan as JSON, in "
        "a process that has imported what it needs."
    )


def aims(result: Result) -> list[Aim]:
    """Return the slower of the two plans of the longest film."""
    scenes = max(_sizes(result))
    new, made = (median(_of(result, scenes, figure)) for figure in ("new_s", "made_s"))
    measured = f"{max(new, made):.2f} s"
    return [Aim(f"a film of {scenes:,} scenes is planned", f"below {MOST:g} s", measured, "", max(new, made) < MOST)]


PANELS = 1


def draw(result: Result, axes: Sequence[Axes]) -> None:
    """Draw two bars per size."""
    bars = {
        f"aveo3 {scenes:,} scenes, {words}": _of(result, scenes, figure)
        for scenes in _sizes(result)
        for words, figure in (("nothing made", "new_s"), ("all made", "made_s"))
    }
    plots.bars(axes[0], bars, "seconds until it is planned")


def main(
    scenes: Annotated[list[int] | None, typer.Option(help="Scenes of a film; repeatable.")] = None,
    repeat: Annotated[int, typer.Option(help="Films of each size.")] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="Few scenes, one run, as a check that it works.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every run to this file.")] = None,
) -> None:
    """Measure, and print a table."""
    sizes = (6, 30) if quick else tuple(scenes or SIZES)
    repeat = 1 if quick else repeat
    VeoClient(Settings(mock_mode=True))
    measure((6,), 1)  # a warm-up: imports
    runs = measure(sizes, repeat)
    options = {"scenes": list(sizes), "repeat": repeat}
    result = new_result("film-plan", QUESTION, ("aveo3", "pydantic", "pyyaml"), options, runs)
    publish(result, summary(result), json_path)
