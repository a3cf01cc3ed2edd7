"""The same prompts on Vertex AI, on the Gemini API and over several lanes, by settings alone: the real SDK against the
emulator, whose books show what was paid."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aveo3 import ClipStatus, Settings, VeoClient, VideoClip
from aveo3.cli.prompt_files import read_prompts
from aveo3.mock import Books, MockServer
from tests.support.emulated import assert_on_disk, emulator

BEST, OMNI = "veo-3.1-generate-001", "gemini-omni-1.2-flash"
PROMPTS: list[dict[str, Any]] = [
    {"text": "a boat", "aspect_ratio": "9:16"},
    {"text": "another boat", "duration_seconds": 6, "id": "two"},
    {"text": "a third boat", "resolution": "1080p", "duration_seconds": 8, "metadata": {"scene": 3}},
    *({"text": f"boat {number}"} for number in range(4, 21)),
]

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


def lanes(*limits: int) -> list[dict[str, Any]]:
    names = ("alpha", "beta", "gamma")
    return [{"project": name, "rate_limit": n, "rate_period": 0.2} for name, n in zip(names, limits, strict=False)]


def environment(monkeypatch: pytest.MonkeyPatch, server: MockServer, **variables: str) -> None:
    quick = {"VEO3_RATE_LIMIT": "100", "VEO3_POLL_INTERVAL": "0.01", "VEO3_RETRY_WAIT_BASE": "0.01"}
    for name, value in {"VEO3_BASE_URL": server.url, **quick, **variables}.items():
        monkeypatch.setenv(name, value)


async def run(server: MockServer) -> tuple[list[VideoClip], Books]:
    async with VeoClient(Settings()) as veo:
        clips = await veo.generate_many(read_prompts("prompts.jsonl"))
    return clips, server.books


WAYS: dict[str, dict[str, str]] = {
    "Vertex AI": {"GOOGLE_CLOUD_PROJECT": "alpha"},
    "Vertex AI in express mode": {"VEO3_BACKEND": "vertex", "GOOGLE_API_KEY": "k"},
    "Gemini API": {"GEMINI_API_KEY": "k"},
    "three lanes": {"VEO3_LANES": "lanes.toml", "GEMINI_API_KEY": "k"},
}


LANES = """
[[lane]]
project = "alpha"
[[lane]]
project = "beta"
location = "europe-west4"
[[lane]]
api_key_env = "GEMINI_API_KEY"
"""


@pytest.fixture
def files() -> None:
    Path("prompts.jsonl").write_text("\n".join(map(json.dumps, PROMPTS)))
    Path("lanes.toml").write_text(LANES)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("way", WAYS)
async def test_the_same_prompts_run_anywhere_by_settings_alone(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with emulator() as server:
        environment(monkeypatch, server, **WAYS[way])
        clips, books = await run(server)
        again, _ = await run(server)
    assert_on_disk(clips)
    assert books.accepted_by_prompt == Counter(str(prompt["text"]) for prompt in PROMPTS)
    assert [clip.cached for clip in again] == [True] * len(PROMPTS)
    assert {clip.model for clip in clips} == (
        {BEST, OMNI} if way == "three lanes" else {BEST} if "V" in way else {OMNI}
    )
    assert (clips[1].prompt.id, clips[2].prompt.metadata) == ("two", {"scene": 3})


async def test_over_lanes_no_quota_is_overrun_and_a_dead_one_is_left_to_the_others() -> None:
    quotas = ["project=alpha,rpm=2", "project=beta,rpm=5", "project=gamma,rpm=none"]
    async with emulator(period=0.2, rpm=None, quotas=quotas) as server:
        common = Settings(base_url=server.url, poll_interval=0.01, model=BEST, journal=None)
        async with VeoClient(common, lanes=lanes(2, 5, 10)) as veo:
            clips = await veo.generate_many([f"boat {n}" for n in range(40)])
            assert veo.stats().refusals == 0
            assert all(gate.accepted for gate in veo.stats().gates.values())
        server.change(quotas=[*quotas, "project=gamma,rpm=0"])
        async with VeoClient(common, lanes=lanes(2, 5, 10)) as veo:
            later = await veo.generate_many([f"ship {n}" for n in range(20)])
            gates = veo.stats().gates
    assert {clip.status for clip in (*clips, *later)} == {ClipStatus.SUCCEEDED}
    assert gates["gamma/us-central1/veo-3.1-generate-001"].closed is not None
    assert set(server.books.accepted_by_prompt.values()) == {1}


async def test_a_fallback_of_the_other_backend_makes_the_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with emulator(quotas=[f"model={BEST},rpm=0"]) as server:
        environment(monkeypatch, server, GOOGLE_CLOUD_PROJECT="alpha", GEMINI_API_KEY="k", VEO3_FALLBACK=OMNI)
        async with VeoClient() as veo:
            clip = await veo.generate({"text": "a boat", "negative_prompt": "rain"})
    assert (clip.model, clip.instead_of) == (OMNI, BEST)
    assert clip.translated == ("duration_seconds=8", "negative_prompt is in the text")
    assert server.books.accepted_by_prompt == Counter({"a boat\nAvoid: rain": 1})


async def test_mock_mode_has_the_lanes_with_their_quotas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "somebody's")
    given = [{"project": "alpha", "rate_limit": 3, "rate_period": 1}, {"api_key_env": "KEY", "rate_limit": 9}]
    async with VeoClient(Settings(mock_mode=True, rate_period=2), lanes=given) as veo:
        clips = await veo.generate_many([f"boat {n}" for n in range(12)])
        stats = veo.stats()
    assert_on_disk(clips)
    assert stats.refusals == 0
    assert {clip.model for clip in clips} == {BEST, OMNI}
