"""A directory of mock runs: stopped and resumed without an account, and never mixed with real clips."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import aveo3.mock
from aveo3 import Settings, VeoClient, VideoPrompt
from aveo3.cli.exit_codes import Exit
from aveo3.journal.journal import Journal
from aveo3.lifecycle import State
from aveo3.mock import MockOptions
from aveo3.testing import run_virtual
from tests.support.desk import Desk
from tests.support.terminal import run

# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 24


@pytest.fixture(autouse=True)
def latency(monkeypatch: pytest.MonkeyPatch, time_jumps: None) -> dict[str, str]:
    """How long the emulator's clips take."""
    chosen = {"latency": "100"}

    def slow(**values: Any) -> MockOptions:
        return MockOptions.model_validate({**values, "films": "bundled", **chosen})

    monkeypatch.setattr(aveo3.mock, "MockOptions", slow)
    monkeypatch.setenv("VEO3_POLL_INTERVAL", "0.01")
    return chosen


def stopped(*prompts: Any, latency: dict[str, str], **settings: Any) -> None:
    """A mock run that was left while its clips were being made."""

    async def main() -> None:
        async with (
            VeoClient(Settings(mock_mode=True, output_dir=Path("clips"), **settings)) as veo,
            veo.stream(prompts) as clips,
        ):
            while veo.stats().submitted < len(prompts):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            await clips.leave()

    run_virtual(main())
    assert states() == [State.RUNNING] * len(prompts)
    latency["latency"] = "0.1"


def states() -> list[State]:
    with Journal(Path("clips", ".aveo3", "journal.db"), writes=False) as journal:
        return [record.state for record in journal.records()]


def planned(service: str) -> None:
    """A directory with a job of this service."""
    with Journal(Path("clips", ".aveo3", "journal.db")) as journal:
        stream = journal.claims.begin_stream()
        journal.claims.plan(stream, service, "1a2b", position=0, model="m", prompt={"text": "a"})


def test_what_a_stopped_mock_run_left_is_resumed_without_an_account(latency: dict[str, str]) -> None:
    Path("a.png").write_bytes(PNG)
    twice = VideoPrompt(text="b", seed=7)
    stopped("a", twice, twice, {"text": "c", "image": "a.png"}, latency=latency, model="veo-3.1-lite-generate-001")
    code, stdout, stderr = run("resume", "clips", "--json")
    assert code == Exit.ALL_MADE
    assert "finishing 4 jobs of earlier runs in the emulator" in stderr
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert [line["status"] for line in lines] == ["succeeded"] * 4
    assert {line["model"] for line in lines} == {"veo-3.1-lite-generate-001"}
    assert states() == [State.SUCCEEDED] * 4  # the same jobs, no new ones
    assert run("resume", "clips") == (0, "nothing to finish in clips: no job is running\n", "")


def test_what_is_resumed_is_named_and_told_as_in_a_first_run(latency: dict[str, str]) -> None:
    stopped("a", "b", latency=latency)
    Path("told").mkdir()
    code, stdout, _ = run("resume", "clips", "--json", "--name", "{slug}", "--exec", "cp {path} told")
    assert code == Exit.ALL_MADE
    assert sorted(Path(path).name for line in stdout.splitlines() for path in json.loads(line)["paths"]) == [
        "a.mp4",
        "b.mp4",
    ]
    assert sorted(path.name for path in Path("told").iterdir()) == ["a.mp4", "b.mp4"]


def test_the_same_prompts_go_on_in_mock_mode_too(latency: dict[str, str]) -> None:
    stopped("a", "b", latency=latency)
    assert run("generate", "-", "--mock", "-q", stdin="a\nb\n")[0] == Exit.ALL_MADE
    assert states() == [State.SUCCEEDED] * 2


def test_a_directory_without_a_job_has_nothing_to_finish() -> None:
    Journal(Path("clips", ".aveo3", "journal.db")).close()
    assert run("resume", "clips") == (0, "nothing to finish in clips: no job is running\n", "")


def test_a_directory_of_real_clips_still_needs_credentials() -> None:
    planned("google")
    code, _, stderr = run("resume", "clips")
    assert code == Exit.USAGE
    assert "No credentials found" in stderr


@pytest.mark.parametrize(
    ("service", "way"),
    [
        (
            "google",
            "clips has 1 job at Google: for these, set its credentials (aveo3 login), and neither VEO3_BASE_URL",
        ),
        ("local", "clips has 1 job at a server on this machine: for these, set VEO3_BASE_URL to its address"),
        ("custom", "clips has 1 job at a backend of your own: for these, call veo.resume() in Python"),
    ],
)
def test_running_jobs_of_another_service_are_told_and_how_to_reach_them(
    service: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Desk() as desk:
        desk.job(State.RUNNING, service=service)
    code, stdout, stderr = run("resume", "clips")
    assert (code, stdout) == (Exit.USAGE, "")
    assert f"no credentials found. {way}" in stderr
    monkeypatch.setenv("VEO3_MOCK_MODE", "true")
    code, stdout, stderr = run("resume", "clips")
    assert (code, stdout) == (Exit.SOME_NOT, "")
    assert f"nothing was finished: {way}" in stderr


def test_a_job_of_a_mock_directory_is_planned_again_without_an_account(latency: dict[str, str]) -> None:
    stopped("a", latency=latency)
    with Journal(Path("clips", ".aveo3", "journal.db"), writes=False) as journal:
        [name] = [record.name for record in journal.records()]
    assert run("retry", "clips", name)[0] == Exit.ALL_MADE
    assert states() == [State.PLANNED]


@pytest.mark.parametrize("key", [None, "a-key"])
def test_a_real_run_into_a_mock_directory_is_refused(key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if key is not None:
        monkeypatch.setenv("GEMINI_API_KEY", key)
    planned("mock")
    code, stdout, stderr = run("generate", "--prompt", "a")
    assert (code, stdout) == (Exit.USAGE, "")
    assert "clips holds clips of the emulator. For real ones name another directory (--output-dir); to go on" in stderr
    code, stdout, _ = run("generate", "--prompt", "a", "--dry-run")
    assert code == Exit.ALL_MADE
    assert "clips holds clips of the emulator" in " ".join(stdout.split())


def test_a_mock_run_into_a_directory_of_real_clips_is_refused() -> None:
    planned("google")
    code, stdout, stderr = run("generate", "--prompt", "a", "--mock")
    assert (code, stdout) == (Exit.USAGE, "")
    assert "clips holds clips that Google made. For those of the emulator name another directory" in stderr


@pytest.mark.parametrize("services", [("mock", "google"), ("google", "mock")])
def test_a_directory_that_is_mixed_already_is_gone_on_with(services: tuple[str, ...], latency: dict[str, str]) -> None:
    latency["latency"] = "0.1"
    for service in services:
        planned(service)
    assert run("generate", "--prompt", "b", "--mock", "-q")[0] == Exit.ALL_MADE
