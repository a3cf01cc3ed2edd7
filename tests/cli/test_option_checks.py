"""Options that no prompt can be sent with are one usage error, and nothing is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aveo3.cli.exit_codes import Exit
from aveo3.cli.options import database_field
from aveo3.errors import UsageError
from aveo3.lifecycle import State
from aveo3.models import VideoPrompt
from tests.support.desk import Desk
from tests.support.terminal import run

BEST, OMNI = "veo-3.1-generate-001", "gemini-omni-1.1-flash"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many prompts each run would have sent, on Vertex AI in project p."""

    async def note(*_: Any, to_send: int, **__: Any) -> Exit:
        sizes.append(to_send)
        return Exit.ALL_MADE

    sizes: list[int] = []
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    monkeypatch.setenv("GEMINI_API_KEY", "key")
    monkeypatch.setattr("aveo3.cli.run.run", note)
    Path("a.gif").write_bytes(b"GIF89a")
    Path("boats.txt").write_text("boat 1\nboat 2\nboat 3\n", "utf-8")
    return sizes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--aspect-ratio", "4:3"], "--aspect-ratio 4:3: aspect_ratio='4:3' is not offered by veo-3.1-generate-001"),
        (["--duration", "5"], "--duration 5: duration_seconds=5 is not offered by veo-3.1-generate-001: choose 4"),
        (["--resolution", "360p"], "--resolution 360p: resolution='360p' is not offered by veo-3.1-generate-001"),
        (["--duration", "5", "--mock"], "--duration 5: duration_seconds=5 is not offered"),
        (["--duration", "5", "--dry-run"], "--duration 5: duration_seconds=5 is not offered"),
        (
            ["--reference", "a.gif"],
            "--reference a.gif: reference_images[0] is image/gif, and veo-3.1-generate-001 takes",
        ),
        (["--no-audio", "--model", OMNI], "--no-audio: gemini-omni-1.1-flash makes no silent videos"),
        (["--seed", "3", "--model", OMNI], "--seed 3: gemini-omni-1.1-flash takes no seed"),
        (["--model", "veo-3.1"], "--model veo-3.1: model veo-3.1 is not in the catalog"),
        (["--model", "veo-3.1-fast"], "did you mean veo-3.1-fast-generate-001?"),
        (["--model", "veo-3.1-fast-generate-01", "--dry-run"], "did you mean veo-3.1-fast-generate-001?"),
        (["--model", "veo-3.1-fast", "--mock"], "did you mean veo-3.1-fast-generate-001?"),
        (["--model", "sora-2"], "`aveo3 models` lists all models"),
    ],
)
def test_an_option_that_no_prompt_can_be_sent_with_is_one_error(
    options: list[str], words: str, runs: list[int]
) -> None:
    code, stdout, stderr = run("generate", "boats.txt", *options)
    assert (code, runs, stdout) == (Exit.USAGE, [], "")
    assert stderr.startswith("aveo3: nothing was sent: ")
    assert words in stderr
    assert stderr.count("\n") == 1


def test_a_misspelt_model_in_a_variable_is_named_as_such(runs: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEO3_MODEL", "veo-3.1-fast")
    code, _, stderr = run("generate", "boats.txt")
    assert (code, runs) == (Exit.USAGE, [])
    assert "nothing was sent: VEO3_MODEL=veo-3.1-fast: model veo-3.1-fast is not in the catalog" in stderr


def test_a_model_that_the_users_catalog_has_is_sent(runs: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.toml").write_text(f'[models."veo-4"]\nlike = "{BEST}"\n', "utf-8")
    monkeypatch.setenv("VEO3_CATALOG", "mine.toml")
    assert run("generate", "boats.txt", "--model", "veo-4")[0] == Exit.ALL_MADE
    assert runs == [3]


def test_a_prompt_with_a_value_of_its_own_does_not_forbid_the_option(runs: list[int]) -> None:
    Path("a.jsonl").write_text('{"text": "a", "duration_seconds": 5}\n{"text": "b"}\n', "utf-8")
    assert run("generate", "a.jsonl", "--duration", "4")[0] == Exit.ALL_MADE, "the first comes back as rejected"
    assert runs == [2]


def test_what_is_made_already_is_not_refused(runs: list[int]) -> None:
    desk = Desk()
    for text in ("boat 1", "boat 2", "boat 3"):
        digest = VideoPrompt(text=text, duration_seconds=5).digest("veo-3.1")
        desk.job(State.RUNNING, text, digest=digest)
    desk.killed()
    assert run("generate", "boats.txt", "--duration", "5", "--model", "veo-3.1")[0] == Exit.ALL_MADE
    assert runs == [0], "a job of an earlier run is finished, whatever the catalog says today"


@pytest.mark.parametrize("option", [["--resolution", "480p"], ["--duration", "0"], ["--duration", "5"]])
def test_a_simulation_refuses_such_options_as_well(option: list[str]) -> None:
    code, _, stderr = run("simulate", "--clips", "3", *option)
    assert code == Exit.USAGE
    assert stderr.count("\n") == 1
    code, _, stderr = run("simulate", "--clips", "3", "--model", "veo-3.1-fast")
    assert (code, "did you mean" in stderr) == (Exit.USAGE, True)


@pytest.mark.parametrize("address", ["postgresql://me:s3cr3t@db/veo", "postgresql://db/veo?password=s3cr3t"])
def test_a_password_on_the_command_line_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(UsageError, match="the password into PGPASSWORD") as refused:
        database_field(address)
    assert "s3cr3t" not in str(refused.value)
    with pytest.raises(UsageError, match="--database \\(hidden\\) is refused: must be an address of PostgreSQL"):
        database_field(address.replace("postgresql", "mysql"))
    assert database_field("postgresql://me@db/veo") == {"database": "postgresql://me@db/veo"}
    assert database_field(None) == {}
