"""Cuts shots, title cards and music together to one film, or to a timeline for an editing program.

It knows files and times alone: nothing of stories, prompts or the journal. Needs `aveo3[film]`.
"""

from aveo3.film.cut.assemble import assemble
from aveo3.film.cut.errors import AssemblyStopped, BrokenShot, FilmError
from aveo3.film.cut.model import (
    AssembledFilm,
    Card,
    CrossFade,
    Cut,
    Item,
    Join,
    Music,
    Progress,
    Shot,
    ThroughBlack,
)
from aveo3.film.cut.timeline import write_timeline

__all__ = [
    "AssembledFilm",
    "AssemblyStopped",
    "BrokenShot",
    "Card",
    "CrossFade",
    "Cut",
    "FilmError",
    "Item",
    "Join",
    "Music",
    "Progress",
    "Shot",
    "ThroughBlack",
    "assemble",
    "write_timeline",
]
