"""A job's span: what it tells of refusals, outages and ends, whose trace it is in, and what it keeps to itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from types import MethodType

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from aveo3 import VeoClient, VideoPrompt, verdicts
from aveo3.backends.base import Finished, PollError, PollResult, Video
from aveo3.errors import ClipError
from aveo3.events import Ended, Event
from aveo3.telemetry.client_telemetry import ClientTelemetry
from aveo3.testing import ScriptedBackend
from aveo3.testing.scripted import FILM
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.settings import settings
from tests.support.telemetry import Exported, event_of, exporting, seconds, story, told
from tests.support.virtual import NoJitter, now_utc

FILM_FILE = Finished((Video(data=FILM),))
REFUSED = Verdict(VerdictKind.REFUSED, "too many", refusal=Refusal.MINUTE, retry_after=5.0)
AWAY = Verdict(VerdictKind.UNAVAILABLE, "the service is away", retry_after=3.0)
MODEL = "veo-3.1-generate-001"


@pytest.fixture
def exported() -> Iterator[Exported]:
    with exporting() as exported:
        yield exported


def client(backend: ScriptedBackend, **values: object) -> VeoClient:
    chosen = settings(**{"poll_interval": 1.0, **values})
    return VeoClient(chosen, backend=backend, rng=NoJitter(), now_utc=now_utc)


def scripted(*answers: Verdict, latency: float = 7.0, **more: object) -> ScriptedBackend:
    return ScriptedBackend(answers, **{"latency": latency, "ending": lambda _: FILM_FILE, **more})  # type: ignore[arg-type]


async def test_a_span_tells_what_was_asked_how_it_went_and_how_it_ended(exported: Exported) -> None:
    prompt = VideoPrompt(
        text="a paper boat", id="boat", project_id="films", labels={"team": "sea"}, duration_seconds=8, seed=7
    )
    async with client(scripted(REFUSED), journal="auto") as veo:
        clip = await veo.generate(prompt)
    span = exported.job
    assert span.name == f"generate_content {MODEL}"
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    made = ["submitted", "accepted", "running", "fetching", "saved"]
    assert story(span) == ["submitted", "refused", "waiting", "lane_opened", *made]
    assert event_of(span, "refused") == {
        "aveo3.kind": "minute_quota",
        "aveo3.lane": MODEL,
        "aveo3.breaker": "closed",
        "aveo3.until": "2026-11-23T12:00:05+00:00",
    }
    expected = {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "gcp.gen_ai",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.model": MODEL,
        "gen_ai.response.id": clip.operation,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.output.type": "video",
        "gen_ai.request.seed": 7,
        "aveo3.request.duration_seconds": 8,
        "aveo3.job": clip.job,
        "aveo3.prompt_id": "boat",
        "aveo3.project_id": "films",
        "aveo3.label.team": "sea",
        "aveo3.batch": 1,
        "aveo3.index": 0,
        "aveo3.lane": MODEL,
        "aveo3.status": "succeeded",
        "aveo3.attempts": 2,
        "aveo3.polls": 7,
        "aveo3.videos": 1,
        "aveo3.cost_usd": clip.cost_usd,
    }
    assert told(span) == expected
    assert 12.0 <= seconds(span) <= 14.0  # the pause that Google asked for, and the making


async def test_an_outage_shows_in_the_span_of_the_job_that_stands_before_the_open_breaker(exported: Exported) -> None:
    answers = [AWAY] * 2
    async with client(
        scripted(*answers), max_retries=5, consecutive_failure_threshold=2, quota_reset_interval=60.0, max_concurrency=1
    ) as veo:
        await veo.generate_many(["a boat", "a tree"])
    first, second = exported.jobs
    assert story(first)[:2] == ["submitted", "retrying"]
    assert event_of(first, "retrying")["aveo3.kind"] == "unavailable"
    news = ["lane_paused", "lane_opened"]  # from the first failure to the probe that was accepted
    assert [each for each in story(second) if each in news] == [*news, *news, "lane_opened"]
    pauses = [event.attributes or {} for event in second.events if event.name == "aveo3.lane_paused"]
    assert [(pause["aveo3.breaker"], pause["aveo3.kind"]) for pause in pauses] == [
        ("closed", "unavailable"),
        ("open", "unavailable"),
    ]
    retries = [event.attributes or {} for event in first.events if event.name == "aveo3.retrying"]
    assert [retry["aveo3.breaker"] for retry in retries] == ["closed", "open"]


async def test_polls_that_fail_are_events_of_the_span_and_all_are_counted(exported: Exported) -> None:
    backend = scripted(latency=10.0)
    poll, failures = backend.poll, [PollError("reset"), PollError("too many", refused=True, retry_after=2.0)]

    async def at_times(operation: str) -> PollResult:
        if failures:
            raise failures.pop(0)
        return await poll(operation)

    backend.poll = at_times  # type: ignore[method-assign]
    async with client(backend) as veo:
        await veo.generate("a boat")
    failed = [event.attributes or {} for event in exported.job.events if event.name == "aveo3.poll_failed"]
    assert [each["aveo3.refused"] for each in failed] == [False, True]
    assert told(exported.job)["aveo3.polls"] == backend.polls + 2


@pytest.mark.parametrize(
    ("ending", "status", "error", "finish"),
    [
        (Finished((), filtered=1, filter_reasons=("violence",)), "filtered", "filtered", ("content_filter",)),
        (None, "rejected", "bad_request", None),
    ],
)
async def test_a_clip_that_is_not_made_is_an_error_of_its_kind(
    exported: Exported, ending: Finished | None, status: str, error: str, finish: tuple[str, ...] | None
) -> None:
    backend = scripted(ending=lambda _: ending) if ending else scripted(verdicts.rejected("no such aspect ratio"))
    with pytest.raises(ClipError) as raised:
        async with client(backend) as veo:
            await veo.generate("a boat")
    span = exported.job
    assert told(span)["aveo3.status"] == raised.value.clip.status == status
    assert told(span)["error.type"] == raised.value.clip.error_kind
    assert span.status.status_code is StatusCode.ERROR
    assert told(span).get("gen_ai.response.finish_reasons") == finish


async def test_a_prompt_that_can_never_work_has_a_span_and_a_clip_of_an_earlier_run_has_none(
    exported: Exported,
) -> None:
    async with client(scripted(), journal="auto") as veo:
        await veo.generate_many(["a boat"])
    assert len(exported.jobs) == 1
    async with client(scripted(), journal="auto") as veo:
        await veo.generate_many(["a boat", {"text": "bad", "duration_seconds": 99}])
    [_, bad] = exported.jobs
    assert (told(bad)["aveo3.status"], seconds(bad), story(bad)) == ("rejected", 0.0, [])


async def test_who_calls_generate_is_the_parent_also_of_many_at_once(exported: Exported) -> None:
    tracer = trace.get_tracer("caller")
    async with client(scripted()) as veo:
        with tracer.start_as_current_span("request 1") as one:
            first = asyncio.create_task(veo.generate_many(["a boat", "a tree"]))
            await asyncio.sleep(0)
        with tracer.start_as_current_span("request 2") as two:
            await veo.generate("a house")
        await first
        await veo.generate("nobody's")
    parents = [span.parent.span_id if span.parent else 0 for span in exported.jobs]
    ids = [span.get_span_context().span_id for span in (one, one, two)]
    assert sorted(parents) == sorted([0, *ids])


async def test_what_an_attempt_does_belongs_to_its_span_and_nothing_else_does(exported: Exported) -> None:
    """A library such as an instrumented HTTP client makes spans of its own: they stand below the job's."""

    async def answer(prompt: VideoPrompt) -> Verdict:
        with trace.get_tracer("http").start_as_current_span(prompt.text):
            await asyncio.sleep(1.0)
        return verdicts.accepted(f"operations/{prompt.text}")

    async with client(scripted(answer=answer)) as veo:
        await veo.generate_many(["a boat", "a tree"])
        assert not trace.get_current_span().get_span_context().is_valid
    posts = {span.name: span.parent.span_id for span in exported.spans if span not in exported.jobs and span.parent}
    jobs = [span.context.span_id for span in exported.jobs if span.context]
    assert [posts["a boat"], posts["a tree"]] == jobs


async def test_a_run_that_is_left_and_resumed_has_a_span_in_each(exported: Exported) -> None:
    backend = scripted(latency=600.0)
    async with client(backend, journal="auto") as veo, veo.stream(["a boat", "a tree"]) as clips:
        await asyncio.sleep(10)
        clips.stop()
        await clips.leave()
        async for _ in clips:
            pass
    assert [told(span)["aveo3.status"] for span in exported.jobs] == ["unfinished"] * 2
    assert {span.status.status_code for span in exported.jobs} == {StatusCode.UNSET}  # somebody wanted it so
    async with client(backend, journal="auto") as veo, veo.resume() as clips:
        assert [clip.succeeded async for clip in clips] == [True, True]
    resumed = [span for span in exported.jobs if told(span)["aveo3.status"] == "succeeded"]
    assert len(resumed) == 2
    for span in resumed:
        assert told(span)["aveo3.resumed_from"] == "running"
        assert event_of(span, "running") == {"aveo3.resumed": True}
        assert "submitted" not in story(span)


async def test_a_cancelled_run_leaves_no_span_open(exported: Exported) -> None:
    async with client(scripted(), rate_limit=1, rate_period=100.0) as veo:
        work = asyncio.create_task(veo.generate_many(f"boat {n}" for n in range(5)))
        await asyncio.sleep(20)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    started = {told(span)["aveo3.index"] for span in exported.jobs}
    ended = {told(span)["aveo3.index"] for span in exported.jobs if "aveo3.status" in told(span)}
    assert started == ended != set()
    cancelled = [span for span in exported.jobs if told(span)["aveo3.status"] == "cancelled"]
    assert cancelled
    assert all(told(span)["error.type"] == "stopped" for span in cancelled)


SECRET_PROMPT = "the heir is Ada"


async def test_prompts_messages_and_names_of_files_are_recorded_only_if_asked_for(exported: Exported) -> None:
    echo = verdicts.rejected(f"this prompt is not allowed: {SECRET_PROMPT}")
    async with client(scripted(REFUSED)) as veo:
        await veo.generate_many([SECRET_PROMPT])
    async with client(scripted(echo)) as veo:
        await veo.generate_many([SECRET_PROMPT])
    assert len(exported.jobs) == 2
    everything = json.dumps([span.to_json() for span in exported.spans])
    assert "Ada" not in everything
    assert "heir" not in everything  # a file's name is made of its prompt


async def test_content_is_recorded_as_messages_of_the_conventions(exported: Exported, tmp_path: Path) -> None:
    async with client(scripted(REFUSED), otel_content=True) as veo:
        clip = await veo.generate(SECRET_PROMPT)
    [message] = json.loads(told(exported.job)["gen_ai.input.messages"])
    assert message == {"role": "user", "parts": [{"type": "text", "content": SECRET_PROMPT}]}
    [choice] = json.loads(told(exported.job)["gen_ai.output.messages"])
    assert choice["finish_reason"] == "stop"
    assert choice["parts"][0]["uri"] == f"file://{tmp_path / clip.paths[0]}"
    assert event_of(exported.job, "refused")["aveo3.message"] == "too many"


@pytest.mark.parametrize("number", [1, 12, 600, pytest.param(10_000, marks=pytest.mark.whole)])
async def test_each_job_has_a_span_and_few_are_open_at_once(exported: Exported, number: int) -> None:
    backend = scripted(ending=lambda _: Finished((Video(uri="gs://scripted/film.mp4"),)))
    ended: list[Event] = []
    most_open = 0

    def hear(event: Event) -> None:
        if isinstance(event, Ended):
            ended.append(event)

    chosen = settings(rate_limit=60, poll_interval=2.0)
    veo = VeoClient(chosen, backend=backend, rng=NoJitter(), now_utc=now_utc, on_event=hear)
    async with veo, veo.stream(f"boat {n}" for n in range(number)) as clips:
        [telemetry] = [taken.__self__ for taken in veo._session.bus._listeners if isinstance(taken, MethodType)]
        assert isinstance(telemetry, ClientTelemetry)
        async for _ in clips:
            most_open = max(most_open, len(telemetry._spans._open))
    assert len(exported.spans) == len(ended) == number
    assert most_open <= 200  # as many as are in flight, and some ahead of them
    assert not telemetry._spans._open


async def test_it_is_off_without_a_provider_and_on_or_off_as_one_says() -> None:
    async with client(scripted()) as veo:
        assert not veo._session.bus.listening
    with exporting():
        async with client(scripted(), otel=False) as veo:
            assert not veo._session.bus.listening
        async with client(scripted()) as veo:
            assert veo._session.bus.listening
    async with client(scripted(), otel=True) as veo:  # a provider may come later
        assert veo._session.bus.listening
        await veo.generate("a boat")
