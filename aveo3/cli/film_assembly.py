"""Assembles a film on the command line: a bar while it works, then where it is. Ctrl-C leaves an earlier film alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aveo3.cli.exit_codes import Exit
from aveo3.cli.telling import tell

if TYPE_CHECKING:
    from aveo3.cli.film_desk import FilmDesk
    from aveo3.film.cut import AssembledFilm, Cut, Progress
    from aveo3.film.plan import FilmPlan
    from aveo3.film.takes import Stage


def cut_of(desk: FilmDesk, plan: FilmPlan) -> Cut:
    """The film of a plan's picked takes. Raises `MissingScenes` if some have no clip and the story says stop."""
    from aveo3.film import editing

    return editing.cut_of(desk.story, {scene: each.path for scene, each in plan.picked.items()})


def target_of(desk: FilmDesk, stage: Stage, film: Path | None = None) -> Path:
    """The film's file: `film`, or the usual one in the output directory."""
    from aveo3.film.making import FILES

    return film if film is not None else desk.settings.output_dir / FILES[stage]


def assembled(
    desk: FilmDesk, stage: Stage, film: Cut, target: Path, *, anew: bool = False, quiet: bool = False
) -> AssembledFilm | None:
    """Assemble a film, unless it is there and unchanged; then None. Raises `FilmError`, `typer.Exit` on Ctrl-C."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    from aveo3.cli.terminal import console_on, is_screen
    from aveo3.film import making

    console = console_on(sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    shows = is_screen(console) and not quiet and desk.settings.log_format != "json"
    try:
        with Bars(*columns, console=console, transient=True, disable=not shows) as bars:
            bar = bars.add_task("film", total=None)

            def on_progress(progress: Progress) -> None:
                words = {"levels": "sound levels", "film": "film"}[progress.step]
                bars.update(bar, description=words, completed=progress.done, total=progress.total)

            return making.assemble(film, target, desk.settings.output_dir, stage, on_progress=on_progress, anew=anew)
    except KeyboardInterrupt:
        tell("aveo3: stopped: the film is not assembled. The same command goes on.")
        raise typer.Exit(Exit.INTERRUPTED) from None


def described(target: Path, film: AssembledFilm | None) -> str:
    """One line: where the film is, how long, and what was done to its pictures."""
    from aveo3.cli.progress import duration

    if film is None:
        return f"film: {target} (unchanged)"
    how = f"encoded: {film.why_encoded}" if film.encoded else "shots joined without encoding"
    return f"film: {target} ({duration(film.seconds)}, {film.width}×{film.height}, {how})"
