"""Films with marks: made by the emulator, made odd, and read again after they were cut."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aveo3.mock.state.film_marks import read_mark
from aveo3.mock.state.films import FilmSpec, draw

av: Any = pytest.importorskip("av")


def spec(name: str, seconds: float = 2, *, aspect: str = "16:9", sound: bool = True) -> FilmSpec:
    return FilmSpec(name, seconds, aspect, "720p", 0, sound)


def made(directory: Path, name: str, seconds: float = 2, **odd: Any) -> Path:
    """A film of the emulator at `directory/name.mp4`; see `remade` for what can be odd about it."""
    aspect, sound = odd.pop("aspect", "16:9"), odd.pop("sound", True)
    film = draw(spec(name, seconds, aspect=aspect, sound=sound))
    path: Path = directory / (name + odd.pop("suffix", ".mp4"))
    if odd or path.suffix != ".mp4":
        remade(film, path, **odd)
    else:
        path.write_bytes(film)
    return path


def remade(
    film: bytes,
    path: Path,
    *,
    codec: str = "libx264",
    size: tuple[int, int] | None = None,
    rate: Fraction | None = None,
    rotation: int = 0,
    pixels: str = "yuv420p",
    sound_codec: str = "aac",
    sound_rate: int = 48_000,
    layout: str = "stereo",
    sound_seconds: float | None = None,
    options: dict[str, str] | None = None,
    transfer: int | None = None,
) -> None:
    """The same marks in another encoding. `rate` shows the same pictures faster or slower; sound is only cut."""
    with av.open(io.BytesIO(film)) as source, av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=rate or 24)
        video.width, video.height = size or (source.streams.video[0].width, source.streams.video[0].height)
        video.pix_fmt = pixels
        video.options = options if options is not None else {"preset": "ultrafast", "crf": "12"}
        if rotation:
            video.set_display_rotation(rotation)
        if transfer:
            video.codec_context.color_trc = transfer
        sound = None
        if source.streams.audio:
            sound = container.add_stream(sound_codec, rate=sound_rate, layout=layout)
        for number, frame in enumerate(source.decode(video=0)):
            frame = frame.reformat(width=video.width, height=video.height, format=pixels)
            frame.pts, frame.time_base, frame.pict_type = number, 1 / Fraction(rate or 24), 0
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            with av.open(io.BytesIO(film)) as again:
                for frame in again.decode(audio=0):
                    if sound_seconds is None or frame.time < sound_seconds:
                        container.mux(sound.encode(frame))
            container.mux(sound.encode(None))


def marks(path: Path, *, scale: float = 1.0, left: int = 0, below: int = 0) -> list[tuple[int, int] | None]:
    """What each picture says of itself. `left` and `below` are the pixels of bars beside the marked picture."""
    found = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            plane = frame.planes[0]
            luma = memoryview(plane)[left:]
            found.append(read_mark(luma, plane.line_size, frame.height - below, scale))
    return found


def heard(path: Path, *, least: float = 0.4) -> list[float]:
    """When beeps begin, in seconds. What is softer than `least` of the loudest sample is none."""
    samples, rate = sound_of(path)
    loud = np.flatnonzero(np.abs(samples).max(0) > least * np.abs(samples).max())
    if not len(loud):
        return []
    return [float(loud[0] / rate), *(float(at / rate) for at in loud[1:][np.diff(loud) > rate // 10])]


def sound_of(path: Path) -> tuple[Any, int]:
    """All samples of a film on its clock, by channel, and their rate."""
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        frames = [(round(frame.time * rate), frame.to_ndarray()) for frame in container.decode(audio=0)]
    samples = np.zeros((frames[0][1].shape[0], max(at + block.shape[1] for at, block in frames)), np.float32)
    for at, block in frames:
        samples[:, max(0, at) : at + block.shape[1]] = block[:, max(0, -at) :]
    return samples, rate
