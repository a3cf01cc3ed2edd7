"""A story file: read strictly, and each mistake told with its line, its scene, its field and the way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from aveo3 import UsageError
from aveo3.cli.exit_codes import Exit
from aveo3.film import Story
from aveo3.film.example import STORY
from aveo3.film.schema import story_schema
from aveo3.film.words import words_of
from tests.support.terminal import run

BOAT = """\
title: The Last Boat
look: Evening light.
cast:
  mara: {name: Mara, words: a woman in a yellow raincoat}
  boat: {words: a red boat}
scenes:
  - id: harbour
    prompt: "{mara} waits for {boat}."
  - id: storm
    from: harbour
    prompt: Waves {{high}} as houses; {mara} sings, {mara}, and {boat}
"""


def saved(text: str, name: str = "story.yaml") -> Path:
    path = Path(name)
    path.write_text(text, "utf-8")
    return path


def mistakes(text: str, name: str = "story.yaml") -> list[str]:
    with pytest.raises(UsageError) as caught:
        Story.load(saved(text, name))
    return str(caught.value).splitlines()


def test_words_stand_for_names_and_the_look_comes_after_each_prompt() -> None:
    story = Story.load(saved(BOAT))
    harbour, storm = story.scenes
    assert words_of(story, harbour.prompt) == (
        "Mara, a woman in a yellow raincoat, waits for a red boat.\n\nEvening light."
    )
    assert words_of(story, storm.prompt) == (
        "Waves {high} as houses; Mara, a woman in a yellow raincoat, sings, Mara, and a red boat\n\nEvening light."
    )


def test_a_description_is_not_followed_by_two_signs() -> None:
    story = Story.load(saved(BOAT.replace('"{mara} waits for {boat}."', '"They wait for {mara}."')))
    assert words_of(story, story.scenes[0].prompt).startswith("They wait for Mara, a woman in a yellow raincoat.\n")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("look:", "looks:", "story.yaml:2: looks: there is no such field: did you mean look?"),
        (
            "prompt: Waves",
            "duration: 8\n    prompt: Waves",
            "story.yaml:11: scene storm: duration: there is no such field: did you mean seconds?",
        ),
        (
            "from: harbour",
            "from: harbor",
            "story.yaml:10: scene storm: from: there is no scene harbor: did you mean harbour?",
        ),
        (
            "from: harbour",
            "from: dawn.png",
            "story.yaml:10: scene storm: from: there is no scene dawn.png: a picture is written as {picture: dawn.png}",
        ),
        (
            "from: harbour",
            "from: {scene: harbour, frame: middle}",
            "story.yaml:10: scene storm: from.frame: must be 'first' or 'last', or must be a number (it is 'middle')",
        ),
        (
            "from: harbour",
            "from: {scene: harbour, extend: harbour}",
            "story.yaml:10: scene storm: from: give exactly one of scene, picture, extend; got scene and extend",
        ),
        (
            "from: harbour",
            "from: storm",
            "story.yaml:10: scene storm: from: goes in a circle (storm from storm): one of these scenes must begin by "
            "itself",
        ),
        (
            "from: harbour",
            'seconds: "8"',
            "story.yaml:10: scene storm: seconds: must be a number (it is '8')",
        ),
        (
            "from: harbour",
            "takes: 21",
            "story.yaml:10: scene storm: takes: must be less than or equal to 20 (it is 21)",
        ),
        (
            "id: storm",
            "id: harbour",
            "story.yaml:9: scene harbour: id: scene 1 has this id, too: give each scene its own",
        ),
        ("id: storm", "id: 2", "story.yaml:9: scene 2: id: must be text: write it in quotes, as '2'"),
        (
            "{mara} waits",
            "{mora} waits",
            "story.yaml:8: scene harbour: prompt: {mora} is not in the cast: did you mean {mara}?",
        ),
        (
            "{mara} waits",
            "{a fox} waits",
            "story.yaml:8: scene harbour: prompt: {a fox} is not in the cast: the cast has mara, boat, and",
        ),
        (
            "{mara} waits",
            "mara} waits",
            "story.yaml:8: scene harbour: prompt: has a lone '}': write }} for the sign, or a name",
        ),
        (
            "look: Evening light.",
            "final: {upscale: 4k}",
            "story.yaml:2: final.upscale: needs draft, the profile of the clips to upscale",
        ),
        (
            "look: Evening light.",
            "draft: {}\nfinal: {upscale: 4k, seconds: 8}",
            "story.yaml:3: final: upscale changes nothing but the size: leave seconds out",
        ),
        (
            "look: Evening light.",
            "film: {missing: crad}",
            "story.yaml:2: film.missing: must be 'stop', 'card' or 'skip' (it is 'crad')",
        ),
        (
            "look: Evening light.",
            "film: {music: sea.mp3}",
            "story.yaml:2: film.music.file: there is no file PLACE/sea.mp3",
        ),
        (BOAT[BOAT.index("scenes:") :], "scenes: []", "story.yaml:6: scenes: is empty: give at least one scene"),
        ("title: The Last Boat", "title: [a", "story.yaml:2:"),
        ("look: Evening light.", "title: Twice", "story.yaml:2:1: title is there twice: one of them would be lost"),
    ],
)
def test_a_mistake_is_told_with_its_line_its_scene_and_the_way_out(old: str, new: str, told: str) -> None:
    assert old in BOAT
    [said] = mistakes(BOAT.replace(old, new, 1))
    assert said.startswith(told.replace("PLACE", str(Path.cwd())))


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    said = mistakes(BOAT.replace("look:", "looks:").replace("from:", "form:").replace("id: harbour", "id: 7"))
    assert [line.split(": ")[0] for line in said] == ["story.yaml:2", "story.yaml:7", "story.yaml:10"]


TOML = """\
title = "The Last Boat"

[cast.mara]
words = "a woman"

[[scenes]]
id = "harbour"
prompt = "{mara} waits."

[[scenes]]
id = "storm"
seconds = 8
from = {scene = "harbour", frame = 1.5}
prompt = "Waves."
"""


def test_toml_and_json_say_the_same_as_yaml() -> None:
    story = Story.load(saved(TOML, "story.toml"))
    assert [scene.id for scene in story.scenes] == ["harbour", "storm"]
    assert story.scenes[1].begins is not None
    assert story.scenes[1].begins.frame == 1.5
    whole = json.dumps(story.model_dump(mode="json", by_alias=True, exclude_none=True))
    assert Story.load(saved(whole, "story.json")) == story
    said = mistakes(TOML.replace("seconds = 8", "secnds = 8"), "story.toml")
    assert said == ["story.toml:12: scene storm: secnds: there is no such field: did you mean seconds?"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("story.txt", b"title: a", "story.txt: a story is a file that ends in .yaml, .yml, .toml or .json"),
        ("missing.yaml", None, "missing.yaml: cannot read the story: No such file or directory"),
        ("story.yaml", b"title: \xff", "story.yaml: byte 8 is no UTF-8: save the file as UTF-8"),
        ("story.yaml", b"- a\n", "story.yaml: a story is a mapping of fields (title, scenes, …), not a list"),
        ("story.yaml", b"", "story.yaml: title: is missing: give it"),
        ("story.toml", b"title = ", "story.toml: Invalid value"),
    ],
)
def test_a_file_that_is_no_story_is_told_apart(name: str, content: bytes | None, told: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        Story.load(name)
    assert str(caught.value).startswith(told)


def test_aliases_and_anchors_are_read_and_cannot_explode() -> None:
    story = Story.load(
        saved("title: a\nscenes:\n  - &one {id: a, prompt: b, seconds: 4}\n  - {<<: *one, id: c, seconds: 6}\n")
    )
    assert [(scene.id, scene.prompt, scene.seconds) for scene in story.scenes] == [("a", "b", 4), ("c", "b", 6)]
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))
    [said] = mistakes(f"l0: &l0 [a]\n{levels}")
    assert "aliases make" in said


def test_in_python_a_story_is_checked_the_same_way() -> None:
    scenes: list[Any] = [{"id": "a", "prompt": "x"}, {"id": "b", "prompt": "y", "from": {"scene": "a"}}]
    assert Story(title="A", scenes=scenes).scenes[1].begins is not None
    with pytest.raises(ValidationError, match="there is no scene c"):
        Story.model_validate({"title": "A", "scenes": [{"id": "a", "prompt": "x", "from": "c"}]})


def test_paths_are_relative_to_the_story() -> None:
    Path("films").mkdir()
    Path("films", "dawn.png").write_bytes(b"\x89PNG")
    story = Story.load(saved(BOAT.replace("from: harbour", "from: {picture: dawn.png}"), "films/story.yaml"))
    assert story.scenes[1].begins is not None
    assert story.scenes[1].begins.picture == str(Path("films", "dawn.png").absolute())


# ---- the schema, and the example -------------------------------------------------------------------------------------


def test_the_schema_knows_every_field_and_describes_it() -> None:
    code, stdout, _ = run("film", "schema")
    schema = json.loads(stdout)
    assert code == Exit.ALL_MADE
    assert schema == story_schema()
    parts = [schema, *(part for each in schema["$defs"].values() for part in each.get("anyOf", [each]))]
    fields = [(name, field) for part in parts for name, field in part.get("properties", {}).items()]
    assert {"from", "cross_fade", "upscale", "pictures", "missing"} <= {name for name, _ in fields}
    assert [name for name, field in fields if not field.get("description")] == []


def test_the_example_is_a_story_of_six_scenes_that_its_schema_accepts() -> None:
    code, stdout, _ = run("film", "example", "my film")
    assert code == Exit.ALL_MADE
    assert "aveo3 film make 'my film/lighthouse.yaml' --mock" in stdout
    text = Path("my film", STORY).read_text("utf-8")
    jsonschema.validate(yaml.safe_load(text), story_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**yaml.safe_load(text), "scenes": [{"id": "a", "secnds": 8}]}, story_schema())
    story = Story.load(Path("my film", STORY))
    assert len(story.scenes) == 6
    assert len(story.cast) == 2
    code, _, stderr = run("film", "example", "my film")
    assert (code, "is there already" in stderr) == (Exit.USAGE, True)
