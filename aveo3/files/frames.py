"""Cuts one frame out of a video, as a lossless PNG, and keeps it. Needs PyAV: `aveo3[frames]`.

Frames are kept in `.aveo3/frames` of the output directory, by the hash of their video. A file there is whole or absent;
one that is missing is cut again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from aveo3.files.syncing import sync_file
from aveo3.media import Frame

NEEDS_PYAV = "a frame of a clip is cut with PyAV, which is not installed: pip install 'aveo3[frames]'"

HD = 720
"""Lines from which on a video that does not name its colours has those of BT.709, as players assume."""

_PNG_BEGINS, _PNG_ENDS = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


class NoFrame(Exception):
    """The video has no such frame, or cannot be decoded. The message is a sentence without its subject."""


def can_cut() -> bool:
    """True if PyAV is installed."""
    return find_spec("av") is not None


def place_of(directory: Path, sha256: str, frame: Frame) -> Path:
    """Where a frame of the video with this hash is, or would be, kept."""
    return directory / f"{sha256[:32]}-{frame}.png"


def is_kept(path: Path) -> bool:
    """True if `path` is a whole PNG. Reads its first and last bytes."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(_PNG_BEGINS)) == _PNG_BEGINS
            file.seek(-len(_PNG_ENDS), os.SEEK_END)
            return begins and file.read() == _PNG_ENDS
    except OSError:
        return False


def keep(video: Path, frame: Frame, path: Path) -> None:
    """Cut a frame of `video`, and keep it at `path`, which is `place_of` it. Blocks.

    Raises `NoFrame` if the video has no such frame, `OSError` if the disk refuses.
    """
    picture = cut(video, frame)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")  # one name: what a kill leaves there is overwritten
    with _WRITING:
        try:
            with new.open("wb") as file:
                file.write(picture)
                file.flush()
                sync_file(file.fileno())
            new.replace(path)
        finally:
            with suppress(OSError):
                new.unlink()


_WRITING = threading.Lock()


def cut(video: Path, frame: Frame) -> bytes:
    """A frame of `video` as PNG: upright, with square pixels. Blocks: decodes from the key frame before it on.

    Raises `NoFrame` and `OSError` as `keep` does.
    """
    import av

    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise NoFrame("has no pictures")
            stream: Any = container.streams.video[0]
            stream.thread_type = "AUTO"
            return _png(_upright(_found(container, stream, frame), stream))
    except OSError as error:  # av.FileNotFoundError and its like
        if isinstance(error, av.FFmpegError) and isinstance(error, ValueError):
            raise NoFrame(f"cannot be decoded: {error.strerror}") from error
        raise
    except av.FFmpegError as error:
        raise NoFrame(f"cannot be decoded: {error}") from error


def _found(container: Any, stream: Any, frame: Frame) -> Any:
    """The frame that was asked for."""
    if frame == "first":
        first = next(iter(container.decode(stream)), None)
        if first is None:
            raise NoFrame("has no pictures")
        return first
    begins = (stream.start_time or 0) * stream.time_base
    until = None if frame == "last" else float(frame)
    found = None
    if stream.duration:
        end = (stream.start_time or 0) + stream.duration
        at = end if until is None else min(end, int((float(begins) + until) / stream.time_base))
        found = _last_until(_from(container, stream, at), float(begins), until)
    if found is None:  # it cannot be searched: from the beginning on
        found = _last_until(_from(container, stream, stream.start_time or 0), float(begins), until)
    if found is None:
        raise NoFrame("has no pictures")
    picture, is_last = found
    if until is not None and is_last:
        ends = _time_of(picture) - float(begins) + _length_of(picture, stream)
        if until >= ends:
            raise NoFrame(f"lasts {ends:.3f} s: it has no frame at {until:g} s")
    return picture


def _from(container: Any, stream: Any, at: int) -> Iterator[Any]:
    """The frames from the key frame at or before `at` on."""
    container.seek(at, stream=stream, backward=True)
    yield from container.decode(stream)


def _last_until(frames: Iterator[Any], begins: float, until: float | None) -> tuple[Any, bool] | None:
    """The latest of `frames` that is shown by `until`, None: of all, and whether it is the last of the video."""
    latest = None
    for frame in frames:
        if frame.time is None:
            continue
        if until is not None and _time_of(frame) - begins > until + 1e-6:
            return None if latest is None else (latest, False)
        if latest is None or frame.time >= latest.time:
            latest = frame
    return None if latest is None else (latest, True)


def _time_of(frame: Any) -> float:
    return float(frame.time)


def _length_of(frame: Any, stream: Any) -> float:
    rate = stream.average_rate or stream.guessed_rate or 24
    return float(1 / rate)


def _upright(frame: Any, stream: Any) -> Any:
    """The frame as players show it: turned as the video says, pixels square, in the colours of a screen."""
    import av

    graph: Any = av.filter.Graph()
    pixel = stream.sample_aspect_ratio or Fraction(1)
    given = {
        "video_size": f"{frame.width}x{frame.height}",
        "pix_fmt": frame.format.name,
        "time_base": str(stream.time_base),
        "pixel_aspect": f"{pixel.numerator}/{pixel.denominator}",
    }
    chain = [graph.add("buffer", **given)]  # PyAV's `add_buffer` takes all pixels for square
    for name, options in _turns(round(frame.rotation) % 360):
        chain.append(graph.add(name, options))
    unnamed = int(frame.colorspace) not in _NAMED
    matrix = f":in_color_matrix={'bt709' if frame.height >= HD else 'bt601'}" if unnamed else ""
    size = "w=iw:h=ih" if pixel == 1 else "w='if(gt(sar,1),iw*sar,iw)':h='if(lt(sar,1),ih/sar,ih)'"
    chain.append(graph.add("scale", f"{size}:flags=lanczos+accurate_rnd+full_chroma_int{matrix}:out_range=full"))
    chain.append(graph.add("format", "rgb24"))
    chain.append(graph.add("buffersink"))
    for one, other in pairwise(chain):
        one.link_to(other)
    graph.configure()
    graph.push(frame)
    graph.push(None)
    return graph.pull()


_NAMED = frozenset({1, 4, 5, 6, 7, 9, 10})
"""The colour matrices that a video can name; see `AVColorSpace`."""


def _turns(degrees: int) -> list[tuple[str, str]]:
    """The filters that undo a rotation, counted counterclockwise as PyAV does."""
    if degrees == 90:
        return [("transpose", "cclock")]
    if degrees == 180:
        return [("hflip", ""), ("vflip", "")]
    return [("transpose", "clock")] if degrees == 270 else []


def _png(frame: Any) -> bytes:
    import av

    encoder: Any = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "rgb24"
    encoder.time_base = Fraction(1, 24)
    frame.pts, frame.time_base = 0, encoder.time_base
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
