"""The film of a page's directory: read again when it changes, and a take picked by a click."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path

from aveo3.film import record
from aveo3.report.from_journal import Film
from aveo3.report.storyboard import Board, film_video, make_command
from aveo3.report.view import FilmRow, VideoRow
from aveo3.server.page.shown import Shown
from aveo3.stills import can_cut

PREFIX = "film-"
"""What the keys of assembled films begin with, before their stage. No job has such a name."""


class FilmBoard:
    """Puts the film of `output_dir` into `shown`, if there is one. `quoted` makes one argument of a shell."""

    def __init__(self, shown: Shown, output_dir: Path, quoted: Callable[[str], str]) -> None:
        self._shown = shown
        self._home = output_dir
        self._command = make_command(output_dir, quoted)
        self._stills = can_cut()
        self._films: Mapping[str, Film] = {}
        self._files: tuple[object, ...] = (None, None)

    async def refresh(self, worker: Executor) -> None:
        """Read the film again if it has changed."""
        directory = record.directory_of(self._home)
        files = tuple(_identity(directory / name) for name in (record.NAME, record.PICKS))
        if files != self._files:
            self._files = files
            self._show(*await asyncio.get_running_loop().run_in_executor(worker, self._read))

    def films_of(self, key: str) -> tuple[Film, ...]:
        """The assembled film with this key."""
        film = self._films.get(key.removeprefix(PREFIX)) if key.startswith(PREFIX) else None
        return () if film is None else (film,)

    async def pick(self, scene: str, take: str) -> str | None:
        """Pick a take, as `aveo3 film pick` does. Returns why that cannot be; None if it is done."""

        def work() -> str | None:
            return Board(self._home).pick(scene, take)

        if (why := await asyncio.to_thread(work)) is None:
            self._show(*await asyncio.to_thread(self._read))
        return why

    def _read(self) -> tuple[FilmRow | None, Mapping[str, Film]]:
        board = Board(self._home)
        films: dict[str, Film] = {}

        def video(stage: str, film: Film) -> VideoRow:
            films[stage] = film
            place = f"{PREFIX}{stage}/0?v={film.sha256[:12]}"  # a browser keeps the still of the film before
            return film_video(film, f"videos/{place}", f"posters/{place}" if self._stills else None)

        return board.row(self._command, video, picks=True), films

    def _show(self, row: FilmRow | None, films: Mapping[str, Film]) -> None:
        self._films = films
        if row is not None or "film" in self._shown.fields:
            self._shown.set(film=row)


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
