"""The description of a film: what is refused, and where each item begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from aveo3.errors import UsageError
from aveo3.film.cut import BrokenShot, Card, CrossFade, Cut, Shot, assemble

A = Shot(Path("a.mp4"))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Cut([]), "a film needs at least one shot or card"),
        (lambda: Cut([A, A], [CrossFade(1), CrossFade(1)]), "2 items have 1 joins; got 2"),
        (lambda: Shot(Path("a.mp4"), 3, 2), "shot 'a.mp4' ends at 2 s, before it starts at 3 s"),
        (lambda: Shot(Path("a.mp4"), float("nan")), "start of shot 'a.mp4' is nan: give seconds, at least 0"),
        (lambda: Card("The end", 0), "length of card 'The end' is 0: give seconds, at least 0.01"),
        (lambda: Cut([A], size=(321, 180)), "even numbers from 16 to 8192"),
        (lambda: assemble(Cut([A]), "film.avi"), "film.avi is no name of an MP4 file"),
    ],
)
def test_what_cannot_be_a_film_is_refused_with_the_way_out(make: object, says: str) -> None:
    assert callable(make)
    with pytest.raises(UsageError, match="^" + says.replace("(", r"\(") + "|" + says):
        make()


def test_a_shot_without_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BrokenShot, match=r"^shot 'boat' \(.*gone.mp4\) is missing$"):
        assemble(Cut([Shot(tmp_path / "gone.mp4", name="boat")]), tmp_path / "film.mp4")
