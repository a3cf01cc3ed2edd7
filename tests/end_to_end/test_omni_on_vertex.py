"""Omni on Vertex AI: `VeoClient`, the real SDK and the emulator over real sockets, with a bucket and without one."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from aveo3 import ClipStatus, Settings, VeoClient
from aveo3.backends import interactions
from aveo3.mock import MockServer
from tests.support.emulated import BOATS, assert_on_disk, emulator
from tests.support.emulated import quick as on_vertex

MODEL = "gemini-omni-1.2-flash"
BUCKET = {"output_gcs_uri": "gs://bucket/out"}
WAYS = pytest.mark.parametrize("way", [{}, BUCKET], ids=["inline", "bucket"])

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


def quick(server: MockServer, tmp_path: Path, **values: object) -> Settings:
    given = {"project": "p", "backend": "vertex", "model": MODEL, "output_dir": tmp_path / "clips", "journal": "auto"}
    return on_vertex(server, **{**given, "storage_url": server.url, **values})


@WAYS
async def test_every_prompt_is_a_clip_on_disk_paid_once_at_what_google_bills(
    way: dict[str, str], tmp_path: Path
) -> None:
    async with emulator() as server:
        async with VeoClient(quick(server, tmp_path, **way)) as veo:
            clips = await veo.generate_many(BOATS)
        async with VeoClient(quick(server, tmp_path, **way)) as veo:
            again = await veo.generate_many(BOATS)
    assert_on_disk(clips)
    assert {clip.model for clip in clips} == {MODEL}
    assert [clip.cached for clip in again] == [True] * len(BOATS)
    assert server.books.accepted_by_prompt == Counter(BOATS)
    assert all(0.68 < (clip.cost_usd or 0.0) < 0.72 for clip in clips)  # ten seconds at 0.0695, and some text
    assert all(bool(clip.uris) == bool(way) for clip in clips)


@WAYS
async def test_a_run_that_is_left_is_gone_on_with(way: dict[str, str], tmp_path: Path) -> None:
    async with emulator(latency="1") as server:
        async with VeoClient(quick(server, tmp_path, **way)) as veo:
            run = asyncio.create_task(veo.generate_many(BOATS))
            while server.books.accepted < len(BOATS):  # noqa: ASYNC110  (the emulator has no waker)
                await asyncio.sleep(0.005)
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
        async with VeoClient(quick(server, tmp_path, **way)) as veo, veo.resume() as stream:
            resumed = [clip async for clip in stream]
    assert_on_disk(resumed)
    assert server.books.accepted_by_prompt == Counter(BOATS)


@pytest.mark.parametrize("fault", ["drop-after", "500-after", "nameless-after", "garbage-after", "unread", "unshown"])
async def test_what_the_answer_does_not_show_is_found_in_the_bucket(fault: str, tmp_path: Path) -> None:
    """A lost answer, and one that says `completed` and shows nothing, while the video lies in the bucket."""
    async with emulator(hang=0.1, faults=[fault]) as server, VeoClient(quick(server, tmp_path, **BUCKET)) as veo:
        [clip] = await veo.generate_many(["a boat"])
    assert_on_disk([clip])
    assert (server.books.submits, server.books.billed_seconds) == (1, 10)


async def test_without_a_bucket_an_answer_that_shows_nothing_is_uncertain_and_not_sent_again(tmp_path: Path) -> None:
    async with emulator(faults=["unshown"]) as server:
        for _ in range(2):
            async with VeoClient(quick(server, tmp_path)) as veo:
                [clip] = await veo.generate_many(["a boat"])
            assert clip.status is ClipStatus.UNCERTAIN
    assert server.books.submits == 1


@pytest.mark.parametrize("fault", ["drop-after", "500-after", "nameless-after", "garbage-after"])
async def test_without_a_bucket_a_lost_answer_is_uncertain_and_not_sent_again(fault: str, tmp_path: Path) -> None:
    async with emulator(faults=[fault], hang=0.1) as server, VeoClient(quick(server, tmp_path)) as veo:
        [clip] = await veo.generate_many(["a boat"])
    assert (clip.status, clip.error_kind, server.books.submits) == (ClipStatus.UNCERTAIN, "answer_lost", 1)


@WAYS
@pytest.mark.parametrize("fault", ["poll-500@1", "poll-429@1", "poll-drop@1", "poll-garbage@1", "poll-queued@1"])
async def test_trouble_on_the_way_back_costs_nothing(fault: str, way: dict[str, str], tmp_path: Path) -> None:
    async with emulator(faults=[fault], hang=0.1) as server, VeoClient(quick(server, tmp_path, **way)) as veo:
        [clip] = await veo.generate_many(["a boat"])
    assert_on_disk([clip])
    assert (server.books.submits, clip.attempts) == (1, 1)


async def test_a_429_of_every_poll_is_never_taken_for_a_clip_that_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has seen that on Vertex AI, and sending it again might pay it twice."""
    monkeypatch.setattr(interactions, "UNNAMED_DOUBT", 0.05)
    async with (
        emulator(faults=["late-429"]) as server,
        VeoClient(quick(server, tmp_path, operation_timeout=2000.0)) as veo,
    ):
        [clip] = await veo.generate_many(["a boat"])
    assert (clip.status, server.books.submits) == (ClipStatus.UNFINISHED, 1)


async def test_a_clip_is_drafted_picked_and_upscaled(tmp_path: Path) -> None:
    async with emulator() as server, VeoClient(quick(server, tmp_path)) as veo:
        [draft] = await veo.generate_many([{"text": "a boat", "resolution": "360p", "duration_seconds": 3.5}])
        big = {"video": draft.path, "task": "upscale", "resolution": "1080p", "duration_seconds": 3.5}
        [clip] = await veo.generate_many([big])
        [again] = await veo.generate_many([big])
    assert_on_disk([draft, clip])
    assert (again.cached, server.books.submits) == (True, 2)


async def test_check_asks_for_free() -> None:
    from aveo3.checkup import check

    async with emulator() as server:
        chosen = Settings(project="p", backend="vertex", model=MODEL, base_url=server.url, storage_url=server.url)
        report = await check(chosen)
    assert report.ok, report
    assert server.books.submits == 0
