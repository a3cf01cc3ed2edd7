"""What keeps a film from being made.

AveoError
└─ FilmError           the film was not made; an earlier film of the same name is as it was
   ├─ BrokenShot       a file is missing, broken or of a kind that cannot be used; `.item` is what it belongs to
   └─ AssemblyStopped  `stop` said so
"""

from __future__ import annotations

from aveo3.errors import AveoError
from aveo3.film.cut.model import Card, Music, Shot


class FilmError(AveoError):
    """The film was not made. An earlier film of the same name is as it was."""


class BrokenShot(FilmError):
    """A file of the film is missing, broken, or of a kind that cannot be used. `item` is what it belongs to."""

    def __init__(self, item: Shot | Card | Music, problem: str) -> None:
        super().__init__(f"{item}{'' if isinstance(item, Card) else f' ({item.path})'} {problem}")
        self.item = item


class AssemblyStopped(FilmError):
    """`stop` said so before the film was whole."""
