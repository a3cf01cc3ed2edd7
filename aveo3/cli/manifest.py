"""Writes two files beside the videos: `manifest.jsonl` lists all clips, `failed.jsonl` the prompts to run again."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from os import SEEK_END
from pathlib import Path
from typing import Any, Self

from aveo3.cli.prompt_files import clip_fields, own_fields, prompt_fields, retry_fields
from aveo3.models import MAY_BE_PAID, ClipStatus, VideoClip

log = logging.getLogger(__name__)

MANIFEST, FAILED = "manifest.jsonl", "failed.jsonl"


def paid_in(directory: Path) -> list[tuple[str | None, str | None]]:
    """Job and operation, if recorded, of every clip that the manifest in `directory` lists as made or possibly paid."""
    listed = (fields for _, fields in _lines(directory / MANIFEST))
    return [(fields.get("job"), fields.get("operation")) for fields in listed if fields.get("status") in _PAID]


class Manifest:
    """Writes a line to `manifest.jsonl` for each finished clip, and the prompts not made yet to `failed.jsonl`.

    A clip of an earlier run keeps its line. A clip that may be paid already stays out of `failed.jsonl`, because that
    file is meant to be run again. A disk error costs lines in these files, never clips.
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
                file.write(b"\n")  # a killed run left half a line: keep the next line apart from it
        return self

    def add(self, clip: VideoClip) -> None:
        """Record a finished clip."""
        if not (clip.cached and (clip.job, clip.status) in self._written):
            line = json.dumps(clip_fields(clip), ensure_ascii=False) + "\n"
            self._write(MANIFEST, line, "a")
        # Lines in `failed.jsonl` name the model, those of earlier releases only if the prompt itself did.
        for fields in (prompt_fields(clip.prompt), own_fields(clip)):
            self._seen.add(json.dumps(fields, sort_keys=True))
        self._owed += clip.status is ClipStatus.UNCERTAIN
        if not clip.succeeded and not clip.may_be_paid:
            self._unmade.append(retry_fields(clip))

    @cached_property
    def _written(self) -> set[tuple[str | None, str]]:
        """Jobs and statuses that already have a line. A killed run may lack its last lines."""
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
        """The lines of earlier runs in `failed.jsonl` whose prompts were not in this run, and unreadable lines."""
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
        """The end of a sentence: where to find prompts without a video, and clips that may be paid."""
        unmade = f"; prompts without a video are in {self._directory / FAILED}" if self._unmade else ""
        owed = f"; {self._owed} may be paid already: see {MANIFEST}" if self._owed else ""
        return unmade + owed


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of one of these files, each with its fields; no fields if the line is not a whole JSON object."""
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


_PAID = (ClipStatus.SUCCEEDED, *MAY_BE_PAID)
