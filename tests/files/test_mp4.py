"""A film is whole if its boxes fill the file to the last byte and none is missing."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aveo3.files import mp4
from aveo3.mock.state.films import bundled
from aveo3.testing.scripted import FILM


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def long_box(kind: bytes, content: bytes = b"") -> bytes:
    return b"\0\0\0\1" + kind + (16 + len(content)).to_bytes(8, "big") + content


def last_box(kind: bytes, content: bytes = b"") -> bytes:
    return b"\0\0\0\0" + kind + content


FTYP, MOOV, MDAT = box(b"ftyp", b"isom"), box(b"moov", b"index"), box(b"mdat", b"pictures")


def flaw(film: bytes) -> str | None:
    return mp4.flaw(io.BytesIO(film), len(film))


@pytest.mark.parametrize(
    "film",
    [
        FTYP + MOOV + MDAT,
        FTYP + MDAT + MOOV,
        FTYP + box(b"free") + MDAT + MOOV + box(b"uuid", bytes(100)),
        FTYP + long_box(b"mdat", b"pictures") + MOOV,
        long_box(b"ftyp", b"isom") + MOOV + long_box(b"mdat"),
        FTYP + MOOV + last_box(b"mdat", b"pictures"),
        FTYP + MOOV + last_box(b"mdat"),
        FTYP + box(b"moof") + MDAT + box(b"moof") + MDAT,
        FILM,
        FILM + b"more",
        bundled(),
    ],
    ids=range(11),
)
def test_whole_films(film: bytes) -> None:
    assert flaw(film) is None
    assert mp4.begins_well(film[: mp4.HEAD])


@pytest.mark.parametrize(
    ("film", "words"),
    [
        (b"", "it has no index (moov)"),
        (b"\0\0\0", "3 bytes are left over at its end"),
        (b"<html>sign in</html>", "its first box is b'l>si', not ftyp"),
        (MOOV + FTYP + MDAT, "its first box is b'moov', not ftyp"),
        (FTYP, "it has no index (moov)"),
        (FTYP + MDAT, "it has no index (moov)"),
        (FTYP + MOOV, "it has no pictures (mdat)"),
        (FTYP + MOOV + MDAT[:-1], "its box b'mdat' at byte 25 is 16 bytes long, of which 15 are there"),
        (FTYP + MOOV + MDAT[:8], "its box b'mdat' at byte 25 is 16 bytes long, of which 8 are there"),
        (FTYP + MOOV + MDAT[:7], "7 bytes are left over at its end"),
        (FTYP + MOOV + MDAT + b"\0", "1 bytes are left over at its end"),
        (FTYP + b"\0\0\0\7moov" + MDAT, "its box b'moov' at byte 12 claims to be 7 bytes long"),
        (FTYP + b"\0\0\0\1mdat" + bytes(7) + b"\17", "its box b'mdat' at byte 12 claims to be 15 bytes long"),
        (FTYP + b"\0\0\0\1mdat\0\0", "its box b'mdat' at byte 12 claims to be 0 bytes long"),
        (
            FTYP + MOOV + long_box(b"mdat", b"pictures")[:-3],
            "its box b'mdat' at byte 25 is 24 bytes long, of which 21 are there",
        ),
        (last_box(b"ftyp") + MOOV + MDAT, "it has no index (moov)"),
    ],
)
def test_what_is_wrong_with_a_film_is_said(film: bytes, words: str) -> None:
    assert flaw(film) == words


@pytest.mark.parametrize("film", [FTYP + MDAT + MOOV, FTYP + MOOV + long_box(b"mdat", bytes(30)), bundled()])
def test_a_film_cut_anywhere_is_not_whole(film: bytes) -> None:
    assert [size for size in range(len(film)) if flaw(film[:size]) is None] == []


@given(st.binary(max_size=100))
def test_whatever_the_bytes_it_ends_and_never_raises(data: bytes) -> None:
    flaw(data)
    flaw(FTYP + data)
