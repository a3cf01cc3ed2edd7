"""`fresh` in Python: interrupted at any time, in any way, a fresh batch pays for each prompt exactly once."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from aveo3 import ClipError, UsageError, VeoClient, verdicts
from aveo3.backends.base import Failure, Finished
from aveo3.journal.fresh import Fresh
from aveo3.testing import ScriptedBackend
from tests.support.virtual import client, statuses, virtual

PROMPTS = ["a", "b", "c", "d", "a", "e", "f", "g"]


def opened(backend: ScriptedBackend, **values: object) -> VeoClient:
    return client(backend, journal="auto", **values)


async def make(backend: ScriptedBackend, *prompts: Any, fresh: Fresh = True, **values: object) -> list[str]:
    async with opened(backend, **values) as veo:
        return statuses(await veo.generate_many(prompts, fresh=fresh))


async def interrupt(backend: ScriptedBackend, prompts: Any, after: float) -> None:
    async with opened(backend, rate_limit=2, burst=2, max_concurrency=2) as veo:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(after):
                await veo.generate_many(prompts, fresh=True)


@pytest.mark.parametrize("after", [0.0, 0.5, 2.5, 8.5, 61.0, 66.0, 125.0])
def test_a_fresh_batch_that_is_cancelled_pays_for_each_prompt_once(after: float) -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=5.0, round_trip=1.0)
        await make(backend, *PROMPTS, fresh=False)
        backend.accepted.clear()
        await interrupt(backend, PROMPTS, after)
        await interrupt(backend, iter(PROMPTS), after / 2)
        assert await make(backend, *PROMPTS) == ["succeeded"] * 8
        assert backend.accepted == Counter(PROMPTS)
        assert await make(backend, *PROMPTS) == ["succeeded"] * 8  # it has ended: another one
        assert backend.accepted == Counter(PROMPTS * 2)

    virtual(main)


def test_a_list_of_prompts_that_grows_or_is_turned_around_pays_for_none_twice() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=5.0, round_trip=1.0)
        await interrupt(backend, PROMPTS, 66.0)
        assert await make(backend, "new", *reversed(PROMPTS), "a") == ["succeeded"] * 10
        assert backend.accepted == Counter(["new", *PROMPTS, "a"])

    virtual(main)


def test_a_stream_that_is_left_early_or_whose_prompts_fail_is_gone_on_with() -> None:
    def failing() -> Iterator[str]:
        yield from PROMPTS[:4]
        raise OSError("the disk is gone")

    async def endless() -> AsyncIterator[str]:
        for prompt in PROMPTS:
            yield prompt
        await asyncio.sleep(1e6)

    async def main() -> None:
        backend = ScriptedBackend()
        async with opened(backend) as veo:
            with pytest.raises(OSError, match="gone"):
                await veo.generate_many(failing(), fresh=True)
            async with veo.stream(endless(), fresh=True) as clips:
                async for clip in clips:
                    if clip.index == 5:
                        break
            assert statuses(await veo.generate_many(PROMPTS, fresh=True)) == ["succeeded"] * 8
        assert backend.accepted == Counter(PROMPTS)

    virtual(main)


def test_reading_no_further_than_the_last_clip_ends_a_fresh_batch() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with opened(backend) as veo:
            for _ in range(2):
                async with veo.stream(["a", "b"], fresh=True) as clips:
                    assert [await anext(clips), await anext(clips)]
            assert backend.accepted == Counter("abab")

    virtual(main)


@pytest.mark.parametrize("read", [1, 3])
def test_a_fresh_batch_whose_reader_failed_is_handed_out_again(read: int) -> None:
    async def fail(veo: VeoClient) -> None:
        async with veo.stream(list("abc"), fresh=True) as clips:
            await asyncio.sleep(100)  # all are made
            for _ in range(read):
                await anext(clips)
            raise ZeroDivisionError

    async def main() -> None:
        backend = ScriptedBackend()
        async with opened(backend) as veo:
            with pytest.raises(ZeroDivisionError):
                await fail(veo)
            async with veo.stream(list("abc"), fresh=True) as clips:
                await asyncio.sleep(100)
                await anext(clips)  # and leaves the others
            assert statuses(await veo.generate_many(list("abc"), fresh=True)) == ["succeeded"] * 3
        assert backend.accepted == Counter("abc")

    virtual(main)


def test_two_fresh_streams_at_once_are_two_batches_and_both_are_gone_on_with() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=5.0)
        async with opened(backend, max_concurrency=3) as veo:
            both = [asyncio.ensure_future(veo.generate_many(["a", "b"], fresh=True)) for _ in range(2)]
            await asyncio.sleep(2)
            for each in both:
                each.cancel()
            await asyncio.wait(both)
        async with opened(backend) as veo:
            both = [asyncio.ensure_future(veo.generate_many(["a", "b"], fresh=True)) for _ in range(2)]
            assert [statuses(await each) for each in both] == [["succeeded"] * 2] * 2
        assert backend.accepted == Counter("aabb")

    virtual(main)


def test_a_program_that_wants_a_new_clip_each_time_gets_one_each_time() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=5.0)
        async with opened(backend) as veo:
            clips = await asyncio.gather(*(veo.generate("a", fresh=True) for _ in range(3)))
            clips += [await veo.generate("a", fresh=True) for _ in range(3)]
        assert len({clip.job for clip in clips}) == 6
        assert not any(clip.cached for clip in clips)
        assert backend.accepted == {"a": 6}

    virtual(main)


def test_what_was_filtered_failed_or_could_not_be_read_is_tried_again_and_nothing_else_is() -> None:
    async def main() -> None:
        endings = iter([Finished((), 1, ("no",)), Failure(3, "bad"), Failure(13, "away")])

        def ending(prompt: Any) -> Any:
            return next(endings) if prompt.text == "bad" else good(prompt)

        good = ScriptedBackend()._ending
        backend = ScriptedBackend(ending=ending)
        for end in ("filtered", "rejected", "failed"):
            assert await make(backend, "a", "bad", max_retries=0) == ["succeeded", end]
        backend._ending = good
        assert await make(backend, "a", {"text": "picture", "image": "no.png"}) == ["succeeded", "rejected"]
        assert await make(backend, "a", "bad") == ["succeeded"] * 2
        assert backend.accepted == {"a": 1, "bad": 4}

    virtual(main)


def test_a_fresh_batch_that_is_gone_on_with_is_told_to_who_does_not_read_the_clips(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        backend = ScriptedBackend([verdicts.accepted("operations/1"), verdicts.uncertain("HTTP 500", 500)])
        async with opened(backend) as veo:
            await veo.generate_many(["a", "b"], fresh=True)
            caplog.clear()
            with pytest.raises(ClipError, match="uncertain"):
                await veo.generate("b", fresh=True)
            await veo.generate_many(["a", "b"], fresh=True)
        [told, *others] = [message for message in caplog.messages if "fresh batch" in message]
        assert len(others) == 1  # once for each batch of prompts
        assert told == (
            "fresh=True goes on with the fresh batch of 2026-11-23 12:00:00 UTC, which has not ended: what it has made "
            'is not made again (fresh="new" begins another)'
        )
        async with opened(backend) as veo:
            assert statuses(await veo.generate_many(["a", "b"], fresh="new")) == ["succeeded"] * 2

    with caplog.at_level(logging.WARNING):
        virtual(main)


def test_an_unknown_value_of_fresh_is_refused_before_anything_is_paid() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with opened(backend) as veo:
            with pytest.raises(UsageError, match="fresh='no'"):
                await veo.generate("a", fresh="no")  # type: ignore[arg-type]
        assert not backend.submits

    virtual(main)
