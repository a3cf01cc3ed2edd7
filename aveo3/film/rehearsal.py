"""Looks before anything is sent whether the clips could become a film: better before they are paid than after."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from aveo3.errors import UsageError

if TYPE_CHECKING:
    from aveo3.film.plan import JournalFacts
    from aveo3.film.story import Story


def check_extra() -> None:
    """Raise `UsageError` if what cuts films is not installed."""
    if missing := [name for name, module in _EXTRA.items() if find_spec(module) is None]:
        raise UsageError(
            f"nothing was sent: films are cut with {' and '.join(missing)}, not installed here: "
            "pip install 'aveo3[film]'"
        )


_EXTRA = {"PyAV": "av", "NumPy": "numpy", "Pillow": "PIL"}


def check_film(story: Story, target: Path, facts: JournalFacts) -> None:
    """Raise `UsageError` if the cards cannot be drawn, the music cannot be read, or `target` cannot be the film.

    Reads the beginning of the music's file, and draws each card once.
    """
    check_extra()
    from aveo3.film.cut.cards import drawn
    from aveo3.film.cut.errors import FilmError
    from aveo3.film.cut.output import check_name
    from aveo3.film.cut.sources import check_music
    from aveo3.film.editing import cards_of, music_of

    try:
        check_name(target)
        check_target(target, facts)
        size = _size(story)
        for card in cards_of(story):
            drawn(card, *size)
        if (music := music_of(story)) is not None:
            check_music(music)
    except (UsageError, FilmError) as error:
        raise UsageError(f"nothing was sent: {error}") from error


def check_target(target: Path, facts: JournalFacts) -> None:
    """Raise `UsageError` if a film at `target` would replace a clip of the journal, whichever take it is."""
    if not target.exists():
        return
    for path in _clips(facts):
        if path.name == target.name and path.exists() and path.samefile(target):
            raise UsageError(f"{target} is a clip: give the film another name")


def _clips(facts: JournalFacts) -> Iterable[Path]:
    return (facts.home / str(file["path"]) for record in facts.records for file in record.files if "path" in file)


def _size(story: Story) -> tuple[int, int]:
    """A size of the film's shape, as the first scene has it."""
    aspect = story.scenes[0].aspect_ratio or story.defaults.aspect_ratio
    return (720, 1280) if aspect == "9:16" else (1280, 720)
