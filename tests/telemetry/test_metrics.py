"""The metrics of a client: what they come to, the spans that are their exemplars, and readers in other threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint

from aveo3 import VeoClient, verdicts
from aveo3.backends.base import Finished, Video
from aveo3.dispatch.stats import Stats
from aveo3.telemetry import meters
from aveo3.telemetry.instruments import INSTRUMENTS, MOST, OTHER, Bounded
from aveo3.testing import ScriptedBackend
from aveo3.testing.scripted import FILM
from aveo3.verdicts import Refusal, Verdict, VerdictKind
from tests.support.settings import settings
from tests.support.telemetry import Exported, exporting, seconds
from tests.support.virtual import NoJitter, now_utc

MODEL = "veo-3.1-generate-001"
FILM_FILE = Finished((Video(data=FILM),))
REFUSED = Verdict(VerdictKind.REFUSED, "too many", refusal=Refusal.MINUTE, retry_after=5.0)
AWAY = Verdict(VerdictKind.UNAVAILABLE, "the service is away", retry_after=3.0)
COST = 3.2
"""US$ of a clip of eight seconds."""


@pytest.fixture
def exported() -> Iterator[Exported]:
    with exporting() as exported:
        yield exported


def client(*answers: Verdict, latency: float = 7.0, **values: object) -> VeoClient:
    backend = ScriptedBackend(answers, latency=latency, ending=lambda _: FILM_FILE)
    chosen = settings(**{"poll_interval": 1.0, **values})
    return VeoClient(chosen, backend=backend, rng=NoJitter(), now_utc=now_utc)


def histogram(exported: Exported, name: str, *labels: str) -> HistogramDataPoint:
    point = exported.read()[name][labels]
    assert isinstance(point, HistogramDataPoint)
    return point


async def test_counters_and_histograms_add_up_what_happened(exported: Exported) -> None:
    answers = [REFUSED, AWAY, verdicts.rejected("no such aspect ratio")]
    async with client(*answers, max_concurrency=1) as veo:
        clips = await veo.generate_many(["a boat", "a tree", "a house"])
        stats = veo.stats()
    made = [clip for clip in clips if clip.succeeded]
    assert len(made) == 2
    assert exported.values("aveo3.clips") == {("succeeded",): 2, ("rejected",): 1}
    assert exported.values("aveo3.google.refusals") == {("minute_quota", MODEL): stats.refusals}
    assert exported.values("aveo3.retries") == {("unavailable",): 1}
    assert exported.values("aveo3.submits.accepted") == {(MODEL,): stats.submitted} == {(MODEL,): 2}
    assert exported.values("aveo3.spent_usd") == {(): pytest.approx(stats.spent_usd)}
    assert histogram(exported, "aveo3.latency", MODEL).sum == pytest.approx(2 * 7.0)
    wait = histogram(exported, "aveo3.queue.wait", MODEL)
    assert (wait.count, wait.min) == (3, 0.0)
    assert wait.max > 10.0  # the pauses, and the clip before
    common = ("generate_content", "gcp.gen_ai", MODEL)
    assert histogram(exported, "gen_ai.client.operation.duration", "bad_request", *common).count == 1
    done = histogram(exported, "gen_ai.client.operation.duration", *common)
    assert done.sum == pytest.approx(sum(map(seconds, exported.jobs)), abs=30.0)
    assert 20.0 in done.explicit_bounds  # videos take longer than the SDK's buckets of milliseconds


async def test_gauges_tell_how_a_lane_stands_and_end_with_the_client(exported: Exported) -> None:
    async with client(latency=30.0, rate_limit=2, budget=50.0) as veo:
        work = asyncio.create_task(veo.generate_many(["a boat", "a tree", "a house"]))
        await asyncio.sleep(10)
        assert exported.values("aveo3.lane.running") == {(MODEL,): 2}
        assert exported.values("aveo3.quota.used") == exported.values("aveo3.quota.limit") == {(MODEL,): 2}
        assert exported.values("aveo3.quota.period") == {(MODEL,): 60.0}
        assert exported.values("aveo3.lane.running_limit") == {}  # there is none
        states = exported.values("aveo3.breaker.state")
        assert states == {(MODEL, "closed"): 1, (MODEL, "open"): 0, (MODEL, "half_open"): 0}
        assert exported.values("aveo3.in_flight_usd") == {(): pytest.approx(2 * COST)}
        veo.pause()
        assert exported.values("aveo3.paused") == {(): 1}
        veo.go_on()
        await work
    assert exported.values("aveo3.lane.running") == {}
    assert exported.values("aveo3.clips") == {("succeeded",): 3}  # what was counted stays


async def test_two_clients_share_their_gauges_and_one_after_the_other_is_seen(exported: Exported) -> None:
    async with client(latency=30.0) as one, client(latency=30.0) as other:
        works = [asyncio.create_task(veo.generate_many(["a boat"])) for veo in (one, other)]
        await asyncio.sleep(10)
        assert exported.values("aveo3.lane.running") == {(MODEL,): 2}
        await asyncio.gather(*works)
    async with client(latency=30.0) as veo:
        work = asyncio.create_task(veo.generate_many(["a boat"]))
        await asyncio.sleep(10)
        assert exported.values("aveo3.lane.running") == {(MODEL,): 1}
        await work
    assert exported.values("aveo3.clips") == {("succeeded",): 3}


async def test_a_value_has_the_span_of_its_job_as_exemplar(exported: Exported) -> None:
    async with client(REFUSED) as veo:
        await veo.generate("a boat")
    context = exported.job.context
    assert context is not None
    read = exported.read()
    for name in ("gen_ai.client.operation.duration", "aveo3.queue.wait", "aveo3.google.refusals", "aveo3.spent_usd"):
        [point] = read[name].values()
        assert {(each.trace_id, each.span_id) for each in point.exemplars} == {(context.trace_id, context.span_id)}


async def test_what_was_paid_in_an_earlier_run_is_not_counted_again(exported: Exported) -> None:
    backend = ScriptedBackend(latency=60.0, ending=lambda _: FILM_FILE)
    for resumes in (False, True, True):
        chosen = settings(poll_interval=1.0, journal="auto")
        async with VeoClient(chosen, backend=backend, rng=NoJitter(), now_utc=now_utc) as veo:
            stream = veo.resume() if resumes else veo.stream(["a boat"])
            async with stream as clips:
                if not resumes:
                    await asyncio.sleep(5)
                    await clips.leave()
                async for _ in clips:
                    pass
    assert exported.values("aveo3.clips") == {("unfinished",): 1, ("succeeded",): 1}
    assert exported.values("aveo3.spent_usd") == {(): pytest.approx(COST)}
    assert histogram(exported, "aveo3.queue.wait", MODEL).count == 1


@pytest.mark.real_time
async def test_a_reader_in_another_thread_asks_the_loop_and_does_not_wait_long_for_it(exported: Exported) -> None:
    async with client(latency=0.05) as veo:
        await veo.generate("a boat")
        [asked_in] = {threading.get_ident()}
        stats, threads = veo._session.stats, set()

        def watched() -> Stats:
            threads.add(threading.get_ident())
            return stats()

        [client_meters] = [each for each in meters._open if each._loop is asyncio.get_running_loop()]
        client_meters._stats = watched
        limits = await asyncio.to_thread(exported.values, "aveo3.quota.limit")
        assert limits == {(MODEL,): 50}
        assert threads == {asked_in}
        began, found = time.monotonic(), []
        reader = threading.Thread(target=lambda: found.append(exported.values("aveo3.quota.limit")))
        reader.start()
        reader.join(8.0)  # the loop stands still meanwhile
        assert found == [limits]
        assert time.monotonic() - began < 7.0


def test_a_label_has_a_bounded_number_of_values() -> None:
    bounded = Bounded()
    seen = {bounded(f"lane {number}") for number in range(MOST + 50)}
    assert len(seen) == MOST + 1
    assert OTHER in seen
    assert bounded("lane 3") == "lane 3"


def test_names_follow_the_conventions_and_have_a_spelling_of_their_own_in_prometheus() -> None:
    spelled = [each.prometheus for each in INSTRUMENTS.values()]
    assert len(set(spelled)) == len(spelled)
    for each in INSTRUMENTS.values():
        assert each.name.startswith(("aveo3.", "gen_ai."))
        assert each.text.endswith(".")
        assert bool(each.buckets) == (each.kind == "histogram")
    assert INSTRUMENTS["gen_ai.client.operation.duration"].prometheus == "gen_ai_client_operation_duration_seconds"
