"""A person pauses a client: nothing is submitted, what runs is finished, and nothing is lost by it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from aveo3 import UsageError, VeoClient
from aveo3.testing import ScriptedBackend
from tests.support.lanes import LATENCY, Places, lane, made
from tests.support.virtual import client, now, statuses, virtual

TEXTS = [f"clip {n}" for n in range(6)]


def test_what_runs_is_finished_and_the_rest_goes_after_go_on() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=30.0)
        async with client(backend, max_concurrency=2) as veo, veo.stream(TEXTS) as clips:
            await asyncio.sleep(10)
            veo.pause()
            veo.pause()
            first = [await anext(clips), await anext(clips)]
            assert statuses(first) == ["succeeded"] * 2
            await asyncio.sleep(50_000)  # longer than any patience
            assert (len(backend.submits), veo.stats().paused) == (2, True)
            veo.go_on()
            went_on = now()
            rest = [clip async for clip in clips]
            assert statuses(rest) == ["succeeded"] * 4
            assert [at for at, _ in backend.submits[2:4]] == [went_on] * 2
            assert not veo.stats().paused
            assert sum(clip.quota_wait for clip in rest) < 100
        assert backend.accepted == Counter(TEXTS)

    virtual(main)


def test_it_may_be_paused_before_it_is_open() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        veo = client(backend)
        veo.pause()
        async with veo:
            making = asyncio.create_task(veo.generate_many(TEXTS))
            await asyncio.sleep(1000)
            assert backend.submits == []
            veo.go_on()
            assert statuses(await making) == ["succeeded"] * 6
        assert backend.submits[0][0] == 1000

    virtual(main)


def test_a_paused_batch_can_be_stopped_and_each_clip_is_told() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=30.0)
        async with client(backend, max_concurrency=2) as veo, veo.stream(TEXTS) as clips:
            await asyncio.sleep(10)
            veo.pause()
            await asyncio.sleep(100)
            clips.stop()
            told = [clip async for clip in clips]
            assert Counter(statuses(told)) == {"succeeded": 2, "cancelled": 4}
        assert len(backend.submits) == 2

    virtual(main)


def test_closing_a_paused_client_does_not_wait_for_anybody() -> None:
    async def main() -> None:
        async with client(ScriptedBackend()) as veo:
            veo.pause()
            making = asyncio.create_task(veo.generate_many(TEXTS))
            await asyncio.sleep(10)
        assert (statuses(await making), now()) == (["cancelled"] * 6, 10.0)

    virtual(main)


def test_every_lane_is_paused_and_those_that_open_later_too(places: Places) -> None:
    async def main() -> None:
        for name in ("a", "b"):
            places[name] = made(round_trip=0.1)
        async with places.client(lane("a", 10), lane("b", 10)) as veo:
            veo.pause()
            making = asyncio.create_task(veo.generate_many(TEXTS))
            await asyncio.sleep(5000)
            assert [len(places[name].submits) for name in ("a", "b")] == [0, 0]
            veo.go_on()
            assert statuses(await making) == ["succeeded"] * 6
            assert min(len(places[name].submits) for name in ("a", "b")) > 0
            assert now() < 5000 + LATENCY + 10

    virtual(main)


def test_another_loop_may_not_pause_it() -> None:
    veo: list[VeoClient] = []

    async def main() -> None:
        async with client(ScriptedBackend()) as one:
            veo.append(one)

            def elsewhere() -> None:
                with pytest.raises(UsageError, match="another event loop"):
                    veo[0].pause()

            await asyncio.to_thread(elsewhere)

    virtual(main)
