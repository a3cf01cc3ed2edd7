"""Cuts a still out of a film: a small picture that shows something. Needs PyAV and Pillow: `aveo3[report]`."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

LONG_SIDE = 320
"""Pixels of a still's longer side: a card of the gallery is about as wide."""
QUALITY = 60
"""Of WebP: a still has a few kB."""
FLAT = 6
"""Levels of grey between the darkest and the lightest point of a picture that shows nothing, as a fade-in begins."""
TRIES = 4
"""Pictures that are looked at until one shows something."""
SECOND = 1.0
"""Where in a film its still is cut from, if it is long enough."""


def can_cut() -> bool:
    """True if PyAV and Pillow are installed."""
    return find_spec("av") is not None and find_spec("PIL") is not None


def cut(path: Path) -> bytes | None:
    """A still of the film at `path` as WebP; None if it cannot be read."""
    import av

    try:
        with av.open(str(path)) as container:
            picture = next(_pictures(container), None)
            if picture is None:
                return None
            file = io.BytesIO()
            picture.save(file, "WEBP", quality=QUALITY, method=4)
            return file.getvalue()
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        log.debug("no still can be cut from %s: %s", path, error)
        return None


def _pictures(container: Any) -> Iterator[Any]:
    """The first picture after about a second that shows something, else the first of all."""
    import av

    [stream, *_] = container.streams.video
    stream.codec_context.skip_frame = "NONKEY"  # key frames alone can be decoded by themselves
    length = float(stream.duration * stream.time_base) if stream.duration else 0.0
    if length > 2 * SECOND:
        with suppress(av.FFmpegError):
            container.seek(int(SECOND / stream.time_base), stream=stream)
    first = None
    for number, frame in enumerate(container.decode(stream)):
        share = LONG_SIDE / max(frame.width, frame.height)
        size = (max(2, round(frame.width * share)), max(2, round(frame.height * share)))
        picture = frame.reformat(*size, format="rgb24").to_image()
        first = first or picture
        low, high = picture.convert("L").getextrema()
        if high - low > FLAT:
            yield picture
        if number + 1 >= TRIES:
            break
    if first is not None:
        yield first
