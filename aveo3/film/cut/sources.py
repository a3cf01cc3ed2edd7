"""Opens the files of a film for FFmpeg, and reads what they hold. Their bytes are not trusted.

FFmpeg opens local files alone, and formats alone that name no other files: a playlist that calls itself `clip.mp4`
is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from aveo3.film.cut.errors import BrokenShot
from aveo3.film.cut.model import Music, Shot

CLIPS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts"
SOUNDS = f"{CLIPS},mp3,wav,w64,flac,ogg,aac,aiff,caf"
"""Formats of FFmpeg that hold their content themselves."""

HDR = {16: "PQ", 18: "HLG"}
"""Transfer characteristics (ITU-T H.273) whose pictures would look grey and dull on a screen without HDR."""


@dataclass(frozen=True)
class SoundFacts:
    """The sound stream of a file. `key` is equal for streams whose packets may follow each other in one.

    `first` is the time of its first packet in seconds, negative if the decoder needs one before the sound begins.
    """

    key: tuple[Any, ...]
    codec: str
    rate: int
    first: Fraction


@dataclass(frozen=True)
class ClipFacts:
    """The picture stream of a file, and its sound.

    `first` is the time of the first picture in units of `time_base`; `frames` and `rate` are those of the pictures.
    `width` and `height` are as coded; `aspect` is of one pixel; `rotation` is in degrees, counterclockwise.
    `delay` is how many frames decoding is ahead of showing. `key` is equal for streams that can be joined as they are.
    """

    frames: int
    rate: Fraction
    time_base: Fraction
    first: int
    delay: int
    width: int
    height: int
    aspect: Fraction
    rotation: int
    colours: tuple[int, int, int, int]
    deep: bool
    codec: str
    key: tuple[Any, ...]
    sound: SoundFacts | None

    @property
    def seconds(self) -> float:
        """How long the pictures last."""
        return float(self.frames / self.rate)


@contextmanager
def opened(item: Shot | Music) -> Iterator[Any]:
    """An open container of PyAV. What FFmpeg raises within becomes `BrokenShot`."""
    import av

    formats = CLIPS if isinstance(item, Shot) else SOUNDS
    options = {"protocol_whitelist": "file", "format_whitelist": formats}
    with blamed(item):
        if not item.path.is_file():  # a pipe would be read to its end, and is never closed
            raise BrokenShot(item, "is not a file" if item.path.exists() else "is missing")
        with av.open(
            str(item.path.absolute()), options=options
        ) as container:  # absolute: no name is read as an address
            yield container


@contextmanager
def blamed(item: Shot | Music) -> Iterator[None]:
    """What FFmpeg or the disk raises within becomes a `BrokenShot` of `item`."""
    import av

    try:
        yield
    except (av.error.InvalidDataError, av.error.ArgumentError) as error:  # the latter: a format that is not let in
        raise BrokenShot(
            item, f"is broken, or no {'video' if isinstance(item, Shot) else 'sound'} file: {_reason(error)}"
        ) from error
    except (av.error.FFmpegError, OSError) as error:
        raise BrokenShot(item, f"cannot be read: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)


def facts_of(shot: Shot) -> ClipFacts:
    """Read what the file of a shot holds. Reads its index, and its packets only if the index does not count them."""
    with opened(shot) as container:
        if not container.streams.video:
            raise BrokenShot(shot, "has no pictures")
        video = container.streams.video[0]
        context = video.codec_context
        if not (context.width and context.height and context.pix_fmt):
            raise BrokenShot(shot, "is broken: its pictures have no size or format")
        colours = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        if colours[1] in HDR:
            raise BrokenShot(
                shot,
                f"is in HDR ({HDR[colours[1]]}), and films are made in SDR: convert the file to SDR (BT.709) first",
            )
        rate = video.average_rate or video.guessed_rate
        frames, first = video.frames, video.start_time
        if not rate or not frames or first is None:
            frames, first, rate = _counted(container, video, rate)
        if not frames or not rate:
            raise BrokenShot(shot, "has no pictures")
        aspect = Fraction(video.sample_aspect_ratio or context.sample_aspect_ratio or 1)
        deep = any(part.bits > 8 for part in context.format.components)
        rate = Fraction(rate).limit_denominator(1001)
        rotation, first_decoded = _first_picture(container, video)
        if first_decoded is None:
            raise BrokenShot(shot, "is broken: none of its pictures can be decoded")
        key = (context.name, context.extradata, context.width, context.height, context.pix_fmt, aspect, rotation)
        return ClipFacts(
            frames=frames,
            rate=rate,
            time_base=Fraction(video.time_base),
            first=first,
            delay=max(0, round((first - first_decoded) * video.time_base * rate)),
            width=context.width,
            height=context.height,
            aspect=aspect if aspect > 0 else Fraction(1),
            rotation=rotation,
            colours=colours,
            deep=deep,
            codec=context.name,
            key=(*key, rate, *colours),
            sound=sound_facts(container) if shot.sound else None,
        )


def check_music(music: Music) -> None:
    """Raise `BrokenShot` if the file has no sound that can be decoded. Reads its beginning."""
    with opened(music) as container:
        if sound_facts(container) is None:
            raise BrokenShot(music, "has no sound")


def sound_facts(container: Any) -> SoundFacts | None:
    """The first sound stream of an open file; None if there is none that can be decoded."""
    for stream in container.streams.audio:
        context = stream.codec_context
        if context.sample_rate and context.layout.nb_channels:
            index: Any = getattr(stream, "index_entries", ())
            first = index[0].timestamp if len(index) else stream.start_time or 0
            key = (context.name, context.extradata, context.sample_rate, context.layout.name, stream.time_base)
            return SoundFacts(key, context.name, context.sample_rate, first * Fraction(stream.time_base))
    return None


def _counted(container: Any, video: Any, rate: Any) -> tuple[int, int | None, Any]:
    """Frames, first time and rate of a stream whose file has no index: by its packets. Rewinds."""
    times = sorted(packet.pts for packet in container.demux(video) if packet.pts is not None and not packet.is_discard)
    container.seek(0)
    if not times:
        return 0, None, rate
    if not rate and len(times) > 1:
        rate = (len(times) - 1) / ((times[-1] - times[0]) * video.time_base)
    return len(times), times[0], rate


def _first_picture(container: Any, video: Any) -> tuple[int, int | None]:
    """The rotation of the first picture, and the time of the first packet; None if no picture comes out."""
    video.codec_context.thread_count = 1  # faster for so little
    first = None
    for packet in container.demux(video):
        if first is None:
            first = packet.dts if packet.dts is not None else packet.pts
        for frame in packet.decode():
            return frame.rotation % 360, first
    return 0, None
