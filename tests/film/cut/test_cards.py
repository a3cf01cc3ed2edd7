"""Title cards: the text wrapped, in the middle, in letters that a font has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aveo3 import UsageError
from aveo3.film.cut import BrokenShot, Card, cards

pytest.importorskip("PIL")


@pytest.fixture(autouse=True)
def no_font_but_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fonts a machine has must not count."""
    monkeypatch.setattr(cards, "FONTS", ())
    monkeypatch.setattr(cards, "_name", cards._name.__wrapped__)


def inked(text: str, width: int = 640, height: int = 360, **fields: Any) -> np.ndarray:
    """Where the card's picture is light."""
    return np.asarray(cards.drawn(Card(text, 1, **fields), width, height).convert("L")) > 128


def lines(ink: np.ndarray) -> int:
    """Runs of rows with ink: lines, for letters without dots above or parts below."""
    rows = ink.any(axis=1)
    return int(np.count_nonzero(np.diff(rows.astype(int)) == 1))


def test_text_is_in_the_middle() -> None:
    ink = inked("HOME")
    (top, bottom), (left, right) = (np.flatnonzero(ink.any(axis=axis))[[0, -1]] for axis in (1, 0))
    assert abs((top + bottom) / 2 - 179.5) <= 2
    assert abs((left + right) / 2 - 319.5) <= 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HOME", 1),
        ("HOME\nAGAIN", 2),
        ("HOME  \n\n  AGAIN", 2),  # and an empty one between
        (" ".join(["HARBOUR"] * 6), 3),
        ("H" * 30, 2),  # a word that is longer than a line is broken anywhere
        ("HO\u200bME\r", 1),  # letters that are not seen are left out
    ],
)
def test_text_is_wrapped_where_the_picture_ends_and_at_line_breaks(text: str, expected: int) -> None:
    ink = inked(text)
    assert lines(ink) == expected
    edge = int(640 * 0.07)
    assert not ink[:, :edge].any()
    assert not ink[:, -edge:].any()


def test_a_long_text_is_drawn_smaller_and_one_that_never_fits_is_an_error() -> None:
    long = " ".join(["HARBOUR"] * 40)
    ink = inked(long)
    assert lines(ink) > 6
    assert not ink[: int(360 * 0.07)].any()
    assert not ink[-int(360 * 0.07) :].any()
    with pytest.raises(UsageError, match=r"does not fit into 128×72, even in small letters: shorten its text$"):
        inked(long, 128, 72)


def test_letters_that_no_font_has_are_named_with_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"no font at hand has the letters 'म': set `font` to one that has them$"):
        inked("Sea म")


def test_a_font_of_ones_own_is_drawn_with_or_refused(tmp_path: Path) -> None:
    from PIL import ImageFont

    own = ImageFont.load_default(24)
    assert isinstance(own, ImageFont.FreeTypeFont)
    file = tmp_path / "own.ttf"
    file.write_bytes(own.font_bytes)
    assert lines(inked("HOME", font=file)) == 1
    with pytest.raises(UsageError, match=r"own\.ttf does not have the letters 'म': set `font`"):
        inked("Sea म", font=file)
    file.write_text("no font")
    with pytest.raises(BrokenShot, match=r"^card 'HOME' cannot be drawn: .*own\.ttf is no font that can be read"):
        inked("HOME", font=file)
