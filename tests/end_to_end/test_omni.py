"""VeoClient on the Gemini API, the real SDK and the emulator over real sockets: made, left, resumed, cached, refused.

As in `test_veo`, the figure that matters is `accepted_by_prompt`: a prompt with 2 there was paid twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from aveo3 import ClipStatus, Settings, VeoClient, VideoClip, VideoPrompt
from aveo3.backends import interactions
from aveo3.mock import MockServer
from tests.support.emulated import BOATS, assert_on_disk, emulator, make
from tests.support.emulated import quick as on_vertex
from tests.support.emulated_omni import on_gemini, quick
from tests.support.settings import settings

MODEL = "gemini-omni-1.1-flash"
PNG = b"\x89PNG\r\n\x1a\nnot much of a picture"

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


async def test_every_prompt_is_a_clip_on_disk_paid_once_at_what_google_bills() -> None:
    async with emulator() as server:
        clips, books = await make(server, **on_gemini())
    assert_on_disk(clips)
    assert {clip.model for clip in clips} == {MODEL}
    assert books.accepted_by_prompt == Counter(BOATS)
    assert all(0.9 < (clip.cost_usd or 0.0) < 1.2 for clip in clips)  # ten seconds, and some text


async def test_every_kind_of_prompt_is_taken() -> None:
    async with emulator() as server, VeoClient(on_vertex(server, **on_gemini())) as veo:
        first = await veo.generate({"text": "a boat", "duration_seconds": 3, "aspect_ratio": "9:16"})
        clips = await veo.generate_many(
            [
                {"text": "a boat from here", "image": PNG, "resolution": "360p"},
                {"text": "a boat from here to there", "image": PNG, "last_frame": PNG},
                {"text": "a boat of these", "reference_images": [PNG, PNG]},
                {"text": "by night", "previous": first.operation, "task": "edit"},
                {"text": "and on", "previous": first.operation, "task": "extend"},
                {"text": "and then?", "previous": first.operation},
                {"text": "another's boat", "video": first.path},
            ]
        )
    assert_on_disk([first, *clips])


@pytest.mark.parametrize("fault", [None, "filtered-safety"])
async def test_what_a_clip_of_the_tier_priority_cost_is_unknown(fault: str | None) -> None:
    """Google names the tokens, but their price in this tier is not on its list."""
    async with emulator(faults=[fault] if fault else []) as server, VeoClient(on_vertex(server, **on_gemini())) as veo:
        [first, usual] = await veo.generate_many([{"text": "a boat", "service_tier": "priority"}, "a ship"])
    assert first.cost_usd is None
    assert usual.cost_usd is not None


async def leave(server: MockServer, prompts: list[str], chosen: Settings) -> None:
    """A run that stops when everything is accepted and nothing is finished."""
    async with VeoClient(chosen) as veo:
        run = asyncio.create_task(veo.generate_many(prompts))
        while server.books.accepted < len(prompts):  # noqa: ASYNC110  (the emulator has no waker)
            await asyncio.sleep(0.005)
        run.cancel()
        [outcome] = await asyncio.gather(run, return_exceptions=True)
        assert isinstance(outcome, asyncio.CancelledError)


async def test_a_run_that_is_left_is_gone_on_with_by_id_and_then_remembered(tmp_path: Path) -> None:
    async with emulator(latency="1") as server:
        await leave(server, BOATS, quick(server, tmp_path))
        async with VeoClient(quick(server, tmp_path)) as veo, veo.resume() as stream:
            resumed = [clip async for clip in stream]
        async with VeoClient(quick(server, tmp_path)) as veo:
            again = await veo.generate_many(BOATS)
    assert_on_disk(resumed)
    assert sorted(clip.operation or "" for clip in resumed) == sorted(clip.operation or "" for clip in again)
    assert [clip.cached for clip in again] == [True] * len(BOATS)
    assert server.books.accepted_by_prompt == Counter(BOATS)


async def test_what_was_sent_to_the_gemini_api_is_found_again_from_vertex(tmp_path: Path) -> None:
    """The next run may have other settings: the journal knows where it was sent."""
    async with emulator(latency="1") as server:
        await leave(server, ["a boat"], quick(server, tmp_path))
        async with (
            VeoClient(quick(server, tmp_path, backend="vertex", model="veo-3.1-generate-001")) as veo,
            veo.resume() as stream,
        ):
            [clip] = [clip async for clip in stream]
    assert (clip.status, clip.model) == (ClipStatus.SUCCEEDED, MODEL)


async def clip_of(tmp_path: Path, *faults: str, **values: object) -> tuple[VideoClip, MockServer]:
    async with emulator(faults=faults, hang=0.1) as server, VeoClient(quick(server, tmp_path, **values)) as veo:
        [clip] = await veo.generate_many([VideoPrompt(text="a boat")])
    return clip, server


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("filtered-safety", ClipStatus.FILTERED, "safety"),
        ("filtered-audio", ClipStatus.FILTERED, "safety"),
        ("empty", ClipStatus.FILTERED, "safety"),
        ("empty-done", ClipStatus.UNCERTAIN, "no_video"),
        ("unread", ClipStatus.UNCERTAIN, "no_video"),
        ("unshown", ClipStatus.UNCERTAIN, "no_video"),
        ("incomplete", ClipStatus.FAILED, "operation_failed"),
        ("over-budget", ClipStatus.FAILED, "operation_failed"),
        ("failed-mute", ClipStatus.FAILED, "operation_failed"),
        ("drop-after", ClipStatus.UNCERTAIN, "answer_lost"),
        ("500-after", ClipStatus.UNCERTAIN, "answer_lost"),
        ("nameless-after", ClipStatus.UNCERTAIN, "answer_lost"),
        ("garbage-after", ClipStatus.UNCERTAIN, "answer_lost"),
    ],
)
async def test_an_end_without_a_video_is_reported_and_not_sent_again(
    fault: str, status: ClipStatus, kind: str, tmp_path: Path
) -> None:
    clip, server = await clip_of(tmp_path, fault)
    assert (clip.status, clip.error_kind) == (status, kind), clip.error_message
    assert server.books.submits == 1


@pytest.mark.parametrize(
    "fault",
    [
        *("poll-500@1", "poll-400@1", "poll-404@1", "poll-array@1", "poll-nameless@1", "poll-queued@1"),
        *("poll-429@1", "poll-drop@1", "poll-garbage@1", "poll-pending@1", "poll-inline", "download-drop@1"),
    ],
)
async def test_trouble_on_the_way_back_costs_nothing(fault: str, tmp_path: Path) -> None:
    clip, server = await clip_of(tmp_path, fault)
    assert_on_disk([clip])
    assert (server.books.submits, clip.attempts) == (1, 1)


@pytest.mark.parametrize("fault", ["error-8@1", "error-13@1", "error-14@1", "failed-error@1", "failed-step@1"])
async def test_trouble_at_google_is_worth_another_try(fault: str, tmp_path: Path) -> None:
    clip, server = await clip_of(tmp_path, fault)
    assert_on_disk([clip])
    assert (server.books.submits, clip.retry_count) == (2, 1)


# ---- accepted, and then refused --------------------------------------------------------------------------------------


async def test_a_refusal_that_comes_with_the_poll_delays_the_clips_and_all_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interactions, "UNNAMED_DOUBT", 0.05)
    async with emulator(rpm=2, period=0.5, refuse_late=True) as server:
        chosen = quick(server, tmp_path, rate_limit=4, rate_period=0.5)
        async with VeoClient(chosen) as veo:
            clips = await veo.generate_many(BOATS)
            refusals = veo.stats().refusals
    assert_on_disk(clips)
    assert refusals > 0
    assert [clip.retry_count for clip in clips] == [0] * len(BOATS)
    assert server.books.accepted_by_prompt == Counter(BOATS)


async def test_the_emulator_of_mock_mode_makes_omnis_clips_too(tmp_path: Path) -> None:
    chosen = settings(mock_mode=True, model=MODEL, output_dir=tmp_path, poll_interval=0.01)
    async with VeoClient(chosen) as veo:
        clip = await veo.generate("a boat")
    assert (clip.status, clip.model) == (ClipStatus.SUCCEEDED, MODEL)
    assert (clip.operation or "").startswith("v1_")
