"""How a run resumes jobs of earlier runs: nothing is sent twice, and nothing paid is lost."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from aveo3 import (
    ClipStatus,
    JournalError,
    VeoClient,
    VideoClip,
    VideoPrompt,
    verdicts,
)
from aveo3.backends.base import Failure, Finished, LateRefusal, OperationGone, PollError, PollResult, Video
from aveo3.config.settings import JOURNAL
from aveo3.dispatch.in_flight import RESUMED_AT_ONCE
from aveo3.journal.journal import Journal
from aveo3.lifecycle import State
from aveo3.testing import ScriptedBackend
from aveo3.testing.scripted import FILM
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.journals import sqlite_of
from tests.support.virtual import client, statuses, virtual

UNCERTAIN = verdicts.uncertain("HTTP 500: internal", 500)
AWAY = Verdict(VerdictKind.UNAVAILABLE, "the service is away", status=503)
NO_KEY = Verdict(VerdictKind.REFUSED, "bad key", refusal=Refusal.BAD_KEY)
INLINE = Finished((Video(data=FILM),))
PATH = Path("clips") / JOURNAL


def inline(_: VideoPrompt) -> PollResult:
    return INLINE


async def make(backend: ScriptedBackend, *prompts: Any, fresh: bool = False, **values: object) -> list[VideoClip]:
    async with client(backend, **{"journal": "auto", **values}) as veo:
        return await veo.generate_many(prompts, fresh=fresh)


async def leave_running(backend: ScriptedBackend, *prompts: str, after: float = 5.0, **values: object) -> None:
    """A run that stops while its operations still run."""
    async with client(backend, journal="auto", **values) as veo, veo.stream(prompts) as clips:
        await asyncio.sleep(after)
        await clips.leave()
        # Jobs that it did not reach are as the run before left them.
        assert {clip.status async for clip in clips} == {ClipStatus.UNFINISHED if after else ClipStatus.CANCELLED}


def reach_through(veo: VeoClient, backend_at: Callable[[Any], Awaitable[ScriptedBackend]]) -> None:
    veo._session.lane_pool.backend_at = backend_at  # type: ignore[method-assign, assignment]


def states() -> Counter[str]:
    with Journal(PATH, writes=False) as journal:
        return Counter(entry.state.value for entry in journal.records())


def in_virtual_time(main: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def test() -> None:
        virtual(main)

    test.__name__, test.__doc__ = main.__name__, main.__doc__
    return test


# ---- what is made ---------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_the_same_prompts_again_are_handed_out_without_a_request() -> None:
    backend = ScriptedBackend(ending=inline)
    first = await make(backend, "a", "b")
    polls = backend.polls
    second = await make(backend, "b", "a")
    assert [(clip.cached, clip.status.value, clip.index) for clip in second] == [
        (True, "succeeded", 0),
        (True, "succeeded", 1),
    ]
    assert [clip.paths for clip in second] == [clip.paths for clip in reversed(first)]
    assert [(clip.job, clip.operation, clip.cost_usd) for clip in second] == [
        (clip.job, clip.operation, clip.cost_usd) for clip in reversed(first)
    ]
    assert (len(backend.submits), backend.polls) == (2, polls)


@in_virtual_time
async def test_cached_clips_cost_this_run_nothing_and_are_counted() -> None:
    await make(ScriptedBackend(ending=inline), "a")
    backend = ScriptedBackend(ending=inline)
    async with client(backend, journal="auto", budget=6.4) as veo:
        assert statuses(await veo.generate_many(["a", "b"])) == ["succeeded", "succeeded"]
        stats = veo.stats()
    assert (stats.cached, stats.clips[ClipStatus.SUCCEEDED], stats.cost_usd) == (1, 2, 3.2)
    assert list(backend.accepted) == ["b"]


@in_virtual_time
async def test_words_that_were_billed_without_a_video_count_against_the_budget_of_the_next_run() -> None:
    words = LateRefusal(verdicts.rejected("I can't", filtered=True), {"input": 0, "video": 0, "output": 10_000})
    prompt = {"text": "a boat", "model": "gemini-omni-1.1-flash"}
    [clip] = await make(ScriptedBackend(ending=lambda _: words), prompt)
    assert (clip.status, clip.cost_usd) == (ClipStatus.FILTERED, 0.09)
    again = ScriptedBackend(ending=inline)
    assert statuses(await make(again, prompt, "b", budget=3.2)) == ["filtered", "deferred"]  # b alone costs it all
    assert again.submits == []


@in_virtual_time
async def test_edited_prompts_are_new_and_the_others_keep_their_clips() -> None:
    backend = ScriptedBackend(ending=inline)
    await make(backend, "a", "b", "c")
    again = await make(backend, "c", "b, at night", {"text": "a", "duration_seconds": 4}, {"text": "a", "id": "mine"})
    assert [clip.cached for clip in again] == [True, False, False, True]
    assert again[3].prompt.id == "mine"
    assert len(backend.submits) == 5


@in_virtual_time
async def test_equal_prompts_of_one_batch_are_as_many_clips_now_and_later() -> None:
    backend = ScriptedBackend(ending=inline)
    first = await make(backend, "a", "a")
    assert [clip.job for clip in first] == [first[0].job, f"{first[0].job}.2"]
    assert len({clip.path for clip in first}) == 2
    again = await make(backend, "a", "a", "a")
    assert sorted(clip.cached for clip in again) == [False, True, True]
    assert backend.accepted == {"a": 3}


@in_virtual_time
async def test_equal_prompts_of_two_batches_at_once_are_two_clips() -> None:
    backend = ScriptedBackend(ending=inline)
    async with client(backend, journal="auto") as veo:
        clips = await asyncio.gather(veo.generate("a"), veo.generate("a"))
        assert len({clip.path for clip in clips}) == 2
        assert (await veo.generate("a")).cached
    assert backend.accepted == {"a": 2}


@in_virtual_time
async def test_fresh_makes_new_clips_on_purpose() -> None:
    backend = ScriptedBackend(ending=inline)
    [first] = await make(backend, "a")
    [second] = await make(backend, "a", fresh=True)
    assert (second.cached, second.job) == (False, f"{first.job}.2")
    assert first.path != second.path
    assert backend.accepted == {"a": 2}
    assert [clip.cached for clip in await make(backend, "a", "a")] == [True, True]


@in_virtual_time
async def test_fresh_does_not_make_twice_what_is_still_running() -> None:
    backend = ScriptedBackend(latency=100.0, ending=inline)
    await leave_running(backend, "a")
    assert statuses(await make(backend, "a", fresh=True)) == ["succeeded"]
    assert backend.accepted == {"a": 1}


@pytest.mark.parametrize("harm", ["gone", "shorter", "other bytes"])
def test_a_file_that_is_not_what_was_written_is_fetched_again_and_not_made_again(harm: str) -> None:
    class Remembers(ScriptedBackend):
        async def poll(self, operation: str) -> PollResult:
            self.polls += 1
            return INLINE

    async def main() -> None:
        backend = Remembers()
        [clip] = await make(backend, "a")
        assert clip.path is not None
        if harm == "gone":
            clip.path.unlink()
        else:
            clip.path.write_bytes(FILM[:-1] if harm == "shorter" else bytes([*FILM[:-1], FILM[-1] ^ 1]))
        polls = backend.polls
        [again] = await make(backend, "a")
        assert (again.succeeded, again.cached) == (True, False)
        assert again.path is not None
        assert again.path.read_bytes() == FILM
        assert (len(backend.submits), backend.polls) == (1, polls + 1)
        assert [clip.cached for clip in await make(backend, "a")] == [True]

    virtual(main)


@in_virtual_time
async def test_a_file_that_is_gone_at_google_too_is_for_a_person_to_judge() -> None:
    backend = ScriptedBackend(ending=inline)  # which forgets what has ended
    [clip] = await make(backend, "a")
    assert clip.path is not None
    clip.path.unlink()
    [again] = await make(backend, "a")
    assert (again.status, again.error_kind) == (ClipStatus.UNCERTAIN, "operation_gone")
    assert len(backend.submits) == 1


def test_a_directory_that_was_moved_keeps_its_clips() -> None:
    backend = ScriptedBackend(ending=inline)

    async def main() -> None:
        await make(backend, "a")
        shutil.move("clips", "elsewhere")
        [clip] = await make(backend, "a", output_dir="elsewhere")
        assert clip.cached
        assert [str(path.parent) for path in clip.paths] == ["elsewhere"]

    virtual(main)


@in_virtual_time
async def test_clips_in_a_bucket_are_cached_too() -> None:
    backend = ScriptedBackend()
    await make(backend, "a")
    [clip] = await make(backend, "a")
    assert (clip.cached, clip.uri, clip.paths) == (True, "gs://scripted/film.mp4", ())


# ---- what is running ------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_operations_left_running_are_polled_on_by_name() -> None:
    backend = ScriptedBackend(latency=100.0, ending=inline)
    await leave_running(backend, "a", "b")
    assert states() == {"running": 2}
    clips = await make(backend, "a", "b", "c")
    assert statuses(clips) == ["succeeded"] * 3
    assert [clip.operation for clip in clips] == ["operations/1", "operations/2", "operations/3"]
    assert backend.accepted == {"a": 1, "b": 1, "c": 1}


@in_virtual_time
async def test_an_operation_that_ended_without_a_video_is_polled_again_by_the_next_run_and_by_resume() -> None:
    class Odd(ScriptedBackend):
        odd = True

        async def poll(self, operation: str) -> PollResult:
            return Finished() if self.odd else INLINE

    backend = Odd()
    lost = await make(backend, "a", "b")
    assert {clip.error_kind for clip in lost} == {"no_video"}
    assert {clip.error_kind for clip in await make(backend, "a")} == {"no_video"}
    backend.odd = False
    [clip] = await make(backend, "a")
    async with client(backend, journal="auto") as veo, veo.resume() as stream:
        [other] = [clip async for clip in stream]
    assert (clip.succeeded, clip.cost_usd, other.succeeded, other.cost_usd) == (True, 3.2, True, 3.2)
    assert len(backend.submits) == 2


@in_virtual_time
async def test_what_was_left_running_counts_against_slots_and_once_against_the_budget() -> None:
    backend = ScriptedBackend(latency=100.0, ending=inline)
    await leave_running(backend, "a", "b")
    async with client(backend, journal="auto", budget=9.6, max_concurrency=2) as veo, veo.stream(["a", "b", "c"]) as s:
        await asyncio.sleep(1)
        assert veo.stats().gates["veo-3.1-generate-001"].running == 2
        found = {clip.prompt.text: clip.status.value async for clip in s}
        assert veo.stats().gates["veo-3.1-generate-001"].running == 0
        assert veo.stats().cost_usd == 3.2
    assert found == {"a": "succeeded", "b": "succeeded", "c": "succeeded"}


@in_virtual_time
async def test_an_operation_past_its_deadline_is_polled_again_by_the_next_run() -> None:
    backend = ScriptedBackend(latency=1000.0, ending=inline)
    [clip] = await make(backend, "a", operation_timeout=60)
    assert (clip.status, clip.error_kind, clip.may_be_paid) == (ClipStatus.UNFINISHED, "late", True)
    [clip] = await make(backend, "a", operation_timeout=60)
    assert (clip.status, clip.error_kind) == (ClipStatus.UNFINISHED, "late")
    await asyncio.sleep(1000)
    [clip] = await make(backend, "a", operation_timeout=60)
    assert clip.succeeded
    assert len(backend.submits) == 1


@in_virtual_time
async def test_a_resumed_operation_that_failed_is_planned_anew() -> None:
    endings = iter([Failure(13, "internal")])
    backend = ScriptedBackend(latency=100.0, ending=lambda _: next(endings, INLINE))
    await leave_running(backend, "a")
    [clip] = await make(backend, "a")
    assert (clip.status, clip.attempts, clip.operation) == (ClipStatus.SUCCEEDED, 2, "operations/2")


@in_virtual_time
async def test_a_video_that_the_disk_refused_is_fetched_by_a_later_run() -> None:
    backend = ScriptedBackend(ending=lambda _: Finished((Video(uri="https://films.example/film.mp4"),)))
    full = True

    async def download(*_: object, **__: object) -> Any:
        from aveo3.errors import FetchError
        from aveo3.files.saving import save

        if full:
            raise FetchError("no space left", disk=True, final=True)
        return await save(FILM, Path("clips/film.mp4"))

    async def attempt(*prompts: str) -> list[VideoClip]:
        async with client(backend, journal="auto") as veo:
            assert veo._session.engine is not None
            veo._session.engine._delivery._download = download
            return await veo.generate_many(prompts)

    [clip] = await attempt("a")
    assert (clip.status, clip.error_kind) == (ClipStatus.UNFINISHED, "disk")
    assert states() == {"fetching": 1}
    full = False
    [clip] = await attempt("a")
    assert (clip.succeeded, clip.error_kind, len(backend.submits)) == (True, None, 1)


@in_virtual_time
async def test_clips_without_a_prompt_in_this_run_are_finished_by_resume() -> None:
    backend = ScriptedBackend(latency=100.0, ending=inline)
    await leave_running(backend, "a", "b")
    async with client(backend, journal="auto") as veo:
        assert statuses(await veo.generate_many(["c"])) == ["succeeded"]
        async with veo.resume() as clips:
            resumed = [clip async for clip in clips]
        async with veo.resume() as clips:
            assert [clip async for clip in clips] == []
    assert sorted((clip.prompt.text, clip.status.value) for clip in resumed) == [
        ("a", "succeeded"),
        ("b", "succeeded"),
    ]
    assert backend.accepted == {"a": 1, "b": 1, "c": 1}


@in_virtual_time
async def test_resuming_goes_where_the_operation_was_sent() -> None:
    """A new project or region in the settings must not make a paid operation unknown."""
    backend = ScriptedBackend(latency=100.0, ending=inline)
    await leave_running(backend, "a")
    asked: list[Any] = []
    async with client(ScriptedBackend(), journal="auto") as veo:

        async def backend_at(place: Any) -> ScriptedBackend:
            asked.append(place)
            return backend

        reach_through(veo, backend_at)
        assert (await veo.generate("a")).succeeded
    with Journal(PATH, writes=False) as journal:
        [entry] = journal.records()
    assert asked == [entry.place]


@in_virtual_time
async def test_an_operation_that_cannot_be_reached_is_left_for_later() -> None:
    await leave_running(ScriptedBackend(latency=100.0), "a")
    async with client(ScriptedBackend(), journal="auto") as veo:

        async def backend_at(place: Any) -> ScriptedBackend:
            raise JournalError("no credentials for that project")

        reach_through(veo, backend_at)
        [clip] = await veo.generate_many(["a"])
    assert (clip.status, clip.error_kind) == (ClipStatus.UNFINISHED, "not_looked_at")
    assert states() == {"running": 1}


@in_virtual_time
async def test_stopping_a_resumed_run_leaves_everything_as_it_was() -> None:
    backend = ScriptedBackend(latency=1000.0, ending=inline)
    await leave_running(backend, "a", "b")
    await leave_running(backend, "a", "b", after=0.0)
    await leave_running(backend, "b", "a", after=3.0)
    assert states() == {"running": 2}
    await asyncio.sleep(1000)
    assert statuses(await make(backend, "a", "b")) == ["succeeded", "succeeded"]
    assert len(backend.submits) == 2


# ---- what may be paid -----------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_uncertain_clip_is_reported_and_left_alone() -> None:
    backend = ScriptedBackend([UNCERTAIN], ending=inline)
    await make(backend, "a")
    async with client(backend, journal="auto") as veo:
        [clip] = await veo.generate_many(["a"])
        assert (clip.status, clip.cached, clip.error_kind) == (ClipStatus.UNCERTAIN, True, "answer_lost")
        assert veo.stats().may_be_paid == ("'a'",)
    assert len(backend.submits) == 1


@in_virtual_time
async def test_a_request_in_progress_when_the_program_died_is_uncertain() -> None:
    with Journal(PATH) as journal:
        stream = journal.claims.begin_stream()
        digest = VideoPrompt(text="a").digest("veo-3.1-generate-001")
        entry = journal.claims.plan(
            stream, "custom", digest, position=0, model="veo-3.1-generate-001", prompt={"text": "a"}
        )
        journal.move(entry.id, State.PLANNED, State.SUBMITTING, attempts=1, cost_usd=3.2)
    backend = ScriptedBackend(ending=inline)
    [clip] = await make(backend, "a")
    assert (clip.status, clip.error_kind, clip.cost_usd) == (ClipStatus.UNCERTAIN, "answer_lost", 3.2)
    assert "between the request and its answer" in (clip.error_message or "")
    assert backend.submits == []


@in_virtual_time
async def test_a_person_may_have_an_uncertain_clip_made_again() -> None:
    backend = ScriptedBackend([UNCERTAIN], ending=inline)
    await make(backend, "a")
    with Journal(PATH) as journal:
        [entry] = journal.records()
        journal.move(entry.id, State.UNCERTAIN, State.PLANNED)
    [clip] = await make(backend, "a")
    assert (clip.status, clip.attempts, clip.cost_usd) == (ClipStatus.SUCCEEDED, 2, 3.2)


class Bucket(ScriptedBackend):
    """Loses the answers of its first submits, and lists the videos under their prefixes."""

    def __init__(self, *answers: Verdict, appears_after: float, **values: Any) -> None:
        super().__init__(answers, **values)
        self.appears_after = appears_after
        self.prefixes: dict[str, float] = {}
        self.problem: Exception | None = None

    async def submit(self, prompt: VideoPrompt, model: str, *, output_uri: str | None = None) -> Verdict:
        assert output_uri is not None
        assert output_uri not in self.prefixes
        self.prefixes[output_uri] = asyncio.get_running_loop().time() + self.appears_after
        return await super().submit(prompt, model)

    async def find(self, output_uri: str) -> tuple[Video, ...]:
        self.polls += 1
        if self.problem is not None:
            raise self.problem
        there = self.prefixes[output_uri] <= asyncio.get_running_loop().time()
        return (Video(uri=f"{output_uri}1/sample_0.mp4"),) if there else ()


@in_virtual_time
async def test_a_lost_answer_is_recovered_when_its_video_turns_up() -> None:
    backend = Bucket(UNCERTAIN, appears_after=80.0)
    [clip] = await make(backend, "a", output_gcs_uri="gs://b/out")
    assert (clip.status, clip.operation, clip.error_kind) == (ClipStatus.SUCCEEDED, None, None)
    assert clip.uri is not None
    assert clip.uri.startswith(f"gs://b/out/{clip.job}/1-")
    assert (len(backend.submits), clip.cost_usd) == (1, 3.2)


@in_virtual_time
async def test_a_later_run_recovers_a_video_that_appeared_after_the_first_gave_up() -> None:
    backend = Bucket(UNCERTAIN, appears_after=5000.0)
    [clip] = await make(backend, "a", output_gcs_uri="gs://b/out")
    assert clip.status is ClipStatus.UNCERTAIN
    assert "no video is under gs://b/out/" in (clip.error_message or "")
    await asyncio.sleep(5000)
    polls = backend.polls
    [clip] = await make(backend, "a", output_gcs_uri="gs://b/out")
    assert clip.succeeded
    assert (len(backend.submits), backend.polls) == (1, polls + 1)


@in_virtual_time
async def test_a_bucket_that_cannot_be_listed_is_reported_and_the_clip_stays_uncertain() -> None:
    backend = Bucket(UNCERTAIN, appears_after=0.0)
    backend.problem = PollError("grant roles/storage.objectViewer")
    [clip] = await make(backend, "a", output_gcs_uri="gs://b/out")
    assert clip.status is ClipStatus.UNCERTAIN
    assert "cannot check whether a video is under gs://b/out" in (clip.error_message or "")
    assert ": grant roles/storage.objectViewer" in (clip.error_message or "")
    assert len(backend.submits) == 1


@in_virtual_time
async def test_an_operation_that_google_forgot_is_recovered_from_its_bucket() -> None:
    class Forgets(Bucket):
        async def poll(self, operation: str) -> PollResult:
            raise OperationGone(f"{operation} is unknown")

    [clip] = await make(Forgets(appears_after=0.0), "a", output_gcs_uri="gs://b/out")
    assert (clip.status, clip.operation) == (ClipStatus.SUCCEEDED, "operations/1")


@in_virtual_time
async def test_no_two_attempts_write_to_one_place() -> None:
    backend = Bucket(AWAY, AWAY, appears_after=0.0)
    await make(backend, "a", "a", output_gcs_uri="gs://b/out/")
    await make(backend, "a", output_gcs_uri="gs://b/out/", output_dir="elsewhere")
    assert len(backend.prefixes) == 5


# ---- what costs nothing ---------------------------------------------------------------------------------------------


@in_virtual_time
async def test_what_was_never_made_is_submitted_by_the_next_run() -> None:
    backend = ScriptedBackend([NO_KEY], ending=inline)
    assert statuses(await make(backend, "a", "b")) == ["deferred", "deferred"]
    assert statuses(await make(backend, "a", "b")) == ["succeeded", "succeeded"]
    backend = ScriptedBackend([AWAY] * 2, ending=inline)
    assert statuses(await make(backend, "c", max_retries=1, consecutive_failure_threshold=9)) == ["failed"]
    [clip] = await make(backend, "c")
    assert (clip.status, clip.retry_count, clip.attempts) == (ClipStatus.SUCCEEDED, 0, 3)


@in_virtual_time
async def test_what_was_cancelled_is_submitted_by_the_next_run() -> None:
    backend = ScriptedBackend(latency=50.0, ending=inline)
    async with client(backend, journal="auto", max_concurrency=1) as veo, veo.stream(["a", "b", "c"]) as clips:
        await asyncio.sleep(1)
        clips.stop()
        assert sorted([clip.status.value async for clip in clips]) == ["cancelled", "cancelled", "succeeded"]
    assert states() == {"succeeded": 1, "cancelled": 2}
    assert statuses(await make(backend, "a", "b", "c")) == ["succeeded"] * 3
    assert backend.accepted == {"a": 1, "b": 1, "c": 1}


@in_virtual_time
async def test_what_a_filter_stopped_or_google_rejected_is_not_sent_again() -> None:
    backend = ScriptedBackend([verdicts.rejected("safety", filtered=True), verdicts.rejected("no such ratio")])
    await make(backend, "a", "b")
    clips = await make(backend, "a", "b")
    assert [(clip.status.value, clip.cached) for clip in clips] == [("filtered", True), ("rejected", True)]
    assert [clip.cost_usd for clip in clips] == [0.0, 0.0]  # as in the run that sent them, not their list price
    assert len(backend.submits) == 2


@in_virtual_time
async def test_what_only_the_catalog_rejected_is_judged_anew() -> None:
    backend = ScriptedBackend()
    prompt = {"text": "a", "duration_seconds": 5}
    for _ in range(2):
        [clip] = await make(backend, prompt)
        assert (clip.status, clip.cached) == (ClipStatus.REJECTED, False)
    assert states() == {"rejected": 1}


# ---- the journal itself ---------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_second_client_on_one_directory_is_refused_and_sends_nothing() -> None:
    backend = ScriptedBackend()
    async with client(backend, journal="auto"):
        with pytest.raises(JournalError, match=r"in use by process \d+ on .* since 2026-11-23 12:00:00 UTC"):
            await make(backend, "a")
    assert statuses(await make(backend, "a")) == ["succeeded"]


class FullDisk:
    """A connection whose disk is full from commit number `last` on, until there is `room` again."""

    def __init__(self, db: sqlite3.Connection, last: int) -> None:
        self.db = db
        self.commits_left = last
        self.room = False

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement == "COMMIT" and not self.room:
            if self.commits_left == 0:
                raise sqlite3.OperationalError("database or disk is full")
            self.commits_left -= 1
        return self.db.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)


@pytest.mark.parametrize("commits", range(9))
def test_a_full_disk_stops_the_run_and_nothing_is_lost_or_paid_twice(commits: int) -> None:
    """For every write that may fail first."""

    async def main() -> None:
        backend = ScriptedBackend(latency=10.0, ending=inline)
        async with client(backend, journal="auto", max_concurrency=1) as veo:
            assert veo.journal is not None
            disk = FullDisk(sqlite_of(veo.journal).connection, commits)
            sqlite_of(veo.journal).writer._db = disk  # type: ignore[assignment]
            clips = await veo.generate_many(["a", "b", "c"])
            sent = len(backend.submits)
            assert sent <= commits  # each was in the journal before it was sent
            assert (sent > 0) == (commits > 0)
            ends = Counter(statuses(clips))
            assert ends["succeeded"] == sent
            assert ends["deferred"] + ends["cancelled"] == 3 - sent
            disk.room = True
        assert statuses(await make(backend, "a", "b", "c")) == ["succeeded"] * 3
        assert backend.accepted == {"a": 1, "b": 1, "c": 1}

    virtual(main)


@in_virtual_time
async def test_without_a_journal_nothing_is_remembered_and_nothing_written() -> None:
    backend = ScriptedBackend(ending=inline)
    for _ in range(2):
        [clip] = await make(backend, "a", journal=None)
        assert (clip.cached, clip.job) == (False, None)
    assert backend.accepted == {"a": 2}
    assert not PATH.exists()


@in_virtual_time
async def test_a_journal_of_its_own_serves_where_there_is_no_output_directory() -> None:
    backend = ScriptedBackend()
    await make(backend, "a", journal="here.db")
    assert [clip.cached for clip in await make(backend, "a", journal="here.db", output_dir="elsewhere")] == [True]
    assert not PATH.exists()


def test_media_are_kept_by_hash_and_path_and_bytes_never() -> None:
    picture = Path("first.png")
    backend = ScriptedBackend()
    prompt = {"text": "a", "image": "first.png", "metadata": {"scene": 2, "where": Path("x")}}
    picture.write_bytes(b"\x89PNG first")

    async def main() -> None:
        await make(backend, prompt, {"text": "b", "image": b"\x89PNG secret"})

    async def again() -> None:
        assert [clip.cached for clip in await make(backend, prompt)] == [False]

    virtual(main)
    with Journal(PATH, writes=False) as journal:
        first, second = journal.records()
    assert first.prompt["image"]["path"] == str(picture.absolute())
    assert len(first.prompt["image"]["sha256"]) == 64
    assert first.prompt["metadata"] == {"scene": 2, "where": "x"}
    assert set(second.prompt["image"]) == {"sha256", "mime_type"}
    assert "secret" not in json.dumps(second.prompt)
    picture.write_bytes(b"\x89PNG other")
    virtual(again)


@pytest.mark.parametrize("service", ["local", "google"])
def test_clips_of_an_emulator_are_never_handed_out_as_googles(service: str) -> None:
    async def main() -> None:
        backend = ScriptedBackend(ending=inline)
        async with client(backend, journal="auto") as veo:
            await veo.generate("a")
            veo._session.service = service
            assert not (await veo.generate("a")).cached

    virtual(main)


# ---- batches side by side, and left early ---------------------------------------------------------------------------


@in_virtual_time
async def test_resuming_never_submits_not_even_what_came_to_nothing() -> None:
    endings = iter([Failure(13, "internal")])
    backend = ScriptedBackend(latency=100.0, ending=lambda _: next(endings, INLINE))
    await leave_running(backend, "a")
    async with client(backend, journal="auto") as veo, veo.resume() as clips:
        [clip] = [clip async for clip in clips]
    assert (clip.status, clip.error_kind) == (ClipStatus.DEFERRED, "not_sent")
    assert len(backend.submits) == 1
    assert statuses(await make(backend, "a")) == ["succeeded"]


@pytest.mark.parametrize("count", [20, 150])
def test_a_stream_left_early_gives_back_every_job_that_it_had_taken_up(count: int) -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=0.1, ending=inline)
        prompts = [f"prompt {number}" for number in range(count)]
        await make(backend, *prompts, rate_limit=1000)
        async with client(backend, journal="auto", rate_limit=1000) as veo:
            async with veo.stream(prompts) as clips:
                async for _ in clips:
                    await asyncio.sleep(5)
                    break
            assert all(clip.cached for clip in await veo.generate_many(prompts))
        assert len(backend.submits) == count

    virtual(main)


@in_virtual_time
async def test_resuming_beside_a_batch_with_the_same_prompt_makes_one_clip() -> None:
    backend = ScriptedBackend(latency=100.0, ending=inline)
    await leave_running(backend, "a")

    async def resumed(veo: VeoClient) -> list[VideoClip]:
        async with veo.resume() as clips:
            return [clip async for clip in clips]

    async with client(backend, journal="auto") as veo:
        task = asyncio.create_task(resumed(veo))
        await asyncio.sleep(1)
        clip = await veo.generate("a")
        assert [other.path for other in await task] == [clip.path]
    assert backend.accepted == {"a": 1}


@pytest.mark.parametrize("resume", [True, False])
def test_what_a_later_batch_has_finished_is_there_for_an_earlier_one_that_reads_slowly(resume: bool) -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=10.0, ending=inline)
        await leave_running(backend, "a", after=1.0)

        async def slowly() -> AsyncIterator[str]:
            yield "z"
            await asyncio.sleep(100)
            yield "a"

        async with client(backend, journal="auto") as veo, veo.stream(slowly()) as clips:
            if resume:
                async with veo.resume() as others:
                    assert [clip.succeeded async for clip in others] == [True]
            else:
                assert (await veo.generate("a")).succeeded
            assert {clip.prompt.text: clip.cached async for clip in clips} == {"z": False, "a": True}
        assert backend.accepted == {"a": 1, "z": 1}

    virtual(main)


@pytest.mark.parametrize("journal", [None, "auto"])
def test_stopped_among_prompts_that_can_never_work_each_has_its_clip(journal: str | None) -> None:
    async def main() -> None:
        prompts = [VideoPrompt(text=f"{n}", image=Path("/not/there.png")) for n in range(150)]
        async with client(ScriptedBackend(), journal=journal) as veo, veo.stream(prompts) as clips:
            await asyncio.sleep(5)
            clips.stop()
            ends = Counter([clip.status.value async for clip in clips])
        assert ends.total() == 150
        assert set(ends) == {"rejected", "cancelled"}

    virtual(main)


@in_virtual_time
async def test_after_a_stop_unread_prompts_are_neither_read_nor_noted() -> None:
    backend = ScriptedBackend(latency=10.0, ending=inline)
    async with client(backend, journal="auto", max_concurrency=1) as veo:
        async with veo.stream([f"prompt {n}" for n in range(30_000)]) as clips:
            await asyncio.sleep(1)
            clips.stop()
            assert len([clip async for clip in clips]) == 30_000
        assert veo.journal is not None
        assert sum(veo.journal.counts().values()) <= 10_002


# ---- money ----------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_clip_whose_file_came_back_is_a_clip_again() -> None:
    """Its file was missing during one run, and Google had forgotten it: its cost still counts."""
    backend = ScriptedBackend(ending=inline)
    [clip] = await make(backend, "a")
    assert clip.path is not None
    shutil.move(clip.path, "away.mp4")
    async with client(backend, journal="auto", budget=6.4) as veo:
        lost, new = await veo.generate_many(["a", "b"])
        assert (lost.status, lost.error_kind, new.succeeded) == (ClipStatus.UNCERTAIN, "operation_gone", True)
        assert "made and paid" in (lost.error_message or "")
    shutil.move("away.mp4", clip.path)
    [again] = await make(backend, "a")
    assert (again.succeeded, again.cached, again.path) == (True, True, clip.path)
    assert backend.accepted == {"a": 1, "b": 1}


@in_virtual_time
async def test_what_was_held_back_is_taken_off_the_price_once() -> None:
    class Remembers(ScriptedBackend):
        async def poll(self, operation: str) -> PollResult:
            return Finished((Video(data=FILM),), filtered=1, filter_reasons=("58061214",))

    prompt = {"text": "a", "number_of_videos": 2}
    [first] = await make(Remembers(), prompt)
    assert first.path is not None
    first.path.unlink()
    backend = Remembers()
    [again] = await make(backend, prompt)
    assert (first.cost_usd, again.cost_usd, again.cached, backend.submits) == (3.2, 3.2, False, [])


@in_virtual_time
async def test_with_one_of_two_lost_videos_there_the_clip_says_so() -> None:
    class Half(ScriptedBackend):
        async def find(self, output_uri: str) -> tuple[Video, ...]:
            return (Video(uri=f"{output_uri}sample_0.mp4"),)

    [clip] = await make(Half([UNCERTAIN]), {"text": "a", "number_of_videos": 2}, output_gcs_uri="gs://b/out")
    assert (clip.status, clip.error_kind, clip.cost_usd) == (ClipStatus.SUCCEEDED, "partly_found", 6.4)
    assert "1 of 2 videos were under gs://b/out/" in (clip.error_message or "")


@in_virtual_time
async def test_a_refused_listing_is_not_asked_again_and_again() -> None:
    class Refused(ScriptedBackend):
        async def find(self, output_uri: str) -> tuple[Video, ...]:
            self.polls += 1
            raise PollError("grant roles/storage.objectViewer", final=True)

    backend = Refused([UNCERTAIN])
    await make(backend, "a", output_gcs_uri="gs://b/out")
    assert backend.polls == 1


@in_virtual_time
async def test_a_slow_download_of_an_earlier_run_holds_no_running_slot() -> None:
    class Bucketed(ScriptedBackend):
        async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
            await asyncio.sleep(1000)
            return None

    backend = Bucketed(latency=10.0)
    async with client(backend, journal="auto") as veo, veo.stream(["a"]) as clips:
        await asyncio.sleep(60)
        await clips.leave()
    assert states() == {"fetching": 1}
    async with client(ScriptedBackend(ending=inline), journal="auto", max_concurrency=1) as veo:

        async def backend_at(_: Any) -> ScriptedBackend:
            return backend

        reach_through(veo, backend_at)
        async with veo.stream(["a", "b"]) as clips:
            ends = [clip.prompt.text async for clip in clips]
    assert ends == ["b", "a"]


class Unspeakable:
    """An object that raises whatever is asked of it: code of a user's own, in the middle of a change."""

    def __repr__(self) -> str:
        raise RuntimeError("half built")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("half built")

    __hash__ = None  # type: ignore[assignment]


class NaT(datetime):
    """pandas.NaT: a datetime that is none."""

    def isoformat(self, *_: Any) -> str:
        raise ValueError("NaTType does not support isoformat")

    def __str__(self) -> str:
        return "NaT"

    @property
    def year(self) -> Any:
        raise ValueError("no year")


class Rows(Mapping[str, Any]):
    """A row of a table that reads a file when it is asked."""

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise OSError(5, "Input/output error")

    def __len__(self) -> int:
        return 1


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"in": value}
    return value


def endless() -> list[Any]:
    value: list[Any] = []
    value += [value, value]
    return value


ODD: dict[str, Any] = {
    "bytes": b"\xff\xfe",
    "NaT": NaT(2026, 1, 1),
    "no repr": Unspeakable(),
    "deep": deep(2000),
    "huge": 10**5000,
    "holds itself": endless(),
    "no end": count(),
    "half an emoji": "\ud83d",
    "not a number": float("nan"),
    "odd key": {7: 1, None: 2, "\ud83d": 3},
}


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_odd_metadata_keeps_no_prompt_from_its_clip(value: Any) -> None:
    async def main() -> None:
        prompts = [{"text": "a", "metadata": {"odd": value, "scene": 3}}, "b"]
        backend = ScriptedBackend()
        clips = await make(backend, *prompts)
        assert statuses(clips) == ["succeeded"] * 2
        assert clips[0].prompt.metadata["odd"] is value
        assert statuses(await make(backend, *prompts)) == ["succeeded"] * 2
        assert len(backend.submits) == 2
        with Journal(PATH, writes=False) as journal:
            [first, _] = journal.records()
        assert first.prompt["metadata"]["scene"] == 3

    virtual(main)


BROKEN: dict[str, Any] = {
    "no repr": {"text": "a", "seed": Unspeakable()},
    "huge": {"text": "a", "seed": 10**5000},
    "deep": {"text": "a", "image": deep(2000)},
    "unreadable": Rows(),
    "key": {"text": "a", Unspeakable: 1},
    "an object": Unspeakable(),
    "unchecked": VideoPrompt.model_construct(text="a", image="a.png"),  # type: ignore[arg-type]
    "half an emoji, unchecked": VideoPrompt.model_construct(text="\ud83d"),
}


@pytest.mark.parametrize("prompt", BROKEN.values(), ids=BROKEN)
def test_a_prompt_that_cannot_even_be_read_costs_its_own_clip_only(prompt: Any) -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        clips = await make(backend, "a", prompt, "b")
        assert statuses(clips) == ["succeeded", "rejected", "succeeded"]
        assert clips[1].error_message
        assert clips[1].model_dump_json()

    virtual(main)


@in_virtual_time
async def test_stopped_while_many_wait_to_be_taken_up_each_has_its_clip_and_none_is_sent_again() -> None:
    backend = ScriptedBackend(latency=1000.0, ending=inline)
    prompts = [f"prompt {number}" for number in range(RESUMED_AT_ONCE + 20)]
    await leave_running(backend, *prompts, rate_limit=1000)
    async with client(backend, journal="auto", rate_limit=1000) as veo:
        async with veo.stream(prompts) as clips:
            await asyncio.sleep(5)
            await clips.leave()
            assert len([clip async for clip in clips]) == len(prompts)
        await asyncio.sleep(1000)
        assert set(statuses(await veo.generate_many(prompts))) == {"succeeded"}
    assert len(backend.submits) == len(prompts)


@in_virtual_time
async def test_what_a_person_had_planned_anew_is_made_anew_though_its_file_came_back() -> None:
    backend = ScriptedBackend(ending=inline)
    [clip] = await make(backend, "a")
    assert clip.path is not None
    shutil.move(clip.path, "away.mp4")
    assert statuses(await make(backend, "a")) == ["uncertain"]
    with Journal(PATH) as journal:
        journal.move(1, State.UNCERTAIN, State.PLANNED)
    shutil.move("away.mp4", clip.path)
    slow = ScriptedBackend(latency=100.0, ending=inline)
    await leave_running(slow, "a")
    assert states() == {"running": 1}  # and that one is polled: the old file does not count as its video
    assert [clip.cached for clip in await make(slow, "a")] == [False]
    assert slow.accepted == {"a": 1}
