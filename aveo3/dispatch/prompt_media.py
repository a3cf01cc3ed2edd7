"""Reads the local media of a prompt, and knows the job of a prompt whose media cannot be used any more."""

from __future__ import annotations

import hashlib
import os.path
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aveo3.config.source_clip import SourceClip, costs_by_source
from aveo3.input_forms import SEVERAL_MEDIA
from aveo3.lanes.source_clips import source_at, source_in
from aveo3.media import Media, frame_of
from aveo3.models import VideoPrompt

Hashes = tuple[str | None, ...]

RECALLED = 16
"""Contents of one path that are tried, the latest first."""


@dataclass(frozen=True, slots=True)
class MediaReading:
    """The media of one prompt as they are now. `hashes`: of each medium; None for an address, and if unreadable."""

    hashes: Hashes = ()
    problems: tuple[str, ...] = ()
    readable: bool = True
    unusable: frozenset[int] = frozenset()
    """The places in `prompt.media` of what cannot be read, or is not what its name says."""
    source: SourceClip | None = None
    """What the clip is that the prompt edits or upscales; None without one, or if it does not say."""


def read_media(prompt: VideoPrompt, *, cuts: bool = False) -> MediaReading:
    """Read all local media of `prompt`. Blocks: reads the disk.

    With `cuts`, the frames of clips need not be there: they will be cut before it is sent.
    """
    hashes: list[str | None] = []
    problems, unusable, readable = [], set(), True
    source = None
    for place, medium in enumerate(prompt.media):
        hashes.append(None)
        try:
            if medium.uri is not None:
                continue
            if medium.clip is not None:
                hashes[-1] = medium.clip_content
                if medium.is_waiting:
                    problems.append(f"the clip {medium.clip!r} is not made yet")
                    unusable.add(place)
                    readable = False
                elif not cuts and medium.file is not None and not medium.file.is_file():
                    problems.append(f"cannot read {medium.file}: No such file or directory")
                    unusable.add(place)
                elif medium is prompt.video and costs_by_source(prompt) and medium.file is not None:
                    source = source_at(medium.file)
                continue
            content = medium.read()
            hashes[-1] = hashlib.sha256(content).hexdigest()
            why = medium.mismatch(content)
            if medium is prompt.video and costs_by_source(prompt):
                source = source_in(content)
        except OSError as error:
            why, readable = f"cannot read {error.filename}: {error.strerror}", False
        except ValueError as error:  # not a path: it holds a null byte
            why, readable = f"cannot read its media: {error}", False
        if why is not None:
            problems.append(why)
            unusable.add(place)
    return MediaReading(tuple(hashes), tuple(problems), readable, frozenset(unusable), source)


class RecalledMedia:
    """What the media of earlier jobs held, by where they lay.

    A picture may be deleted, or overwritten with something that is no picture, while its clip is being made. The digest
    of its prompt then needs the content that the journal noted for its path.
    """

    def __init__(self, prompts: Iterable[Mapping[str, Any]]) -> None:
        """`prompts` are records of jobs, oldest first; see `prompt_record`."""
        self._hashes: dict[tuple[str, ...], dict[Hashes, None]] = {}
        for prompt in prompts:
            media = [*_media_of(prompt)]
            known = self._hashes.setdefault(tuple(map(_recorded_place, media)), {})
            hashes = recorded_hashes(prompt)
            known.pop(hashes, None)  # the latest is last
            known[hashes] = None

    def hashes_of(self, prompt: VideoPrompt, reading: MediaReading) -> Iterator[Hashes]:
        """What the media of `prompt` may have held when its job was planned, the likeliest first.

        Media that can be used count as they are now: with another picture it is another clip.
        """
        if reading.readable:
            yield reading.hashes
        found = [*self._hashes.get(tuple(map(_place, prompt.media)), {})][-RECALLED:]
        for hashes in reversed(found):
            if _agree(hashes, reading) and hashes != reading.hashes:
                yield hashes


def recorded_hashes(prompt: Mapping[str, Any]) -> Hashes:
    """What the media in the record of a prompt held; see `VideoPrompt.media`."""
    return tuple(map(_recorded_content, _media_of(prompt)))


def _recorded_content(medium: Mapping[str, Any]) -> str | None:
    sha256 = medium.get("sha256")
    return sha256 if sha256 is None or "clip" not in medium else frame_of(sha256, medium.get("frame"))


def _agree(hashes: Hashes, reading: MediaReading) -> bool:
    pairs = enumerate(zip(hashes, reading.hashes, strict=True))
    return all(then == now for place, (then, now) in pairs if place not in reading.unusable)


def _media_of(prompt: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The media in the record of a prompt, in the order of `VideoPrompt.media`."""
    images, videos = (prompt.get(name) or () for name in SEVERAL_MEDIA)
    for medium in (prompt.get("image"), prompt.get("last_frame"), *images, prompt.get("video"), *videos):
        if isinstance(medium, Mapping):
            yield medium


def _recorded_place(medium: Mapping[str, Any]) -> str:
    if (clip := medium.get("clip")) is not None:
        return _clip_place(clip, medium.get("frame"))
    path = medium.get("path")
    return os.path.normpath(str(path)) if path is not None else str(medium.get("uri") or "")


def _clip_place(clip: object, frame: object) -> str:
    return f"clip:{clip}#{frame or ''}"


def _place(medium: Media) -> str:
    if medium.clip is not None:
        return _clip_place(medium.clip, medium.frame)
    return os.path.normpath(medium.path.absolute()) if medium.path is not None else medium.uri or ""
