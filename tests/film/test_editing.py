"""The list of shots, cards and joins of a story: what follows what, and what stands for a scene without a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aveo3.film import Story
from aveo3.film.cut import Card, CrossFade, Shot, ThroughBlack
from aveo3.film.editing import MissingScenes, cut_of, digest_of
from tests.support.studio import film_of


def story(**film: Any) -> Story:
    scenes = [
        {"id": "one", "prompt": "a boat\nat sea", "seconds": 4},
        {"id": "two", "prompt": "b", "transition": {"cross_fade": 0.5}, "card": "Later"},
        {"id": "three", "prompt": "c", "transition": "cut"},
    ]
    return Story.model_validate({"title": "A story", "scenes": scenes, "film": film})


CLIPS: dict[str, Path | None] = {name: Path(f"{name}.mp4") for name in ("one", "two", "three")}


def test_cards_and_transitions_stand_where_the_story_has_them() -> None:
    cut = cut_of(
        story(
            opening="Begin",
            closing={"text": "End", "seconds": 2},
            transition={"fade_to_black": 1},
            fade_out=1,
            audio=False,
        ),
        CLIPS,
    )
    assert list(cut.items) == [
        Card("Begin", 3),
        Shot(Path("one.mp4"), name="one", sound=False),
        Card("Later", 3),
        Shot(Path("two.mp4"), name="two", sound=False),
        Shot(Path("three.mp4"), name="three", sound=False),
        Card("End", 2),
    ]
    assert list(cut.joins) == [ThroughBlack(1), CrossFade(0.5), CrossFade(0.5), None, ThroughBlack(1)]
    assert (cut.fade_in, cut.fade_out, cut.loudness, cut.music) == (0, 1, -14, None)


@pytest.mark.parametrize(
    ("missing", "items"),
    [
        ("card", [Card("one\na boat at sea", 4), Card("Later", 3), "two", "three"]),
        ("skip", [Card("Later", 3), "two", "three"]),
    ],
)
def test_a_scene_without_a_clip_is_a_card_or_left_out(missing: str, items: list[Any]) -> None:
    cut = cut_of(story(missing=missing), {**CLIPS, "one": None})
    assert [item.name if isinstance(item, Shot) else item for item in cut.items] == items
    with pytest.raises(MissingScenes, match="one has no clip") as caught:
        cut_of(story(), {**CLIPS, "one": None})
    assert caught.value.scenes == ("one",)
    with pytest.raises(MissingScenes):
        cut_of(story(missing=missing), {})


def extended(*scenes: tuple[str, str, float]) -> list[tuple[str, float]]:
    """The shots, with where they begin, of scenes as (id, the scene it extends, the seconds of its file)."""
    fields = [
        {"id": name, "prompt": name, **({"from": {"extend": source}} if source else {})} for name, source, _ in scenes
    ]
    clips: dict[str, Path | None] = {}
    for name, _, seconds in scenes:
        clips[name] = Path(f"{name}.mp4")
        Path(f"{name}.mp4").write_bytes(film_of(name, seconds))
    cut = cut_of(Story.model_validate({"title": "A story", "scenes": fields}), clips)
    return [(item.name, item.start) for item in cut.items if isinstance(item, Shot)]


def test_an_extension_and_what_it_extends_are_one_shot() -> None:
    assert extended(("a", "", 1), ("b", "a", 2), ("c", "b", 3), ("d", "", 1)) == [("c", 0), ("d", 0)]


def test_an_extension_elsewhere_begins_where_its_own_part_does() -> None:
    assert extended(("a", "", 1), ("x", "", 1), ("b", "a", 2)) == [("a", 0), ("x", 0), ("b", 1)]


def test_an_extension_that_holds_its_own_part_alone_is_a_shot_of_its_own() -> None:
    assert extended(("a", "", 2), ("b", "a", 1)) == [("a", 0), ("b", 0)]


def test_the_digest_of_a_film_changes_with_its_files_and_its_cut() -> None:
    for path in CLIPS.values():
        assert path is not None
        path.write_bytes(b"film")
    digest = digest_of(cut_of(story(), CLIPS))
    assert digest_of(cut_of(story(), CLIPS)) == digest
    assert digest_of(cut_of(story(loudness=None), CLIPS)) != digest
    Path("two.mp4").write_bytes(b"another")
    assert digest_of(cut_of(story(), CLIPS)) != digest
