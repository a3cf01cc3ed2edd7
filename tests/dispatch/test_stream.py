"""The dispatcher: when prompts are read, which lane submits, how a run stops or is left, and what stays intact."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from aveo3 import (
    ClipStatus,
    UsageError,
    VeoClient,
    VideoClip,
    VideoPrompt,
    verdicts,
)
from aveo3.backends.base import Failure, Finished, PollResult, Video
from aveo3.dispatch.batch import GRACE, UNCOLLECTED
from aveo3.dispatch.feeder import LOOKAHEAD
from aveo3.dispatch.planner import Prompts
from aveo3.files.saving import SavedFile
from aveo3.testing import ScriptedBackend, VirtualTimeLoop
from aveo3.testing.scripted import FILM
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.virtual import client as calm_client
from tests.support.virtual import now, statuses, virtual

FAST = "veo-3.1-fast-generate-001"
PRICE = 3.20

UNAVAILABLE = Verdict(VerdictKind.UNAVAILABLE, "the service is away")


def client(backend: ScriptedBackend, **values: object) -> VeoClient:
    """By default: room for a thousand submits a minute, and a poll every second."""
    return calm_client(backend, **{"rate_limit": 1000, **values})


async def soon() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


# ---- what is read, and when ----------------------------------------------------------------------------------------


class Reading:
    """Endless prompts, and how many were taken."""

    def __init__(self, limit: int | None = None) -> None:
        self.taken = 0
        self.limit = limit

    def __iter__(self) -> Iterator[str]:
        for number in count() if self.limit is None else range(self.limit):
            self.taken += 1
            yield f"clip {number}"


def test_prompts_are_read_as_they_are_needed() -> None:
    async def main() -> None:
        reading = Reading()
        async with client(ScriptedBackend(latency=10.0), max_concurrency=3) as veo, veo.stream(reading) as clips:
            for done in range(50):
                clip = await anext(clips)
                assert clip.succeeded
                assert reading.taken <= done + 1 + 3 + LOOKAHEAD + 2

    virtual(main)


def test_an_asynchronous_and_endless_iterable_is_read_as_it_goes() -> None:
    async def prompts() -> AsyncIterator[str]:
        for number in count():
            await asyncio.sleep(100)
            yield f"clip {number}"

    async def main() -> None:
        async with client(ScriptedBackend()) as veo, veo.stream(prompts()) as clips:
            got = [await anext(clips) for _ in range(5)]
        assert [clip.prompt.text for clip in got] == [f"clip {number}" for number in range(5)]
        assert 500 <= now() < 520 + GRACE

    virtual(main)


def test_an_asynchronous_iterable_is_closed_when_its_stream_is_left() -> None:
    closed = False

    async def prompts() -> AsyncIterator[str]:
        nonlocal closed
        try:
            for number in count():
                yield f"clip {number}"
                await asyncio.sleep(1)
        finally:
            closed = True

    async def main() -> None:
        async with client(ScriptedBackend()) as veo:
            async with veo.stream(prompts()) as clips:
                await anext(clips)
            await soon()
            assert closed

    virtual(main)


@pytest.mark.parametrize("lazy", [False, True], ids=["at once", "asynchronous"])
def test_an_iterable_that_raises_midway_does_so_after_the_clips_of_earlier_prompts(lazy: bool) -> None:
    def broken() -> Iterator[str]:
        yield from ("a", "b", "c")
        raise LookupError("the file ends here")

    async def broken_async() -> AsyncIterator[str]:
        for text in broken():
            yield text

    async def main() -> None:
        backend, got = ScriptedBackend(latency=10.0), list[VideoClip]()
        async with client(backend) as veo:
            prompts: Prompts = broken_async() if lazy else broken()
            async with veo.stream(prompts) as clips:
                with pytest.raises(LookupError, match="the file ends here"):  # noqa: PT012
                    async for clip in clips:
                        got.append(clip)
            assert sorted(clip.prompt.text for clip in got) == ["a", "b", "c"]
            assert all(clip.succeeded for clip in got)
            with pytest.raises(LookupError):
                await veo.generate_many(broken())

    virtual(main)


def test_no_prompts_no_clips() -> None:
    async def main() -> None:
        async with client(ScriptedBackend()) as veo:
            assert await veo.generate_many([]) == []
            assert now() == 0.0

    virtual(main)


def test_a_stream_that_was_not_opened_says_how() -> None:
    async def main() -> None:
        async with client(ScriptedBackend()) as veo:
            with pytest.raises(UsageError, match="async with"):
                await anext(veo.stream(["a"]))

    virtual(main)


# ---- lanes ---------------------------------------------------------------------------------------------------------


def test_a_retry_that_falls_due_between_two_readings_of_the_clock_costs_no_prompt_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed: Counter[str] = Counter()

    def once_in_vain(prompt: VideoPrompt) -> PollResult:
        failed[prompt.text] += 1
        return Failure(13, "internal") if failed[prompt.text] == 1 else Finished((Video(data=FILM),))

    def creeping(loop: VirtualTimeLoop) -> float:
        loop._jumping.now += 0.01
        return loop._jumping.now

    async def main() -> None:
        backend = ScriptedBackend(ending=once_in_vain)
        async with client(backend) as veo:
            clips = await veo.generate_many([f"{n}" for n in range(300)])
        assert statuses(clips) == ["succeeded"] * 300
        assert set(backend.accepted.values()) == {2}, "one failed, one made"

    monkeypatch.setattr(VirtualTimeLoop, "time", creeping)
    virtual(main)


def by_model(verdict: Verdict) -> Callable[[VideoPrompt], Verdict]:
    """Answers the fast model with `verdict`, and accepts the other."""
    numbers = count()
    return lambda prompt: verdict if prompt.model == FAST else verdicts.accepted(f"operations/{next(numbers)}")


def test_a_lane_that_stands_still_does_not_hide_the_other() -> None:
    async def main() -> None:
        wait = Verdict(VerdictKind.REFUSED, "not now", refusal=Refusal.SPEND, retry_after=1800.0)
        backend = ScriptedBackend(answer=by_model(wait), latency=5.0)
        prompts = [{"text": f"{n}", "model": FAST if n % 2 else None} for n in range(2 * LOOKAHEAD - 2)]
        async with client(backend) as veo, veo.stream(prompts) as clips:
            for _ in range(LOOKAHEAD - 1):
                clip = await anext(clips)
                assert clip.model != FAST
            assert now() < 60
            clips.stop()

    virtual(main)


def test_a_lane_that_is_closed_for_good_defers_its_own_prompts_only() -> None:
    async def main() -> None:
        gone = Verdict(VerdictKind.REFUSED, "no such model", refusal=Refusal.NO_MODEL)
        backend = ScriptedBackend(answer=by_model(gone), latency=5.0)
        async with client(backend) as veo:
            prompts = [{"text": f"{n}", "model": FAST if n % 3 else None} for n in range(300)]
            clips = await veo.generate_many(prompts)
        for n, clip in enumerate(clips):
            expected = ("deferred", "model_not_found") if n % 3 else ("succeeded", None)
            assert (clip.status.value, clip.error_kind, clip.index) == (*expected, n)
        assert sum(1 for _, text in backend.submits if int(text) % 3) == 1  # no request after the one that was refused

    virtual(main)


def test_jobs_to_be_tried_again_go_before_fresh_ones() -> None:
    async def main() -> None:
        backend = ScriptedBackend([UNAVAILABLE], latency=1.0)
        async with client(backend, max_concurrency=1, retry_wait_base=4.0, poll_interval=1.5) as veo:
            await veo.generate_many([f"{n}" for n in range(10)])
        # It is due after four seconds, while the fifth is next in line: the permit goes to the one that waited longer.
        assert [text for _, text in backend.submits] == list("01230456789")

    virtual(main)


# ---- the reader's pace ---------------------------------------------------------------------------------------------


def test_a_slow_reader_slows_the_submits() -> None:
    async def main() -> None:
        backend, reading = ScriptedBackend(latency=1.0), Reading()
        async with client(backend, rate_limit=10_000, max_concurrency=20) as veo:
            async with veo.stream(reading) as clips:
                await asyncio.sleep(1000)
                assert len(backend.submits) <= UNCOLLECTED + 2 * 20  # those in flight may finish
                for _ in range(30):
                    await anext(clips)
                await asyncio.sleep(1000)
                assert UNCOLLECTED + 30 <= len(backend.submits) <= 30 + UNCOLLECTED + 2 * 20
                clips.stop()
                rest = [clip async for clip in clips]
            assert len(rest) >= UNCOLLECTED

    virtual(main)


def test_prompts_that_can_never_work_wait_for_their_reader_too() -> None:
    async def main() -> None:
        taken = 0

        def bad() -> Iterator[str]:
            nonlocal taken
            while True:
                taken += 1
                yield ""

        async with client(ScriptedBackend()) as veo, veo.stream(bad()) as clips:
            await asyncio.sleep(10)
            assert taken <= UNCOLLECTED + 1
            assert (await anext(clips)).status is ClipStatus.REJECTED

    virtual(main)


def test_clips_of_a_stream_come_as_they_finish() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=lambda prompt: float(prompt.text))
        async with client(backend) as veo, veo.stream(["30", "10", "20"]) as clips:
            assert [clip.prompt.text async for clip in clips] == ["10", "20", "30"]
            with pytest.raises(StopAsyncIteration):
                await anext(clips)

    virtual(main)


# ---- the budget ----------------------------------------------------------------------------------------------------


def test_the_budget_is_never_exceeded_and_what_does_not_fit_is_deferred() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=10.0, round_trip=0.5)
        async with client(backend, budget=10.0) as veo:
            clips = await veo.generate_many([f"{n}" for n in range(6)])
            assert Counter(statuses(clips)) == {"succeeded": 3, "deferred": 3}
            assert veo.stats().cost_usd == pytest.approx(9.6)
        assert len(backend.submits) == 3
        deferred = clips[-1]
        assert (deferred.error_kind, deferred.attempts) == ("budget", 0)
        assert deferred.error_message == "US$ 3.20 would exceed the budget of US$ 10 (US$ 9.60 spent)"

    virtual(main)


def test_money_that_is_set_aside_is_waited_for() -> None:
    """A filter blocks the first two, which cost nothing: their reservations pay two more clips."""

    async def main() -> None:
        film = Finished((Video(uri="gs://b/film.mp4"),))
        backend = ScriptedBackend(latency=10.0, ending=lambda p: Finished(filtered=1) if int(p.text) < 2 else film)
        async with client(backend, budget=6.5) as veo:
            clips = await veo.generate_many([f"{n}" for n in range(5)])
        assert statuses(clips) == ["filtered", "filtered", "succeeded", "succeeded", "deferred"]
        assert [at for at, _ in backend.submits] == pytest.approx([0, 0, 10, 10], abs=2)

    virtual(main)


def test_a_cheap_prompt_still_fits_where_a_dear_one_does_not() -> None:
    async def main() -> None:
        prompts = [{"text": "dear", "duration_seconds": 8}, {"text": "cheap", "model": FAST, "duration_seconds": 4}]
        async with client(ScriptedBackend(), budget=1.0) as veo:
            assert statuses(await veo.generate_many(prompts)) == ["deferred", "succeeded"]

    virtual(main)


def test_a_budget_of_nothing_sends_nothing() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with client(backend, budget=0) as veo:
            assert statuses(await veo.generate_many(["a", "b"])) == ["deferred"] * 2
        assert backend.submits == []

    virtual(main)


def test_a_budget_refuses_to_start_with_a_model_whose_price_is_unknown() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        for values in ({"model": "veo-9"}, {"fallback": ("veo-9",)}):
            with pytest.raises(UsageError, match="cannot hold veo-9, whose price is unknown: "):
                async with client(backend, budget=10.0, **values):
                    pass
        async with client(backend, model="veo-9") as veo:  # without a budget it is the user's choice
            assert statuses(await veo.generate_many(["a"])) == ["succeeded"]

    virtual(main)


def test_a_budget_refuses_a_directory_with_clips_whose_price_is_unknown() -> None:
    """They would count as free: what is left of the budget would be spent a second time."""

    async def main() -> None:
        backend = ScriptedBackend()
        async with client(backend, model="veo-9", journal="auto") as veo:
            assert statuses(await veo.generate_many(["a", "b"])) == ["succeeded"] * 2
        with pytest.raises(UsageError, match="has 2 clips of earlier runs whose price was unknown, so nobody can say"):
            async with client(backend, budget=10.0, journal="auto"):
                pass
        async with client(backend, journal="auto") as veo:
            assert statuses(await veo.generate_many(["c"])) == ["succeeded"]

    virtual(main)


def test_a_prompt_whose_price_is_unknown_never_passes_a_budget() -> None:
    """It would count as free: any number of them would fit."""

    async def main() -> None:
        backend = ScriptedBackend()
        async with client(backend, budget=10.0) as veo:
            clips = await veo.generate_many([{"text": "a", "model": "veo-9"}, "b"])
        assert statuses(clips) == ["deferred", "succeeded"]
        assert clips[0].error_kind == "budget"
        assert "cannot hold veo-9, whose price is unknown: name another model" in (clips[0].error_message or "")
        assert len(backend.submits) == 1

    virtual(main)


def test_a_table_of_pandas_makes_a_clip_of_each_row() -> None:
    """Iterating over one gives the names of its columns, which would be paid for as prompts."""

    class Table:
        columns = ("text", "seed")

        def __iter__(self) -> Iterator[str]:
            return iter(self.columns)

        def to_dict(self, kind: str) -> list[dict[str, Any]]:
            return [{"text": "a", "seed": float("nan")}, {"text": "b", "seed": 7.0}] if kind == "records" else []

    async def main() -> None:
        async with client(ScriptedBackend()) as veo:
            clips = await veo.generate_many(Table())
        assert [(clip.prompt.text, clip.prompt.seed, clip.status) for clip in clips] == [
            ("a", None, "succeeded"),
            ("b", 7, "succeeded"),
        ]

    virtual(main)


def test_a_picture_that_is_a_web_page_is_rejected_before_anything_is_sent(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "a.png").write_bytes(b"<html>404")
        backend = ScriptedBackend()
        async with client(backend) as veo:
            [clip] = await veo.generate_many([{"text": "a", "image": tmp_path / "a.png"}])
        assert (clip.status, backend.submits) == ("rejected", [])
        assert "a.png holds text/html, not image/png: convert it" in (clip.error_message or "")

    virtual(main)


def test_an_uncertain_clip_counts_as_spent() -> None:
    async def main() -> None:
        backend = ScriptedBackend([verdicts.uncertain("lost")])
        async with client(backend, budget=PRICE) as veo:
            assert statuses(await veo.generate_many(["a", "b"])) == ["uncertain", "deferred"]
        assert len(backend.submits) == 1

    virtual(main)


def test_two_lanes_that_wait_for_their_gates_cannot_both_spend_the_last_of_the_budget() -> None:
    """Both fitted before they waited; only one of them may still go."""

    async def main() -> None:
        pause = Verdict(VerdictKind.REFUSED, "not now", refusal=Refusal.UNKNOWN, retry_after=60.0)
        backend = ScriptedBackend([pause, pause], latency=10.0)
        prompts = [{"text": "a", "number_of_videos": 1}, {"text": "b", "model": FAST, "number_of_videos": 4}]
        async with client(backend, budget=3.3) as veo:  # 3.20 for one, or 4 x 0.80 for the other
            clips = await veo.generate_many(prompts)
            assert sorted(statuses(clips)) == ["deferred", "succeeded"]
            assert veo.stats().cost_usd <= 3.3
            assert all(gate.running == 0 for gate in veo.stats().gates.values())
        assert sum(backend.accepted.values()) == 1

    virtual(main)


# ---- stopping and leaving ------------------------------------------------------------------------------------------

LATENCY = 3.0


def after_turns(turns: int, do: Callable[[], object]) -> asyncio.Task[None]:
    """`do` it after so many turns of the loop, spread over the run: every third turn lets time pass."""

    async def later() -> None:
        for turn in range(turns):
            await asyncio.sleep(0.25 if turn % 8 == 7 else 0)
        do()

    return asyncio.create_task(later())


@pytest.mark.parametrize("start", range(0, 240, 40))
def test_stopped_at_any_moment_a_list_gets_one_clip_for_each_prompt_and_nothing_more_is_sent(start: int) -> None:
    for turns in range(start, start + 40):

        async def main(turns: int = turns) -> None:
            backend = ScriptedBackend([verdicts.accepted("operations/first"), UNAVAILABLE], latency=LATENCY)
            prompts: list[Any] = [f"{n}" if n != 4 else "" for n in range(40)]
            submits_then = -1

            async with client(backend, max_concurrency=4) as veo, veo.stream(prompts) as clips:

                def stop() -> None:
                    nonlocal submits_then
                    clips.stop()
                    submits_then = len(backend.submits)

                stopper = after_turns(turns, stop)
                got = [clip async for clip in clips]
                stopper.cancel()
                running = [gate.running for gate in veo.stats().gates.values()]
            assert sorted(clip.index for clip in got) == list(range(40))
            assert all(clip.prompt.text == prompts[clip.index] for clip in got)
            assert submits_then in (-1, len(backend.submits))
            assert set(statuses(got)) <= {"succeeded", "cancelled", "rejected"}
            assert statuses(got).count("succeeded") == sum(backend.accepted.values())  # what runs is finished
            assert all(clip.error_kind == "stopped" for clip in got if clip.status is ClipStatus.CANCELLED)
            assert sum(running) == 0

        virtual(main)


def test_stopped_before_anything_was_read_a_list_gets_its_clips_all_the_same() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        async with client(backend) as veo, veo.stream(["a", "b"]) as clips:
            clips.stop()
            clips.stop()
            assert statuses([clip async for clip in clips]) == ["cancelled"] * 2
        assert backend.submits == []

    virtual(main)


def test_stopping_while_the_gate_stands_still_does_not_wait_for_it() -> None:
    async def main() -> None:
        pause = Verdict(VerdictKind.REFUSED, "not now", refusal=Refusal.SPEND, retry_after=3000.0)
        async with client(ScriptedBackend([pause])) as veo, veo.stream([f"{n}" for n in range(50)]) as clips:
            asyncio.get_running_loop().call_at(10.0, clips.stop)
            assert statuses([clip async for clip in clips]) == ["cancelled"] * 50
            assert now() == 10.0

    virtual(main)


def test_a_lazy_source_is_read_no_further_once_the_run_is_stopped() -> None:
    async def main() -> None:
        reading = Reading()
        async with client(ScriptedBackend(latency=10.0), max_concurrency=2) as veo, veo.stream(reading) as clips:
            await anext(clips)
            taken = reading.taken
            clips.stop()
            rest = [clip async for clip in clips]
            assert reading.taken == taken
            assert len(rest) == taken - 1 or len(rest) == taken - 2  # the one in the feeder's hand is nobody's

    virtual(main)


def check_left(backend: ScriptedBackend, veo: VeoClient, submits_then: int, got: list[VideoClip]) -> None:
    """Nothing was sent after leaving, and every accepted operation is either finished or named."""
    stats = veo.stats()
    assert len(backend.submits) == submits_then, "sent after the run was left"
    assert max(backend.accepted.values(), default=1) == 1
    assert sum(gate.running for gate in stats.gates.values()) == 0
    assert all(lane.gate._unanswered == 0 for lane in veo._session.lane_pool.open_lanes.values())
    assert veo._session.budget.reserved == pytest.approx(0.0)
    accepted = sum(backend.accepted.values())
    assert stats.clips[ClipStatus.SUCCEEDED] + len(stats.may_be_paid) == accepted
    assert stats.clips[ClipStatus.UNCERTAIN] == len(stats.may_be_paid)
    assert stats.clips[ClipStatus.SUCCEEDED] >= len(got)
    assert stats.cost_usd == pytest.approx(accepted * PRICE)


@pytest.mark.parametrize("start", range(0, 240, 40))
def test_cancelled_at_any_moment_generate_many_sends_nothing_more_and_names_what_runs(start: int) -> None:
    """With a round trip of a second, submits in progress learn their operation."""
    for turns in range(start, start + 40):

        async def main(turns: int = turns) -> None:
            backend = ScriptedBackend(latency=LATENCY, round_trip=1.0)
            async with client(backend, max_concurrency=4) as veo:
                task = asyncio.create_task(veo.generate_many(Reading(40)))
                submits_then = -1

                def cancel() -> None:
                    nonlocal submits_then
                    task.cancel()

                await after_turns(turns, cancel)
                await asyncio.sleep(0)  # the task gets its cancellation in the next turn, and from there on …
                await asyncio.sleep(0)
                submits_then = len(backend.submits)
                began = now()
                with suppress(asyncio.CancelledError):
                    await task
                    return  # it was done before
                assert now() - began <= GRACE
                check_left(backend, veo, submits_then, [])
                await soon()
                assert len(asyncio.all_tasks()) <= 2  # this one, and the one that bounds it

        virtual(main)


@pytest.mark.parametrize("after", range(1, 12))
@pytest.mark.parametrize("round_trip", [0.0, 1.0])
def test_a_stream_left_after_any_clip_sends_nothing_more_and_names_what_runs(after: int, round_trip: float) -> None:
    """The clip that is read last has just made room: the permit for the next one must not be used."""

    async def main() -> None:
        backend, got = ScriptedBackend(latency=LATENCY, round_trip=round_trip), list[VideoClip]()
        async with client(backend, max_concurrency=3) as veo:
            async with veo.stream(Reading()) as clips:
                async for clip in clips:
                    got.append(clip)
                    if len(got) == after:
                        break
                submits_then = len(backend.submits)
            check_left(backend, veo, submits_then, got)

    virtual(main)


def test_what_is_left_running_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with client(ScriptedBackend(latency=100.0)) as veo:
            async with veo.stream(["a", "b"]):
                await asyncio.sleep(10)
            assert now() == 10.0  # leaving does not wait for running operations
            assert sorted(veo.stats().may_be_paid) == ["operations/1", "operations/2"]

    virtual(main)
    for name in ("operations/1", "operations/2"):
        assert f"may be paid, and there is no video (left_running): {name}" in caplog.text


def test_a_submit_that_does_not_answer_in_its_grace_is_uncertain() -> None:
    async def main() -> None:
        backend = ScriptedBackend(round_trip=3600.0)
        async with client(backend) as veo:
            async with veo.stream(["a"]):
                await asyncio.sleep(1)
            assert now() == 1 + GRACE
            assert veo.stats().clips[ClipStatus.UNCERTAIN] == 1
            assert veo.stats().cost_usd == PRICE
            assert veo.stats().gates["veo-3.1-generate-001"].running == 0

    virtual(main)


def test_cancelled_twice_it_goes_at_once_and_leaves_no_task_behind() -> None:
    async def main() -> None:
        backend = ScriptedBackend(round_trip=3600.0)
        async with client(backend) as veo:
            task = asyncio.create_task(veo.generate_many(["a", "b"]))
            await asyncio.sleep(1)
            task.cancel()
            await asyncio.sleep(1)
            assert not task.done()  # it waits for the names
            task.cancel()
            await soon()
            assert task.cancelled()
            assert now() == 2.0
            assert veo.stats().clips[ClipStatus.UNCERTAIN] == len(backend.submits)
            assert len(asyncio.all_tasks()) <= 2

    virtual(main)


def test_a_download_that_leaving_cuts_short_is_paid_and_says_so() -> None:
    async def main() -> None:
        backend = ScriptedBackend(ending=lambda _: Finished((Video(uri="https://films.example/film.mp4"),)))
        async with client(backend) as veo:
            assert veo._session.engine is not None

            async def stall(*_: object, **__: object) -> SavedFile:
                await asyncio.sleep(3600)
                raise AssertionError

            veo._session.engine._delivery._download = stall
            async with veo.stream(["a"]) as clips:
                await asyncio.sleep(30)
            [clip] = [clip async for clip in clips]
            assert (clip.status, clip.error_kind, clip.cost_usd) == (ClipStatus.UNCERTAIN, "stopped", PRICE)
            assert clip.operation == "operations/1"
            assert veo.stats().cost_usd == PRICE

    virtual(main)


def test_an_exception_in_the_body_of_a_stream_stops_it_like_leaving() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=100.0)
        async with client(backend, max_concurrency=2) as veo:
            with pytest.raises(ZeroDivisionError):  # noqa: PT012
                async with veo.stream(Reading()):
                    await asyncio.sleep(10)
                    raise ZeroDivisionError
            assert (len(backend.submits), len(veo.stats().may_be_paid)) == (2, 2)

    virtual(main)


# ---- memory and tasks ----------------------------------------------------------------------------------------------

MANY = 3_000
"""A hundred thousand prove nothing more and cost ten times as much."""


class Counting(ScriptedBackend):
    """Keeps no books, and counts the running tasks."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.most_tasks = self.count = 0

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Verdict:
        self.count += 1
        self.most_tasks = max(self.most_tasks, len(asyncio.all_tasks()) if self.count % 50 == 0 else 0)
        verdict = await super().submit(prompt, model)
        self.submits.clear()
        self.accepted.clear()
        self._operations.clear()
        return verdicts.accepted(f"operations/{self.count}") if verdict.operation is None else verdict

    async def poll(self, operation: str) -> PollResult:
        return Finished((Video(uri="gs://b/film.mp4"),))


IN_FLIGHT = 50


def test_tasks_and_memory_follow_what_is_in_flight() -> None:
    """generate_many over a generator: beyond the clips, that it has to return, it keeps less than 1 KB for each."""

    async def main() -> None:
        backend = Counting(latency=1.0)
        short = {"rate_period": 1, "spend_period": 1}  # windows remember every request of their period
        async with client(backend, rate_limit=10_000, max_concurrency=IN_FLIGHT, **short) as veo:
            await veo.generate_many(f"warm up {n}" for n in range(300))
            gc.collect()
            tracemalloc.start()
            try:
                clips = await veo.generate_many(f"clip {n}" for n in range(MANY))
                with_clips, peak = tracemalloc.get_traced_memory()
                alive = len(clips)
                del clips
                gc.collect()
                stays = tracemalloc.take_snapshot().statistics("filename")
            finally:
                tracemalloc.stop()
        assert alive == MANY
        assert backend.most_tasks <= IN_FLIGHT + 8
        # Nothing stays for good. (pathlib interns names, and the table of those grows once, by megabytes.)
        assert sum(stat.size for stat in stays if "pathlib" not in stat.traceback[0].filename) / MANY < 100
        assert (peak - with_clips) / MANY < 1000  # nor, beyond the clips, while it runs

    virtual(main)


def test_a_stream_holds_no_clip_that_was_read() -> None:
    async def main() -> None:
        living = most = 0

        def gone() -> None:
            nonlocal living
            living -= 1

        veo = client(Counting(latency=1.0), rate_limit=100_000, max_concurrency=10)
        async with veo, veo.stream(f"clip {n}" for n in range(2000)) as clips:
            async for clip in clips:
                weakref.finalize(clip, gone)
                living += 1
                most = max(most, living)
        assert most <= 3

    virtual(main)
