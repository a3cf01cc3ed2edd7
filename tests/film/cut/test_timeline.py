"""Timelines for editing programs: read back, they are the film."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from aveo3.errors import UsageError
from aveo3.film.cut import Card, CrossFade, Cut, Music, Shot, ThroughBlack, assemble, write_timeline
from tests.support.marked_films import made

otio: Any = pytest.importorskip("opentimelineio")


@pytest.fixture
def cut(tmp_path: Path) -> Cut:
    (tmp_path / "clips of a day").mkdir()
    shots = [Shot(made(tmp_path / "clips of a day", name, 2)) for name in "abc"]
    return Cut(
        [Card("The boat", 1), shots[0], Shot(shots[1].path, 0.5, 2, name="b, cut"), shots[2]],
        [None, CrossFade(0.5), ThroughBlack(1)],
        fade_out=0.5,
        music=Music(made(tmp_path, "music", 2.5)),
        title="A boat",
    )


def test_a_timeline_has_the_length_the_items_and_the_transitions_of_the_film(tmp_path: Path, cut: Cut) -> None:
    film = assemble(cut, tmp_path / "film.mp4", preset="ultrafast")
    timeline = otio.adapters.read_from_file(str(write_timeline(cut, tmp_path / "film.otio")))
    assert timeline.name == "A boat"
    for track in timeline.tracks:
        assert track.duration().rescaled_to(24).value == film.frames
    pictures, sound, music = timeline.tracks
    clips = pictures.find_clips()
    assert [clip.name for clip in clips] == ["card 'The boat'", "a.mp4", "b, cut", "c.mp4"]
    starts = [clip.range_in_parent().start_time.value for clip in clips]
    assert starts == [0, 24, film.starts[2] + 6, film.starts[3]]  # the cut is in the middle of the cross-fade
    assert [clip.source_range.start_time.value for clip in clips] == [0, 0, 12 + 6, 0]
    fade, last = [each for each in pictures if isinstance(each, otio.schema.Transition)]
    assert (fade.in_offset.value, fade.out_offset.value, last.in_offset.value, last.out_offset.value) == (6, 6, 12, 0)
    assert [marker.name for marker in clips[2].markers] == ["Fade through black"]
    assert isinstance(sound[0], otio.schema.Gap)
    assert [clip.source_range.duration.value for clip in music.find_clips()] == [60, 60, 24]


def test_media_are_found_from_the_timeline_wherever_both_are_moved(tmp_path: Path, cut: Cut) -> None:
    (tmp_path / "edit").mkdir()
    path = write_timeline(cut, tmp_path / "edit" / "film.otio")
    for clip in otio.adapters.read_from_file(str(path)).find_clips():
        url = unquote(clip.media_reference.target_url)
        assert not Path(url).is_absolute()
        assert (path.parent / url).is_file()
        assert clip.source_range.end_time_exclusive() <= clip.available_range().end_time_exclusive()


def test_a_format_without_an_adapter_says_what_to_install(tmp_path: Path, cut: Cut) -> None:
    with pytest.raises(UsageError, match=r"written: pip install otio-cmx3600-adapter, or give a name that .* \.otio$"):
        write_timeline(cut, tmp_path / "film.edl")
    with pytest.raises(UsageError, match=r"written: give a name that ends in \.otio$"):
        write_timeline(cut, tmp_path / "film.doc")
    assert not list(tmp_path.glob("film*"))
