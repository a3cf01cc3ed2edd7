"""Makes the report of an output directory, for `aveo3 report` and `aveo3 generate --report`."""

from __future__ import annotations

import base64
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aveo3.cli.journal_view import counted, journal_place
from aveo3.cli.shells import quoted
from aveo3.cli.telling import tell

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.journal.journal import Journal
    from aveo3.report.from_journal import Film
    from aveo3.report.posters import Posters
    from aveo3.report.view import FilmRow, VideoRow, View

REPORT = "report.html"


class Report(NamedTuple):
    """A report that is made, and what a person should know about it."""

    html: str
    view: View
    notes: list[str]
    sheets: list[Path]
    left_out: int = 0
    """Clips that have no still yet."""


MANY = 300
"""Films whose stills may take so long that a person is told."""


def make(settings: Settings, base: Path | None, *, sheet: Path | None = None) -> Report:
    """The report of the settings' output directory, as it is now: a run may be at work there.

    The page is to lie in the directory `base`; None: anywhere, and its films have absolute addresses. `sheet` is where
    contact sheets go. Raises `UsageError`, or `JournalError` if there is no journal or it cannot be read.
    """
    from aveo3.journal.journal import Journal
    from aveo3.report import html
    from aveo3.report.from_journal import frame_of, url_from, view_of
    from aveo3.report.posters import PATIENCE, Posters
    from aveo3.stills import can_cut

    html.check_extra()
    path = journal_place(settings)
    posters = Posters(settings.output_dir)
    url = _address if base is None else url_from(base)

    def stills(films: list[Film]) -> Mapping[Path, str]:
        if len(films) > MANY and can_cut() and sys.stderr.isatty():
            tell(f"aveo3: cutting stills of {counted(len(films), 'clip')}, for at most {PATIENCE:g} s")
        return posters.urls(films, None if base is None else url)

    with Journal(path, writes=False) as journal:
        active = journal.in_use()
        frame = frame_of(journal, settings.output_dir, url=url, quoted=quoted, active=active)
        view = view_of(journal, settings, frame, posters=stills)
        sheets = [] if sheet is None else _sheets(journal, frame.home, view, posters, sheet)
    notes = []
    if (film := _film_row(settings.output_dir, url, posters)) is not None:
        view["film"] = film
        notes += [film["problem"]] if film["problem"] is not None else []
    if not can_cut():
        notes.append(f"clips have no stills: they need PyAV and Pillow ({html.INSTALL})")
    if posters.left_out:
        notes.append(f"{counted(posters.left_out, 'clip')} have no still yet: the next report goes on with them")
    return Report(html.report_of(view), view, notes, sheets, posters.left_out)


def _film_row(output_dir: Path, url: Callable[[Path], str], posters: Posters) -> FilmRow | None:
    """The film of a directory, if a story was made there."""
    from aveo3.report.storyboard import Board, film_video, make_command

    def video(_: str, film: Film) -> VideoRow:
        still = posters.of(film)
        data = None if still is None else f"data:image/webp;base64,{base64.b64encode(still).decode()}"
        return film_video(film, url(film.path), data)

    board = Board(output_dir)
    return board.row(make_command(board.home, quoted), video, picks=False)


def _sheets(journal: Journal, home: Path, view: View, posters: Posters, sheet: Path) -> list[Path]:
    from aveo3.report import sheet as contact
    from aveo3.report.from_journal import films_of
    from aveo3.report.view import ClipRow

    films = {record.name: films_of(record, home) for record in journal.records()}

    def still(row: ClipRow) -> bytes | None:
        return next((data for film in films.get(row["key"], ()) if (data := posters.of(film)) is not None), None)

    return contact.write(view, sheet, still)


def _address(path: Path) -> str:
    return path.absolute().as_uri()


def after_run(settings: Settings, *, quiet: bool) -> None:
    """Write the report of a run that has ended. Whatever goes wrong is only told: the clips are made."""
    path = settings.output_dir / REPORT
    say = partial(tell, in_json=settings.log_format == "json")
    try:
        made = write(settings, path)
    except KeyboardInterrupt:
        say("aveo3: the report was not made: you stopped it. `aveo3 report` makes it.", level=logging.WARNING)
    except Exception as error:
        say(f"aveo3: the report was not made: {type(error).__name__}: {error}", level=logging.ERROR)
    else:
        if not quiet:
            for line in [*made.notes, f"report: {path}"]:
                say(line)


def write(settings: Settings, path: Path, *, sheet: Path | None = None) -> Report:
    """Make the report and write it to `path`. Raises as `make`."""
    from aveo3.report import html

    made = make(settings, path.absolute().parent, sheet=sheet)
    html.write(made.html, path)
    return made


def show(path: Path) -> bool:
    """Open a report in the browser. Returns False if there is none."""
    import webbrowser

    with suppress(Exception):
        return webbrowser.open(_address(path))
    return False
