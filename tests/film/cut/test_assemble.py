"""Films are cut exactly: each picture and each beep of the shots is found where it belongs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aveo3.film.cut import AssembledFilm, Card, CrossFade, Cut, Shot, ThroughBlack, assemble
from tests.support.marked_films import heard, made, marks, sound_of, spec

av = pytest.importorskip("av")


def film(cut: Cut, directory: Path) -> AssembledFilm:
    return assemble(cut, directory / "film.mp4", preset="ultrafast", crf=12)


def numbered(name: str, first: int = 0, end: int = 48) -> list[tuple[int, int]]:
    return [(spec(name).mark, number) for number in range(first, end)]


@pytest.mark.parametrize("loudness", [None, pytest.param(-14.0, marks=pytest.mark.whole)])
def test_hard_cuts_copy_every_picture_and_keep_the_sound_with_it(tmp_path: Path, loudness: float | None) -> None:
    # Lengths that are no whole number of the sound's packets, so that errors would add up.
    lengths = {"a": 1.5, "b": 2.25, "c": 1.25, "d": 1.5, "e": 1.75}
    shots = [Shot(made(tmp_path, name, seconds)) for name, seconds in lengths.items()]
    result = film(Cut(shots, loudness=loudness), tmp_path)
    assert (result.video, result.sound) == ("copied", "copied" if loudness is None else "encoded")
    assert marks(result.path) == [
        mark for name, seconds in lengths.items() for mark in numbered(name, 0, round(seconds * 24))
    ]
    starts = [start / 24 for start in result.starts]
    beeps = [
        start + n for start, seconds in zip(starts, lengths.values(), strict=True) for n in range(int(seconds + 1))
    ]
    # A packet is 21 ms long, so copied sound is at most half of that early or late.
    assert heard(result.path) == pytest.approx(beeps, abs=0.0112 if loudness is None else 0.001)


def test_a_shot_that_is_cut_out_of_its_middle_is_exact_whether_copied_or_not(tmp_path: Path) -> None:
    path = made(tmp_path, "a", 3, options={"g": "12", "bf": "0", "preset": "ultrafast", "sc_threshold": "0"})
    whole = made(tmp_path, "b", 2, options={"g": "12", "bf": "0", "preset": "ultrafast", "sc_threshold": "0"})
    at_key = film(Cut([Shot(path, 0.5, 2), Shot(whole)], loudness=None), tmp_path)
    assert (at_key.video, at_key.sound) == ("copied", "copied")
    assert marks(at_key.path) == numbered("a", 12, 48) + numbered("b")
    assert heard(at_key.path) == pytest.approx([0.5, 1.5, 2.5], abs=0.0112)
    between = film(Cut([Shot(path, 0.75, 1.6), Shot(whole)]), tmp_path)
    assert (between.video, between.sound) == ("encoded", "encoded")
    assert between.why_encoded == "shot 'a.mp4' does not begin at a picture that stands by itself"
    assert marks(between.path) == numbered("a", 18, 38) + numbered("b")
    assert heard(between.path) == pytest.approx([0.25, 20 / 24, 20 / 24 + 1], abs=0.001)


def test_pictures_that_need_later_ones_are_not_cut_off_from_them(tmp_path: Path) -> None:
    path = made(tmp_path, "a", 2, options={"bf": "3", "b-adapt": "0", "preset": "ultrafast"})
    ends_within = film(Cut([Shot(path, 0, 30 / 24), Shot(path)], loudness=None), tmp_path)
    assert marks(ends_within.path) == numbered("a", 0, 30) + numbered("a")


def test_items_are_mixed_faded_and_shown_for_whole_pictures(tmp_path: Path) -> None:
    shots = [Shot(made(tmp_path, name)) for name in "abc"]
    cut = Cut(
        [Card("The boat", 1), *shots, Card("The end", 0.5)],
        [None, CrossFade(0.5), ThroughBlack(0.5), None],
        fade_in=0.25,
        fade_out=0.25,
    )
    result = film(cut, tmp_path)
    assert (result.frames, result.starts) == (24 + 48 + 36 + 48 + 12, (0, 24, 60, 108, 156))
    shown = marks(result.path)
    assert len(shown) == result.frames
    assert shown[24:60] == numbered("a", 0, 36)
    assert shown[72:102] == numbered("b", 12, 42)
    assert shown[114:156] == numbered("c", 6, 48)
    for number, mark in enumerate(shown[60:72]):  # at first rather the one, at last rather the other
        assert mark in (None, (spec("a").mark, 36 + number), (spec("b").mark, number))
    assert shown[66] is None
    # The beeps of b at 0 s and of c at 0 s are within fades, and so begin softly.
    for beep in (1, 2, 3.5, 5.5):
        assert min(abs(beep - at) for at in heard(result.path)) < 0.002


WEBM = {"suffix": ".webm", "codec": "libvpx", "options": {"cpu-used": "8", "b": "2M"}, "sound_codec": "libopus"}


ODD: list[dict[str, Any]] = [
    {
        "size": (640, 360),
        "sound_rate": 44_100,
        "layout": "mono",
        "sound_seconds": 1.3,
    },  # the quick one: several at once
    {"size": (640, 360)},
    {"size": (640, 180), "options": {"x264-params": "sar=1/2", "crf": "12"}},
    {"suffix": ".mkv"},
    WEBM,
    {"pixels": "yuv420p10le"},
    {"pixels": "yuvj420p"},
    {"sound_rate": 44_100, "layout": "mono"},
    {"sound_seconds": 1.3},
    {"sound_seconds": 0.5},
    {"sound": False},
]


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(odd, id="-".join(odd), marks=[] if number == 0 else pytest.mark.whole)
        for number, odd in enumerate(ODD)
    ],
)
def test_a_shot_unlike_the_first_one_is_brought_into_its_shape(tmp_path: Path, odd: dict[str, Any]) -> None:
    shots = [Shot(made(tmp_path, "a")), Shot(made(tmp_path, "b", **odd)), Shot(made(tmp_path, "c"))]
    result = film(Cut(shots), tmp_path)
    assert (result.width, result.height, result.frames) == (320, 180, 144)
    assert marks(result.path) == numbered("a") + numbered("b") + numbered("c")
    beeps = [0, 1, 2, 3, 4, 5]
    if "sound" in odd or odd.get("sound_seconds") == 0.5:
        beeps.remove(3)
    if "sound" in odd:
        beeps.remove(2)
    assert heard(result.path) == pytest.approx(beeps, abs=0.002)
    samples, rate = sound_of(result.path)
    assert samples.shape[1] / rate == pytest.approx(6, abs=0.025)


def test_a_picture_of_another_shape_gets_bars(tmp_path: Path) -> None:
    shots = [Shot(made(tmp_path, "a")), Shot(made(tmp_path, "b", size=(320, 360)))]
    result = film(Cut(shots), tmp_path)
    assert result.notes == ("shot 'b.mp4' has another shape than the film: it has bars",)
    with av.open(str(result.path)) as container:
        last = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)][-1]
    assert last[:, :76].max() < 8 < last[90, 100]
    assert last[:, 244:].max() < 8 < last[90, 220]


@pytest.mark.parametrize("rate", [Fraction(30), pytest.param(Fraction(24000, 1001), marks=pytest.mark.whole)])
def test_another_frame_rate_keeps_the_film_in_step(tmp_path: Path, rate: Fraction) -> None:
    shots = [Shot(made(tmp_path, "a")), Shot(made(tmp_path, "b", rate=rate)), Shot(made(tmp_path, "c"))]
    result = film(Cut(shots), tmp_path)
    between = round(48 / rate * 24)
    shown = marks(result.path)
    assert shown[:48] == numbered("a")
    assert shown[48 + between :] == numbered("c")
    for number, mark in enumerate(shown[48 : 48 + between]):
        assert mark is not None
        assert abs(mark[1] / rate - number / 24) <= 1.01 / rate  # the picture of that time, or its neighbour
    assert heard(result.path)[-2:] == pytest.approx([2 + between / 24, 3 + between / 24], abs=0.002)


@pytest.mark.parametrize("rotation", [90, *(pytest.param(each, marks=pytest.mark.whole) for each in (180, 270))])
def test_pictures_on_their_side_are_put_upright(tmp_path: Path, rotation: int) -> None:
    path = made(tmp_path, "a", 1)
    with av.open(str(path)) as container:
        upright = next(container.decode(video=0)).to_image().convert("L")
    (tmp_path / "turned").mkdir()
    turned = Shot(made(tmp_path / "turned", "a", 1, rotation=rotation))
    result = film(Cut([turned, Card("and", 0.5)]), tmp_path)
    with av.open(str(result.path)) as container:
        shown = next(container.decode(video=0)).to_image().convert("L")
    expected = upright.rotate(rotation, expand=True)
    assert shown.size == expected.size
    assert abs(np.asarray(shown, int) - np.asarray(expected, int)).mean() < 4
