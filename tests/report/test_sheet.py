"""Contact sheets: a picture of all clips, whatever their prompts are written in."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from aveo3 import UsageError
from aveo3.lifecycle import State
from aveo3.mock.state.films import FilmSpec, draw
from aveo3.report import sheet
from aveo3.report.view import ClipRow, View
from aveo3.stills import cut
from tests.support.reports import Past, multiply, seen

TEXTS = (
    *("", "a boat", "word" * 500, "half \ud83d", "\x1b[31m\u202eright"),
    *("日本語の川 " * 40, "🎬🚤 " * 60, "مرحبا " * 30),
)


@pytest.fixture
def view(tmp_path: Path) -> View:
    past = Past(tmp_path)
    for text in TEXTS:
        past.make(past.plan(text))
    past.end(past.plan("blocked"), State.FILTERED, "safety", "no", after=State.RUNNING)
    past.journal.close()
    return seen(tmp_path)


def nothing(row: ClipRow) -> bytes | None:
    return None


def test_a_sheet_shows_the_still_and_the_state_of_every_clip(view: View, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(draw(FilmSpec("a boat", 4, "9:16", "720p", 0)))
    still = cut(film)
    [file] = sheet.write(view, tmp_path / "out" / "sheet.png", lambda row: still if row["index"] == 0 else None)
    with Image.open(file) as drawn:
        step = sheet.WIDTH + sheet.GAP
        assert drawn.width == sheet.GAP + 5 * step
        row = sheet.PICTURE + sheet.CAPTION + sheet.GAP
        assert drawn.height == sheet.HEAD + 2 * row + sheet.GAP
        middle = (sheet.GAP + sheet.WIDTH // 2, sheet.HEAD + sheet.PICTURE // 2)
        assert drawn.getpixel(middle) not in (sheet.PAPER, sheet.EMPTY)  # an upright film, in the middle
        assert drawn.getpixel((sheet.GAP + 4, middle[1])) == sheet.EMPTY
        for number, state in ((1, "succeeded"), (8, "filtered")):
            place = (sheet.GAP + number % 5 * step + 9, sheet.HEAD + number // 5 * row + sheet.PICTURE + 1)
            assert drawn.getpixel(place) == sheet.COLOURS[state]


def test_more_clips_than_fit_make_further_sheets(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.make(past.plan("a boat"))
    past.journal.close()
    multiply(past.journal.path, 201)
    files = sheet.write(seen(tmp_path), tmp_path / "sheet.png", nothing)
    assert [file.name for file in files] == ["sheet.png", "sheet-2.png", "sheet-3.png"]
    heights = []
    for file in files:
        with Image.open(file) as drawn:
            heights.append(drawn.size)
    assert heights[0] == heights[1]
    assert heights[2] == (2 * sheet.GAP + sheet.WIDTH, sheet.HEAD + sheet.PICTURE + sheet.CAPTION + 2 * sheet.GAP)


def test_a_directory_without_clips_has_a_sheet(tmp_path: Path) -> None:
    Past(tmp_path).journal.close()
    [file] = sheet.write(seen(tmp_path), tmp_path / "sheet.webp", nothing)
    assert file.is_file()


def test_a_sheet_needs_the_name_of_a_picture_and_a_place(view: View, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--sheet .*sheet\.txt: name a picture, such as sheet\.png"):
        sheet.write(view, tmp_path / "sheet.txt", nothing)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"sheet\.png cannot be written: .* Name another\."):
        sheet.write(view, tmp_path / "file" / "sheet.png", nothing)
