"""Finds the clips that `aveo3 upscale` is given: files, jobs, and what an output directory holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from aveo3.cli.journal_view import counted, journal_place, settings_of
from aveo3.errors import UsageError
from aveo3.lifecycle import State, is_emulated
from aveo3.models import VideoPrompt, reason

if TYPE_CHECKING:
    from aveo3.files.film_facts import FilmFacts
    from aveo3.journal.journal import Journal
    from aveo3.journal.rows import JobRecord

SHORT_SIDES = {"720p": 720, "1080p": 1080, "4k": 2160}
"""Pixels of the short side, by the resolution to reach."""


@dataclass
class Sources:
    """The clips to upscale, each once, and what to tell about the others."""

    resolution: str
    prompts: list[VideoPrompt] = field(default_factory=list)
    homes: list[Path] = field(default_factory=list)
    """The directories that the clips come from, each once."""
    emulated: bool = False
    """Some are clips of the emulator."""
    notes: list[str] = field(default_factory=list)
    _seen: set[Path] = field(default_factory=set)

    def add(self, path: Path, home: Path) -> None:
        """Add a clip that a person named. Raises `UsageError` if it cannot be upscaled."""
        facts = _facts(path)
        if facts.fills(SHORT_SIDES[self.resolution]):
            raise UsageError(
                f"nothing was sent: {path} is {facts.width}x{facts.height} already: {self.resolution} makes it no "
                "larger. Leave it out, or choose a larger --resolution."
            )
        self._add(path, home, facts)

    def add_all(self, home: Path) -> None:
        """Add the clips of an output directory, but those that are large enough, or copies made by an upscale."""
        from aveo3.journal.journal import Journal

        copies = large = gone = 0
        try:
            journal_file = journal_place(settings_of(home))
        except UsageError as error:
            raise UsageError(f"{error} Name the files in {home} instead.") from None
        with Journal(journal_file, writes=False) as journal:
            for record in journal.records(State.SUCCEEDED):
                if record.prompt.get("task") == "upscale":
                    copies += 1
                    continue
                paths = [path for path in _files(record, journal) if path.is_file()]
                gone += not paths
                for path in paths:
                    facts = _facts(path)
                    if facts.fills(SHORT_SIDES[self.resolution]):
                        large += 1
                        continue
                    self.emulated |= is_emulated(record.service)
                    self._add(path, home, facts)
        for count, why in (
            (copies, "made by an upscale (name the file to make it larger still)"),
            (large, f"as large as {self.resolution} already"),
            (gone, "without a file here"),
        ):
            if count:
                self.notes.append(f"{home}: left out {counted(count, 'clip')} {why}")

    def add_job(self, name: str, home: Path) -> None:
        """Add the clip of a job in the journal of `home`. Raises `UsageError` if it has none here."""
        from aveo3.journal.journal import Journal
        from aveo3.journal.retrying import find

        with Journal(journal_place(settings_of(home)), writes=False) as journal:
            records = find(name, journal)
            made = [record for record in records if record.state is State.SUCCEEDED]
            if not made:
                raise UsageError(f"job {name} is {records[-1].state}: only a clip that is made can be upscaled")
            paths = [path for path in _files(made[-1], journal) if path.is_file()]
        if not paths:
            raise UsageError(f"job {name} has no file in {home} any more: fetch it first, or name another copy of it")
        self.emulated |= is_emulated(made[-1].service)
        for path in paths:
            self.add(path, home)

    def _add(self, path: Path, home: Path, facts: FilmFacts) -> None:
        if (place := path.resolve()) in self._seen:
            return
        self._seen.add(place)
        if home.resolve() not in [known.resolve() for known in self.homes]:
            self.homes.append(home)
        if facts.seconds is None:
            from aveo3.config.catalog import LONGEST_SOURCE

            self.notes.append(
                f"{path} does not say how long it is: its cost, and what a budget sets aside, is that of "
                f"{LONGEST_SOURCE} s"
            )
        try:
            prompt = VideoPrompt.model_validate(
                {
                    "video": path,
                    "task": "upscale",
                    "resolution": self.resolution,
                    "duration_seconds": facts.seconds,
                    "id": path.stem[:200],
                }
            )
        except ValidationError as error:
            raise UsageError(f"{path}: {reason(error.errors()[0])}") from None
        self.prompts.append(prompt)


def sources_of(names: Iterable[str], resolution: str) -> Sources:
    """The clips that `names` mean: files, output directories, or IDs of jobs.

    IDs are those of the one directory that is named, too, which then stands for them, not for all of its clips; else of
    the settings' directory. Raises `UsageError`.
    """
    found, kinds = Sources(resolution), [(name, _kind(name)) for name in names]
    directories = list(dict.fromkeys(name for name, kind in kinds if kind == "directory"))
    has_jobs = any(kind == "job" for _, kind in kinds)
    if has_jobs and len(directories) > 1:
        raise UsageError("IDs of jobs are looked up in one directory: name one, or run this once for each")
    of_jobs = Path(directories[0]) if has_jobs and directories else settings_of(None).output_dir
    for name, kind in kinds:
        if kind == "file":
            found.add(Path(name), Path(name).parent)
        elif kind == "job":
            found.add_job(name, of_jobs)
        elif not has_jobs:
            found.add_all(Path(name))
    if not found.prompts:
        raise UsageError("\n".join(["nothing was sent: no clip is there to upscale.", *found.notes]))
    return found


def _kind(name: str) -> str:
    if Path(name).is_file():
        return "file"
    if Path(name).is_dir():
        return "directory"
    if re.fullmatch(r"[0-9a-f]+(\.\d*)?", name, re.IGNORECASE):
        return "job"
    if "://" in name:
        raise UsageError(f'{name}: name a file. For an address write a prompt with task="upscale": aveo3 guide omni')
    raise UsageError(f"{name}: there is no such file or directory, and it is no ID of a job, such as 1a2b3c4d")


def _files(record: JobRecord, journal: Journal) -> Iterator[Path]:
    return (journal.locate(file) for file in record.files)


def _facts(path: Path) -> FilmFacts:
    """What the index of a film says. Raises `UsageError` if the film is not whole, or cannot be read."""
    from aveo3 import media_types
    from aveo3.files import mp4
    from aveo3.files.film_facts import FilmFacts, film_facts

    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(media_types.HEAD)
            if mp4.begins_well(head):
                flaw = mp4.flaw(file, size)
                if flaw is None:
                    return film_facts(file, size)
            elif (media_types.type_of(head) or "").startswith("video/"):
                return FilmFacts()
            else:
                flaw = "it does not begin like one"
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    raise UsageError(f"nothing was sent: {path} is not a whole video: {flaw}")
