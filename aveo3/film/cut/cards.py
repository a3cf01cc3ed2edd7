"""Draws title cards: the text wrapped, in the middle, as large as fits."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from aveo3.errors import UsageError
from aveo3.film.cut.errors import BrokenShot
from aveo3.film.cut.model import Card

INK, PAPER = (236, 236, 232), (14, 14, 16)
FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKjp-Regular.otf",
    "Arial Unicode.ttf",
    "Arial.ttf",
    "segoeui.ttf",
    "msyh.ttc",
    "YuGothM.ttc",
    "malgun.ttf",
    "Hiragino Sans GB.ttc",
    "AppleSDGothicNeo.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "FreeSans.ttf",
)
"""Where letters are looked for that Pillow's own font does not have."""
_NOWHERE = "\U0010fffe"
"""A character that no font has: what is drawn for it stands for missing letters."""


def drawn(card: Card, width: int, height: int) -> Any:
    """A picture of the card, an `Image` of Pillow. Raises `BrokenShot`, or `UsageError` for letters without a font."""
    if find_spec("PIL") is None:
        raise UsageError("title cards are drawn by Pillow: pip install 'aveo3[film]'")
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(image)
    text = "".join(
        letter for letter in card.text if letter == "\n" or unicodedata.category(letter) not in ("Cc", "Cf", "Cs")
    )
    size, least = max(10, height // 9), max(8, height // 40)
    while True:
        font = _font(card, text, size)
        lines = _wrapped(pen, text, font, width * 0.84)
        left, top, right, bottom = pen.multiline_textbbox((0, 0), "\n".join(lines), font=font, spacing=size * 0.4)
        if right - left <= width * 0.86 and bottom - top <= height * 0.84:
            break
        if size <= least:
            raise UsageError(f"{card} does not fit into {width}×{height}, even in small letters: shorten its text")
        size = max(least, size * 9 // 10)
    pen.multiline_text(
        ((width - right + left) / 2 - left, (height - bottom + top) / 2 - top),
        "\n".join(lines),
        font=font,
        fill=INK,
        spacing=size * 0.4,
        align="center",
    )
    return image


def _wrapped(pen: Any, text: str, font: Any, width: float) -> list[str]:
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if pen.textlength(longer, font=font) <= width:
                line = longer
                continue
            if line:
                lines.append(line)
            line = ""
            for letter in word:  # a word that is longer than a line, as in Japanese, is broken anywhere
                if line and pen.textlength(line + letter, font=font) > width:
                    lines.append(line)
                    line = ""
                line += letter
        lines.append(line)
    return lines


def _font(card: Card, text: str, size: int) -> Any:
    from PIL import ImageFont

    letters = "".join(sorted(set(text) - {" ", "\n"}))
    if card.font is not None:
        try:
            font = ImageFont.truetype(str(card.font), size)
        except OSError as error:
            raise BrokenShot(card, f"cannot be drawn: {card.font} is no font that can be read ({error})") from error
        missing, where = _missing(str(card.font), letters), f"{card.font} does not have"
    else:
        name = _name(letters)
        if name is not None:
            return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)
        font, missing, where = None, _missing("", letters), "no font at hand has"
    if missing:
        raise UsageError(f"{card}: {where} the letters {missing!r}: set `font` to one that has them")
    return font


@lru_cache(64)
def _name(letters: str) -> str | None:
    """The first font that has all letters; empty for Pillow's own, None if there is none."""
    return next((name for name in ("", *FONTS) if not _missing(name, letters)), None)


@lru_cache(64)
def _missing(name: str, letters: str) -> str:
    """The letters that a font does not have; all of them if there is no such font."""
    from PIL import ImageFont

    try:
        font = ImageFont.truetype(name, 24) if name else ImageFont.load_default(24)
    except OSError:
        return letters
    nothing = bytes(font.getmask(_NOWHERE))
    return "".join(letter for letter in letters if bytes(font.getmask(letter)) == nothing)
