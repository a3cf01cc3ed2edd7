"""Reads from a local video how long it is and how large, for the cost of a prompt that edits or upscales it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from aveo3.config.source_clip import SourceClip, costs_by_source
from aveo3.files.film_facts import film_facts
from aveo3.models import VideoPrompt

_RESOLUTIONS = {360: "360p", 720: "720p", 1080: "1080p", 2160: "4k"}
"""The resolution, by the pixels of the short side. A film of another size has none: it counts as the dearest."""


def source_in(content: bytes) -> SourceClip | None:
    """What the film in `content` is; None if it is no MP4 or does not say."""
    return _read(io.BytesIO(content), len(content))


def source_at(path: Path) -> SourceClip | None:
    """What the film at `path` is; None if that cannot be read. Reads the disk, and little of it."""
    try:
        with path.open("rb") as file:
            return _read(file, path.stat().st_size)
    except (OSError, ValueError):  # a path with a null byte
        return None


def source_of(prompt: VideoPrompt) -> SourceClip | None:
    """What the local clip is that `prompt` edits or upscales; None without one. Reads the disk."""
    if prompt.video is None or not costs_by_source(prompt):
        return None
    if prompt.video.data is not None:
        return source_in(prompt.video.data)
    return None if prompt.video.file is None else source_at(prompt.video.file)


def _read(file: BinaryIO, size: int) -> SourceClip | None:
    facts = film_facts(file, size)
    sides = (facts.width, facts.height)
    short = min(side or 0 for side in sides)
    source = SourceClip(facts.seconds, _RESOLUTIONS.get(short))
    return None if source == SourceClip() else source
