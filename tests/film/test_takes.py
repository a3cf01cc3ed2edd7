"""What a story sends: the cast as pictures where the model takes them, fields by their order, takes by their source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aveo3 import Settings, UsageError, VeoClient
from aveo3.film import Story
from aveo3.film.takes import Stage, Takes, takes_of

VEO, LITE, OMNI = "veo-3.1-generate-001", "veo-3.1-lite-generate-001", "gemini-omni-1.2-flash"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)


@pytest.fixture(autouse=True)
def pictures() -> None:
    for name in ("m1", "m2", "b1", "b2", "l1"):
        Path(f"{name}.png").write_bytes(PNG + name.encode())


CAST: dict[str, Any] = {
    "mara": {"name": "Mara", "words": "a woman", "pictures": ["m1.png", "m2.png"]},
    "boat": {"words": "a red boat", "pictures": ["b1.png", "b2.png"]},
    "lamp": {"words": "a lamp", "pictures": ["l1.png"]},
}


def takes(
    *scenes: dict[str, Any], stage: Stage = Stage.FINAL, picks: dict[str, int] | None = None, **fields: Any
) -> Takes:
    numbered = [{"id": f"s{n}", **scene} for n, scene in enumerate(scenes, start=1)]
    story = Story.model_validate({"title": "A story", "cast": CAST, "scenes": numbered, **fields})
    veo = VeoClient(Settings(mock_mode=True))
    return takes_of(story, veo.routes, stage=stage, picks=picks or {})


def sent(found: Takes) -> list[list[str]]:
    return [[str(image.path) for image in take.prompt.reference_images] for take in found.all]


def test_each_member_has_its_first_picture_before_any_has_a_second_up_to_what_the_model_takes() -> None:
    found = takes({"prompt": "{mara} and {boat}"})
    assert sent(found) == [["m1.png", "b1.png", "m2.png"]]
    assert found.notes == [f"scene s1: 1 of 4 cast pictures are not sent: 4 reference_images: {VEO} takes at most 3"]
    [take] = found.all
    assert take.prompt.text == "Mara, a woman, and a red boat"
    assert sent(takes({"prompt": "{boat}"}, look="{mara} sings.")) == [["b1.png", "m1.png", "b2.png"]]


@pytest.mark.parametrize(
    ("scene", "why"),
    [
        ({"model": LITE}, f"{LITE} takes no reference_images"),
        ({"seconds": 4}, f"reference_images needs duration_seconds=8 on {VEO}, not 4"),
    ],
)
def test_where_the_model_takes_no_pictures_the_cast_is_words(scene: dict[str, Any], why: str) -> None:
    found = takes({"prompt": "{boat} sails", **scene}, {"prompt": "{lamp}", **scene})
    assert sent(found) == [[], []]
    assert [take.problems for take in found.all] == [(), ()]
    assert found.all[0].prompt.text == "A red boat sails"
    assert found.notes == [f"scenes s1 and s2: the cast is sent as words, not as pictures: {why}"]


def test_a_scene_that_begins_with_a_picture_has_no_others() -> None:
    found = takes({"prompt": "{boat} sails", "from": {"picture": "l1.png"}}, {"prompt": "{boat}", "from": "s1"})
    assert sent(found) == [[], []]
    first, second = (take.prompt.image for take in found.all)
    assert first is not None
    assert str(first.path) == "l1.png"
    assert second is not None
    assert (second.clip, second.frame) == ("s1.take-1", "last")


def test_a_scene_says_more_than_a_profile_and_that_more_than_the_defaults() -> None:
    fields: dict[str, Any] = {
        "defaults": {"resolution": "720p", "aspect_ratio": "9:16", "seconds": 6},
        "draft": {"model": LITE, "seconds": 4},
        "final": {"resolution": "1080p"},
    }
    scenes = ({"prompt": "a"}, {"prompt": "b", "seconds": 8, "resolution": "720p"})
    shown = [
        [(each.prompt.model, each.prompt.resolution, each.prompt.duration_seconds, each.prompt.aspect_ratio)]
        for stage in (Stage.DRAFT, Stage.FINAL)
        for each in takes(*scenes, stage=stage, **fields).all
    ]
    assert shown == [
        [(LITE, "720p", 4, "9:16")],
        [(LITE, "720p", 8, "9:16")],
        [(None, "1080p", 6, "9:16")],
        [(None, "720p", 8, "9:16")],
    ]


def test_an_extension_has_the_length_and_shape_of_its_own() -> None:
    found = takes(
        {"prompt": "a"},
        {"prompt": "b", "from": {"extend": "s1"}},
        {"prompt": "c", "from": {"extend": "s2"}, "seconds": 7},
        defaults={"seconds": 8, "aspect_ratio": "9:16", "resolution": "720p"},
    )
    assert [take.problems for take in found.all] == [(), (), ()]
    assert [take.needs for take in found.all] == [None, "s1.take-1", "s2.take-1"]
    extension = found.all[1].prompt
    assert extension.video is not None
    assert (extension.video.clip, extension.video.frame) == ("s1.take-1", None)
    assert (extension.duration_seconds, extension.aspect_ratio) == (None, None)
    assert found.all[2].prompt.duration_seconds == 7


def test_others_hang_on_the_picked_take_and_one_that_is_no_more_counts_as_none() -> None:
    scenes = ({"prompt": "a", "takes": 2}, {"prompt": "b", "from": "s1"})
    assert [take.needs for take in takes(*scenes, picks={"s1": 2}).all] == [None, None, "s1.take-2"]
    assert [take.needs for take in takes(*scenes, picks={"s1": 5}).all] == [None, None, "s1.take-1"]


def test_what_makes_no_prompt_names_its_scene() -> None:
    with pytest.raises(UsageError, match=r"^scene s1: image: cannot tell the media type of no-ending"):
        takes({"prompt": "a", "from": {"picture": "no-ending"}})
