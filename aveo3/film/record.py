"""What the output directory keeps of a film beside its journal: the picked takes, and the film's structure.

Both files are written as a whole or not at all. A report draws the storyboard from `film.json`; see `FilmRecord`.
`film-picks.json` is a file of its own, so that a pick during a run is not lost when the run ends.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

from filelock import FileLock, Timeout

from aveo3.config.settings import JOURNAL
from aveo3.errors import JournalError, UsageError
from aveo3.files.syncing import sync_directory, sync_file

log = logging.getLogger(__name__)

NAME = "film.json"
PICKS = "film-picks.json"
LOCK = ".film.lock"
VERSION = 1


class TakeRecord(TypedDict):
    """One clip of a scene, as it was when the film was last planned or made."""

    id: str
    """The `id` of its prompt: `storm.take-2`, `storm.draft-1`, `storm.final`."""
    stage: str
    """`draft` or `final`."""
    take: int
    """From 1. A final of a draft has the number of the draft."""
    job: str | None
    """The name of its job in the journal."""
    status: str | None
    """A `ClipStatus`; None if it was not made yet."""
    path: str | None
    """Its video, relative to the output directory if it lies in there."""


class SceneRecord(TypedDict):
    """One scene of the film."""

    id: str
    prompt: str
    """As the story has it, with `{names}`."""
    begins: Mapping[str, Any] | None
    """Where it begins, as the story has it; None: by itself."""
    picked: int
    """The take that the film has."""
    takes: list[TakeRecord]
    made_of: Mapping[str, Any]
    """What the scene's clips depend on, to tell later what has changed."""


class FilmRecord(TypedDict):
    """The content of `film.json`."""

    version: int
    title: str
    story: str | None
    """The story's file, absolute; None for a story that came from no file."""
    scenes: list[SceneRecord]
    films: dict[str, Any]
    """By stage, the film that was assembled last: `path`, and `made_of`, a digest of what went in."""


def directory_of(output_dir: Path) -> Path:
    """Where both files are: beside the journal."""
    return output_dir / JOURNAL.parent


def read(output_dir: Path) -> FilmRecord:
    """The record of an output directory; an empty one if there is none, or it cannot be read: it can be made again."""
    empty: FilmRecord = {"version": VERSION, "title": "", "story": None, "scenes": [], "films": {}}
    try:
        record = json.loads((directory_of(output_dir) / NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return empty
    if not isinstance(record, dict) or record.get("version") != VERSION or not _is_whole(record):
        return empty
    return {**empty, **record}


def _is_whole(record: Mapping[str, Any]) -> bool:
    scenes = record.get("scenes")
    return (
        isinstance(record.get("films"), dict)
        and isinstance(scenes, list)
        and all(isinstance(scene, dict) and SceneRecord.__required_keys__ <= scene.keys() for scene in scenes)
    )


def update(output_dir: Path, change: Callable[[FilmRecord], FilmRecord]) -> None:
    """Replace the record by what `change` makes of it. Raises `JournalError` if the disk refuses."""
    with _locked(output_dir) as directory:
        _write(directory / NAME, change(read(output_dir)))


def try_update(output_dir: Path, change: Callable[[FilmRecord], FilmRecord]) -> None:
    """The same after a run: what the disk refuses is logged, for the clips and the film are worth more."""
    try:
        update(output_dir, change)
    except JournalError as error:
        log.warning("the film's structure is not kept: %s", error)


def read_picks(output_dir: Path) -> dict[str, int]:
    """The picked takes by scene. Scenes that the story has no more keep theirs.

    Raises `JournalError` if they cannot be read: other takes would be shown, and others paid for.
    """
    path = directory_of(output_dir) / PICKS
    try:
        picks = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise JournalError(
            f"{path} cannot be read: {error}. It holds the picked takes: restore or remove it."
        ) from None
    if not isinstance(picks, dict) or not all(type(take) is int and take > 0 for take in picks.values()):
        raise JournalError(f'{path} holds no picked takes, such as {{"storm": 2}}: restore or remove it.')
    return picks


def pick(output_dir: Path, scene: str, take: int) -> None:
    """Note that the film has this take of the scene. Raises `JournalError` if the disk refuses."""
    with _locked(output_dir) as directory:
        _write(directory / PICKS, {**read_picks(output_dir), scene: take})


@contextmanager
def _locked(output_dir: Path) -> Iterator[Path]:
    """The directory of both files, which no other process changes meanwhile: of two picks at once none is lost."""
    directory = directory_of(output_dir)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(directory / LOCK, timeout=10):
            yield directory
    except Timeout:
        raise JournalError(f"{directory / LOCK} is held by another process for 10 s: end it, then try again") from None
    except OSError as error:
        raise JournalError(f"{directory} cannot be written: {error.strerror or error}") from error


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file, durably: after a kill or a power cut it is the old one or the new one."""
    new = path.with_name(f".{path.name}.new")  # one that a kill left is written over
    with new.open("wb") as file:
        file.write(json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace"))
        file.flush()
        sync_file(file.fileno())
    new.replace(path)
    sync_directory(path.parent)


def check_story(output_dir: Path, record: FilmRecord, story: Path | None) -> None:
    """Raise `UsageError` if the directory holds the film of another story: its picks would be taken for this one's."""
    other = record["story"]
    if story is None or other is None or Path(other) == story.absolute() or not Path(other).is_file():
        return
    raise UsageError(
        f"{output_dir} holds the film of {other}: name another directory for that of {story} (--output-dir)."
    )
