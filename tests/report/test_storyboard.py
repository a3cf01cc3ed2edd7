"""A report shows the film of its directory, and trusts no word of its `film.json`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from aveo3 import Settings
from aveo3.cli.report_file import make
from aveo3.mock.state.films import bundled
from aveo3.report.from_journal import url_from
from aveo3.report.storyboard import Board, film_video
from aveo3.report.view import FilmRow
from tests.support import boards
from tests.support.reports import Past


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "film"
    place.mkdir()
    return place


@pytest.fixture
def content(home: Path) -> dict[str, Any]:
    """What `film.json` holds; the clips are made."""
    past = Past(home)
    found = boards.film(past)
    past.journal.close()
    return found


def shown(home: Path) -> FilmRow:
    url = url_from(home)
    film = Board(home).row("aveo3 film make", lambda _, film: film_video(film, url(film.path), None), picks=False)
    assert film is not None
    return film


def test_the_storyboard_has_scenes_takes_picks_and_what_hangs_on_them(home: Path, content: dict[str, Any]) -> None:
    boards.write(home, content, {"storm": 2, "beam": 9, "gone": 3})
    film = shown(home)
    assert (film["title"], film["problem"], film["picks"]) == ("The <b>Last</b> Boat", None, False)
    assert film["films"]["final"]["src"] == "film.mp4"
    storm, beam, harbour = film["scenes"]
    assert (storm["id"], storm["begins"], storm["picked"], storm["changed"]) == ("storm", None, 2, True)
    assert storm["hangs"] == ["beam", "harbour"]
    assert [take["number"] for take in storm["takes"]] == [1, 2]
    # Beam has no take 9.
    assert (beam["begins"], beam["picked"], beam["changed"]) == (
        "the last frame of storm",
        1,
        False,
    )  # it has no take 9
    assert (harbour["source"], harbour["hangs"], harbour["takes"][0]["job"]) == ("beam", [], None)


def test_a_directory_without_a_film_has_none(home: Path, content: dict[str, Any]) -> None:
    assert Board(home).row("", lambda *_: None, picks=False) is None  # type: ignore[arg-type]


def test_a_bad_file_costs_no_report_which_says_so(home: Path, content: dict[str, Any]) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("bokeh")
    boards.write(home, "{")
    made = make(Settings(output_dir=home), home)
    film = made.view.get("film")
    assert film is not None
    assert film["command"].startswith("aveo3 film make ")
    assert film["problem"] in made.notes
    assert len(made.view["clips"]) == 3


@pytest.mark.parametrize(
    "content_of",
    [
        lambda _: "{",
        lambda _: "[" * 50_000,
        lambda _: [1],
        lambda film: {**film, "version": 7},
        lambda film: {**film, "title": 3},
        lambda film: {**film, "scenes": []},
        lambda film: {**film, "scenes": [{**film["scenes"][0], "takes": [{"id": "x", "stage": "<b>", "take": -1}]}]},
    ],
)
def test_a_bad_or_foreign_file_has_no_storyboard(home: Path, content: dict[str, Any], content_of: Any) -> None:
    boards.write(home, content_of(content))
    film = shown(home)
    assert (film["scenes"], film["films"]) == ([], {})
    assert "holds no film that this aveo3 knows" in str(film["problem"])


def test_picks_that_cannot_be_read_are_told(home: Path, content: dict[str, Any]) -> None:
    boards.write(home, content, {"storm": -1})
    film = shown(home)
    assert film["scenes"][0]["picked"] == 1
    assert "holds no picked takes" in str(film["problem"])


@pytest.mark.skipif(sys.platform == "win32", reason="makes links and pipes")
def test_of_the_films_that_it_names_only_those_in_the_directory_are_shown(home: Path, content: dict[str, Any]) -> None:
    secret = home.parent / "secret.mp4"
    secret.write_bytes(bundled())
    (home / "film.mp4").unlink()
    (home / "notes.txt").write_text("no film")
    (home / "link.mp4").symlink_to(secret)
    os.mkfifo(home / "pipe.mp4")
    for path in (str(secret), "../secret.mp4", "notes.txt", "link.mp4", "pipe.mp4", ".", "a\0b", 7, None):
        content["films"] = {"final": {"path": path, "made_of": "x", "size": 1}}
        boards.write(home, content)
        film = shown(home)
        assert film["films"] == {}, path
        assert path != str(secret) or "outside" in str(film["problem"])


def test_a_directory_that_was_moved_keeps_its_film(home: Path, content: dict[str, Any]) -> None:
    content["films"]["final"]["path"] = "/elsewhere/film/film.mp4"
    boards.write(home, content)
    film = shown(home)
    assert (film["films"]["final"]["src"], film["problem"]) == ("film.mp4", None)
    content["films"]["final"]["size"] += 1  # another film of the same name
    boards.write(home, content)
    assert shown(home)["films"] == {}
