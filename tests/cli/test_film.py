"""`aveo3 film`: from a story to a film on the command line, told beforehand, paid once."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

import aveo3.mock
from aveo3.cli.exit_codes import Exit
from aveo3.files.film_facts import film_facts
from aveo3.mock import MockOptions
from tests.support.ssl_context import SSL_CONTEXT
from tests.support.terminal import run

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

SCENES: list[dict[str, Any]] = [
    {"id": "one", "prompt": "a boat", "seconds": 4},
    {"id": "two", "prompt": "a kite", "from": "one"},
    {"id": "three", "prompt": "a lamp", "takes": 2},
]


@pytest.fixture(autouse=True)
def emulated(monkeypatch: pytest.MonkeyPatch, time_jumps: None) -> dict[str, Any]:
    """`--mock` runs a fast emulator with these options."""
    chosen: dict[str, Any] = {}

    def fast(**values: Any) -> MockOptions:
        return MockOptions.model_validate({**values, "latency": "0.01", "films": "bundled", **chosen})

    monkeypatch.setattr(aveo3.mock, "MockOptions", fast)
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: SSL_CONTEXT)  # reading it takes 25 ms
    monkeypatch.setenv("VEO3_POLL_INTERVAL", "0.01")
    return chosen


def story(scenes: list[dict[str, Any]] = SCENES, name: str = "sea.yaml", **fields: Any) -> str:
    Path(name).write_text(
        yaml.safe_dump({"title": "The Sea", "film": {"loudness": None}, "scenes": scenes, **fields}, sort_keys=False)
    )
    return name


def planned(*arguments: str) -> dict[str, Any]:
    code, stdout, _ = run("film", "plan", *arguments, "--json")
    assert code == Exit.ALL_MADE
    found: dict[str, Any] = json.loads(stdout)
    return found


def seconds(path: str) -> float:
    with Path(path).open("rb") as file:
        return film_facts(file, Path(path).stat().st_size).seconds or 0.0


def test_a_plan_needs_no_credentials_and_sends_nothing() -> None:
    code, stdout, stderr = run("film", "plan", story())
    assert (code, stderr) == (Exit.ALL_MADE, "")
    lines = stdout.splitlines()
    assert lines[0] == "The Sea: 3 scenes, in sea"
    assert lines[1].startswith("final: 0 of 4 clips are made; 4 to make, US$ 11.20 at list price, about 2 min")
    assert lines[2:] == [
        "  one.take-1    to make, US$ 1.60",
        "  two.take-1    to make, US$ 3.20 (after one.take-1)",
        "  three.take-1  to make, US$ 3.20",
        "  three.take-2  to make, US$ 3.20",
        "nothing was sent",
    ]
    assert not Path("sea").exists()


def test_one_command_makes_the_film_and_again_it_changes_nothing() -> None:
    code, stdout, stderr = run("film", "make", story(), "--mock")
    assert code == Exit.ALL_MADE
    assert "final: 0 of 4 clips are made; 4 to make" in stderr
    assert "film: sea/film.mp4 (24 s, 320×180, shots joined without encoding)" in stdout
    assert abs(seconds("sea/film.mp4") - 24) < 0.1
    assert sorted(path.name.rpartition("-")[0] for path in Path("sea").glob("*.take*.mp4")) == [
        *("one.take-1", "three.take-1", "three.take-2", "two.take-1"),
    ]
    before = Path("sea/film.mp4").stat().st_mtime_ns
    code, stdout, stderr = run("film", "make", story(), "--mock")
    assert code == Exit.ALL_MADE
    assert "film: sea/film.mp4 (unchanged)" in stdout
    assert "to make" not in stderr
    assert "--fresh" not in stderr
    assert Path("sea/film.mp4").stat().st_mtime_ns == before
    Path("sea/film.mp4").unlink()
    code, stdout, _ = run("film", "assemble", "sea")
    assert (code, stdout.startswith("film: sea/film.mp4 (24 s,")) == (Exit.ALL_MADE, True)


def test_what_a_change_makes_anew_is_told_before_it_is_made() -> None:
    run("film", "make", story(), "--mock", "-q")
    other = [SCENES[0], {**SCENES[1], "prompt": "a red kite"}, SCENES[2]]
    [stage] = planned(story(other))["stages"]
    assert [(take["id"], take["why"]) for take in stage["takes"] if take["standing"] == "to_make"] == [
        ("two.take-1", "changed: its words")
    ]
    assert (stage["made"], stage["to_make"], stage["cost_usd"]) == (3, 1, 3.2)
    code, stdout, _ = run("film", "make", "sea.yaml", "--mock", "--dry-run", "--budget", "1")
    assert code == Exit.ALL_MADE
    assert "the budget of US$ 1 is too small: the clips beyond it are deferred" in stdout
    code, stdout, stderr = run("film", "make", "sea.yaml", "--mock", "--json")
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert code == Exit.ALL_MADE
    assert {line["prompt"]["id"]: line["cached"] for line in lines[:-1]} == {
        "one.take-1": True,
        "two.take-1": False,
        "three.take-1": True,
        "three.take-2": True,
    }
    assert lines[-1] | {"seconds": 24} == {"film": "sea/film.mp4", "missing": [], "seconds": 24, "encoded": False}
    assert "  two.take-1  to make, US$ 3.20 (changed: its words)" in stderr


def test_a_pick_is_kept_and_says_what_it_costs() -> None:
    run("film", "make", story([{**SCENES[0], "takes": 2}, SCENES[1]]), "--mock", "-q")
    code, stdout, _ = run("film", "pick", "sea.yaml", "one", "2")
    assert code == Exit.ALL_MADE
    assert stdout.splitlines()[0] == "one: take 2 is picked"
    assert json.loads(Path("sea/.aveo3/film-picks.json").read_text()) == {"one": 2}
    picked = {take["id"] for take in planned("sea")["stages"][0]["takes"] if take["picked"]}
    assert picked == {"one.take-2", "two.take-1"}
    for arguments, told in (
        (("oen", "1"), "there is no scene oen: did you mean one?"),
        (("one", "3"), "scene one has 2 takes: pick 1 to 2, or raise its `takes`"),
    ):
        code, _, stderr = run("film", "pick", "sea.yaml", *arguments)
        assert code == Exit.USAGE
        assert told in stderr


def test_a_story_that_can_never_be_made_is_refused_before_anything_is_sent() -> None:
    code, stdout, stderr = run("film", "make", story([{**SCENES[0], "seconds": 5}]), "--mock")
    assert code == Exit.USAGE
    assert "one.take-1: duration_seconds=5 is not offered by veo-3.1-generate-001: choose 4 or 6 or 8" in stderr
    assert not Path("sea/.aveo3/journal.db").exists()
    code, stdout, _ = run("film", "plan", "sea.yaml")
    assert code == Exit.SOME_NOT
    assert "impossible: duration_seconds=5" in stdout
    code, _, stderr = run("film", "make", story([{**SCENES[0], "secnds": 8}]), "--mock")
    assert code == Exit.USAGE
    assert "scene one: secnds: there is no such field: did you mean seconds?" in stderr


def test_a_scene_without_a_clip_stops_the_film_or_is_left_out(emulated: dict[str, Any]) -> None:
    emulated["faults"] = ("filtered-safety@2",)
    code, _, stderr = run("film", "make", story(SCENES[:2]), "--mock")
    assert code == Exit.SOME_NOT
    assert "the film is not assembled: two has no clip" in stderr
    assert "  two.take-1: filtered: " in stderr
    assert not Path("sea/film.mp4").exists()
    [stage] = planned("sea")["stages"]
    assert [take["standing"] for take in stage["takes"]] == ["made", "ended"]
    story(SCENES[:2], film={"missing": "skip", "loudness": None})
    code, stdout, _ = run("film", "assemble", "sea")
    assert code == Exit.ALL_MADE
    assert "film: sea/film.mp4 (8 s" in stdout


def test_a_film_is_never_written_over_a_clip() -> None:
    run("film", "make", story(SCENES[2:]), "--mock")
    [clip] = Path("sea").glob("three.take-2*.mp4")  # the film has take 1
    whole = clip.read_bytes()
    for command in (["make", "sea.yaml", "--mock"], ["assemble", "sea.yaml"]):
        code, _, stderr = run("film", *command, "--film", str(clip))
        assert code == Exit.USAGE
        assert f"{clip} is a clip: give the film another name" in stderr
    assert clip.read_bytes() == whole


def test_without_a_journal_no_film_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_JOURNAL", "none")
    code, _, stderr = run("film", "make", story(), "--mock")
    assert code == Exit.USAGE
    assert "nothing was sent: a film is put together by its journal. Unset VEO3_JOURNAL=none." in stderr
    assert not [*Path("sea").glob("*.mp4")]


def test_a_directory_holds_one_film() -> None:
    run("film", "make", story(SCENES[:1]), "--mock", "-q")
    other = story(SCENES[:1], "land.yaml")
    code, _, stderr = run("film", "make", other, "--mock", "-o", "sea")
    assert code == Exit.USAGE
    assert f"sea holds the film of {Path('sea.yaml').absolute()}: name another directory" in stderr
    Path("sea.yaml").rename("ocean.yaml")  # the same story under another name goes on
    code, stdout, _ = run("film", "make", "ocean.yaml", "--mock", "-o", "sea")
    assert (code, "film: sea/film.mp4 (unchanged)" in stdout) == (Exit.ALL_MADE, True)


def test_drafts_are_shown_on_a_sheet_and_finals_made_of_the_picked_ones() -> None:
    profiles: dict[str, Any] = {"draft": {"model": "veo-3.1-lite-generate-001"}, "final": {"resolution": "1080p"}}
    code, stdout, _ = run("film", "make", story(**profiles), "--draft", "--mock")
    assert code == Exit.ALL_MADE
    assert "film: sea/film-draft.mp4 (24 s" in stdout
    code, stdout, _ = run("film", "sheet", "sea")
    assert (code, stdout) == (Exit.ALL_MADE, "sea/sheet.png\n")
    assert Path("sea/sheet.png").stat().st_size > 1000
    draft, final = planned("sea")["stages"]
    assert (draft["made"], draft["to_make"]) == (4, 0)
    assert (final["made"], final["to_make"], final["cost_usd"]) == (0, 3, 8.0)


def test_the_cut_goes_on_in_an_editing_program() -> None:
    run("film", "make", story(), "--mock", "-q")
    code, stdout, _ = run("film", "assemble", "sea.yaml", "--timeline", "sea/film.otio")
    assert (code, stdout) == (Exit.ALL_MADE, "sea/film.otio\n")
    assert "one" in Path("sea/film.otio").read_text()
