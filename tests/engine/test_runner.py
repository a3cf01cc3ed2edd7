"""One job, from permit to clip: the result and the cost of every answer, every end and every failure."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import count, pairwise
from math import inf
from pathlib import Path
from typing import Any

import pytest
from aioresponses import CallbackResult, aioresponses

from aveo3 import ClipStatus, VeoClient, VideoClip, VideoPrompt, verdicts
from aveo3.backends.base import Failure, Finished, LateRefusal, OperationGone, PollError, PollResult, Probe, Video
from aveo3.config.settings import JOURNAL
from aveo3.dispatch.stats import Stats
from aveo3.engine.delivery import FETCH_TRIES
from aveo3.engine.following import EMPTY_POLLS
from aveo3.engine.outcomes import LATE_REFUSALS
from aveo3.files.saving import SavedFile
from aveo3.journal.journal import Journal
from aveo3.lifecycle import State
from aveo3.testing import ScriptedBackend, run_virtual
from aveo3.testing.scripted import FILM
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from aveo3.verdicts.problems import REMEDIES, Problem
from tests.support.settings import settings
from tests.support.virtual import START_UTC, NoJitter, client, now, now_utc, virtual

PRICE = 3.20
"""US$ of eight seconds of veo-3.1-generate-001."""

UNAVAILABLE = Verdict(VerdictKind.UNAVAILABLE, "the service is away", status=503)
UNSENT = verdicts.unsent("connection refused")
UNCERTAIN = verdicts.uncertain("HTTP 500: internal", 500)
REFUSED = Verdict(VerdictKind.REFUSED, "quota exceeded", refusal=Refusal.MINUTE, retry_after=1.0)
RUNS_ON = 1e9
BOATS = [f"boat {n}" for n in range(30)]


class Watched(ScriptedBackend):
    """Records when it is polled; `problem` may raise instead of a poll."""

    def __init__(self, *args: Any, problem: Callable[[int], Exception | None] = lambda _: None, **values: Any) -> None:
        super().__init__(*args, **values)
        self.problem = problem
        self.polled_at: list[float] = []

    async def poll(self, operation: str) -> PollResult:
        self.polled_at.append(asyncio.get_running_loop().time())
        if (error := self.problem(len(self.polled_at))) is not None:
            raise error
        return await super().poll(operation)


def run(
    backend: ScriptedBackend, prompts: Iterable[str | Mapping[str, Any]] = ("a boat",), **values: object
) -> tuple[list[VideoClip], Stats, float]:
    """The clips of `prompts`, what the client counted, and how long it took. Never more than a virtual month."""

    async def main() -> tuple[list[VideoClip], Stats, float]:
        loop = asyncio.get_running_loop()
        calm = {"rate_limit": 1000, "consecutive_failure_threshold": 100, "quota_patience": None, **values}
        veo = VeoClient(
            settings(**calm),
            backend=backend,
            rng=NoJitter(),
            now_utc=now_utc,
        )
        async with asyncio.timeout(31 * 86_400), veo:
            clips = await veo.generate_many(list(prompts))
            stats = veo.stats()
            assert [gate.running for gate in stats.gates.values()] == [0] * len(stats.gates)
            assert veo._session.budget.reserved == pytest.approx(0.0)
            assert stats.cost_usd == pytest.approx(sum(clip.cost_usd or 0.0 for clip in clips))
        return clips, stats, loop.time()

    return run_virtual(main())


def run_one(backend: ScriptedBackend, prompt: str | Mapping[str, Any] = "a boat", **values: object) -> VideoClip:
    [clip], _, _ = run(backend, [prompt], **values)
    return clip


def submitted_at(backend: ScriptedBackend) -> list[float]:
    return [at for at, _ in backend.submits]


# ---- the answer to the submit ---------------------------------------------------------------------------------------


def test_an_accepted_submit_whose_operation_ends_well_is_a_clip_with_everything_on_it() -> None:
    clip = run_one(ScriptedBackend(latency=70.0, round_trip=0.5), {"text": "a boat", "id": "mine"}, poll_interval=10)
    assert clip.status is ClipStatus.SUCCEEDED
    assert (clip.prompt.id, clip.model, clip.index) == ("mine", "veo-3.1-generate-001", 0)
    assert (clip.operation, clip.uris, clip.paths) == ("operations/1", ("gs://scripted/film.mp4",), ())
    assert (clip.attempts, clip.retry_count, clip.quota_wait, clip.cost_usd) == (1, 0, 0.0, PRICE)
    assert (clip.error_kind, clip.error_message, clip.fetched_utc) == (None, None, None)
    assert (clip.queued_utc, clip.submitted_utc) == (START_UTC, START_UTC)
    assert clip.finished_utc is not None
    assert 70.5 <= (clip.finished_utc - START_UTC).total_seconds() <= 81


@pytest.mark.parametrize(
    ("verdict", "status", "kind", "cost"),
    [
        (verdicts.rejected("aspect ratio 1:1"), ClipStatus.REJECTED, "bad_request", 0.0),
        (verdicts.rejected("safety", filtered=True), ClipStatus.FILTERED, "safety", 0.0),
        (UNCERTAIN, ClipStatus.UNCERTAIN, "answer_lost", PRICE),
        (verdicts.accepted(None), ClipStatus.UNCERTAIN, "answer_lost", PRICE),
        (Verdict(VerdictKind.REFUSED, "no billing", refusal=Refusal.BILLING), ClipStatus.DEFERRED, "billing", 0.0),
        (Verdict(VerdictKind.REFUSED, "bad key", refusal=Refusal.BAD_KEY), ClipStatus.DEFERRED, "bad_key", 0.0),
    ],
    ids=["rejected", "filtered", "answer lost", "no name", "billing", "bad key"],
)
def test_an_answer_that_decides_the_clip_is_the_only_submit(
    verdict: Verdict, status: ClipStatus, kind: str, cost: float
) -> None:
    """Sent once, whatever the retries allow."""
    backend = ScriptedBackend([verdict], round_trip=0.5)
    clip = run_one(backend, max_retries=10)
    assert (clip.status, clip.error_kind) == (status, kind)
    advice = f" What to do: {verdict.refusal.advice}." if verdict.refusal else ""
    assert clip.error_message == verdict.message + advice
    assert (clip.attempts, clip.retry_count, clip.cost_usd, clip.operation) == (1, 0, cost, None)
    assert (clip.submitted_utc is not None, clip.finished_utc) == (status is ClipStatus.UNCERTAIN, None)
    assert len(backend.submits) == 1


def test_refusals_never_use_up_retries() -> None:
    backend = ScriptedBackend([REFUSED] * 25)
    clip = run_one(backend, max_retries=0)
    assert (clip.status, clip.attempts, clip.retry_count) == (ClipStatus.SUCCEEDED, 26, 0)
    assert clip.quota_wait >= 25
    assert clip.quota_wait == round(clip.quota_wait, 3), "nobody waits for less than a thousandth of a second"
    assert backend.accepted == {"a boat": 1}


def test_a_daily_refusal_defers_at_once_beyond_patience() -> None:
    verdict = Verdict(VerdictKind.REFUSED, "per day", refusal=Refusal.DAY, retry_after=1.6)
    clips, _, took = run(ScriptedBackend([verdict]), ["a", "b", "c"], quota_patience=3600)
    assert [(clip.status, clip.error_kind, clip.attempts) for clip in clips] == [
        (ClipStatus.DEFERRED, "daily_quota", n) for n in (1, 0, 0)
    ]
    assert took == 0


def test_an_unavailable_service_is_tried_again_after_base_times_n() -> None:
    backend = ScriptedBackend([UNAVAILABLE] * 3)
    clip = run_one(backend, retry_wait_base=10.0)
    assert submitted_at(backend) == pytest.approx([0, 10, 30, 60])
    assert (clip.status, clip.attempts, clip.retry_count) == (ClipStatus.SUCCEEDED, 4, 3)


def test_when_the_retries_are_used_up_the_clip_failed_and_says_after_how_many() -> None:
    backend = ScriptedBackend([UNAVAILABLE] * 10)
    clip = run_one(backend, retry_wait_base=10.0, max_retries=2)
    assert (clip.status, clip.error_kind, clip.cost_usd) == (ClipStatus.FAILED, "unavailable", 0.0)
    assert clip.error_message == "the service is away (after 2 retries)"
    assert (clip.attempts, clip.retry_count, len(backend.submits)) == (3, 2, 3)


def test_without_retries_the_first_failure_is_the_last() -> None:
    backend = ScriptedBackend([UNAVAILABLE])
    assert run_one(backend, max_retries=0).status is ClipStatus.FAILED
    assert len(backend.submits) == 1


def test_a_delay_that_the_service_names_beats_a_shorter_wait() -> None:
    backend = ScriptedBackend([Verdict(VerdictKind.UNAVAILABLE, "away", retry_after=500.0)])
    run_one(backend, retry_wait_base=10.0)
    assert submitted_at(backend) == pytest.approx([0, 500])


def test_what_was_never_sent_is_no_attempt() -> None:
    clip = run_one(ScriptedBackend([UNSENT, UNSENT]))
    assert (clip.status, clip.attempts, clip.retry_count) == (ClipStatus.SUCCEEDED, 1, 2)


def test_a_prompt_that_is_rejected_before_it_leaves_is_no_attempt() -> None:
    clip = run_one(ScriptedBackend([Verdict(VerdictKind.REJECTED, "it cannot be sent", unsent=True)]))
    assert (clip.status, clip.attempts, clip.cost_usd) == (ClipStatus.REJECTED, 0, 0.0)


def test_a_probe_is_sent_for_the_lanes_sake_and_uses_up_no_retry() -> None:
    backend = ScriptedBackend([UNAVAILABLE] * 6)
    clip = run_one(backend, max_retries=1, consecutive_failure_threshold=1)
    assert (clip.status, clip.attempts, clip.retry_count) == (ClipStatus.SUCCEEDED, 7, 1)


def test_where_others_fail_too_it_is_the_service_that_is_ill_and_no_clip_uses_up_its_retries() -> None:
    accepted = [verdicts.accepted(f"operations/{number}") for number in range(8)]
    coming = [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, *accepted[:2], UNAVAILABLE, UNAVAILABLE, *accepted[2:]]
    clips, _, _ = run(ScriptedBackend(coming), [f"clip {number}" for number in range(4)], max_retries=1)
    assert {clip.status for clip in clips} == {ClipStatus.SUCCEEDED}
    assert max(clip.attempts for clip in clips) > 2


def test_prompts_that_never_get_through_hold_up_no_other() -> None:
    """Each of their failures could be an outage; the next job shows that it is not."""
    names = (f"operations/{number}" for number in count())
    backend = ScriptedBackend(
        answer=lambda prompt: UNAVAILABLE if prompt.text.startswith("bad") else verdicts.accepted(next(names))
    )
    prompts = [f"{'bad' if number < 3 else 'good'} {number}" for number in range(33)]
    clips, _, _ = run(backend, prompts, consecutive_failure_threshold=5, quota_patience=900.0)
    made = [clip for clip in clips if clip.status is ClipStatus.SUCCEEDED]
    assert [clip.index for clip in made] == [*range(3, 33)]
    assert len(backend.submits) < 60


def test_a_backend_that_raises_on_submit_counts_as_sent_and_is_never_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def explode(prompt: VideoPrompt) -> Verdict:
        raise LookupError(f"no idea what to do with {prompt.text}")

    backend = ScriptedBackend([explode])
    clips, _, _ = run(backend, ["bad", "good"])
    assert [(clip.status, clip.error_message) for clip in clips] == [
        (ClipStatus.UNCERTAIN, "LookupError: no idea what to do with bad"),
        (ClipStatus.SUCCEEDED, None),
    ]
    assert clips[0].cost_usd == PRICE
    assert [text for _, text in backend.submits] == ["bad", "good"]
    assert "submitting 'bad' raised; counted as sent" in caplog.text


# ---- how the operation ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [8, 13, 14])
def test_passing_trouble_at_google_is_submitted_anew_and_counted(code: int) -> None:
    endings = iter([Failure(code, "high load"), Failure(code, "high load")])
    backend = ScriptedBackend(ending=lambda _: next(endings, Finished((Video(uri="gs://b/film.mp4"),))))
    clip = run_one(backend, retry_wait_base=10.0, poll_interval=1.0)
    assert (clip.status, clip.attempts, clip.retry_count) == (ClipStatus.SUCCEEDED, 3, 2)
    assert (clip.operation, clip.cost_usd) == ("operations/3", PRICE)  # failed ones are not billed
    assert submitted_at(backend) == pytest.approx([0, 11, 32])


def test_trouble_at_google_that_does_not_pass_uses_up_the_retries() -> None:
    backend = ScriptedBackend(ending=lambda _: Failure(13, "internal"))
    clip = run_one(backend, max_retries=2)
    assert (clip.status, clip.error_kind, clip.attempts) == (ClipStatus.FAILED, "operation_failed", 3)
    assert (clip.error_message, clip.cost_usd) == ("internal (code 13)", 0.0)


def test_an_earlier_attempts_operation_is_not_taken_for_the_one_whose_answer_was_lost() -> None:
    """A later poll would find it failed, and the job would be paid a second time."""
    backend = ScriptedBackend([verdicts.accepted("operations/failed"), UNCERTAIN], ending=lambda _: Failure(13, "x"))
    clip = run_one(backend)
    assert (clip.status, clip.operation, clip.finished_utc) == (ClipStatus.UNCERTAIN, None, None)
    assert (clip.attempts, clip.retry_count, clip.cost_usd) == (2, 1, PRICE)


@pytest.mark.parametrize(
    ("ending", "status", "kind", "cost"),
    [
        (Failure(3, "prompt too long"), ClipStatus.REJECTED, "bad_request", 0.0),
        (Failure(3, "violates the usage guidelines"), ClipStatus.FILTERED, "safety", 0.0),
        (Failure(13, "violates the usage guidelines"), ClipStatus.FILTERED, "safety", 0.0),
        (Failure(2, "unknown"), ClipStatus.FAILED, "operation_failed", 0.0),
        (Failure(None, "nobody knows"), ClipStatus.FAILED, "operation_failed", 0.0),
        (Finished(filtered=1, filter_reasons=("a face",)), ClipStatus.FILTERED, "safety", 0.0),
        (Finished(filtered=2), ClipStatus.FILTERED, "safety", 0.0),
        (Finished(), ClipStatus.UNCERTAIN, "no_video", PRICE),
    ],
    ids=str,
)
def test_every_other_end_decides_the_clip_without_another_submit(
    ending: PollResult, status: ClipStatus, kind: str, cost: float
) -> None:
    backend = ScriptedBackend(ending=lambda _: ending)
    clip = run_one(backend, max_retries=10)
    assert (clip.status, clip.error_kind, clip.cost_usd) == (status, kind, cost)
    assert (clip.operation, clip.attempts, clip.retry_count) == ("operations/1", 1, 0)
    assert len(backend.submits) == 1


def test_videos_held_back_are_reported_and_not_charged() -> None:
    three = tuple(Video(uri=f"gs://b/{n}.mp4") for n in range(3))
    backend = ScriptedBackend(ending=lambda _: Finished(three, filtered=1, filter_reasons=("a face",)))
    clip = run_one(backend, {"text": "a boat", "number_of_videos": 4})
    assert (clip.status, clip.error_kind) == (ClipStatus.SUCCEEDED, "partly_filtered")
    assert clip.error_message == "1 held back: a face"
    assert len(clip.uris) == 3
    assert clip.cost_usd == pytest.approx(3 * PRICE)


# ---- polling --------------------------------------------------------------------------------------------------------


def test_polls_come_at_the_configured_interval() -> None:
    backend = Watched(latency=31.0)
    run_one(backend, poll_interval=10.0)
    assert backend.polled_at == pytest.approx([10, 20, 30, 40], rel=0.11)


def test_the_latency_of_operations_is_learnt_and_polls_follow_it() -> None:
    """Sixty clips of about seventy seconds need a few polls each, and each is found within seconds of its end."""
    rng = random.Random(1)
    backend = Watched(latency=lambda _: rng.uniform(60, 80))
    clips, stats, _ = run(backend, [f"clip {n}" for n in range(60)], max_concurrency=6)
    took = [c.finished_utc - c.submitted_utc for c in clips if c.finished_utc and c.submitted_utc]
    lags = [seconds.total_seconds() - 70 for seconds in took]  # 70 on average, so the mean is what counts
    assert len(lags) == 60
    assert sum(lags) / 60 < 6
    assert backend.polls / 60 < 8
    assert stats.latency == pytest.approx(70, abs=6)


def test_failed_polls_prove_nothing_and_are_repeated() -> None:
    backend = Watched(latency=30.0, problem=lambda n: PollError("HTTP 500") if n <= 12 else None)
    clip = run_one(backend, poll_interval=5.0)
    assert (clip.status, clip.attempts, clip.retry_count) == (ClipStatus.SUCCEEDED, 1, 0)
    gaps = [later - earlier for earlier, later in pairwise(backend.polled_at)]
    assert gaps[:11] == pytest.approx([min(5.0 * n, 60.0) for n in range(1, 12)], rel=0.01)


def test_polls_that_keep_failing_end_at_the_deadline_and_the_name_is_kept() -> None:
    backend = Watched(latency=30.0, problem=lambda _: PollError("HTTP 500"))
    clip = run_one(backend, operation_timeout=600, poll_interval=5.0)
    assert (clip.status, clip.error_kind, clip.operation) == (ClipStatus.UNCERTAIN, "late", "operations/1")
    assert clip.error_message == "no poll succeeded before the deadline; the last error: HTTP 500"
    assert clip.cost_usd == PRICE
    assert 600 <= backend.polled_at[-1] <= 660
    assert len(backend.submits) == 1


def test_an_operation_that_runs_past_its_deadline_is_late_and_frees_its_slot() -> None:
    backend = Watched(latency=lambda prompt: RUNS_ON if prompt.text == "slow" else 1.0)
    clips, _, took = run(backend, ["slow", "quick"], operation_timeout=600, max_concurrency=1, poll_interval=7.0)
    assert [(clip.status, clip.error_kind, clip.operation) for clip in clips] == [
        (ClipStatus.UNCERTAIN, "late", "operations/1"),
        (ClipStatus.SUCCEEDED, None, "operations/2"),
    ]
    assert clips[0].error_message == "still running 600 s after its submit; may be billed"
    assert 600.0 in backend.polled_at  # one last poll, at the deadline itself
    assert took < 620


def test_an_operation_that_the_service_does_not_know_is_uncertain() -> None:
    backend = Watched(latency=30.0, problem=lambda _: OperationGone("operations/1 is unknown"))
    clip = run_one(backend)
    assert (clip.status, clip.error_kind, clip.operation) == (ClipStatus.UNCERTAIN, "operation_gone", "operations/1")
    assert (clip.cost_usd, len(backend.submits), len(backend.polled_at)) == (PRICE, 1, 4)


def test_a_backend_that_raises_on_a_poll_costs_neither_the_neighbours_nor_the_operations_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = Watched(latency=30.0, problem=lambda n: KeyError("videos") if n == 1 else None)
    clips, _, _ = run(backend, ["bad", "good", "good"], max_retries=10, max_concurrency=1)
    assert [clip.status for clip in clips] == [ClipStatus.UNCERTAIN, ClipStatus.SUCCEEDED, ClipStatus.SUCCEEDED]
    assert (clips[0].error_kind, clips[0].error_message) == ("unexpected", "KeyError: 'videos'")
    assert (clips[0].operation, clips[0].cost_usd) == ("operations/1", PRICE)
    assert len(backend.submits) == 3
    assert "following operations/1 raised" in caplog.text


# ---- fetching -------------------------------------------------------------------------------------------------------

URI = "https://films.example/film.mp4"


def test_inline_videos_are_written_one_file_each() -> None:
    backend = ScriptedBackend(ending=lambda _: Finished((Video(data=FILM), Video(data=FILM + b"2"))))
    clip = run_one(backend, {"text": "A paper boat", "number_of_videos": 2})
    assert clip.succeeded
    assert [path.read_bytes() for path in clip.paths] == [FILM, FILM + b"2"]
    assert [path.name[:18] + path.name[-6:] for path in clip.paths] == [
        "0001-a-paper-boat--1.mp4",
        "0001-a-paper-boat--2.mp4",
    ]
    assert (clip.uris, clip.path, clip.cost_usd) == ((), clip.paths[0], 2 * PRICE)
    assert clip.fetched_utc is not None


def test_the_same_prompt_twice_gets_two_files() -> None:
    backend = ScriptedBackend(ending=lambda _: Finished((Video(data=FILM),)))
    clips, _, _ = run(backend, ["a boat", "a boat"])
    assert len({clip.path for clip in clips}) == 2


def test_a_video_at_an_address_is_downloaded_with_the_backends_headers(web: aioresponses) -> None:
    class WithKey(ScriptedBackend):
        async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
            return uri, {"x-key": uri[-8:]}

    web.get(URI, body=FILM)
    clip = run_one(WithKey(ending=lambda _: Finished((Video(uri=URI),))))
    assert clip.path is not None
    assert clip.path.parent == Path("clips")
    assert clip.path.read_bytes() == FILM
    assert clip.uris == (URI,)
    [[call]] = web.requests.values()
    assert call.kwargs["headers"] == {"x-key": "film.mp4", "Accept-Encoding": "identity"}


class Guarded(ScriptedBackend):
    """Its downloads need a token, which it can renew."""

    token, renewed = 1, 0

    async def locate(self, uri: str) -> tuple[str, dict[str, str]]:
        return uri, {"Authorization": f"Bearer {self.token}"}

    async def renew(self, headers: dict[str, str]) -> bool:
        self.token += 1
        self.renewed += 1
        return self.renewed == 1


@pytest.mark.parametrize("heals", [True, False])
def test_a_download_whose_token_is_refused_is_tried_again_with_a_new_one(web: aioresponses, heals: bool) -> None:
    def answer(_: object, headers: dict[str, str], **__: object) -> CallbackResult:
        is_good = heals and headers["Authorization"] == "Bearer 2"
        return CallbackResult(status=200, body=FILM) if is_good else CallbackResult(status=401)

    web.get("https://files.test/1", callback=answer, repeat=True)
    backend = Guarded(ending=lambda _: Finished((Video(uri="https://files.test/1"),)))
    clip = run_one(backend)
    assert clip.status is (ClipStatus.SUCCEEDED if heals else ClipStatus.UNCERTAIN)
    assert backend.renewed == 1
    assert sum(map(len, web.requests.values())) == 2


def test_a_download_is_tried_again_a_few_times(web: aioresponses) -> None:
    for _ in range(FETCH_TRIES - 1):
        web.get(URI, status=500)
    web.get(URI, body=FILM)
    clip = run_one(ScriptedBackend(ending=lambda _: Finished((Video(uri=URI),))))
    assert clip.succeeded


@pytest.mark.parametrize(("status", "tries"), [(500, FETCH_TRIES), (403, 1)])
def test_a_video_that_cannot_be_fetched_is_paid_all_the_same_and_says_where_it_is(
    web: aioresponses, status: int, tries: int
) -> None:
    web.get(URI, status=status, body="no", repeat=True)
    backend = ScriptedBackend(ending=lambda p: Finished((Video(uri=URI if p.text == "bad" else "gs://b/film.mp4"),)))
    [bad, good], stats, _ = run(backend, ["bad", "good"], max_retries=10)
    assert (bad.status, bad.error_kind, bad.cost_usd) == (ClipStatus.UNCERTAIN, "fetch", PRICE)
    assert bad.error_message == f"{URI}: HTTP {status}: no"
    assert (bad.uris, bad.operation, bad.paths, bad.retry_count) == ((URI,), "operations/1", (), 0)
    assert good.succeeded
    assert [len(calls) for calls in web.requests.values()] == [tries]
    assert len(backend.submits) == 2  # a paid clip is never made again
    assert stats.cost_usd == 2 * PRICE


def test_a_disk_that_refuses_stops_the_run_before_more_is_paid_for_and_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    backend = ScriptedBackend(ending=lambda _: Finished((Video(data=FILM),)))
    clips, stats, _ = run(backend, [f"clip {n}" for n in range(5)], max_concurrency=1)
    # The second was running when the first ended and could not be written.
    assert [(clip.status, clip.error_kind) for clip in clips] == [
        *[(ClipStatus.UNCERTAIN, "disk")] * 2,
        *[(ClipStatus.CANCELLED, "stopped")] * 3,
    ]
    assert clips[0].cost_usd == PRICE
    assert "No space left on device" in (clips[0].error_message or "")
    assert stats.may_be_paid == ("operations/1", "operations/2")
    assert len(backend.submits) == 2


def test_whatever_else_goes_wrong_while_fetching_the_clip_is_paid_and_the_run_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(ScriptedBackend):
        async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
            if uri.startswith("gs://"):
                return None
            raise RuntimeError("no credentials any more")

    endings = iter([Finished((Video(uri=URI),))])
    backend = Broken(ending=lambda _: next(endings, Finished((Video(uri="gs://b/film.mp4"),))))
    [bad, good], _, _ = run(backend, ["bad", "good"], max_concurrency=1)
    assert (bad.status, bad.error_kind, bad.cost_usd) == (ClipStatus.UNCERTAIN, "fetch", PRICE)
    assert (bad.operation, good.status) == ("operations/1", ClipStatus.SUCCEEDED)
    assert caplog.text.count(f"fetching {URI}: RuntimeError: no credentials any more") == FETCH_TRIES


SURPRISES = [
    ValueError("a newline in a header"),
    RuntimeError("the session is closed"),
    AssertionError(),
    KeyError("x"),
]


@pytest.mark.parametrize("surprise", SURPRISES, ids=repr)
@pytest.mark.parametrize("place", ["locate", "download"])
def test_a_surprise_in_a_download_is_a_failed_download_that_is_repeated(
    place: str, surprise: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [surprise] * (FETCH_TRIES - 1)

    def perhaps(where: str) -> None:
        if where == place and left:
            raise left.pop()

    class Odd(ScriptedBackend):
        async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
            perhaps("locate")
            return uri, {}

    async def fetched(_: object, __: object, target: Path, *___: object, **____: object) -> SavedFile:
        perhaps("download")
        return SavedFile(target, 1, "f" * 64)

    monkeypatch.setattr("aveo3.files.download.to_file", fetched)
    clip = run_one(Odd(ending=lambda _: Finished((Video(uri=URI),))))
    assert (clip.status, clip.error_kind, left) == (ClipStatus.SUCCEEDED, None, [])


@pytest.mark.parametrize("video", [Video(uri=URI), Video(data=FILM)], ids=["a download", "inline"])
def test_a_clip_whose_video_cannot_be_fetched_for_a_surprise_is_fetched_by_the_next_run(
    video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Keeping(ScriptedBackend):
        async def poll(self, operation: str) -> PollResult:
            return Finished((video,))

    async def saved(_: object, target: Path, **__: object) -> SavedFile:
        return SavedFile(target, len(FILM), "f" * 64)

    async def odd(*_: object, **__: object) -> Any:
        raise ValueError("odd")

    async def main() -> None:
        backend = Keeping()
        for module in ("download.to_file", "saving.save"):
            monkeypatch.setattr(f"aveo3.files.{module}", odd)
        async with client(backend, journal="auto") as veo:
            [clip] = await veo.generate_many(["a boat"])
        assert (clip.status, clip.error_kind, clip.cost_usd) == (ClipStatus.UNFINISHED, "fetch", PRICE)
        monkeypatch.setattr("aveo3.files.download.to_file", lambda _, uri, target, *__, **___: saved(uri, target))
        monkeypatch.setattr("aveo3.files.saving.save", saved)
        async with client(backend, journal="auto") as veo:
            [clip] = await veo.generate_many(["a boat"])
        assert (clip.status, clip.cost_usd, len(backend.submits)) == (ClipStatus.SUCCEEDED, PRICE, 1)

    virtual(main)


def test_a_surprise_in_a_download_never_shows_the_key(caplog: pytest.LogCaptureFixture) -> None:
    class Telling(ScriptedBackend):
        async def locate(self, uri: str) -> tuple[str, dict[str, str]] | None:
            raise ValueError("header x-goog-api-key: AIzaSy-secret")

    caplog.set_level("INFO")
    clip = run_one(Telling(ending=lambda _: Finished((Video(uri=URI),))), api_key="AIzaSy-secret")
    assert "AIzaSy-secret" not in caplog.text + str(clip.error_message)
    assert "x-goog-api-key: (the API key)" in str(clip.error_message)


def test_a_slow_download_holds_no_running_slot() -> None:
    """The operation has ended, so the next prompt need not wait for the disk."""

    class Slow(ScriptedBackend):
        async def poll(self, operation: str) -> PollResult:
            seen = await super().poll(operation)
            return Finished((Video(uri=URI),)) if isinstance(seen, Finished) else seen

    async def slow(url: object, **_: object) -> None:
        await asyncio.sleep(1000)

    backend = Slow(latency=10.0)
    with aioresponses() as web:
        web.get(URI, exception=TimeoutError(), callback=slow, repeat=True)
        run(backend, ["a", "b", "c"], max_concurrency=1, poll_interval=5.0)
    assert submitted_at(backend)[-1] < 40


# ---- accepted, and then turned down ---------------------------------------------------------------------------------

QUOTA = Verdict(VerdictKind.REFUSED, "limit: 2", refusal=Refusal.MINUTE, retry_after=20.0, limit=2)
FILM_LOOK = Finished((Video(uri="gs://scripted/film.mp4"),))


def endings(*polls: PollResult) -> Callable[[VideoPrompt], PollResult]:
    """Ends operations in this order; after the last of them, with a video."""
    left = iter(polls)
    return lambda _: next(left, FILM_LOOK)


def test_a_late_refusal_costs_no_try_and_no_money_and_the_lane_waits_as_it_says() -> None:
    backend = ScriptedBackend(latency=1.0, ending=endings(LateRefusal(QUOTA)))
    [clip], stats, _ = run(backend, max_retries=0, poll_interval=1.0)
    assert (clip.status, clip.retry_count, clip.attempts, clip.cost_usd) == (ClipStatus.SUCCEEDED, 0, 2, PRICE)
    assert (stats.submitted, stats.refusals) == (1, 1)
    first, second = submitted_at(backend)
    assert second - first >= 21  # the delay counts from the refusal, not from the submit


def test_a_late_refusal_teaches_the_quota_to_all_later_jobs() -> None:
    backend = ScriptedBackend(latency=1.0, ending=endings(FILM_LOOK, FILM_LOOK, LateRefusal(QUOTA)))
    clips, stats, _ = run(backend, [str(n) for n in range(5)], rate_limit=3, poll_interval=1.0)
    assert [clip.status for clip in clips] == [ClipStatus.SUCCEEDED] * 5
    assert {gate.quota_limit for gate in stats.gates.values()} == {2}
    assert stats.refusals == 1  # the first three went at once; after that, two a minute
    assert len(backend.submits) == 6


def test_a_refusal_for_good_that_comes_late_closes_the_lane() -> None:
    closed = LateRefusal(Verdict(VerdictKind.REFUSED, "no credit", refusal=Refusal.BILLING))
    backend = ScriptedBackend(latency=1.0, ending=lambda _: closed)
    clips, _, _ = run(backend, ["a", "b"], max_concurrency=1, poll_interval=1.0)
    assert [(clip.status, clip.error_kind) for clip in clips] == [(ClipStatus.DEFERRED, "billing")] * 2
    assert len(backend.submits) == 1


def test_a_job_that_is_refused_late_again_and_again_is_left_for_another_day() -> None:
    backend = ScriptedBackend(latency=1.0, ending=lambda _: LateRefusal(QUOTA))
    clip = run_one(backend, poll_interval=1.0)
    assert (clip.status, clip.error_kind, clip.cost_usd) == (ClipStatus.DEFERRED, "minute_quota", 0.0)
    assert clip.error_message == f"limit: 2 (accepted and then refused {LATE_REFUSALS} times)"
    assert len(backend.submits) == LATE_REFUSALS


@pytest.mark.parametrize(
    ("verdict", "status", "kind"),
    [
        (verdicts.rejected("I can't", filtered=True), ClipStatus.FILTERED, "safety"),
        (verdicts.rejected("no such ratio"), ClipStatus.REJECTED, "bad_request"),
    ],
)
def test_what_is_rejected_late_is_not_sent_again(verdict: Verdict, status: ClipStatus, kind: str) -> None:
    backend = ScriptedBackend(ending=lambda _: LateRefusal(verdict, {"input": 19, "video": 0, "output": 265}))
    clip = run_one(backend, {"text": "a boat", "model": "gemini-omni-1.1-flash"})
    assert (clip.status, clip.error_kind, clip.error_message) == (status, kind, verdict.message)
    assert clip.cost_usd == 0.0024  # text is billed, too
    assert clip.finished_utc is not None
    assert len(backend.submits) == 1


def test_what_was_unavailable_after_all_is_tried_again_at_the_price_of_a_try() -> None:
    backend = ScriptedBackend(ending=endings(LateRefusal(UNAVAILABLE)))
    clip = run_one(backend)
    assert (clip.status, clip.retry_count, len(backend.submits)) == (ClipStatus.SUCCEEDED, 1, 2)


def test_a_refused_poll_pauses_the_lane_once_and_is_repeated() -> None:
    def told(poll: int) -> Exception | None:
        return PollError("HTTP 429: limit: 2", verdict=QUOTA) if poll <= 3 else None

    backend = Watched(latency=1.0, problem=told)
    clips, stats, _ = run(backend, ["a", "b"], rate_limit=1, rate_period=5, poll_interval=1.0)
    assert [clip.status for clip in clips] == [ClipStatus.SUCCEEDED] * 2
    assert [clip.attempts for clip in clips] == [1, 1]  # nothing was sent again
    assert stats.refusals == 1
    first, second = submitted_at(backend)
    assert second - first >= 21


def test_a_refused_poll_slows_all_polls_and_does_not_concern_submits() -> None:
    def told(poll: int) -> Exception | None:
        return PollError("HTTP 429", refused=True, retry_after=40.0) if poll == 1 else None

    backend = Watched(latency=30.0, problem=told)
    clips, stats, _ = run(backend, ["a", "b", "c"], rate_limit=1, rate_period=5, poll_interval=10.0)
    assert [clip.status for clip in clips] == [ClipStatus.SUCCEEDED] * 3
    assert stats.refusals == 0
    assert submitted_at(backend) == pytest.approx([0, 5, 10], abs=0.5)
    refused_at, *others = backend.polled_at
    assert refused_at == pytest.approx(10.0)
    assert min(others) >= refused_at + 40


def test_what_google_says_it_bills_is_what_a_clip_has_cost() -> None:
    film = Finished(FILM_LOOK.videos, tokens={"input": 19, "video": 17_376, "output": 732})
    backend = ScriptedBackend(ending=lambda _: film)
    clip = run_one(backend, {"text": "a boat", "duration_seconds": 3, "model": "gemini-omni-1.1-flash"})
    assert clip.cost_usd == 0.3107
    assert run_one(ScriptedBackend(ending=lambda _: film)).cost_usd == PRICE  # Veo is not sold by tokens


def test_an_end_without_a_video_says_what_there_was_instead() -> None:
    clip = run_one(ScriptedBackend(ending=lambda _: Finished(note="it was cancelled at Google")))
    assert (clip.status, clip.error_message) == (
        ClipStatus.UNCERTAIN,
        "it was cancelled at Google: it may be billed",
    )


@pytest.mark.parametrize("odd_polls", [1, EMPTY_POLLS - 1])
@pytest.mark.parametrize(
    "odd",
    [
        Finished(),
        Finished(note="it ended completed and is billed as a video, but holds none"),
        LateRefusal(verdicts.rejected("it ended without a video", filtered=True), by_absence=True),
    ],
    ids=["nothing", "billed", "filtered"],
)
def test_an_odd_poll_without_a_video_costs_no_clip(odd: PollResult, odd_polls: int) -> None:
    class Odd(Watched):
        async def poll(self, operation: str) -> PollResult:
            poll = await super().poll(operation)
            if len(self.polled_at) <= odd_polls:
                self._operations[operation] = (0.0, VideoPrompt(text="a boat"))
                return odd
            return poll

    backend = Odd(latency=0.0)
    clip = run_one(backend)
    assert (clip.status, clip.error_kind, clip.cost_usd) == (ClipStatus.SUCCEEDED, None, PRICE)
    assert (len(backend.submits), len(backend.polled_at)) == (1, odd_polls + 1)
    assert all(after - before >= 2 for before, after in pairwise(backend.polled_at)), "spaced"


def test_an_end_without_a_video_is_believed_after_some_polls_and_a_poll_that_fails_is_none() -> None:
    class Empty(Watched):
        async def poll(self, operation: str) -> PollResult:
            await super().poll(operation)
            if len(self.polled_at) == 2:
                raise PollError("HTTP 500")
            self._operations[operation] = (0.0, VideoPrompt(text="a boat"))
            return Finished()

    backend = Empty(latency=0.0)
    clip = run_one(backend)
    assert (clip.status, clip.error_kind) == (ClipStatus.UNCERTAIN, "no_video")
    assert len(backend.polled_at) == EMPTY_POLLS + 1


def test_polls_that_all_fail_are_logged_once_and_again_after_a_success(caplog: pytest.LogCaptureFixture) -> None:
    """With expired credentials, operations seem to run for ever."""

    class Blind(ScriptedBackend):
        async def poll(self, operation: str) -> PollResult:
            if now() < 400 or 500 < now() < 900:
                raise PollError(f"polling {operation}: HTTP 401: expired")
            return await super().poll(operation)

    async def main() -> None:
        async with client(Blind(latency=1000.0), poll_interval=10.0) as veo:
            clip = await veo.generate("a boat")
        assert clip.succeeded

    virtual(main)
    logged = [record.message for record in caplog.records if "in a row have failed" in record.message]
    assert len(logged) == 2
    assert logged[0].startswith(
        "5 polls in a row have failed; polling goes on. The last: polling operations/1: HTTP 401"
    )


# ---- answers that are not Google's -----------------------------------------------------------------------------------


def test_a_proxy_that_is_mended_costs_no_clip() -> None:
    page = {"message": "<html>Proxy Authentication Required</html>", "status": "Proxy Authentication Required"}

    def answer(prompt: VideoPrompt) -> Verdict:
        away = asyncio.get_running_loop().time() < 900
        return verdicts.from_answer(407, page) if away else verdicts.accepted(f"operations/{prompt.text}")

    backend = ScriptedBackend(answer=answer)
    clips, _, _ = run(backend, [f"boat {n}" for n in range(30)], consecutive_failure_threshold=3)
    assert [clip.status for clip in clips] == [ClipStatus.SUCCEEDED] * 30
    assert set(backend.accepted.values()) == {1}
    assert len(backend.submits) < 60  # the breaker kept the others from knocking


def test_a_proxy_that_is_not_mended_leaves_clips_for_the_next_run_and_is_named() -> None:
    backend = ScriptedBackend(answer=lambda _: verdicts.from_answer(407, "<html>Blocked</html>"))
    clips, _, _ = run(backend, ["a boat"] * 5, consecutive_failure_threshold=3, quota_patience=600.0)
    assert {clip.status for clip in clips} <= {ClipStatus.DEFERRED, ClipStatus.FAILED}
    assert any("not Google" in (clip.error_message or "") for clip in clips)


def test_a_submit_that_is_answered_with_the_operation_of_another_is_uncertain_and_says_whose_it_is() -> None:
    """Else several prompts would get one film, and the others would be lost without a word."""
    backend = ScriptedBackend([verdicts.accepted("operations/one")] * 3, round_trip=0.5)
    clips, _, _ = run(backend, ["a", "b", "c", "d"])
    assert [clip.status for clip in clips] == [
        ClipStatus.SUCCEEDED,
        ClipStatus.UNCERTAIN,
        ClipStatus.UNCERTAIN,
        ClipStatus.SUCCEEDED,
    ]
    assert [clip.operation for clip in clips[:3]] == ["operations/one", None, None]
    assert str(clips[1].error_message).startswith("the answer names operations/one, the operation of another submit of")
    assert (clips[1].error_kind, clips[1].cost_usd, len(backend.submits)) == ("answer_lost", PRICE, 4)


def test_a_second_attempt_that_is_answered_with_the_operation_of_the_first_is_uncertain() -> None:
    backend = ScriptedBackend([verdicts.accepted("operations/one")] * 2, ending=lambda _: Failure(13, "internal"))
    clip = run_one(backend, max_retries=3)
    assert (clip.status, clip.attempts, clip.operation) == (ClipStatus.UNCERTAIN, 2, None)


CLEAR, SHOWN = "\x1b[2J\x07", r"\x1b[2J\x07"


@pytest.mark.parametrize(
    "ending",
    [
        Failure(3, CLEAR),
        Finished(filtered=1, filter_reasons=(CLEAR,)),
        Finished(note=CLEAR),
        LateRefusal(verdicts.rejected(CLEAR)),
        Failure(3, CLEAR + "x" * 1_000_000),
    ],
    ids=["failure", "filter", "note", "late refusal", "a megabyte"],
)
def test_what_google_says_is_shown_and_never_obeyed_and_has_a_size(ending: PollResult) -> None:
    clip = run_one(ScriptedBackend(ending=lambda _: ending), journal="auto")
    assert clip.error_message is not None
    assert (SHOWN in clip.error_message, "\x1b" in clip.error_message) == (True, False)
    assert len(clip.error_message) < 5_000
    with Journal(Path("clips") / JOURNAL, writes=False) as journal:
        [record] = journal.records()
        assert record.error_message == clip.error_message


def test_what_an_exception_nobody_expected_says_is_shown_and_never_obeyed() -> None:
    backend = Watched(problem=lambda _: RuntimeError(CLEAR))
    clip = run_one(backend)
    assert clip.error_message == f"RuntimeError: {SHOWN}"


class Unreachable(ScriptedBackend):
    """No request leaves until `mended_at`, and a free request finds `problem`."""

    def __init__(
        self, problem: Problem | None, said: str = "no way", *, reached: int = 0, mended_at: float = inf
    ) -> None:
        super().__init__(answer=self.judge)
        self.problem, self.said, self.reached, self.mended_at = problem, said, reached, mended_at
        self.checks = 0

    def judge(self, prompt: VideoPrompt) -> Verdict:
        away = len(self.submits) > self.reached and asyncio.get_running_loop().time() < self.mended_at
        return UNSENT if away else verdicts.accepted(f"operations/{prompt.text}")

    async def check(self, model: str) -> Probe:
        self.checks += 1
        return Probe("https://google", problem=self.problem, said=self.said)


@pytest.mark.parametrize("problem", [Problem.PROXY, Problem.TLS, Problem.OUT_OF_DATE])
def test_what_only_a_person_can_mend_ends_the_run_at_once_with_the_words_of_check(problem: Problem) -> None:
    backend = Unreachable(problem, "ClientHttpProxyError: 407, message='Proxy Authentication Required'")
    clips, _, took = run(backend, BOATS, quota_patience=3600.0)
    assert {(clip.status, clip.error_kind, clip.attempts) for clip in clips} == {(ClipStatus.DEFERRED, problem, 0)}
    remedy = REMEDIES[problem]
    assert clips[0].error_message == (
        f"{remedy.what.format(address='https://google')}. {remedy.way_out} ({backend.said})"
    )
    assert (len(backend.submits) <= 2, backend.checks, took < 1) == (True, 1, True)


@pytest.mark.parametrize(
    ("problem", "said", "reached"),
    [
        (Problem.NO_NAME, "offline", 0),
        (Problem.REFUSED, "a restart", 0),
        (Problem.PROXY, "ClientHttpProxyError: 502, message='Bad Gateway'", 0),
        (Problem.PROXY, "ClientHttpProxyError: 407", 1),
        (None, "", 0),
    ],
    ids=["no name", "refused", "a proxy out of order", "it worked before", "nothing"],
)
def test_what_passes_by_itself_is_waited_for(
    problem: Problem | None, said: str, reached: int, caplog: pytest.LogCaptureFixture
) -> None:
    backend = Unreachable(problem, said, reached=reached, mended_at=900.0)
    clips, _, _ = run(backend, BOATS, consecutive_failure_threshold=3)
    assert {clip.status for clip in clips} == {ClipStatus.SUCCEEDED}
    assert (backend.checks > 0) == (not reached)
    if problem is not None and not reached:
        assert caplog.text.count(REMEDIES[problem].way_out[:30]) == 1


def test_a_run_that_is_stopped_during_the_diagnosis_loses_nothing() -> None:
    class Slow(Unreachable):
        async def check(self, model: str) -> Probe:
            await asyncio.sleep(5)
            return await super().check(model)

    async def main() -> None:
        backend = Slow(Problem.PROXY)
        async with client(backend, journal="auto") as veo:
            async with veo.stream(["a", "b"]):
                await asyncio.sleep(1)
            assert [gate.running for gate in veo.stats().gates.values()] == [0]
        with Journal(Path("clips") / JOURNAL, writes=False) as journal:
            assert {record.state for record in journal.records()} == {State.CANCELLED}

    virtual(main)


class Filtered(ScriptedBackend):
    """Behind a filter that answers in Google's place until `mended_at`."""

    def __init__(self, status: int = 403, mended_at: float = 900.0, *, reads_answers: bool = False) -> None:
        super().__init__(answer=self.judge, round_trip=0.5)
        self.status, self.mended_at, self.reads_answers = status, mended_at, reads_answers
        self.checks = 0

    @property
    def blocks(self) -> bool:
        return asyncio.get_running_loop().time() < self.mended_at

    def judge(self, prompt: VideoPrompt) -> Verdict:
        page = "<html>Blocked</html>"
        return (
            verdicts.from_answer(self.status, page) if self.blocks else verdicts.accepted(f"operations/{prompt.text}")
        )

    async def check(self, model: str) -> Probe:
        self.checks += 1
        if self.blocks and not self.reads_answers:
            return Probe("a proxy", status=self.status, body={"message": "<html>Blocked</html>"})
        return Probe("Google", status=404, body={"error": {"code": 404, "status": "NOT_FOUND", "message": "x"}})


@pytest.mark.parametrize("status", [302, 400, 403, 405, 451])
def test_a_filter_in_googles_place_leaves_one_clip_uncertain_and_the_others_go_once_it_is_mended(status: int) -> None:
    backend = Filtered(status)
    clips, _, took = run(backend, BOATS, consecutive_failure_threshold=3, max_retries=0)
    assert Counter(clip.status for clip in clips) == {ClipStatus.UNCERTAIN: 1, ClipStatus.SUCCEEDED: 29}
    assert (len(backend.submits), set(backend.accepted.values())) == (30, {1})
    assert (2 <= backend.checks <= 10, took < 900 + 700) == (True, True)


def test_a_filter_that_is_not_mended_costs_one_clip_and_the_others_are_left_for_the_next_run() -> None:
    backend = Filtered(mended_at=inf)
    clips, _, _ = run(backend, BOATS, quota_patience=3600.0)
    assert Counter(clip.status for clip in clips) == {ClipStatus.UNCERTAIN: 1, ClipStatus.DEFERRED: 29}
    assert {clip.error_kind for clip in clips[1:]} == {"not_google"}
    assert all(
        "Google still does not answer: HTTP 403: <html>Blocked</html>" in str(c.error_message) for c in clips[1:]
    )
    assert len(backend.submits) == 1


def test_a_filter_that_blocks_only_what_is_paid_closes_the_lane_after_the_second_clip() -> None:
    clips, _, _ = run(Filtered(mended_at=inf, reads_answers=True), BOATS)
    assert Counter(clip.status for clip in clips) == {ClipStatus.UNCERTAIN: 2, ClipStatus.DEFERRED: 28}
    assert {clip.error_kind for clip in clips if clip.status is ClipStatus.DEFERRED} == {"not_google"}
    assert all("Google answers free requests here, but not paid ones" in str(c.error_message) for c in clips[2:])


@pytest.mark.parametrize("error", [TimeoutError, asyncio.CancelledError])
def test_a_free_request_that_hangs_or_is_stopped_sends_and_loses_nothing(error: type[BaseException]) -> None:
    class Hangs(Filtered):
        async def check(self, model: str) -> Probe:
            self.checks += 1
            await asyncio.sleep(3600 if self.blocks else 0)
            return await super().check(model)

    async def main() -> None:
        backend = Hangs(mended_at=300.0)
        async with client(backend, retry_wait_base=30.0) as veo, veo.stream(["a", "b"]) as clips:
            await asyncio.sleep(35)
            assert backend.checks == 1
            if error is asyncio.CancelledError:
                await clips.leave()
            found = {clip.prompt.text: clip.status async for clip in clips}
        other = ClipStatus.CANCELLED if error is asyncio.CancelledError else ClipStatus.SUCCEEDED
        assert found == {"a": ClipStatus.UNCERTAIN, "b": other}
        assert len(backend.submits) == (1 if error is asyncio.CancelledError else 2)

    virtual(main)


# ---- conditions that pass --------------------------------------------------------------------------------------------


def test_what_google_asks_to_try_again_in_a_few_minutes_is_tried_again_and_uses_up_no_retry() -> None:
    body = {"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "Please try again in a few minutes."}}
    not_ready = verdicts.from_answer(400, body)
    backend = ScriptedBackend([not_ready] * 5)
    [clip], _, took = run(backend, max_retries=0)
    assert (clip.status, clip.retry_count) == (ClipStatus.SUCCEEDED, 0)
    assert (len(backend.submits), took >= 5 * 60) == (6, True)


def test_an_operation_that_ran_out_of_time_at_google_is_made_anew() -> None:
    endings: list[PollResult] = [Failure(4, "Deadline exceeded."), Finished((Video(uri="gs://b/film.mp4"),))]
    clip = run_one(ScriptedBackend(ending=lambda _: endings.pop(0)))
    assert (clip.status, clip.attempts, clip.retry_count, clip.cost_usd) == (ClipStatus.SUCCEEDED, 2, 1, PRICE)
