"""The client against a server of its own kind: everything is ordered at once, each clip once, whatever happens between.

A proxy stands before the server: it counts requests, loses answers and refuses connections.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from aveo3 import ClipStatus, Settings, UsageError, VeoClient, VideoClip, VideoPrompt
from aveo3.backends import server_watch
from aveo3.mock import MockServer
from aveo3.server.door import event_stream
from aveo3.server.door.callers import Caller, CallerFile
from aveo3.server.door.server import DoorServer
from tests.support.between import Between, accepted, before, between, ours, world
from tests.support.emulated import BOATS, assert_on_disk, emulator
from tests.support.virtual import statuses


@pytest.fixture(autouse=True)
def seldom_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of virtual time are fewer steps."""
    monkeypatch.setattr(event_stream, "EVERY", 3.0)


# ---- everything at once ----------------------------------------------------------------------------------------------


async def test_all_prompts_wait_at_the_server_at_once_and_each_clip_is_made_once(tmp_path: Path) -> None:
    prompts = [f"boat {number}" for number in range(12)]
    async with world(tmp_path, {"latency": "20", "rpm": 4}, {"rate_limit": 4}) as (google, _, veo):
        making = asyncio.create_task(veo.generate_many(prompts))
        await asyncio.sleep(15)
        [gate] = veo.stats().gates.values()
        assert gate.at_server is not None
        assert (gate.at_server.waiting, gate.at_server.running, gate.at_server.place) == (8, 4, 1)
        clips = await making
    assert_on_disk(clips)
    assert accepted(google) == dict.fromkeys(prompts, 1)
    assert google.books.refused == 0


async def test_a_clip_costs_three_requests_however_long_it_waits(tmp_path: Path) -> None:
    """One that orders, one poll when its end is told, one that fetches it. All else goes by time, not by clips."""
    prompts = [f"boat {number}" for number in range(20)]
    loop = asyncio.get_running_loop()
    async with world(tmp_path, {"latency": "20"}, {"rate_limit": 5, "rate_period": 300}) as (_, proxy, veo):
        began = loop.time()
        assert statuses(await veo.generate_many(prompts)) == ["succeeded"] * 20
        took = loop.time() - began
    assert took > 900
    by_time = took / server_watch.LOOK
    assert proxy.seen["order"] == proxy.seen["files"] == 20
    assert proxy.seen["poll"] <= 20 + 1.2 * by_time
    assert proxy.seen["events"] == 1


async def test_veo_and_omni_with_pictures_labels_and_priority_go_through_one_server(tmp_path: Path) -> None:
    picture = tmp_path / "boat.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    prompts = [
        VideoPrompt(text="a boat", image=picture, seed=3, negative_prompt="rain", labels={"team": "film"}),
        VideoPrompt(text="a kite", model="gemini-omni-1.2-flash", duration_seconds=5, image=picture),
    ]
    async with world(tmp_path, server_priority=7) as (_, proxy, veo):
        clips = await veo.generate_many(prompts)
    assert_on_disk(clips)
    assert {clip.model for clip in clips} == {"veo-3.1-generate-001", "gemini-omni-1.2-flash"}
    assert proxy.priorities == ["7", "7"]
    [veos] = [json.loads(body) for body in proxy.bodies if b"instances" in body]
    assert veos["labels"] == {"team": "film"}
    assert veos["parameters"] == {"sampleCount": 1, "seed": 3, "negativePrompt": "rain"}


async def test_videos_go_to_the_bucket_that_the_client_names_and_are_fetched_from_there(tmp_path: Path) -> None:
    async with emulator() as google, between() as proxy, before(google, proxy, tmp_path, storage_url=google.url):
        place = {"output_gcs_uri": "gs://ours/films", "storage_url": google.url}
        async with VeoClient(ours(proxy, tmp_path, **place)) as veo:
            fetched = await veo.generate_many(BOATS)
        async with VeoClient(ours(proxy, tmp_path / "left", **place, keep_remote=True)) as veo:
            [left] = await veo.generate_many(["a kite"])
    assert_on_disk(fetched)
    assert all(clip.uris[0].startswith("gs://ours/films/") for clip in (*fetched, left))
    assert (left.succeeded, left.paths) == (True, ())


async def test_an_order_that_differs_from_the_first_under_its_key_is_left_to_a_person(tmp_path: Path) -> None:
    async with emulator() as google, between() as proxy, before(google, proxy, tmp_path):
        proxy.after = lambda request, answer: None if request.method == "POST" else answer
        async with VeoClient(ours(proxy, tmp_path)) as veo, veo.stream(["a boat"]) as clips:
            await asyncio.sleep(3)
            await clips.leave()
        proxy.after = lambda _, answer: answer
        async with VeoClient(ours(proxy, tmp_path, labels={"team": "other"})) as veo:
            [clip] = await veo.generate_many(["a boat"])
        assert clip.status is ClipStatus.UNCERTAIN
        assert "labels or another setting have changed" in (clip.error_message or "")
        async with VeoClient(ours(proxy, tmp_path)) as veo:  # as it was
            assert statuses(await veo.generate_many(["a boat"])) == ["succeeded"]
    assert accepted(google) == {"a boat": 1}


# ---- what goes wrong between -----------------------------------------------------------------------------------------


async def test_a_lost_answer_is_asked_for_again_and_orders_nothing_twice(tmp_path: Path) -> None:
    lost: set[str | None] = set()

    def lose(request: web.Request, answer: web.Response) -> web.Response | None:
        key = request.headers.get("Idempotency-Key")
        if request.method == "POST" and key not in lost:
            lost.add(key)
            return None
        return answer

    async with emulator() as google, between() as proxy:
        proxy.after = lose
        async with before(google, proxy, tmp_path), VeoClient(ours(proxy, tmp_path)) as veo:
            clips = await veo.generate_many(BOATS)
    assert_on_disk(clips)
    assert accepted(google) == dict.fromkeys(BOATS, 1)
    assert len(lost) == len(BOATS)


async def test_a_server_that_restarts_is_waited_for_and_loses_nothing(tmp_path: Path) -> None:
    prompts = [f"boat {number}" for number in range(12)]
    async with (
        emulator(latency="10") as google,
        between() as proxy,
        Restartable(google, proxy, tmp_path) as server,
        VeoClient(ours(proxy, tmp_path)) as veo,
    ):
        making = asyncio.create_task(veo.generate_many(prompts))
        for seconds in (5, 70, 130):
            await asyncio.sleep(seconds)
            await server.restart(away=40)
        clips = await making
    assert_on_disk(clips)
    assert accepted(google) == dict.fromkeys(prompts, 1)


class Restartable:
    """A server that can be restarted."""

    def __init__(self, google: MockServer, proxy: Between, home: Path) -> None:
        self._before = google, proxy, home
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Restartable:
        await self._open.enter_async_context(before(*self._before, rate_limit=3))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def restart(self, away: float) -> None:
        await self.__aexit__()
        await asyncio.sleep(away)
        await self.__aenter__()


async def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    prompts = [f"boat {number}" for number in range(12)]
    key = CallerFile(tmp_path / "server").add(Caller(name="team", max_queued=3))
    async with world(tmp_path, None, {"rate_limit": 2}, server_key=key) as (google, proxy, veo):
        clips = await veo.generate_many(prompts)
        assert veo.stats().refusals > 0
    assert_on_disk(clips)
    assert accepted(google) == dict.fromkeys(prompts, 1)
    assert proxy.seen["order"] < 3 * len(prompts)


async def test_what_the_server_refuses_for_good_is_told_in_its_words(tmp_path: Path) -> None:
    callers = CallerFile(tmp_path / "server")
    poor = callers.add(Caller(name="poor", total_budget=4.0))
    fast = callers.add(Caller(name="fast", models=("veo-3.1-fast-generate-001",)))
    async with emulator() as google, between() as proxy, before(google, proxy, tmp_path):
        for wrong, why in (("aveo3_wrong", "does not know the key"), (None, "wants a key")):
            with pytest.raises(UsageError, match=why):
                async with VeoClient(ours(proxy, tmp_path, server_key=wrong)):
                    pass
        async with VeoClient(ours(proxy, tmp_path / "poor", server_key=poor)) as veo:
            clips = await veo.generate_many(
                [VideoPrompt(text="dear", duration_seconds=8), VideoPrompt(text="dear too", duration_seconds=8)]
            )
            assert sorted(statuses(clips)) == ["deferred", "succeeded"]
            [deferred] = [clip for clip in clips if not clip.succeeded]
            assert deferred.error_kind == "server_budget"
            assert "would exceed" in (deferred.error_message or "")
        async with VeoClient(ours(proxy, tmp_path / "fast", server_key=fast)) as veo:
            [clip] = await veo.generate_many(["a boat"])
            assert clip.status is ClipStatus.DEFERRED
            assert "your key may use veo-3.1-fast-generate-001" in (clip.error_message or "")
            assert "What to do: use another model" in (clip.error_message or "")
            assert fast not in (clip.error_message or "")


async def test_no_server_and_one_of_another_kind_are_told_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no server answers there"):
        async with VeoClient(Settings(server="http://127.0.0.1:9", output_dir=tmp_path)):
            pass
    async with emulator() as google:
        with pytest.raises(UsageError, match="no `aveo3 serve`"):
            async with VeoClient(Settings(server=google.url, output_dir=tmp_path)):
                pass


async def test_a_server_asks_no_other_server(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="makes the clips itself"):
        DoorServer(Settings(server="http://127.0.0.1:9", output_dir=tmp_path))


# ---- leaving and coming back -----------------------------------------------------------------------------------------


async def test_who_leaves_and_comes_back_goes_on_watching(tmp_path: Path) -> None:
    prompts = [f"boat {number}" for number in range(20)]
    async with emulator(latency="20") as google, between() as proxy, before(google, proxy, tmp_path, rate_limit=100):
        async with VeoClient(ours(proxy, tmp_path)) as veo, veo.stream(prompts) as clips:
            await asyncio.sleep(15)
            assert len(proxy.bodies) == len(prompts)
            await clips.leave()
            left = [clip async for clip in clips]
            assert {clip.status for clip in left} == {ClipStatus.UNFINISHED}
            assert "the server goes on with it" in (left[0].error_message or "")
        await asyncio.sleep(60)
        async with VeoClient(ours(proxy, tmp_path)) as veo:
            clips_again = await veo.generate_many(prompts)
    assert_on_disk(clips_again)
    assert accepted(google) == dict.fromkeys(prompts, 1)
    assert proxy.seen["order"] == len(prompts)


async def test_a_run_that_ended_before_the_answer_asks_with_the_same_key(tmp_path: Path) -> None:
    async with emulator() as google, between() as proxy, before(google, proxy, tmp_path):
        proxy.after = lambda request, answer: None if request.method == "POST" else answer
        async with VeoClient(ours(proxy, tmp_path)) as veo, veo.stream(BOATS) as clips:
            await asyncio.sleep(3)
            await clips.leave()
            left = [clip async for clip in clips]
            assert statuses(left) == ["uncertain"] * len(BOATS)
        proxy.after = lambda _, answer: answer
        async with VeoClient(ours(proxy, tmp_path)) as veo, veo.resume() as clips:
            assert [clip async for clip in clips] == []  # to resume orders nothing, and the first may not have come
        async with VeoClient(ours(proxy, tmp_path)) as veo:
            clips_again = await veo.generate_many(BOATS)
    assert_on_disk(clips_again)
    assert accepted(google) == dict.fromkeys(BOATS, 1)


async def test_what_had_not_come_to_the_server_is_ordered_by_the_next_run(tmp_path: Path) -> None:
    async with emulator() as google, between() as proxy:
        async with before(google, proxy, tmp_path), VeoClient(ours(proxy, tmp_path)) as veo:
            proxy.door = None
            async with veo.stream(BOATS) as clips:
                await asyncio.sleep(3)
                await clips.leave()
                left: list[VideoClip] = [clip async for clip in clips]
        assert {clip.status for clip in left} <= {ClipStatus.UNCERTAIN, ClipStatus.CANCELLED}
        async with before(google, proxy, tmp_path), VeoClient(ours(proxy, tmp_path)) as veo:
            clips_again = await veo.generate_many(BOATS)
    assert_on_disk(clips_again)
    assert accepted(google) == dict.fromkeys(BOATS, 1)


async def test_a_directory_holds_clips_of_a_server_or_others_not_both(tmp_path: Path) -> None:
    async with emulator() as google, between() as proxy, before(google, proxy, tmp_path):
        direct = Settings(base_url=google.url, backend="vertex", api_key="key", output_dir=tmp_path / "clips")
        async with VeoClient(direct) as veo:
            assert statuses(await veo.generate_many(BOATS)) == ["succeeded"] * 4
        with pytest.raises(UsageError, match="would make and pay"):
            async with VeoClient(ours(proxy, tmp_path)):
                pass
        async with VeoClient(ours(proxy, tmp_path / "other")) as veo:
            assert statuses(await veo.generate_many(BOATS)) == ["succeeded"] * 4
        with pytest.raises(UsageError, match="would make and pay"):
            async with VeoClient(direct.model_copy(update={"output_dir": tmp_path / "other" / "clips"})):
                pass


async def test_the_budget_of_the_client_counts_too(tmp_path: Path) -> None:
    prompts = [VideoPrompt(text=text, duration_seconds=8) for text in BOATS]
    async with world(tmp_path, budget=7.0) as (_, proxy, veo):
        clips = await veo.generate_many(prompts)
    assert sorted(statuses(clips)) == ["deferred"] * 2 + ["succeeded"] * 2
    assert {clip.error_kind for clip in clips if not clip.succeeded} == {"budget"}
    assert len(proxy.bodies) == 2


async def test_without_events_requests_are_polled_in_turns(tmp_path: Path) -> None:
    async with emulator(latency="20") as google, between() as proxy:
        proxy.refuses = "events"
        async with before(google, proxy, tmp_path, rate_limit=2), VeoClient(ours(proxy, tmp_path)) as veo:
            clips = await veo.generate_many(BOATS)
    assert_on_disk(clips)
    assert proxy.seen["poll"] < 100
