"""`aveo3 generate` with prompts that begin from other clips: dry runs, exit codes, `failed.jsonl`, second runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aveo3.mock
from aveo3.cli.exit_codes import Exit
from aveo3.mock import MockOptions
from tests.support.terminal import run

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

INTRO = {"id": "intro", "text": "a paper boat", "duration_seconds": 4}
STORM = {"id": "storm", "text": "a storm", "image": {"clip": "intro", "frame": "last"}}
CALM = {"id": "calm", "text": "calm again", "image": "clip:storm#0.5", "last_frame": "clip:intro#first"}
ALONE = {"text": "a lighthouse"}


@pytest.fixture(autouse=True)
def emulate(monkeypatch: pytest.MonkeyPatch, time_jumps: None) -> Callable[..., None]:
    """Make `--mock` run a fast emulator with these options."""

    def options(**chosen: Any) -> None:
        def fast(**values: Any) -> MockOptions:
            return MockOptions.model_validate({**values, "latency": "0.01", **chosen})

        monkeypatch.setattr(aveo3.mock, "MockOptions", fast)

    monkeypatch.setenv("VEO3_POLL_INTERVAL", "0.01")
    options()
    return options


def write(*prompts: dict[str, Any]) -> str:
    Path("film.jsonl").write_text("".join(f"{json.dumps(prompt)}\n" for prompt in prompts), "utf-8")
    return "film.jsonl"


def facts(file: str) -> dict[str, Any]:
    code, stdout, _ = run("generate", file, "--mock", "--dry-run", "--json")
    assert code == Exit.ALL_MADE
    found: dict[str, Any] = json.loads(stdout)
    return found


def test_a_chain_is_made_in_one_run_and_known_by_the_next() -> None:
    file = write(CALM, STORM, INTRO, ALONE)
    before = facts(file)
    assert (before["to_send"], before["cost_usd"], before["already_made"]) == (4, 11.2, 0)
    code, stdout, _ = run("generate", file, "--mock", "--json")
    assert code == Exit.ALL_MADE
    clips = {line["text"]: line for line in map(json.loads, stdout.splitlines())}
    assert clips["calm again"]["prompt"]["image"] == {"clip": "storm", "frame": 0.5}
    assert (facts(file)["to_send"], facts(file)["already_made"]) == (0, 4)
    code, stdout, _ = run("generate", file, "--mock", "--json")
    assert code == Exit.ALL_MADE
    assert all(json.loads(line)["cached"] for line in stdout.splitlines())


def test_the_dry_run_says_what_is_made_anew_because_its_source_is() -> None:
    run("generate", write(CALM, STORM, INTRO, ALONE), "--mock", "-q")
    file = write(CALM, {**STORM, "text": "a heavy storm"}, INTRO, ALONE)
    after = facts(file)
    assert (after["to_send"], after["made_anew"], after["already_made"]) == (2, 1, 2)
    assert any("1 of these prompts already has a clip here, to be made anew" in note for note in after["notes"])
    code, stdout, _ = run("generate", file, "--mock", "--json")
    assert code == Exit.ALL_MADE
    assert {line["text"]: line["cached"] for line in map(json.loads, stdout.splitlines())} == {
        "a paper boat": True,
        "a lighthouse": True,
        "a heavy storm": False,
        "calm again": False,
    }


def test_a_filtered_source_holds_back_what_hangs_on_it_until_it_is_made(emulate: Callable[..., None]) -> None:
    emulate(faults=["filtered-safety@1"])
    file = write(INTRO, STORM, CALM)
    code, stdout, stderr = run("generate", file, "--mock")
    assert code == Exit.SOME_NOT
    assert "not sent: 'intro', on which it depends, was filtered: change its prompt" in stderr
    words = " ".join(stdout.split())
    assert "2 clips were not sent, because a clip that each depends on was not made" in words
    assert "Run the same command again" not in words
    assert [json.loads(line)["id"] for line in Path("clips/failed.jsonl").read_text("utf-8").splitlines()] == [
        "intro",
        "storm",
        "calm",
    ]
    emulate()
    held = facts(file)
    assert (held["to_send"], held["not_sendable"], held["cost_usd"]) == (0, 2, 0)
    assert run("retry", "clips", "--filtered")[0] == Exit.ALL_MADE
    assert run("generate", "clips/failed.jsonl", "--mock", "-q")[0] == Exit.ALL_MADE


def test_a_clip_of_the_journal_that_was_not_made_leaves_nothing_to_run_again(emulate: Callable[..., None]) -> None:
    emulate(faults=["filtered-safety@1"])
    run("generate", write(INTRO), "--mock", "-q")
    assert run("generate", write(STORM), "--mock", "-q")[0] == Exit.SOME_NOT


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["a run", "a dry run"])
@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ([{**INTRO, "id": "intor"}, STORM], "prompt 2: no prompt of this call has the id 'intro'"),
        ([{**INTRO, "image": "clip:storm#last"}, STORM], "in a circle"),
        ([{**STORM, "image": {"clip": "intro"}}, INTRO], "image takes a picture: say which frame of the clip"),
        ([{**STORM, "image": "clip:intro#middle"}, INTRO], "must be first, last or a number of seconds from 0 on"),
    ],
    ids=["unknown", "circle", "no frame", "no such frame"],
)
def test_what_can_never_be_sent_is_a_usage_error(dry: list[str], prompts: list[dict[str, Any]], words: str) -> None:
    code, _, stderr = run("generate", write(*prompts), "--mock", *dry)
    assert code == Exit.USAGE
    assert words in " ".join(stderr.split())
    assert "nothing was sent" in stderr
    assert not Path("clips").exists()
