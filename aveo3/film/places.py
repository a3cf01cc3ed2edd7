"""Makes the paths of a story whole: what it names is relative to its own file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aveo3.film.story import Story

Where = tuple[str | int, ...]
"""The place of a field in a story, as pydantic tells it."""


def is_address(place: str) -> bool:
    """True for a `gs://` or `https://` address, False for a path."""
    return "://" in place


def absolute(story: Story, file: Path) -> Story:
    """`story` with absolute paths: those in it are relative to its `file`. A `~` is the user's home."""
    home = file.absolute().parent

    def whole(place: str) -> str:
        return place if is_address(place) else str(home / Path(place).expanduser())

    cast = {
        name: member.model_copy(update={"pictures": tuple(map(whole, member.pictures))})
        for name, member in story.cast.items()
    }
    scenes = tuple(
        scene.model_copy(update={"begins": scene.begins.model_copy(update={"picture": whole(scene.begins.picture)})})
        if scene.begins is not None and scene.begins.picture is not None
        else scene
        for scene in story.scenes
    )
    film = story.film
    if film.font is not None:
        film = film.model_copy(update={"font": whole(film.font)})
    if film.music is not None:
        film = film.model_copy(update={"music": film.music.model_copy(update={"file": whole(film.music.file)})})
    return story.model_copy(update={"cast": cast, "scenes": scenes, "film": film})
