"""Stills of films: small, kept beside the journal, and never in the way of a report."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from aveo3 import stills as cutting
from aveo3.mock.state.films import FilmSpec, draw
from aveo3.report import posters
from aveo3.report.from_journal import Film, url_from
from aveo3.report.posters import Posters, directory_of
from aveo3.stills import cut

HASH = "ab" * 32


@pytest.fixture
def film(tmp_path: Path) -> Film:
    path = tmp_path / "film.mp4"
    path.write_bytes(draw(FilmSpec("a boat", 4, "9:16", "720p", 0)))
    return Film(path, path.stat().st_size, HASH)


def test_a_still_is_a_small_picture_of_the_film(film: Film) -> None:
    data = cut(film.path)
    assert data is not None
    assert len(data) < 10_000
    with Image.open(io.BytesIO(data)) as picture:
        assert (picture.format, picture.size) == ("WEBP", (180, 320))


@pytest.mark.parametrize("spoil", [lambda film: b"", lambda film: b"no film", lambda film: film[: len(film) // 2]])
def test_a_film_that_is_missing_or_broken_has_none(film: Film, spoil: Callable[[bytes], bytes]) -> None:
    film.path.write_bytes(spoil(film.path.read_bytes()))
    assert cut(film.path) is None
    film.path.unlink()
    assert Posters(film.path.parent).urls([film], None) == {}


def test_a_film_that_begins_black_shows_a_later_picture(tmp_path: Path) -> None:
    import av

    path = tmp_path / "fade.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.options = {"g": "8", "keyint_min": "8"}
        for number in range(32):
            picture = Image.radial_gradient("L").resize((64, 64)).convert("RGB")
            black = Image.new("RGB", (64, 64))
            frame: Any = av.VideoFrame
            container.mux(stream.encode(frame.from_image(black if number < 12 else picture)))
        container.mux(stream.encode(None))
    with Image.open(io.BytesIO(cut(path) or b"")) as still:
        [_, lightest] = still.convert("L").getextrema()
        assert lightest > 100  # type: ignore[operator]


def test_a_still_is_kept_beside_the_journal_and_not_cut_again(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    stills = Posters(film.path.parent)
    first = stills.of(film)
    [kept] = directory_of(film.path.parent).iterdir()
    assert kept.read_bytes() == first
    monkeypatch.setattr(posters, "cut", lambda path: pytest.fail("cut again"))
    assert stills.of(film) == first
    assert kept == stills.path_of(film)


def test_the_first_stills_are_in_the_page_and_the_rest_are_files(film: Film) -> None:
    home = film.path.parent
    others = [Film(home / f"{n}.mp4", film.size, f"{n:032x}" * 2) for n in range(3)]
    for other in others:
        other.path.write_bytes(film.path.read_bytes())
    found = Posters(home).urls(others, url_from(home), inline=1)
    assert [found[other.path].partition(",")[0] for other in others] == [
        "data:image/webp;base64",
        f".aveo3/posters/{1:032x}.webp",
        f".aveo3/posters/{2:032x}.webp",
    ]
    assert set(Posters(home).urls(others, None, inline=2)) == {others[0].path, others[1].path}


def test_a_report_does_not_wait_for_the_stills_of_thousands_of_films(film: Film) -> None:
    stills = Posters(film.path.parent)
    assert stills.urls([film], None, patience=0) == {}
    assert stills.left_out == 1
    assert set(stills.urls([film], None)) == {film.path}
    assert set(stills.urls([film], None, patience=0)) == {film.path}  # that one is kept
    assert stills.left_out == 0


@pytest.mark.parametrize("digest", ["", "../../../../etc/passwd" * 3, "AB" * 32])
def test_a_hash_that_is_none_names_no_file(digest: str, film: Film) -> None:
    stills = Posters(film.path.parent)
    odd = Film(film.path, film.size, digest)
    assert stills.path_of(odd) is None
    assert stills.urls([odd], url_from(film.path.parent))[film.path].startswith("data:")
    assert not directory_of(film.path.parent).exists()


def test_a_directory_that_cannot_be_written_to_keeps_none(film: Film) -> None:
    (film.path.parent / ".aveo3").write_bytes(b"")  # where a directory is to be
    assert Posters(film.path.parent).urls([film], url_from(film.path.parent))[film.path].startswith("data:")


def test_without_pyav_there_are_no_stills(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "find_spec", lambda name: None)
    stills = Posters(film.path.parent)
    assert stills.urls([film], None) == {}
    assert stills.left_out == 0
