"""Makes the list of shots, cards and joins of a story whose clips are made: a `Cut`. Reads lengths of files alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aveo3.errors import UsageError
from aveo3.files.film_facts import film_facts
from aveo3.film import cut
from aveo3.film.places import is_address
from aveo3.journal.wording import listed

if TYPE_CHECKING:
    from aveo3.film.cutting import Card, Transition
    from aveo3.film.scene import Scene
    from aveo3.film.story import Story

MISSING_SECONDS = 3.0
"""How long a card is shown in place of a scene without a clip, if the scene has no length of its own."""


class MissingScenes(cut.FilmError):
    """The film is not assembled because scenes have no clip. `scenes` are their ids."""

    def __init__(self, scenes: tuple[str, ...], why: str = "") -> None:
        first = listed(scenes[:5]) + (f" and {len(scenes) - 5} more" if len(scenes) > 5 else "")
        super().__init__(
            f"the film is not assembled: {first} ha{'s' if len(scenes) == 1 else 've'} no clip{why}. Make "
            f"{'it' if len(scenes) == 1 else 'them'} (aveo3 film make), or let the story say `film: {{missing: card}}`"
        )
        self.scenes = scenes


def cut_of(story: Story, clips: Mapping[str, Path | None]) -> cut.Cut:
    """The film of a story. `clips` are the videos of its scenes, by id; None for a scene that has none.

    A scene that extends the one before it is one shot with that: the model's video of it begins with the other.
    Raises `MissingScenes` if the story says stop, `UsageError` for what cannot be cut.
    """
    film = story.film
    missing = tuple(scene.id for scene in story.scenes if clips.get(scene.id) is None)
    if missing and film.missing == "stop":
        raise MissingScenes(missing)
    edit = _Edit(story)
    if film.opening is not None:
        edit.add(_card(film.opening, story), None)
    for scene in story.scenes:
        edit.scene(scene, clips)
    if not any(isinstance(item, cut.Shot) for item in edit.items):
        raise MissingScenes(missing)
    if film.closing is not None:
        edit.add(_card(film.closing, story), film.transition)
    return cut.Cut(
        edit.items,
        edit.joins[1:],
        fade_in=film.fade_in or 0.0,
        fade_out=film.fade_out or 0.0,
        music=music_of(story),
        loudness=film.loudness,
        title=story.title,
    )


class _Edit:
    def __init__(self, story: Story) -> None:
        self._story = story
        self._last: str | None = None
        self._scenes = {scene.id: scene for scene in story.scenes}
        self.items: list[cut.Shot | cut.Card] = []
        self.joins: list[cut.CrossFade | cut.ThroughBlack | None] = []
        """How each item follows the one before; the first one's does not count."""

    def add(self, item: cut.Shot | cut.Card, transition: Transition | None) -> None:
        self.items.append(item)
        self.joins.append(_join(transition))

    def scene(self, scene: Scene, clips: Mapping[str, Path | None]) -> None:
        film, path = self._story.film, clips.get(scene.id)
        transition = scene.transition if scene.transition is not None else film.transition
        if path is None and film.missing == "skip":
            return
        if scene.card is not None:
            self.add(_card(scene.card, self._story), transition)
        if path is None:
            name = " ".join(scene.prompt.split())[:80]
            seconds = scene.seconds or self._story.defaults.seconds or MISSING_SECONDS
            self.add(cut.Card(f"{scene.id}\n{name}", seconds, _font(self._story)), transition)
            self._last = None
            return
        start, joins_on = self._extends(scene, path, clips)
        if joins_on:
            old = self.items[-1]
            assert isinstance(old, cut.Shot)
            self.items[-1] = cut.Shot(path, start=old.start, name=scene.id, sound=film.audio)
        else:
            self.add(cut.Shot(path, start=start, name=scene.id, sound=film.audio), transition)
        self._last = scene.id

    def _extends(self, scene: Scene, path: Path, clips: Mapping[str, Path | None]) -> tuple[float, bool]:
        """Where the scene's own part begins in its video, and whether it is one shot with the one before."""
        if scene.begins is None or scene.begins.extend is None:
            return 0.0, False
        source = clips.get(scene.begins.extend)
        before, whole = _seconds(source), _seconds(path)
        if before is None or whole is None or not _begins_with(before, whole, scene.seconds):
            return 0.0, False
        follows = self._last == scene.begins.extend and scene.card is None and scene.transition is None
        return before, follows


def _begins_with(before: float, whole: float, asked: float | None) -> bool:
    """Whether a video of `whole` seconds begins with the one of `before` seconds that it extends.

    Models give back both as one video; should one give its own part alone, that is about as long as was `asked` for.
    """
    if asked is not None:
        return abs(whole - before - asked) < abs(whole - asked)
    return whole > before + 0.5


def _seconds(path: Path | None) -> float | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return film_facts(file, path.stat().st_size).seconds
    except OSError:
        return None


def _join(transition: Transition | None) -> cut.CrossFade | cut.ThroughBlack | None:
    if transition is not None and transition.cross_fade is not None:
        return cut.CrossFade(transition.cross_fade)
    if transition is not None and transition.fade_to_black is not None:
        return cut.ThroughBlack(transition.fade_to_black)
    return None


def cards_of(story: Story) -> list[cut.Card]:
    """The cards that the film has, whichever scenes are made."""
    film = story.film
    cards = [film.opening, *(scene.card for scene in story.scenes), film.closing]
    return [_card(card, story) for card in cards if card is not None]


def _card(card: Card, story: Story) -> cut.Card:
    return cut.Card(card.text, card.seconds, _font(story))


def _font(story: Story) -> Path | None:
    font = story.film.font
    if font is not None and is_address(font):
        raise UsageError(f"the font {font} is an address: download it, and give the file's path")
    return None if font is None else Path(font)


def music_of(story: Story) -> cut.Music | None:
    """The music under the film. Raises `UsageError` if it is no file of this machine."""
    music = story.film.music
    if music is None:
        return None
    if is_address(music.file):
        raise UsageError(f"the music {music.file} is an address: download it, and give the file's path")
    return cut.Music(
        Path(music.file), level_db=music.level_db, duck_db=music.duck_db, fade_out=music.fade_out, loop=music.loop
    )


def digest_of(film: cut.Cut) -> str:
    """What a film is made of, as a hash: with the same one it need not be assembled again. Reads sizes and times."""
    files = [shot.path for shot in film.shots] + ([film.music.path] if film.music is not None else [])
    facts = [(str(path.absolute()), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in files]
    return hashlib.sha256(repr((film, facts)).encode()).hexdigest()
