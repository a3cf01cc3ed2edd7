"""VeoClient, the real SDK and the emulator over real sockets: the user's clips, and the emulator's books.

The figure that matters is `accepted_by_prompt`: a prompt with 2 there was paid twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Hashable
from typing import Any

import pytest

import aveo3
import aveo3.mock
from aveo3 import ClipError, ClipStatus, Settings, VeoClient, VideoPrompt
from aveo3.files.saving import SavedFile
from aveo3.mock import FAULTS, MockOptions
from aveo3.mock.config.faults import Point
from aveo3.polling.poller import Kind, Poller, Pollers
from tests.support.emulated import BOATS, KEY, assert_on_disk, emulator, make, quick

# google-genai subclasses aiohttp's session, which aiohttp frowns upon.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


# ---- within the quota, and beyond it ---------------------------------------------------------------------------------

DOZEN = [f"prompt {number}" for number in range(12)]


@pytest.mark.parametrize("counting", ["sliding", "fixed", "bucket"])
async def test_a_dozen_clips_on_a_quota_of_two_meet_one_refusal_at_most(counting: str) -> None:
    """If the last period has room, one request probes whether the server counts less strictly."""
    async with emulator(rpm=2, period=0.06, counting=counting) as server:
        clips, books = await make(server, DOZEN, rate_limit=2, rate_period=0.06)
    assert_on_disk(clips)
    assert [clip.prompt.text for clip in clips] == DOZEN
    assert books.refused <= 1
    assert books.submits == 12 + books.refused
    assert books.accepted_by_prompt == Counter(DOZEN)


@pytest.mark.parametrize("refusal_body", ["detailed", "text", "bare", "vertex"])
@pytest.mark.parametrize("count_refused", [False, True])
async def test_with_a_limit_set_four_times_too_high_it_still_makes_every_clip(
    refusal_body: str, count_refused: bool
) -> None:
    async with emulator(rpm=2, period=0.06, refusal_body=refusal_body, count_refused=count_refused) as server:
        clips, books = await make(server, DOZEN, rate_limit=8, rate_period=0.06)
    assert_on_disk(clips)
    assert books.refused > 0
    assert books.accepted_by_prompt == Counter(DOZEN)
    assert [clip.retry_count for clip in clips] == [0] * 12  # a refusal costs no clip a retry
    assert sum(clip.attempts for clip in clips) == books.submits


async def test_a_limit_on_running_operations_is_found_out_and_kept_to() -> None:
    async with emulator(concurrency=2) as server:
        clips, books = await make(server, DOZEN)
    assert_on_disk(clips)
    assert books.accepted_by_prompt == Counter(DOZEN)
    assert books.peak_running <= 2


async def test_a_daily_quota_defers_what_it_does_not_cover() -> None:
    async with emulator(rpd=2) as server:
        clips, books = await make(server)
    assert Counter(clip.status for clip in clips) == {ClipStatus.SUCCEEDED: 2, ClipStatus.DEFERRED: 2}
    assert {clip.error_kind for clip in clips if not clip.succeeded} == {"daily_quota"}
    assert books.accepted_by_prompt == Counter(clip.prompt.text for clip in clips if clip.succeeded)
    assert books.refused <= 2  # two were in flight together; none came after


# ---- one submit goes wrong -------------------------------------------------------------------------------------------

LOST_BEFORE = ["drop-before", "timeout-before", "500-before", "500-bare", "502-before", "503-bare", "504-before"]
LOST_AFTER = [name for name, (point, _) in FAULTS.items() if point is Point.ACCEPTED and name != "503-after"]
PASSING = ["503", "redirect", "overloaded"]
CLOSING = {
    "bad-key": "bad_key",
    "country": "billing",
    "billing": "billing",
    "prepaid": "billing",
    "permission": "permission",
    "key-blocked": "permission",
    "api-disabled": "permission",
    "no-billing": "billing",
    "no-access": "no_access",
}
POLLS = ["poll-500", "poll-503", "poll-429", "poll-drop", "poll-hang", "poll-pending", "poll-garbage"]


def test_every_fault_of_submit_and_poll_is_tried_below() -> None:
    tried = {*LOST_BEFORE, *LOST_AFTER, "503-after", *PASSING, *CLOSING, *POLLS, "poll-404"}
    points = (Point.SUBMIT, Point.ACCEPTED, Point.POLL)
    assert tried == {name for name, (point, _) in FAULTS.items() if point in points}


@pytest.mark.parametrize("fault", [*LOST_BEFORE, *LOST_AFTER])
async def test_a_lost_answer_is_one_uncertain_clip_that_is_never_sent_again(fault: str) -> None:
    timeout = 0.7 if "timeout" in fault else 20.0
    async with emulator(faults=[f"{fault}@2"]) as server:
        clips, books = await make(server, request_timeout=timeout)
    [lost] = [clip for clip in clips if not clip.succeeded]
    assert (lost.status, lost.error_kind, lost.operation) == (ClipStatus.UNCERTAIN, "answer_lost", None)
    assert (lost.attempts, lost.retry_count, lost.cost_usd) == (1, 0, 3.2)  # it may be billed: counted as spent
    assert books.accepted_twice == {}
    assert books.accepted_by_prompt[lost.prompt.text] == (1 if fault in LOST_AFTER else 0)
    assert books.submits == len(BOATS)


@pytest.mark.parametrize("fault", [*LOST_BEFORE, *LOST_AFTER])
async def test_if_every_answer_is_lost_nothing_is_sent_twice(fault: str) -> None:
    timeout = 0.2 if "timeout" in fault else 20.0
    async with emulator(faults=[fault]) as server:
        clips, books = await make(server, request_timeout=timeout)
    assert {clip.status for clip in clips} == {ClipStatus.UNCERTAIN}
    assert books.accepted_twice == {}
    assert books.submits == len(BOATS)


@pytest.mark.parametrize("fault", PASSING)
async def test_what_was_turned_away_is_sent_again_and_made(fault: str) -> None:
    async with emulator(faults=[f"{fault}@2"]) as server:
        clips, books = await make(server)
    assert_on_disk(clips)
    assert books.accepted_by_prompt == Counter(BOATS)
    assert books.submits == len(BOATS) + 1


@pytest.mark.parametrize("fault", ["503", "redirect"])
async def test_a_service_that_stays_away_uses_up_the_retries(fault: str) -> None:
    async with emulator(faults=[fault]) as server:
        [clip], books = await make(server, ["a boat"], max_retries=2, consecutive_failure_threshold=100)
    assert (clip.status, clip.error_kind) == (ClipStatus.FAILED, "unavailable")
    assert (clip.attempts, clip.retry_count, clip.cost_usd) == (3, 2, 0.0)
    assert (books.submits, books.accepted) == (3, 0)


async def test_a_503_with_a_status_is_taken_at_its_word() -> None:
    """It says that nothing was created, so it is sent again. If Google is ever wrong there, this is the cost."""
    async with emulator(faults=["503-after@2"]) as server:
        _, books = await make(server)
    assert list(books.accepted_twice.values()) == [2]


@pytest.mark.parametrize("fault", CLOSING)
async def test_an_answer_that_needs_a_person_stops_every_further_request(fault: str) -> None:
    async with emulator(faults=[fault]) as server:
        clips, books = await make(server)
    assert {(clip.status, clip.error_kind) for clip in clips} == {(ClipStatus.DEFERRED, CLOSING[fault])}
    assert all(clip.error_message and clip.cost_usd == 0.0 for clip in clips)
    assert (books.submits, books.accepted) == (1, 0)


@pytest.mark.parametrize("fault", CLOSING)
async def test_what_runs_when_the_lane_closes_is_still_made(fault: str) -> None:
    async with emulator(faults=[f"{fault}@2"], latency="0.1") as server:
        clips, books = await make(server)
    made = [clip for clip in clips if clip.succeeded]
    assert_on_disk(made)
    assert books.accepted_by_prompt == Counter(clip.prompt.text for clip in made)
    assert {(clip.status, clip.error_kind) for clip in clips if not clip.succeeded} == {
        (ClipStatus.DEFERRED, CLOSING[fault])
    }
    assert books.submits <= 3  # two were in flight together; none came after


# ---- polls go wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", POLLS)
async def test_failed_polls_are_repeated_until_the_clip_is_there(fault: str) -> None:
    timeout, hits = (0.7, 1) if fault == "poll-hang" else (20.0, 3)
    async with emulator(faults=[f"{fault}@1-{hits}"]) as server:
        clips, books = await make(server, request_timeout=timeout)
    assert_on_disk(clips)
    assert books.accepted_by_prompt == Counter(BOATS)
    assert books.faults[fault] == hits


async def test_an_operation_that_google_has_forgotten_is_uncertain_and_keeps_its_name() -> None:
    async with emulator(faults=["poll-404"]) as server:
        clips, books = await make(server)
    assert {(clip.status, clip.error_kind) for clip in clips} == {(ClipStatus.UNCERTAIN, "operation_gone")}
    assert all(clip.operation and clip.operation in (clip.error_message or "") for clip in clips)
    assert books.accepted_by_prompt == Counter(BOATS)


async def test_one_poll_that_finds_nothing_does_not_give_up_a_paid_clip() -> None:
    async with emulator(faults=["poll-404@1"]) as server:
        clips, _ = await make(server)
    assert_on_disk(clips)


@pytest.mark.parametrize("fault", ["stuck", "slow", "poll-500"])
async def test_what_is_not_done_by_its_deadline_is_uncertain_and_keeps_its_name(fault: str) -> None:
    async with emulator(faults=[fault], latency="0.2") as server:
        [clip], books = await make(server, ["a boat"], operation_timeout=0.1)
    assert (clip.status, clip.error_kind, clip.cost_usd) == (ClipStatus.UNCERTAIN, "late", 3.2)
    assert clip.operation is not None
    assert books.submits == 1


# ---- how operations end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words"),
    [("filtered-safety", "17301594"), ("filtered-input", "15236754")],
)
async def test_what_a_filter_stopped_is_filtered_free_and_not_tried_again(fault: str, words: str) -> None:
    async with emulator(faults=[fault]) as server:
        clips, books = await make(server)
    assert {(clip.status, clip.error_kind, clip.cost_usd) for clip in clips} == {(ClipStatus.FILTERED, "safety", 0.0)}
    assert all(words in (clip.error_message or "") for clip in clips)
    assert books.accepted_by_prompt == Counter(BOATS)
    assert books.billed_usd == 0


async def test_a_clip_whose_sound_displeased_the_filter_gets_one_more_try() -> None:
    """The filter is not deterministic, and the clip not billed: it may pass the next time."""
    for fault, status, billed in (("@1", ClipStatus.SUCCEEDED, 3.2), ("", ClipStatus.FILTERED, 0.0)):
        async with emulator(faults=[f"filtered-audio{fault}"]) as server:
            [clip], books = await make(server, ["a boat"])
        assert (clip.status, clip.attempts) == (status, 2)
        assert books.billed_usd == pytest.approx(billed)


@pytest.mark.parametrize("fault", ["error-8", "error-13", "error-14"])
async def test_an_operation_that_failed_at_google_is_started_anew(fault: str) -> None:
    async with emulator(faults=[f"{fault}@2"]) as server:
        clips, books = await make(server)
    assert_on_disk(clips)
    [again] = [clip for clip in clips if clip.retry_count]
    assert (again.retry_count, again.attempts) == (1, 2)
    assert books.accepted_twice == {again.prompt.text: 2}
    assert books.videos == len(BOATS)
    assert books.billed_usd == pytest.approx(sum(clip.cost_usd or 0 for clip in clips))


async def test_an_operation_that_fails_each_time_uses_up_the_retries() -> None:
    async with emulator(faults=["error-13"]) as server:
        [clip], books = await make(server, ["a boat"], max_retries=2)
    assert (clip.status, clip.error_kind) == (ClipStatus.FAILED, "operation_failed")
    assert (clip.retry_count, clip.attempts, clip.cost_usd) == (2, 3, 0.0)
    assert books.accepted == 3


async def test_a_lost_answer_after_a_failed_operation_does_not_name_the_failed_one() -> None:
    """A poll of the old operation would find it failed, and the clip would be paid again."""
    async with emulator(faults=["error-13@1", "drop-after@2"]) as server:
        [clip], books = await make(server, ["a boat"])
    assert (clip.status, clip.error_kind, clip.attempts) == (ClipStatus.UNCERTAIN, "answer_lost", 2)
    assert clip.operation is None
    assert books.accepted == 2


@pytest.mark.parametrize("fault", ["empty", "empty-done"])
async def test_an_end_without_video_or_error_is_for_a_person_to_judge(fault: str) -> None:
    async with emulator(faults=[fault]) as server:
        clips, books = await make(server)
    assert {(clip.status, clip.error_kind) for clip in clips} == {(ClipStatus.UNCERTAIN, "no_video")}
    assert books.accepted_by_prompt == Counter(BOATS)


async def test_several_videos_of_one_prompt_are_several_files() -> None:
    async with emulator() as server:
        [clip], books = await make(server, [VideoPrompt(text="a boat", number_of_videos=3, duration_seconds=4)])
    assert_on_disk([clip])
    assert [path.stem[-2:] for path in clip.paths] == ["-1", "-2", "-3"]
    assert clip.cost_usd == pytest.approx(books.billed_usd) == 3 * 4 * 0.40


async def test_videos_that_were_held_back_are_not_paid_and_the_others_are_there() -> None:
    async with emulator(faults=["partial"]) as server:
        [clip], books = await make(server, [VideoPrompt(text="a boat", number_of_videos=2)])
    assert_on_disk([clip])
    assert (len(clip.paths), clip.error_kind) == (1, "partly_filtered")
    assert clip.error_message == f"1 held back: {(clip.error_message or '').partition(': ')[2]}"
    assert clip.cost_usd == pytest.approx(books.billed_usd) == 3.2


async def test_videos_in_a_bucket_are_fetched_from_there() -> None:
    async with emulator() as server:
        clips, books = await make(server, output_gcs_uri="gs://bucket/out", storage_url=server.url)
    assert_on_disk(clips)
    assert all((clip.uri or "").startswith("gs://bucket/out/") for clip in clips)
    assert books.downloads_complete == len(clips)


async def test_videos_in_a_bucket_stay_there_if_they_are_to() -> None:
    async with emulator() as server:
        clips, books = await make(server, output_gcs_uri="gs://bucket/out", keep_remote=True)
    assert all(clip.succeeded and clip.paths == () and clip.fetched_utc is None for clip in clips)
    assert all((clip.uri or "").startswith("gs://bucket/out/") for clip in clips)
    assert len({clip.uri for clip in clips}) == len(clips)
    assert books.downloads == 0


# ---- stopping --------------------------------------------------------------------------------------------------------


async def test_a_run_that_is_left_names_what_it_leaves_running(caplog: pytest.LogCaptureFixture) -> None:
    async with emulator(latency="1000") as server:
        async with VeoClient(quick(server)) as veo:
            task = asyncio.create_task(veo.generate_many(BOATS))
            while server.books.accepted < len(BOATS):  # noqa: ASYNC110  (the emulator has no waker)
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            stats = veo.stats()
        running = {operation.name for operation in server.emulator.operations._by_id.values()}
    assert set(stats.may_be_paid) == running
    assert stats.clips[ClipStatus.UNCERTAIN] == len(BOATS)
    assert stats.cost_usd == pytest.approx(4 * 3.2)
    assert all(name in caplog.text for name in running)
    assert server.books.accepted_by_prompt == Counter(BOATS)


async def test_a_submit_in_progress_learns_its_operation_before_the_run_is_left() -> None:
    async with emulator(latency="1000", rtt="0.1") as server, VeoClient(quick(server)) as veo:
        task = asyncio.create_task(veo.generate_many(["a boat"]))
        while not server.emulator.books.posts:  # noqa: ASYNC110  (the emulator has no waker)
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        stats = veo.stats()
    assert server.books.accepted_by_prompt == {"a boat": 1}
    [left] = stats.may_be_paid
    assert left.startswith("publishers/google/models/veo-3.1-generate-001/operations/")


async def test_a_video_that_was_made_but_not_written_when_the_run_ended_counts_as_paid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writing = asyncio.Event()

    async def write_for_ever(*_: object, **__: object) -> SavedFile:
        writing.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("aveo3.files.saving.keep", write_for_ever)
    monkeypatch.setattr("aveo3.dispatch.batch.GRACE", 0.02)
    async with emulator() as server, VeoClient(quick(server)) as veo:
        task = asyncio.create_task(veo.generate_many(["a boat"]))
        await writing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        stats = veo.stats()
    assert stats.clips[ClipStatus.UNCERTAIN] == 1
    assert stats.cost_usd == pytest.approx(server.books.billed_usd) == 3.2


# ---- mock mode and the one-liner -------------------------------------------------------------------------------------


@pytest.fixture
def hasty_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips in mock mode take half a second to two: here a hundredth of that."""

    def hasty(**options: Any) -> MockOptions:
        return MockOptions.model_validate({**options, "latency": "0.01", "films": "bundled"})

    monkeypatch.setattr(aveo3.mock, "MockOptions", hasty)
    monkeypatch.setenv("VEO3_POLL_INTERVAL", "0.01")


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts of all connections."""
    hosts: list[str] = []
    connect = asyncio.selector_events.BaseSelectorEventLoop.sock_connect

    async def note(loop: Any, sock: Any, address: Any) -> None:
        hosts.append(address[0])
        await connect(loop, sock, address)

    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", note)
    return hosts


async def test_mock_mode_needs_neither_key_nor_network(
    hasty_emulator: None, called: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEO3_MOCK_MODE", "true")
    async with VeoClient() as veo:
        clips = await veo.generate_many(BOATS)
    assert_on_disk(clips)
    assert set(called) == {"127.0.0.1"}


async def test_mock_mode_polls_by_learnt_latencies_and_guesses_those_of_its_clips(
    hasty_emulator: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VEO3_POLL_INTERVAL")
    guesses: list[tuple[float | None, float]] = []
    of = Pollers.of

    def noted(pollers: Pollers, lane: Hashable, kind: Kind, median: float) -> Poller:
        guesses.append((pollers.interval, median))
        return of(pollers, lane, kind, median)

    monkeypatch.setattr(Pollers, "of", noted)
    assert_on_disk(await aveo3.generate_many(BOATS[:1], mock_mode=True))
    assert guesses == [(None, 1.25)]


async def test_mock_mode_leaves_the_credentials_of_the_environment_alone(
    hasty_emulator: None, called: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEO3_MOCK_MODE", "true")
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "mine")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file")
    monkeypatch.setenv("VEO3_BASE_URL", "http://192.0.2.1")
    async with VeoClient() as veo:
        clips = await veo.generate_many(["a boat"])
        assert veo.settings.api_key is not None
        assert veo.settings.api_key.get_secret_value() == "mock"
    assert_on_disk(clips)
    assert set(called) == {"127.0.0.1"}


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_mock_mode_does_not_go_through_the_office_proxy(
    hasty_emulator: None, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    clips = await aveo3.generate_many(["a boat"], mock_mode=True, max_retries=0)
    assert_on_disk(clips)


async def test_mock_mode_makes_one_clip_or_says_why_not(hasty_emulator: None) -> None:
    async with VeoClient(Settings(mock_mode=True)) as veo:
        assert (await veo.generate("a boat")).path is not None
        with pytest.raises(ClipError, match=r"^no video for 'a boat': rejected: duration_seconds=5 is not offered by"):
            await veo.generate({"text": "a boat", "duration_seconds": 5})


async def test_the_one_liner_takes_settings_as_arguments() -> None:
    async with emulator() as server:
        chosen = quick(server)
        fields = {name: getattr(chosen, name) for name in chosen.model_fields_set}
        clips = await aveo3.generate_many(iter(BOATS), **fields)
    assert_on_disk(clips)
    assert [clip.prompt.text for clip in clips] == BOATS
    assert server.books.accepted_by_prompt == Counter(BOATS)


# ---- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop-after", "bad-key", "garbage-after", "poll-404", "503", "error-13"])
async def test_no_log_no_clip_and_no_statistic_holds_the_key(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with emulator(faults=[f"{fault}@1"]) as server:
        chosen = quick(server, debug_mode=True, journal="journal.db")
        async with VeoClient(chosen) as veo:
            clips = await veo.generate_many(BOATS)
            told = [repr(veo.stats()), repr(veo.settings), *map(repr, clips), *(c.model_dump_json() for c in clips)]
    told += [f"{record.getMessage()} {record.exc_text}" for record in caplog.records]
    with open("journal.db", "rb") as file:  # noqa: ASYNC230, PTH123
        told.append(file.read().decode("latin-1"))
    assert [text for text in told if KEY in text] == []
