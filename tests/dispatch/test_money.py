"""Three figures at any time: what is spent, what is in flight, and what else may be paid."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aioresponses
import pytest

from aveo3 import Stats, VeoClient, verdicts
from aveo3.backends.base import Failure, Finished, PollResult, Video
from aveo3.config.settings import JOURNAL
from aveo3.journal.journal import Journal
from aveo3.lifecycle import State
from aveo3.models import VideoPrompt
from aveo3.testing import ScriptedBackend
from tests.support.virtual import client, statuses, virtual

PROMPTS = [f"{number}" for number in range(10)]


def opened(backend: ScriptedBackend, **values: object) -> VeoClient:
    return client(backend, **{"journal": "auto", **values})


def figures(stats: Stats) -> tuple[float, float, float]:
    return stats.spent_usd, stats.in_flight_usd, stats.may_be_paid_usd


def test_running_clips_are_in_flight_until_they_are_spent() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=5.0)
        async with opened(backend) as veo:
            assert figures(veo.stats()) == (0, 0, 0)
            making = asyncio.ensure_future(veo.generate_many(PROMPTS))
            for at in (0.5, 3.0):
                await asyncio.sleep(at)
                assert figures(veo.stats()) == (0, 32, 0)
            await making
            assert figures(veo.stats()) == (32, 0, 0)
            await veo.generate_many(PROMPTS)  # cached: spent before
            assert figures(veo.stats()) == (32, 0, 0)
            assert veo.stats().cost_usd == 32

    virtual(main)


@pytest.mark.parametrize("journal", ["auto", None])
def test_what_is_left_running_is_not_spent_but_may_be_paid_and_the_next_run_knows(journal: str | None) -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=500.0)
        async with opened(backend, journal=journal) as veo, veo.stream(PROMPTS) as clips:
            await asyncio.sleep(5)
            clips.stop()
            assert figures(veo.stats()) == (0, 32, 0)
            await clips.leave()
            assert figures(veo.stats()) == (0, 0, 32)
            assert len(veo.stats().may_be_paid) == 10
            assert veo.stats().cost_usd == 32
        if journal is None:
            return
        async with opened(backend) as veo:
            making = asyncio.ensure_future(veo.generate_many(PROMPTS))
            await asyncio.sleep(5)
            assert figures(veo.stats()) == (0, 32, 0)
            await making
            assert figures(veo.stats()) == (32, 0, 0)
            assert veo.stats().cost_usd == 0  # this client sent nothing

    virtual(main)


def test_a_lost_answer_may_be_paid_as_long_as_nobody_has_decided() -> None:
    async def main() -> None:
        answers = [verdicts.uncertain("HTTP 500", 500), verdicts.accepted("operations/2")]
        for run in range(2):
            async with opened(ScriptedBackend(answers)) as veo:
                assert statuses(await veo.generate_many(["a", "b"])) == ["uncertain", "succeeded"]
                assert figures(veo.stats()) == (0 if run else 3.2, 0, 3.2)

    virtual(main)


def test_a_clip_that_several_batches_come_upon_is_told_once() -> None:
    async def main() -> None:
        backend = ScriptedBackend([verdicts.uncertain("HTTP 500", 500)], latency=500.0)
        async with opened(backend) as veo:
            await veo.generate_many(["a"])
            for _ in range(2):
                async with veo.stream(["a", "b"]) as clips:
                    await asyncio.sleep(5)
                    assert figures(veo.stats()) == (0, 3.2, 3.2)
                    await clips.leave()
                assert figures(veo.stats()) == (0, 0, 6.4)
                assert veo.stats().may_be_paid == ("'a'", "operations/2")
            await veo.generate_many(["a", "b"])
            assert figures(veo.stats()) == (3.2, 0, 3.2)
            assert veo.stats().may_be_paid == ("'a'",)

    virtual(main)


def test_without_a_journal_each_clip_that_may_be_paid_counts_for_itself() -> None:
    async def main() -> None:
        async with opened(ScriptedBackend(answer=lambda _: verdicts.uncertain("HTTP 500", 500)), journal=None) as veo:
            for number in (1, 2):
                await veo.generate_many(["a", "a"])
                assert figures(veo.stats()) == (0, 0, 6.4 * number)
            assert len(veo.stats().may_be_paid) == 4

    virtual(main)


def test_what_comes_to_nothing_is_neither_spent_nor_in_flight() -> None:
    async def main() -> None:
        async with opened(ScriptedBackend(ending=lambda _: Failure(13, "away")), max_retries=1) as veo:
            assert statuses(await veo.generate_many(PROMPTS[:3])) == ["failed"] * 3
            assert figures(veo.stats()) == (0, 0, 0)

    virtual(main)


@contextmanager
def no_web() -> Iterator[None]:
    with aioresponses.aioresponses():
        yield


def test_a_video_that_is_made_but_not_on_disk_is_spent_once() -> None:
    def there(_: VideoPrompt) -> PollResult:
        return Finished((Video(uri="https://files.example/film.mp4"),))

    async def main() -> None:
        backend = ScriptedBackend(ending=there)
        for spent in (3.2, 0):
            async with opened(backend) as veo:
                assert statuses(await veo.generate_many(["a"])) == ["unfinished"]
                assert figures(veo.stats()) == (spent, 0, 0)

    with no_web():
        virtual(main)


def test_what_a_person_gave_up_may_be_paid_and_stays_told() -> None:
    async def main() -> None:
        backend = ScriptedBackend([verdicts.uncertain("HTTP 500", 500)])
        async with opened(backend) as veo:
            await veo.generate_many(["a"])
        with Journal(Path("clips") / JOURNAL) as journal:  # aveo3 retry
            journal.move(1, State.UNCERTAIN, State.PLANNED, sunk_usd=3.2)
        for spent in (3.2, 0):
            async with opened(backend, budget=6.4) as veo:
                [clip] = await veo.generate_many(["a"])
                assert (clip.succeeded, clip.sunk_usd) == (True, 3.2)
                assert figures(veo.stats()) == (spent, 0, 3.2)
                assert veo.stats().sunk_usd == 3.2

    virtual(main)


def test_clips_of_unknown_price_are_counted_while_they_run_and_after() -> None:
    async def main() -> None:
        backend = ScriptedBackend([verdicts.uncertain("HTTP 500", 500)], latency=5.0)
        async with opened(backend, model="veo-9") as veo:
            making = asyncio.ensure_future(veo.generate_many(["a", "b", {"text": "c", "image": "no.png"}]))
            await asyncio.sleep(3)
            seen: list[Any] = [veo.stats().unpriced]
            await making
            assert [*seen, veo.stats().unpriced] == [2, 2]
            assert figures(veo.stats()) == (0, 0, 0)

    virtual(main)
