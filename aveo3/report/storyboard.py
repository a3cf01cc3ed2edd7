"""Reads what report and live page show of a film: its files, and its scenes with their takes.

`.aveo3/film.json` may come from anywhere: it is checked, and of the files that it names only films in the output
directory are shown. Clips of takes are not in here: the page finds them among its clips.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from aveo3.errors import JournalError
from aveo3.film import record
from aveo3.report.from_journal import FileFacts, Film, facts_of
from aveo3.report.view import FilmRow, SceneRow, TakeRow, VideoRow

STAGES = {"final": "film.mp4", "draft": "film-draft.mp4"}
"""The stages of a film, the one to be shown first before the other, and the usual file of each."""

ELSEWHERE = "the film lies outside of this directory, whose files alone are shown"
UNREADABLE = (
    "{file} holds no film that this aveo3 knows, so there is no storyboard: `aveo3 film make` with the story's file "
    "writes it anew"
)


class _Take(BaseModel):
    id: str = Field(max_length=500)
    stage: str = Field(pattern="^(draft|final)$")
    take: int = Field(ge=1, le=1000)
    job: str | None = Field(default=None, max_length=500)
    status: str | None = Field(default=None, max_length=50)


class _Scene(BaseModel):
    id: str = Field(max_length=200)
    prompt: str
    begins: dict[str, Any] | None = None
    picked: int = 1
    takes: list[_Take]

    @property
    def source(self) -> str | None:
        """The scene that it begins from."""
        source = (self.begins or {}).get("scene") or (self.begins or {}).get("extend")
        return source if isinstance(source, str) else None

    @property
    def stage(self) -> str:
        """The stage whose takes a person picks."""
        return "draft" if any(take.stage == "draft" for take in self.takes) else "final"

    @property
    def numbers(self) -> set[int]:
        """The takes that may be picked."""
        return {take.take for take in self.takes if take.stage == self.stage}


class _Film(BaseModel):
    title: str
    scenes: list[_Scene]
    films: dict[str, Any]


class Board:
    """The film of one output directory, as it is on disk when it is made."""

    def __init__(self, output_dir: Path) -> None:
        self.home = output_dir.absolute()
        self.problem: str | None = None
        """Why film or storyboard are not shown as they should be, in a sentence."""
        self._film: _Film | None = None
        self._noted: float | None = None
        self._picks: dict[str, int] = {}
        file = record.directory_of(self.home) / record.NAME
        try:
            self._noted = file.stat().st_mtime
        except OSError:
            return
        try:
            found = record.read(self.home)
            if not found["scenes"]:
                raise ValueError("there are no scenes")
            self._film = _Film.model_validate(found)
        except (ValidationError, ValueError, RecursionError):
            self.problem = UNREADABLE.format(file=file)
            return
        try:
            self._picks = record.read_picks(self.home)
        except JournalError as error:
            self.problem = str(error)

    def films(self) -> Iterator[tuple[str, Film]]:
        """The assembled films that are there, by stage."""
        for stage, usual in STAGES.items():
            facts = self._film.films.get(stage) if self._film is not None else None
            if not isinstance(facts, dict) or not isinstance(name := facts.get("path"), str):
                continue
            # A directory that was moved has its film, too.
            for path in dict.fromkeys((self.home / name, self.home / usual)):
                size = size_of_film(path, self.home)
                if size is not None and (path == self.home / name or size == facts.get("size")):
                    yield stage, Film(path, size, str(facts.get("made_of")))
                    break

    def row(self, command: str, video: Callable[[str, Film], VideoRow], *, picks: bool) -> FilmRow | None:
        """What a page shows; None if the directory has no film. `command` makes it; `video` makes the row of a film.

        `picks`: the page can pick takes.
        """
        if self._noted is None:
            return None
        scenes = self._film.scenes if self._film is not None else []
        films = {stage: video(stage, film) for stage, film in self.films()}
        recorded = self._film.films.get("final") if self._film is not None else None
        lost = isinstance(recorded, dict) and "final" not in films and not self._is_inside(recorded.get("path"))
        return FilmRow(
            title=self._film.title if self._film is not None else "",
            noted_utc=datetime.fromtimestamp(self._noted, UTC).isoformat(),
            films=films,
            scenes=list(self._scenes(scenes)),
            picks=picks and self._film is not None,
            command=command,
            problem=self.problem or (ELSEWHERE if lost else None),
        )

    def _is_inside(self, name: object) -> bool:
        return isinstance(name, str) and (self.home / name).is_relative_to(self.home)

    def _scenes(self, scenes: list[_Scene]) -> Iterator[SceneRow]:
        hangs: dict[str, list[str]] = {}
        for scene in scenes:
            if scene.source is not None:
                hangs.setdefault(scene.source, []).append(scene.id)
        for scene in scenes:
            yield SceneRow(
                id=scene.id,
                prompt=scene.prompt,
                begins=_beginning(scene.begins),
                source=scene.source,
                stage=scene.stage,
                picked=self.picked(scene),
                changed=self.picked(scene) != scene.picked,
                hangs=_all_after(scene.id, hangs),
                takes=[
                    TakeRow(id=each.id, stage=each.stage, number=each.take, job=each.job, status=each.status)
                    for each in sorted(scene.takes, key=lambda each: (each.stage == "final", each.take))
                ],
            )

    def picked(self, scene: _Scene) -> int:
        """The take that the film has now. A pick beyond the takes that there are is none."""
        pick = self._picks.get(scene.id, 1)
        return pick if pick in scene.numbers else 1

    def pick(self, scene: str, take: str) -> str | None:
        """Note that the film has this take, as `aveo3 film pick` does. Returns why that cannot be; None if it is done.

        Blocks, up to 10 s while another process writes.
        """
        found = next((each for each in self._film.scenes if each.id == scene), None) if self._film else None
        if found is None:
            return "The film has no such scene any more: load the page again."
        number = int(take) if take.isascii() and take.isdigit() and len(take) < 5 else 0
        if number not in found.numbers:
            return f"Scene {scene} has no take {take[:20]}."
        try:
            record.pick(self.home, scene, number)
        except JournalError as error:
            return str(error)
        return None


def _all_after(scene: str, hangs: Mapping[str, list[str]]) -> list[str]:
    """The scenes that begin from `scene`, directly or not."""
    found: dict[str, None] = {}
    todo = list(hangs.get(scene, ()))
    while todo:
        each = todo.pop(0)
        if each not in found and each != scene:
            found[each] = None
            todo += hangs.get(each, ())
    return list(found)


def _beginning(begins: Mapping[str, Any] | None) -> str | None:
    """Where a scene begins, as words after "from"; None: by itself."""
    if not begins:
        return None
    if isinstance(source := begins.get("extend"), str):
        return f"{source}, as one video"
    if isinstance(source := begins.get("scene"), str):
        frame = begins.get("frame", "last")
        return f"the {frame} frame of {source}" if isinstance(frame, str) else f"{source}, at {frame} s"
    if isinstance(place := begins.get("picture"), str):
        name = place.partition("?")[0].replace("\\", "/").rpartition("/")[2]  # not its place: a report is handed on
        return f"the picture {name}"
    return None


def make_command(output_dir: Path, quoted: Callable[[str], str]) -> str:
    """What makes the film of a directory anew. The page adds `--mock` if the emulator made its clips."""
    return f"aveo3 film make {quoted(str(output_dir))}"


def size_of_film(path: Path, home: Path) -> int | None:
    """The size of the film at `path`; None if it is no film, or lies outside of `home`."""
    try:
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(os.path.realpath(home)) or not stat.S_ISREG(real.stat().st_mode):
            return None
        with real.open("rb") as file:
            return os.fstat(file.fileno()).st_size if file.read(8)[4:] == b"ftyp" else None
    except (OSError, ValueError):
        return None


def film_video(film: Film, src: str, poster: str | None) -> VideoRow:
    """The row of an assembled film. Reads its facts."""
    found = facts_of([film]).get(film.path) or FileFacts(film.size, None, None, None)
    return VideoRow(
        src=src,
        poster=poster,
        bytes=found.bytes,
        seconds=found.seconds,
        width=found.width,
        height=found.height,
        missing=False,
    )
