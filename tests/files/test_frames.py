"""Frames of a video: exactly the one that was asked for, upright and lossless, and kept whole or not at all."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aveo3.files import frames
from aveo3.files.frames import NoFrame

av = pytest.importorskip("av")
Image = pytest.importorskip("PIL.Image")

RATE, COUNT = 24, 60
WIDE, HIGH = 96, 64
STEP = 3
"""Levels of grey from one frame to the next: more than encoding changes them."""

UPRIGHT = (1, 0, 0, 1)
CLOCKWISE = (0, 1, -1, 0)
"""How a telephone that stands upright marks its films: players turn them by 90 degrees."""
UPSIDE_DOWN = (-1, 0, 0, -1)
COUNTERCLOCKWISE = (0, -1, 1, 0)


def film(path: Path, *, matrix: tuple[int, ...] = UPRIGHT, pixel: Fraction = Fraction(1), start: int = 0) -> Path:
    """Frame n is grey of level 30 + 3 n, with frames that depend on later ones; its upper left quarter is white."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDE, HIGH, "yuv420p"
        stream.options = {"bf": "3", "crf": "1", "g": "25", "threads": "1"}
        stream.codec_context.sample_aspect_ratio = pixel
        for number in range(COUNT):
            picture = Image.new("L", (WIDE, HIGH), 30 + STEP * number)
            picture.paste(255, (0, 0, WIDE // 2, HIGH // 2))
            frame = av.VideoFrame.from_image(picture.convert("RGB")).reformat(format="yuv420p")
            frame.pts = number + start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = bytearray(file.getvalue())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value * 0x10000 & 0xFFFFFFFF for value in matrix)
    for place, value in enumerate((a, b, 0, c, d, 0, 0, 0, 0x40000000)):
        data[at + 4 * place : at + 4 * place + 4] = value.to_bytes(4, "big")
    path.write_bytes(data)
    return path


def picture(png: bytes) -> Any:
    return Image.open(io.BytesIO(png)).convert("L")


def number_of(png: bytes) -> int:
    """Which frame it is, by the grey of its lower right corner."""
    shown = picture(png)
    level: int = shown.getpixel((shown.width - 4, shown.height - 4))
    return round((level - 30) / STEP)


@pytest.mark.parametrize("start", [0, 12], ids=["from the beginning", "later"])
@pytest.mark.parametrize(
    ("frame", "number"),
    [("first", 0), ("last", 59), (1.0, 24), (1.03, 24), (1.05, 25), (2.47, 59), (0.001, 0)],
)
def test_the_frame_is_the_one_that_is_shown_then(frame: Any, number: int, start: int, tmp_path: Path) -> None:
    assert number_of(frames.cut(film(tmp_path / "film.mp4", start=start), frame)) == number


def test_every_frame_can_be_had() -> None:
    path = film(Path("film.mp4"))
    cut = [number_of(frames.cut(path, (number + 0.5) / RATE)) for number in range(COUNT)]
    assert cut == list(range(COUNT))
    assert all(one < other for one, other in pairwise(cut))


@pytest.mark.parametrize(
    ("matrix", "white"),
    [(UPRIGHT, (0, 0)), (CLOCKWISE, (1, 0)), (UPSIDE_DOWN, (1, 1)), (COUNTERCLOCKWISE, (0, 1))],
    ids=["upright", "clockwise", "upside down", "counterclockwise"],
)
def test_a_frame_stands_upright_as_players_show_it(
    matrix: tuple[int, ...], white: tuple[int, int], tmp_path: Path
) -> None:
    shown = picture(frames.cut(film(tmp_path / "film.mp4", matrix=matrix), "first"))
    assert shown.size == ((WIDE, HIGH) if matrix in (UPRIGHT, UPSIDE_DOWN) else (HIGH, WIDE))
    corners = {
        (x, y): shown.getpixel((4 + x * (shown.width - 8), 4 + y * (shown.height - 8))) for x in (0, 1) for y in (0, 1)
    }
    assert [corner for corner, grey in corners.items() if grey > 200] == [white]


@pytest.mark.parametrize(("pixel", "size"), [(Fraction(2), (2 * WIDE, HIGH)), (Fraction(1, 2), (WIDE, 2 * HIGH))])
def test_pixels_of_a_frame_are_square(pixel: Fraction, size: tuple[int, int], tmp_path: Path) -> None:
    assert picture(frames.cut(film(tmp_path / "film.mp4", pixel=pixel), "last")).size == size


def test_what_has_no_such_frame_says_so(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4")
    with pytest.raises(NoFrame, match=r"lasts 2\.500 s: it has no frame at 2\.5 s"):
        frames.cut(path, 2.5)
    path.write_bytes(b"no film at all")
    with pytest.raises(NoFrame, match="cannot be decoded"):
        frames.cut(path, "last")
    with pytest.raises(FileNotFoundError):
        frames.cut(tmp_path / "none.mp4", "last")


def test_a_kept_frame_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, target = film(tmp_path / "film.mp4"), frames.place_of(tmp_path / "frames", "ab" * 32, "last")
    assert not frames.is_kept(target)
    frames.keep(path, "last", target)
    assert frames.is_kept(target)
    assert number_of(target.read_bytes()) == 59
    target.write_bytes(target.read_bytes()[:-1])  # a power cut
    assert not frames.is_kept(target)
    monkeypatch.setattr(frames, "sync_file", full)
    with pytest.raises(OSError, match="No space left"):
        frames.keep(path, "last", target)
    assert [file.name for file in target.parent.iterdir()] == [target.name]


def full(_: int) -> None:
    raise OSError(28, "No space left on device")
