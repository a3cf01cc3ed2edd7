"""Writes the cut as a timeline that editing programs open."""

from __future__ import annotations

from pathlib import Path

from aveo3.film.cut.errors import FilmError
from aveo3.film.cut.model import Cut


def write_timeline(cut: Cut, path: Path | str) -> Path:
    """Write `cut` as an OpenTimelineIO file (`.otio`), with paths of media relative to its directory."""
    raise FilmError(f"{path} was not written")
