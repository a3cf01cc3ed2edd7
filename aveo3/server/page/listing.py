"""The videos that a page lists: their paths by clip, and their rows, which get facts of the files later.

To read the facts of a hundred thousand files takes minutes: a page shows the clips at once, and reads them bit by bit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import Executor
from pathlib import Path

from aveo3.report.from_journal import FileFacts, Film, facts_of
from aveo3.report.view import VideoRow
from aveo3.server.page.shown import Shown
from aveo3.stills import can_cut

AT_ONCE = 100
"""Clips whose files are read with each refresh."""

MISSING = (
    "its file is not where it was saved: put it back, or run the same prompts again, which fetches the paid video "
    "while Google keeps it"
)


class Listing:
    """The videos of the clips in `shown`. It alone says which files a page may send."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._films: dict[str, tuple[str, ...]] = {}  # path, size and hash of each, in one text: there may be many
        self._stills = can_cut()
        self._unread: dict[str, None] = {}  # clips whose files are to be read

    def films_of(self, key: str) -> tuple[Film, ...]:
        """The videos of a clip, in the order of its row."""
        parts = (text.rsplit("|", 2) for text in self._films.get(key, ()))
        return tuple(Film(Path(path), int(size), sha256) for path, size, sha256 in parts)

    def rows(self, key: str, films: Iterable[Film]) -> list[VideoRow]:
        """List the films of a clip, and return their rows."""
        films = list(films)
        if not films:
            self._films.pop(key, None)
            return []
        self._films[key] = tuple(f"{film.path}|{film.size}|{film.sha256}" for film in films)
        self._unread[key] = None
        return [
            VideoRow(
                src=f"videos/{key}/{number}",
                poster=f"posters/{key}/{number}" if self._stills else None,
                bytes=film.size,
                seconds=None,
                width=None,
                height=None,
                missing=False,
            )
            for number, film in enumerate(films)
        ]

    async def read_some(self, worker: Executor) -> None:
        """Read the facts of some files that were not read yet, and put them into their rows."""
        if not self._unread:
            return
        keys = list(self._unread)[-AT_ONCE:]  # the newest first: people look at those
        films = {key: self.films_of(key) for key in keys}
        for key in keys:
            del self._unread[key]
        every = [film for each in films.values() for film in each]
        facts = await asyncio.get_running_loop().run_in_executor(worker, facts_of, every)
        for key, each in films.items():
            self._put(key, [facts.get(film.path) for film in each])

    def _put(self, key: str, facts: list[FileFacts | None]) -> None:
        row = self._shown.clip(key)
        if row is None or len(row["videos"]) != len(facts):
            return
        for video, found in zip(row["videos"], facts, strict=True):
            video["missing"] = found is None
            if found is not None:
                video["bytes"], video["seconds"] = found.bytes, found.seconds
                video["width"], video["height"] = found.width, found.height
        if any(video["missing"] for video in row["videos"]):
            row["next_move"] = row["next_move"] or MISSING
        self._shown.put_clip(row, ended=True)
