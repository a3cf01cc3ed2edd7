"""Films that play in a notebook: in the notebook itself if there is room, else from their files.

What is shown is stored in the notebook. A film there takes a third more than on disk (base64), is read at each start,
and stays in the history of a repository. So an output holds few of them, and all outputs of one kernel not many more.
"""

from __future__ import annotations

import logging
import os
import stat
from base64 import b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import NamedTuple
from urllib.parse import quote

from aveo3.display.page import block, text
from aveo3.stills import can_cut, cut
from aveo3.wording import counted

log = logging.getLogger(__name__)

MEGABYTE = 1_000_000
OUTPUT = 20 * MEGABYTE
"""Bytes of films in one output: as many as Matplotlib stores of an animation."""
NOTEBOOK = 60 * MEGABYTE
"""Bytes of films in all outputs of a kernel, each counted once. As base64 it is below GitHub's limit, 100 MB."""
PATIENCE = 3.0
"""Seconds that one output spends on stills: the kernel does nothing else meanwhile."""


class _Film(NamedTuple):
    """A file as it is now: one that has changed is another film."""

    path: str
    size: int
    mtime_ns: int


@dataclass
class Shelf:
    """The films that the outputs of this kernel hold."""

    output: float = OUTPUT
    notebook: float = NOTEBOOK
    films: set[_Film] = field(default_factory=set)

    def takes(self, film: _Film) -> bool:
        """Whether there is room for `film`; then it is counted."""
        if film not in self.films and sum(each.size for each in self.films) + film.size > self.notebook:
            return False
        self.films.add(film)
        return True


SHELF = Shelf()


class Output:
    """What one output of a notebook shows of films."""

    def __init__(self, shelf: Shelf | None = None) -> None:
        self._shelf = shelf if shelf is not None else SHELF
        self._room = self._shelf.output
        self._until = monotonic() + PATIENCE
        self._outside: set[_Film] = set()

    def film(self, path: Path, name: str) -> str:
        """A player for the film at `path`; `name` is read to people who do not see it. Blocks: reads the film."""
        film = _found(path)
        if film is None:
            return ""
        if (data := self._stored(film)) is not None:
            source = f"data:video/mp4;base64,{b64encode(data).decode()}"
        else:
            self._outside.add(film)
            source = address(path) or ""
        poster = self.still(path)
        preload = "none" if poster and data is None else "metadata"
        shown = f' poster="{poster}"' if poster else ""
        return (
            f'<video class="aveo3-film" controls playsinline preload="{preload}" aria-label="{text(name)}"'
            f'{shown} src="{text(source)}"></video>'
        )

    def picture(self, path: Path, name: str) -> str:
        """The still of a film, as a picture; nothing without one."""
        still = self.still(path)
        return f'<img class="aveo3-film" alt="{text(name)}" src="{still}">' if still else ""

    def still(self, path: Path) -> str | None:
        """The address of a film's still; None without PyAV, or if it took too long."""
        film = _found(path)
        if film is None or not can_cut() or monotonic() > self._until:
            return None
        data = _still(film)
        return None if data is None else f"data:image/webp;base64,{b64encode(data).decode()}"

    def note(self) -> str:
        """Why films are not in the notebook; nothing if all are."""
        if not self._outside:
            return ""
        size = sum(film.size for film in self._outside) / MEGABYTE
        several = len(self._outside) > 1
        return block(
            "note",
            text(
                f"{counted(len(self._outside), 'film')} ({size:,.1f} MB) {'play' if several else 'plays'} from "
                f"{'their files' if several else 'its file'}, which this notebook does not hold: it stores up to "
                f"{self._shelf.output / MEGABYTE:g} MB of films in an output, and {self._shelf.notebook / MEGABYTE:g} "
                "MB in all. aveo3.notebook.store_films changes that."
            ),
        )

    def _stored(self, film: _Film) -> bytes | None:
        """The bytes of a film that the notebook is to hold."""
        if film.size > self._room or not self._shelf.takes(film):
            return None
        try:
            with Path(film.path).open("rb") as file:
                data = file.read(film.size)
        except OSError as error:
            log.debug("%s cannot be read: %s", film.path, error)
            return None
        self._room -= film.size
        return data


def is_there(path: Path) -> bool:
    """Whether a film is still where it was saved."""
    return _found(path) is not None


def link(path: Path) -> str:
    """The name of a film's file, as a link to it where a notebook in this directory finds it."""
    source = address(path)
    shown = text(_beside(path) or path)
    return f'<a class="aveo3-file" href="{text(source)}">{shown}</a>' if source else shown


def address(path: Path) -> str | None:
    """The address of a file for a notebook in the current directory; None if it has none there."""
    beside = _beside(path)
    # A colon in the first part would make it a scheme.
    return None if beside is None else quote(os.fsencode(f"./{beside}"))


def _beside(path: Path) -> str | None:
    """`path` relative to the current directory, where a kernel begins in that of its notebook."""
    try:
        return Path(os.path.relpath(path)).as_posix()
    except (OSError, ValueError):  # another drive; a current directory that is gone
        return None


def _found(path: Path) -> _Film | None:
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(facts.st_mode):  # reading a pipe would wait for ever
        return None
    return _Film(str(path.absolute()), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=256)
def _still(film: _Film) -> bytes | None:
    return cut(Path(film.path))
