"""The public API: order, failing neighbours, shared quota, totals, and the cost of an outage."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aveo3 import (
    AveoError,
    ClipError,
    ClipStatus,
    Settings,
    UsageError,
    VeoClient,
    VideoPrompt,
    verdicts,
)
from aveo3.backends.base import Finished
from aveo3.dispatch.batch import GRACE
from aveo3.dispatch.planner import Prompt
from aveo3.quota.breaker import BreakerState
from aveo3.testing import ScriptedBackend
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.journals import sqlite_of
from tests.support.settings import settings
from tests.support.virtual import NoJitter, now, statuses, virtual
from tests.support.virtual import client as calm_client

MODEL = "veo-3.1-generate-001"
PRICE = 3.20

UNSENT = verdicts.unsent("connection refused")
UNAVAILABLE = Verdict(VerdictKind.UNAVAILABLE, "HTTP 503", status=503)
UNCERTAIN = verdicts.uncertain("HTTP 500", 500)


def client(backend: ScriptedBackend, **values: object) -> VeoClient:
    """By default: ten submits a minute, and a poll every second."""
    return calm_client(backend, **{"rate_limit": 10, **values})


# ---- what comes back ------------------------------------------------------------------------------------------------


def test_clips_come_in_the_order_of_their_prompts_whichever_finishes_first() -> None:
    async def main() -> None:
        rng = random.Random(3)
        backend = ScriptedBackend(latency=lambda _: rng.uniform(1, 200), round_trip=0.3)
        async with client(backend) as veo:
            clips = await veo.generate_many(f"clip {n}" for n in range(40))
        assert [(clip.index, clip.prompt.text) for clip in clips] == [(n, f"clip {n}") for n in range(40)]
        assert all(clip.succeeded for clip in clips)
        assert max(backend.accepted.values()) == 1

    virtual(main)


def test_prompts_may_be_texts_mappings_or_prompts() -> None:
    async def main() -> None:
        given: list[Prompt] = ["a", {"text": "b", "seed": 7}, VideoPrompt(text="c", duration_seconds=4)]
        async with client(ScriptedBackend()) as veo:
            clips = await veo.generate_many(given)
        assert [clip.prompt for clip in clips] == [
            VideoPrompt(text="a"),
            VideoPrompt(text="b", seed=7),
            VideoPrompt(text="c", duration_seconds=4),
        ]
        assert [clip.cost_usd for clip in clips] == [PRICE, PRICE, PRICE / 2]

    virtual(main)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("", "a prompt needs a text, an image or a video to extend"),
        ("   \n", "a prompt needs a text, an image or a video to extend"),
        ({}, "a prompt needs a text, an image or a video to extend"),
        ({"text": ""}, "a prompt needs a text, an image or a video to extend"),
        ({"text": "x", "colour": "red"}, "colour is not a field of a prompt"),
        ({"text": "x", "duration_seconds": "long"}, "duration_seconds"),
        ({"text": "x", "number_of_videos": 5}, "number_of_videos"),
        ({"text": "x", "last_frame": b"\x89PNG...."}, "last_frame needs image"),
        ({"text": "x" * 20_001}, "text"),
        ({"text": 5}, "text"),
        ({5: "text"}, "5"),
        (5, "instance of VideoPrompt"),
        (None, "instance of VideoPrompt"),
        (b"a boat", "instance of VideoPrompt"),
        (["a boat"], "instance of VideoPrompt"),
        ("\ud800 a lone surrogate", "text"),
        ({"text": "x", "negative_prompt": "\udfff"}, "negative_prompt"),
        ({"text": "x", "image": "no-such-file.png"}, "cannot read no-such-file.png: No such file or directory"),
        ({"text": "x", "image": "clips.png"}, "cannot read clips.png: Is a directory"),
        ({"text": "x", "image": "null\0byte.png"}, "null byte"),
        ({"text": "x", "image": "file.of-no-kind"}, "cannot tell the media type of file.of-no-kind"),
        ({"text": "x", "duration_seconds": 5}, "duration_seconds=5 is not offered by veo-3.1-generate-001"),
        ({"text": "x", "aspect_ratio": "1:1"}, "aspect_ratio='1:1' is not offered"),
        ({"text": "x", "model": "veo-2.0-generate-001"}, "use veo-3.1-generate-001"),
        ({"text": "x", "model": "veo-3.1-lite-generate-001", "resolution": "4k"}, "resolution='4k' is not offered"),
    ],
    ids=lambda value: repr(value)[:40] if not isinstance(value, str) or len(value) < 30 else "",
)
def test_one_bad_prompt_sends_nothing_and_never_hurts_its_neighbours(bad: Any, says: str) -> None:
    Path("clips.png").mkdir()

    async def main() -> None:
        backend = ScriptedBackend()
        async with client(backend, output_dir=Path("out")) as veo:
            clips = await veo.generate_many(["before", bad, "after", bad])
            assert statuses(clips) == ["succeeded", "rejected", "succeeded", "rejected"]
            assert [clip.index for clip in clips] == [0, 1, 2, 3]
            clip = clips[1]
            assert says in (clip.error_message or "")
            assert (clip.error_kind, clip.attempts, clip.cost_usd, clip.submitted_utc) == ("bad_request", 0, 0.0, None)
            assert clip.queued_utc is not None
            clip.model_dump_json()  # its clip can be written down like any other
            assert [text for _, text in backend.submits] == ["before", "after"]
            assert veo.stats().clips[ClipStatus.REJECTED] == 2

    virtual(main)


@pytest.mark.parametrize("prompts", ["a paper boat", b"a paper boat", {"text": "a"}, VideoPrompt(text="a")], ids=str)
def test_a_single_prompt_passed_as_several_is_refused_with_the_way_out(prompts: Any) -> None:
    """A str is an iterable of letters: that would be one clip for each, and a dict one for each key."""

    async def main() -> None:
        backend = ScriptedBackend()
        async with client(backend) as veo:
            with pytest.raises(UsageError, match=r"write generate_many\(\[prompt\]\)"):
                await veo.generate_many(prompts)
            with pytest.raises(UsageError, match="not several"):
                veo.stream(prompts)
        assert backend.submits == []

    virtual(main)


# ---- generate -------------------------------------------------------------------------------------------------------


def test_generate_returns_the_clip() -> None:
    async def main() -> None:
        async with client(ScriptedBackend()) as veo:
            clip = await veo.generate("a paper boat")
        assert (clip.succeeded, clip.prompt.text, clip.uri) == (True, "a paper boat", "gs://scripted/film.mp4")

    virtual(main)


@pytest.mark.parametrize("status", sorted(set(ClipStatus) - {ClipStatus.SUCCEEDED, ClipStatus.CANCELLED}))
def test_generate_raises_with_the_clip_attached_whenever_there_is_no_video(status: ClipStatus) -> None:
    backends = {
        ClipStatus.FILTERED: ScriptedBackend([verdicts.rejected("safety", filtered=True)]),
        ClipStatus.REJECTED: ScriptedBackend([verdicts.rejected("no")]),
        ClipStatus.FAILED: ScriptedBackend([UNAVAILABLE] * 4),
        ClipStatus.UNCERTAIN: ScriptedBackend(ending=lambda _: Finished()),
        ClipStatus.UNFINISHED: ScriptedBackend(latency=9_000.0),
        ClipStatus.DEFERRED: ScriptedBackend([Verdict(VerdictKind.REFUSED, "no key", refusal=Refusal.BAD_KEY)]),
    }

    async def main() -> None:
        async with client(backends[status], consecutive_failure_threshold=9, journal="auto") as veo:
            with pytest.raises(ClipError) as raised:
                await veo.generate("a paper boat")
        assert isinstance(raised.value, AveoError)
        assert raised.value.clip.status is status
        assert str(raised.value) == f"no video for 'a paper boat': {status}: {raised.value.clip.error_message}"

    virtual(main)


# ---- opening and closing --------------------------------------------------------------------------------------------


def test_a_client_that_is_not_open_says_how_to_open_it() -> None:
    async def main() -> None:
        backend = ScriptedBackend()
        veo = client(backend)
        with pytest.raises(UsageError, match="open the client first"):
            await veo.generate_many(["a"])
        async with veo:
            await veo.generate_many(["a"])
        with pytest.raises(UsageError, match="open the client first"):
            await veo.generate_many(["a", {"text": "b", "model": "veo-3.1-fast-generate-001"}])
        assert len(backend.submits) == 1
        assert veo.stats().submitted == 1  # what it did can still be read

    virtual(main)


def test_a_directory_that_cannot_be_made_is_found_before_anything_is_paid() -> None:
    Path("in-the-way").write_text("a file")

    async def main() -> None:
        backend = ScriptedBackend()
        with pytest.raises(UsageError, match="VEO3_OUTPUT_DIR=in-the-way/clips cannot be made"):
            async with client(backend, output_dir=Path("in-the-way/clips")):
                pass
        assert backend.submits == []

    virtual(main)


def test_the_output_directory_is_made_with_its_parents() -> None:
    async def main() -> None:
        async with client(ScriptedBackend(), output_dir=Path("a/b/c")):
            pass

    virtual(main)
    assert Path("a/b/c").is_dir()


def test_a_client_that_is_closed_under_a_stream_cancels_what_waits() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=1.0)
        async with client(backend, rate_limit=2) as veo:
            task = asyncio.create_task(veo.generate_many([f"{n}" for n in range(6)]))
            await asyncio.sleep(10)
        clips = await task
        assert statuses(clips) == ["succeeded"] * 2 + ["cancelled"] * 4
        assert {clip.error_kind for clip in clips[2:]} == {"stopped"}
        assert len(backend.submits) == 2

    virtual(main)


# ---- sharing --------------------------------------------------------------------------------------------------------


def test_two_batches_at_once_on_one_client_share_its_quota() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=5.0, round_trip=0.2)
        async with client(backend) as veo:
            batches = await asyncio.gather(
                veo.generate_many(f"a {n}" for n in range(25)),
                veo.generate_many(f"b {n}" for n in range(25)),
            )
        for batch in batches:
            assert [(clip.index, clip.succeeded) for clip in batch] == [(n, True) for n in range(25)]
        times = [at for at, _ in backend.submits]
        assert all(later - earlier > 60 for earlier, later in zip(times, times[10:], strict=False))
        assert max(times) <= 1.05 * 4 * 60
        first_ten = Counter(text[0] for _, text in backend.submits[:10])
        assert first_ten == {"a": 5, "b": 5}  # turn and turn about: neither batch starves

    virtual(main)


def test_two_batches_at_once_share_the_budget_and_neither_waits_for_ever() -> None:
    """One batch releases its reservation while the other waits for it, with nothing in flight."""

    async def main() -> None:
        film = Finished(filtered=1)
        backend = ScriptedBackend(latency=30.0, ending=lambda _: film)
        async with client(backend, budget=PRICE) as veo:
            first = asyncio.create_task(veo.generate_many(["a"]))
            await asyncio.sleep(1)
            second = asyncio.create_task(veo.generate_many(["b"]))
            assert statuses(await first) == ["filtered"]
            assert statuses(await second) == ["filtered"]  # the first cost nothing
            assert now() < 70

    virtual(main)


def test_two_batches_at_once_never_spend_more_than_the_budget_together() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=5.0, round_trip=0.2)
        async with client(backend, budget=10.0, rate_limit=1, rate_period=7.0) as veo:
            both = await asyncio.gather(*(veo.generate_many(f"{n}" for n in range(5)) for _ in range(2)))
            assert Counter(statuses(both[0] + both[1])) == {"succeeded": 3, "deferred": 7}
            assert veo.stats().cost_usd == pytest.approx(9.6)

    virtual(main)


def test_each_model_has_a_quota_of_its_own() -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=1.0)
        async with client(backend, rate_limit=5) as veo:
            fast = "veo-3.1-fast-generate-001"
            await veo.generate_many({"text": f"{n}", "model": fast if n % 2 else None} for n in range(10))
            assert now() < 10
            assert {model: gate.accepted for model, gate in veo.stats().gates.items()} == {MODEL: 5, fast: 5}

    virtual(main)


# ---- what it counts -------------------------------------------------------------------------------------------------


def test_stats_count_everything_and_are_a_snapshot() -> None:
    async def main() -> None:
        refusal = Verdict(VerdictKind.REFUSED, "busy", refusal=Refusal.UNKNOWN, retry_after=3.0)
        backend = ScriptedBackend([UNAVAILABLE, refusal, UNCERTAIN, verdicts.rejected("no")], latency=10.0)
        async with client(backend, consecutive_failure_threshold=9) as veo:
            before = veo.stats()
            clips = await veo.generate_many([f"{n}" for n in range(5)])
            stats = veo.stats()
        assert (before.gates, set(before.clips), sum(before.clips.values())) == ({}, set(ClipStatus), 0)
        assert (before.latency, before.cost_usd, before.may_be_paid) == (None, 0.0, ())
        assert Counter(statuses(clips)) == {k.value: n for k, n in stats.clips.items() if n}
        assert stats.clips[ClipStatus.SUCCEEDED] == 3
        assert stats.clips[ClipStatus.UNCERTAIN] == stats.clips[ClipStatus.REJECTED] == 1
        assert (stats.submitted, stats.refusals, stats.retries) == (3, 1, 1)
        assert stats.quota_wait == pytest.approx(sum(clip.quota_wait for clip in clips))
        assert stats.cost_usd == pytest.approx(4 * PRICE)  # three that came, and one that may have
        assert stats.latency == pytest.approx(10.0, abs=1.5)
        assert stats.gates[MODEL].breaker is BreakerState.CLOSED

    virtual(main)


def test_a_model_outside_the_catalog_is_logged_once_and_has_no_price(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with client(ScriptedBackend(), model="veo-9") as veo:
            clips = await veo.generate_many(["a", "b"])
            assert [(clip.model, clip.succeeded, clip.cost_usd) for clip in clips] == [("veo-9", True, None)] * 2

    virtual(main)
    assert caplog.text.count("model veo-9 is not in the catalog") == 1


def test_cancelled_generate_many_names_what_it_left_running(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        backend = ScriptedBackend(latency=500.0, round_trip=2.0)
        async with client(backend) as veo:
            task = asyncio.create_task(veo.generate_many([f"{n}" for n in range(50)]))
            await asyncio.sleep(5)  # two were accepted after two and four seconds, two more are under way
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert now() <= 5 + GRACE
            assert len(backend.submits) == 4
            assert set(veo.stats().may_be_paid) == {f"operations/{number}" for number in (1, 2, 3, 4)}

    virtual(main)
    assert caplog.text.count("may be paid, and there is no video (left_running): operations/") == 4


# ---- an hour without the service ------------------------------------------------------------------------------------

HOUR = 3600.0


def outage(verdict: Verdict) -> Callable[[VideoPrompt], Verdict]:
    """`verdict` for an hour, then all is well."""
    names = iter(range(10_000))
    return lambda _: verdict if now() < HOUR else verdicts.accepted(f"operations/{next(names)}")


@pytest.mark.parametrize("patience", [None, 7200.0])
@pytest.mark.parametrize(
    ("verdict", "lost"), [(UNSENT, 0), (UNAVAILABLE, 0), (UNCERTAIN, 12)], ids=["unsent", "503", "500"]
)
def test_an_hour_without_the_service_costs_a_handful_of_submits(
    verdict: Verdict, lost: int, patience: float | None
) -> None:
    """A hundred clips wait for its end. If answers are lost, each submit may be billed: only the probes are lost."""

    async def main() -> None:
        backend = ScriptedBackend(answer=outage(verdict), latency=60.0, round_trip=0.3)
        async with client(backend, retry_wait_base=30, quota_patience=patience, rate_limit=50) as veo:
            clips = await veo.generate_many(f"{n}" for n in range(100))
            during = [at for at, _ in backend.submits if at < HOUR]
            assert len(during) <= 12
            assert Counter(statuses(clips))["uncertain"] <= lost
            assert Counter(statuses(clips))["succeeded"] >= 100 - lost
            assert max(backend.accepted.values()) == 1
            assert now() < 3 * HOUR

    virtual(main)


@pytest.mark.parametrize("verdict", [UNSENT, UNAVAILABLE, UNCERTAIN], ids=["unsent", "503", "500"])
def test_an_outage_beyond_patience_defers_the_rest(verdict: Verdict) -> None:
    async def main() -> None:
        backend = ScriptedBackend(answer=lambda _: verdict)
        async with client(backend, retry_wait_base=30, quota_patience=600) as veo:
            clips = await veo.generate_many(f"{n}" for n in range(100))
        assert len(backend.submits) <= 10
        deferred = [clip for clip in clips if clip.status is ClipStatus.DEFERRED]
        assert len(deferred) >= 90
        assert {clip.error_kind for clip in deferred} == {verdict.error_kind}
        assert now() < 3600

    virtual(main)


def test_an_hour_of_refusals_without_a_word_costs_a_handful_of_submits_and_no_clip() -> None:
    async def main() -> None:
        refusal = Verdict(VerdictKind.REFUSED, "Resource exhausted", refusal=Refusal.UNKNOWN)
        backend = ScriptedBackend(answer=outage(refusal), latency=60.0, round_trip=0.3)
        async with client(backend, quota_patience=None, rate_limit=50) as veo:
            clips = await veo.generate_many(f"{n}" for n in range(100))
            assert statuses(clips) == ["succeeded"] * 100
            assert veo.stats().refusals <= 5

    virtual(main)


# ---- a backend of one's own for each lane ----------------------------------------------------------------------------


def test_each_lane_that_is_opened_gets_the_backend_that_connect_makes_for_it() -> None:
    async def main() -> None:
        made: list[tuple[str, str | None, ScriptedBackend]] = []

        async def connect(name: str, settings: Settings) -> ScriptedBackend:
            made.append((name, settings.project, ScriptedBackend()))
            return made[-1][2]

        lanes = [{"project": "a", "location": "us-central1"}, {"project": "b", "model": "veo-3.1-fast-generate-001"}]
        async with VeoClient(settings(backend="vertex"), lanes=lanes, connect=connect, rng=NoJitter()) as veo:
            assert [(name, project) for name, project, _ in made] == [("vertex", "a"), ("vertex", "b")]
            clips = await veo.generate_many([{"text": "x", "model": MODEL}, {"text": "y", "model": lanes[1]["model"]}])
            assert veo.service == "google"
        assert statuses(clips) == ["succeeded", "succeeded"]
        assert [list(backend.accepted) for _, _, backend in made] == [["x"], ["y"]]

    virtual(main)


def test_one_backend_for_all_and_one_for_each_lane_exclude_each_other() -> None:
    async def connect(name: str, settings: Settings) -> ScriptedBackend:
        raise AssertionError

    with pytest.raises(UsageError, match=r"^backend serves every lane, connect makes one for each: give one of them$"):
        VeoClient(settings(), backend=ScriptedBackend(), connect=connect)


@pytest.mark.parametrize("error", [UsageError("no credentials"), RuntimeError("bug"), asyncio.CancelledError()])
async def test_a_lane_that_cannot_be_opened_closes_what_is_open_already(error: BaseException) -> None:
    async def connect(name: str, settings: Settings) -> ScriptedBackend:
        raise error

    veo = VeoClient(settings(backend="vertex", project="p", journal="auto"), connect=connect)
    with pytest.raises(type(error)):
        await veo.__aenter__()
    with pytest.raises(UsageError, match=r"^open the client first"):
        veo.stream(["x"])
    async with calm_client(ScriptedBackend(), journal="auto") as other:  # the journal's lock is free
        assert other.journal is not None


# ---- other loops, and what closing does ------------------------------------------------------------------------------


def test_another_thread_or_loop_hears_where_the_client_belongs() -> None:
    async def main() -> None:
        async with client(ScriptedBackend()) as veo:
            for attempt in (lambda: asyncio.run(veo.generate("a")), lambda: veo.stream(["a"]), veo.resume):
                with pytest.raises(UsageError, match=r"^this client belongs to another event loop"):
                    await asyncio.to_thread(attempt)
            assert (await veo.generate("b")).succeeded

    asyncio.run(main())


def test_a_closed_loop_is_another_loop() -> None:
    veo = client(ScriptedBackend())
    with asyncio.Runner() as runner:
        runner.run(veo.__aenter__())
        veo.stream(["a"])
    with pytest.raises(UsageError, match=r"^this client belongs to another event loop"):
        asyncio.run(veo.generate("a"))
    with pytest.raises(UsageError, match=r"^this client belongs to another event loop"):
        veo.resume()
    asyncio.run(veo.__aexit__())


def test_closing_never_hides_a_result_and_closes_each_thing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with client(ScriptedBackend(), journal=Path("journal.db")) as veo:
            clip = await veo.generate("a")
            pool, journal = veo._session.lane_pool, veo.journal
            for thing in ("keep_lessons", "close_gates"):
                monkeypatch.setattr(pool, thing, lambda: 1 / 0)
            veo._session._stack.callback(lambda: 1 / 0)
        assert clip.succeeded
        assert journal is not None
        assert not sqlite_of(journal)._lock.is_locked

    virtual(main)
    assert caplog.text.count("division by zero") == 3


async def test_a_client_sends_nothing_beside_the_leaders_of_a_shared_database() -> None:
    client = VeoClient(Settings(database="postgresql://u:s3cr3t@db/veo", api_key="k"))
    with pytest.raises(UsageError, match="VEO3_DATABASE=postgresql://db/veo: several machines share") as refused:
        await client.__aenter__()
    assert "s3cr3t" not in str(refused.value)
