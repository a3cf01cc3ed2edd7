"""Draws contact sheets: the stills of all clips in a grid, with their numbers, states and prompts. Needs Pillow."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aveo3.errors import UsageError
from aveo3.journal.wording import plain
from aveo3.report.view import ClipRow, View

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMNS, ROWS = 5, 20
"""Clips of one picture: more make further pictures, `sheet-2.png` and so on."""
WIDTH, PICTURE, CAPTION, GAP, HEAD = 320, 180, 66, 16, 64
"""Pixels."""
PAPER, INK, MUTED, EMPTY = (255, 255, 255), (24, 28, 36), (96, 104, 116), (236, 238, 242)
COLOURS = {
    "succeeded": (22, 128, 60),
    "filtered": (180, 100, 0),
    "rejected": (190, 24, 24),
    "failed": (190, 24, 24),
    "uncertain": (150, 40, 160),
    "unfinished": (37, 99, 235),
    "running": (37, 99, 235),
    "fetching": (37, 99, 235),
    "submitting": (37, 99, 235),
}
FONTS = ("NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "DejaVuSans.ttf", "arial.ttf", "Arial Unicode.ttf")
"""Fonts with many signs, by the names that systems have them under; the first that is there."""


def names(path: Path, clips: int) -> list[Path]:
    """The files of the sheets of so many clips: `sheet.png`, `sheet-2.png`."""
    pages = max(1, -(-clips // (COLUMNS * ROWS)))
    return [path, *(path.with_name(f"{path.stem}-{page}{path.suffix}") for page in range(2, pages + 1))]


def write(view: View, path: Path, still: Callable[[ClipRow], bytes | None]) -> list[Path]:
    """Write the sheets of a view to `path` and the files after it. `still` gives the picture of a clip.

    Returns the files. Raises `UsageError` if one cannot be written, or its name says no kind of picture.
    """
    from PIL import Image

    if path.suffix.lower() not in {".png", ".jpg", ".jpeg", ".webp"}:
        raise UsageError(f"--sheet {path}: name a picture, such as sheet.png (also .jpg, .webp)")
    files, clips, share = names(path, len(view["clips"])), view["clips"], COLUMNS * ROWS
    Image.init()
    for number, file in enumerate(files):
        drawn = sheet(view, clips[number * share : (number + 1) * share], still, f"{number + 1}/{len(files)}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            drawn.save(file)
        except (OSError, ValueError) as error:
            raise UsageError(f"the sheet {file} cannot be written: {error}. Name another.") from error
    return files


def sheet(view: View, clips: Sequence[ClipRow], still: Callable[[ClipRow], bytes | None], page: str) -> Image:
    """One picture of a few clips."""
    from PIL import Image, ImageDraw

    columns = max(1, min(COLUMNS, len(clips)))
    rows = max(1, -(-len(clips) // COLUMNS))
    size = (GAP + columns * (WIDTH + GAP), HEAD + rows * (PICTURE + CAPTION + GAP) + GAP)
    drawn = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(drawn)
    large, small = _font(20), _font(12)
    made = sum(clip["status"] == "succeeded" for clip in view["clips"])
    _write(pen, (GAP, 12), _fitting(pen, view["title"], large, size[0] - 2 * GAP), large, INK)
    words = f"{made:,} of {len(view['clips']):,} clips, US$ {view['money']['spent_usd']:,.2f} spent, page {page}"
    _write(pen, (GAP, 38), _fitting(pen, words, small, size[0] - 2 * GAP), small, MUTED)
    for number, clip in enumerate(clips):
        x = GAP + number % COLUMNS * (WIDTH + GAP)
        y = HEAD + number // COLUMNS * (PICTURE + CAPTION + GAP)
        _picture(drawn, still(clip), (x, y))
        colour = COLOURS.get(clip["status"], MUTED)
        pen.rectangle((x, y + PICTURE, x + WIDTH - 1, y + PICTURE + 3), fill=colour)
        _write(pen, (x, y + PICTURE + 8), f"{clip['index'] + 1}  {clip['status']}", small, colour)
        for line, text in enumerate(_lines(pen, clip["text"], small)):
            _write(pen, (x, y + PICTURE + 25 + 16 * line), text, small, INK)
    return drawn


def _picture(drawn: Image, data: bytes | None, place: tuple[int, int]) -> None:
    """A still in the middle of its frame, whatever its shape."""
    from PIL import Image, ImageOps

    drawn.paste(EMPTY, (*place, place[0] + WIDTH, place[1] + PICTURE))
    if data is None:
        return
    try:
        with Image.open(io.BytesIO(data)) as still:
            fitted = ImageOps.contain(still.convert("RGB"), (WIDTH, PICTURE))
    except (OSError, ValueError):
        return
    drawn.paste(fitted, (place[0] + (WIDTH - fitted.width) // 2, place[1] + (PICTURE - fitted.height) // 2))


def _lines(pen: Any, text: str, font: Any) -> Iterator[str]:
    """The first two lines of a prompt, broken between words where there are any: CJK has no blanks."""
    text = plain(text)
    first = _most(pen, text, font, WIDTH)
    if first < len(text) and (blank := text.rfind(" ", first // 2, first + 1)) > 0:
        first = blank
    yield text[:first]
    if rest := text[first:].lstrip():
        yield _fitting(pen, rest, font, WIDTH)


def _fitting(pen: Any, text: str, font: Any, width: int) -> str:
    """`text` in one line, cut with `…` to what fits in `width` pixels."""
    text = plain(text)
    if (most := _most(pen, text, font, width)) == len(text):
        return text
    return text[: max(0, most - 2)].rstrip() + "…"


def _most(pen: Any, text: str, font: Any, width: int) -> int:
    """How many of the first characters of `text` fit in `width` pixels."""
    low, high = 0, min(len(text), width)
    while low < high:
        middle = (low + high + 1) // 2
        fits = pen.textlength(_shown(text[:middle]), font=font) <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _write(pen: Any, place: tuple[int, int], text: str, font: Any, colour: tuple[int, int, int]) -> None:
    pen.text(place, _shown(text), font=font, fill=colour)


def _shown(text: str) -> str:
    """`text` as a font can draw it: half an emoji is a question mark."""
    return unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())


def _font(size: int) -> Any:
    from PIL import ImageFont

    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
