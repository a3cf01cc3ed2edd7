"""How long a film lasts and how large it is, read from its index; a spoilt index says nothing, and costs no time."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aveo3.files.film_facts import FilmFacts, film_facts
from aveo3.mock.state.films import bundled


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def mvhd(ticks: int, scale: int, *, long: bool = False) -> bytes:
    width = 8 if long else 4
    times = bytes(2 * width) + scale.to_bytes(4, "big") + ticks.to_bytes(width, "big")
    return box(b"mvhd", bytes([long, 0, 0, 0]) + times + bytes(80))


def tkhd(width: int, height: int, *, long: bool = False) -> bytes:
    size = (width << 16).to_bytes(4, "big") + (height << 16).to_bytes(4, "big")
    return box(b"tkhd", bytes([long, 0, 0, 0]) + bytes(84 if long else 72) + size)


def film(*index: bytes) -> bytes:
    return box(b"ftyp", b"isom") + box(b"mdat", b"pictures") + box(b"moov", b"".join(index))


def facts(data: bytes) -> FilmFacts:
    return film_facts(io.BytesIO(data), len(data))


def test_a_film_of_the_emulator_says_what_it_is() -> None:
    assert facts(bundled()) == (8.0, 320, 180)


@pytest.mark.parametrize("long", [False, True])
def test_both_versions_of_the_boxes_are_read_and_sound_has_no_size(long: bool) -> None:
    sound = box(b"trak", tkhd(0, 0, long=long))
    pictures = box(b"trak", tkhd(1080, 1920, long=long))
    assert facts(film(mvhd(10_010, 1000, long=long), pictures, sound)) == (10.01, 1080, 1920)
    assert facts(film(mvhd(10_010, 1000, long=long), sound, pictures)) == (10.01, 1080, 1920)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no film",
        film(),
        film(mvhd(0, 1000)),
        film(mvhd(10, 0)),
        film(mvhd(2**32 - 1, 1000)),
        film(mvhd(2**64 - 1, 1000, long=True)),
        film(box(b"mvhd", bytes(12))),
        film(box(b"trak", box(b"tkhd", bytes(12)))),
        film(box(b"udta", mvhd(1000, 1000))),
        box(b"moov") * 100_000,
        box(b"moov", box(b"moov", mvhd(1000, 1000))),
    ],
)
def test_what_is_not_known_is_not_guessed(data: bytes) -> None:
    assert facts(data) == FilmFacts()


@given(st.binary(max_size=60), st.integers(0, 1000))
def test_nothing_in_a_file_raises(noise: bytes, at: int) -> None:
    whole = film(mvhd(8000, 1000), box(b"trak", tkhd(1280, 720)))
    facts(noise)
    facts(whole[:at] + noise + whole[at:])
    facts(whole[:at])


@pytest.mark.parametrize(
    ("width", "height", "fills"),
    [
        (1920, 1080, True),
        (1080, 1920, True),
        (1920, 800, True),
        (1440, 1080, True),
        (1280, 720, False),
        (1918, 1078, False),
        (None, None, False),
    ],
)
def test_a_film_is_as_large_as_1080p_in_either_direction(width: int | None, height: int | None, fills: bool) -> None:
    assert FilmFacts(8.0, width, height).fills(1080) is fills
