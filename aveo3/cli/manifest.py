"""What the command line writes beside the videos: `manifest.jsonl`, all clips; `failed.jsonl`, what to run again."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from os import SEEK_END
from pathlib import Path
from typing import Any, Self

from aveo3.cli.prompt_files import clip_fields, prompt_fields, retry_fields
from aveo3.models import ClipStatus, VideoClip

log = logging.getLogger(__name__)

MANIFEST, FAILED = "manifest.jsonl", "failed.jsonl"


def paid_in(directory: Path) -> list[tuple[str | None, str | None]]:
    """What the manifest in `directory` lists as made, or as paid perhaps: each one's job and operation, if told."""
    listed = (fields for _, fields in _lines(directory / MANIFEST))
    return [(fields.get("job"), fields.get("operation")) for fields in listed if fields.get("status") in _OWED]


class Manifest:
    """`manifest.jsonl`, a line for each clip as it finishes, and `failed.jsonl`: what has not been made here yet.

    A clip that an earlier run has made keeps the line it has. What may be paid already stays out of the second file,
    which is there to be run again. A disk that refuses costs lines here, never clips.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: set[str] = set()
        self._unmade: list[dict[str, Any]] = []
        self._owed = 0
        self._broken = False

    def __enter__(self) -> Self:
        with suppress(OSError), (self._directory / MANIFEST).open("r+b") as file:
            file.seek(-1, SEEK_END)
            if file.read() != b"\n":
                file.write(b"\n")  # a run was killed within a line: it spoils no other
        return self

    def add(self, clip: VideoClip) -> None:
        """Write a finished clip down."""
        if not (clip.cached and (clip.job, clip.status) in self._written):
            line = json.dumps(clip_fields(clip), ensure_ascii=False) + "\n"
            self._write(MANIFEST, line, "a")
        self._seen.add(json.dumps(prompt_fields(clip.prompt), sort_keys=True))
        self._owed += clip.status is ClipStatus.UNCERTAIN
        if not clip.succeeded and not clip.may_be_paid:
            self._unmade.append(retry_fields(clip))

    @cached_property
    def _written(self) -> set[tuple[str | None, str]]:
        """The jobs, and their ends, that earlier runs have lines of: one that was killed may lack the last."""
        lines = (fields for _, fields in _lines(self._directory / MANIFEST))
        return {(fields.get("job"), str(fields.get("status"))) for fields in lines}

    def __exit__(self, *_: object) -> None:
        lines = [*self._still_unmade(), *(json.dumps(fields, ensure_ascii=False) for fields in self._unmade)]
        if lines:
            self._write(FAILED, "".join(line + "\n" for line in lines), "w")
        else:
            with suppress(OSError):
                (self._directory / FAILED).unlink()

    def _still_unmade(self) -> Iterator[str]:
        """The lines that earlier runs left and this one did not take up, or cannot read."""
        for line, fields in _lines(self._directory / FAILED):
            sent = {key: value for key, value in fields.items() if not key.startswith("_")}
            if not sent or json.dumps(sent, sort_keys=True) not in self._seen:
                yield line

    def _write(self, name: str, text: str, mode: str) -> None:
        try:
            with (self._directory / name).open(mode, encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            if not self._broken:
                log.error("cannot write %s: %s", self._directory / name, error.strerror)
            self._broken = True

    @property
    def hint(self) -> str:
        """Where the prompts are that were not made, and those that may have been."""
        unmade = f"; what was not made is in {self._directory / FAILED}" if self._unmade else ""
        owed = f"; {self._owed} may be paid already and are in {MANIFEST} only" if self._owed else ""
        return unmade + owed


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of one of our files with what they hold: nothing, if they are not whole or not ours."""
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, ValueError):
        return
    for line in filter(None, lines):
        try:
            fields = json.loads(line)
        except ValueError:
            fields = None
        yield line, fields if isinstance(fields, dict) else {}


_OWED = ("succeeded", "uncertain", "unfinished")
