"""Writes two files beside the videos: `manifest.jsonl` lists all clips, `failed.jsonl` the prompts to run again."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from errno import EINVAL, ELOOP
from functools import cached_property
from os import SEEK_END
from pathlib import Path
from stat import S_ISREG
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
        self._broken = False
        self._cut = False

    def __enter__(self) -> Self:
        path = self._directory / MANIFEST
        with suppress(OSError):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    file.seek(-1, SEEK_END)
                    self._cut = file.read() != b"\n"  # a killed run left half a line
        return self

    def add(self, clip: VideoClip) -> None:
        """Record a finished clip."""
        if not (clip.cached and (clip.job, clip.status) in self._written):
            self._append(_line(clip_fields(clip)))
        # Lines in `failed.jsonl` name the model, those of earlier releases only if the prompt itself did.
        for fields in (prompt_fields(clip.prompt), own_fields(clip)):
            self._seen.add(json.dumps(fields, sort_keys=True))
        if not clip.succeeded and not clip.may_be_paid:
            self._unmade.append(retry_fields(clip))

    @cached_property
    def _written(self) -> set[tuple[str | None, str]]:
        """Jobs and statuses that already have a line. A killed run may lack its last lines."""
        lines = (fields for _, fields in _lines(self._directory / MANIFEST))
        return {(fields.get("job"), str(fields.get("status"))) for fields in lines}

    def __exit__(self, *_: object) -> None:
        lines = [*(line + "\n" for line in self._still_unmade()), *map(_line, self._unmade)]
        if lines:
            self._replace(FAILED, "".join(lines))
        else:
            with suppress(OSError):
                (self._directory / FAILED).unlink()

    def _still_unmade(self) -> Iterator[str]:
        """The lines of earlier runs in `failed.jsonl` whose prompts were not in this run, and unreadable lines."""
        for line, fields in _lines(self._directory / FAILED):
            sent = {key: value for key, value in fields.items() if not key.startswith("_")}
            if not sent or json.dumps(sent, sort_keys=True) not in self._seen:
                yield line

    def _append(self, line: str) -> None:
        """Add a line to the manifest, unless a link, a pipe or a device lies there."""
        try:
            descriptor = os.open(self._directory / MANIFEST, _APPEND, 0o666)
            try:
                if not S_ISREG(os.fstat(descriptor).st_mode):
                    raise OSError(EINVAL, "it is not a file")
                data = b"\n" * self._cut + line.encode()
                while data:
                    written = os.write(descriptor, data)
                    self._cut = written < len(data)  # the next line must not continue this one
                    data = data[written:]
            finally:
                os.close(descriptor)
        except OSError as error:
            self._failed(MANIFEST, error)

    def _replace(self, name: str, text: str) -> None:
        """Write a file whole or not at all. A link that lies there is replaced, not followed."""
        path = self._directory / name
        new = path.with_name(f".{name}.new")
        try:
            new.unlink(missing_ok=True)
            try:
                with new.open("x", encoding="utf-8", newline="\n") as file:
                    file.write(text)
                new.replace(path)
            except OSError:
                new.unlink(missing_ok=True)
                raise
        except OSError as error:
            self._failed(name, error)

    def _failed(self, name: str, error: OSError) -> None:
        if not self._broken:
            why = "it is a link" if error.errno == ELOOP else error.strerror
            log.error("cannot write %s: %s", self._directory / name, why)
        self._broken = True

    @property
    def hint(self) -> str:
        """The end of a sentence: where to find prompts without a video."""
        return f"; prompts without a video are in {self._directory / FAILED}" if self._unmade else ""


def _line(fields: dict[str, Any]) -> str:
    """`fields` as a line of JSON. Half an emoji, which UTF-8 cannot hold, makes it spell out all but ASCII."""
    line = json.dumps(fields, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:
        line = json.dumps(fields)
    return line + "\n"


_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # not every system has each of them
    _APPEND |= getattr(os, _flag, 0)


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of one of these files, each with its fields; no fields if the line is not a whole JSON object."""
    try:
        if not path.is_file():  # reading a pipe would wait for its writer
            return
        lines = path.read_text("utf-8").split("\n")
    except (OSError, ValueError):
        return
    for line in filter(None, lines):
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            fields = None
        yield line, fields if isinstance(fields, dict) else {}


_PAID = (ClipStatus.SUCCEEDED, *MAY_BE_PAID)
