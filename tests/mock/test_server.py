"""The emulator over real sockets: the google-genai SDK against it, credentials, quotas, downloads, books."""

import ast
import asyncio
import io
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials

import aveo3.mock
from aveo3.mock import Latency, MockOptions, MockServer
from aveo3.mock import server as server_module
from aveo3.mock.state.clock import Clock
from tests.support.veo_wire import DEVELOPER, EXPRESS, KEY, TOKEN, VERTEX, talking

# google-genai subclasses aiohttp's session, which aiohttp discourages.
sdk_warns = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


def assert_plays(film: bytes, *, seconds: float, size: tuple[int, int] = (320, 180)) -> None:
    assert film[4:8] == b"ftyp"
    av = pytest.importorskip("av")
    with av.open(io.BytesIO(film)) as container:
        frames = [(frame.width, frame.height) for frame in container.decode(video=0)]
        assert container.duration / 1e6 == pytest.approx(seconds, abs=0.2)
    assert set(frames) == {size}


# -- the SDK -----------------------------------------------------------------------------------------------------------


def sdk(server: MockServer, **how: Any) -> genai.Client:
    once = types.HttpRetryOptions(attempts=1)
    return genai.Client(http_options=types.HttpOptions(base_url=server.url, retry_options=once), **how)


@sdk_warns
@pytest.mark.parametrize(
    "how",
    [
        {"vertexai": True, "project": "p", "location": "us-central1", "credentials": Credentials("token")},  # type: ignore[no-untyped-call]
        {"vertexai": True, "api_key": "key"},
    ],
    ids=["project", "express"],
)
async def test_the_sdk_submits_polls_and_gets_playable_films(how: dict[str, Any]) -> None:
    options = MockOptions(latency=Latency.parse("20"), speed=1000)
    async with MockServer(options) as server:
        client = sdk(server, **how)
        operation = await client.aio.models.generate_videos(
            model="veo-3.1-generate-001",
            source=types.GenerateVideosSource(prompt="A paper boat on a river"),
            config=types.GenerateVideosConfig(
                number_of_videos=2, duration_seconds=4, aspect_ratio="9:16", labels={"job": "1"}
            ),
        )
        assert operation.done is None
        while not operation.done:
            await asyncio.sleep(0.005)
            operation = await client.aio.operations.get(operation)
        videos = (operation.response and operation.response.generated_videos) or []
        films = [(video.video and video.video.video_bytes) or b"" for video in videos]
        assert len(films) == 2
        assert films[0] != films[1]
        for film in films:
            assert_plays(film, seconds=4, size=(180, 320))
        assert server.books.billed_usd == pytest.approx(2 * 4 * 0.40)
        await client.aio.aclose()


@sdk_warns
async def test_the_sdk_polls_and_downloads_from_the_developer_api() -> None:
    async with talking() as wire:
        _, accepted = await wire.submit()
        client = sdk(wire.server, api_key="key")
        operation = await client.aio.operations.get(
            types.GenerateVideosOperation.model_validate({"name": accepted["name"]})
        )
        assert operation.response
        assert operation.response.generated_videos
        film = await client.aio.files.download(file=operation.response.generated_videos[0])
        assert film is not None
        assert_plays(film, seconds=8)
        await client.aio.aclose()


@sdk_warns
async def test_the_sdk_reads_our_refusals() -> None:
    async with talking(rpm=0) as wire:
        client = sdk(wire.server, vertexai=True, api_key="key")
        with pytest.raises(genai.errors.ClientError) as refused:
            await client.aio.models.generate_videos(
                model="veo-3.1-generate-001", source=types.GenerateVideosSource(prompt="a boat")
            )
        assert (refused.value.code, refused.value.status) == (429, "RESOURCE_EXHAUSTED")
        await client.aio.aclose()


# -- paths, credentials ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "status", "words"),
    [
        (VERTEX, TOKEN, 200, "projects/p/locations/us-central1/publishers/google/models/"),
        (VERTEX, KEY, 401, "API keys are not supported by this API."),
        (VERTEX, {}, 401, "Request is missing required authentication credential."),
        (EXPRESS, KEY, 200, "publishers/google/models/"),
        (EXPRESS, TOKEN, 200, "publishers/google/models/"),
        (EXPRESS, {}, 401, "Request is missing required authentication credential."),
        (DEVELOPER, KEY, 200, "models/"),
        (DEVELOPER, TOKEN, 200, "models/"),
        (DEVELOPER, {}, 403, "Method doesn't allow unregistered callers"),
        (DEVELOPER.replace("v1beta", "v1"), {**KEY, "X-Server-Timeout": "9", "x-goog-api-client": "x"}, 200, "models/"),
        (DEVELOPER.replace("v1beta", "v2"), KEY, 404, "was not found on this server."),
        ("/v1/models/veo-9", KEY, 404, "models/veo-9 is not found for API version v1, or is not supported for"),
        ("/v1/models/veo-3.0-generate-001", KEY, 404, "This model models/veo-3.0-generate-001 is no longer available."),
    ],
)
async def test_which_credentials_are_valid_where(path: str, headers: dict[str, str], status: int, words: str) -> None:
    async with talking() as wire:
        answer, body = await wire.submit(path, headers)
        message = body["name"] if answer == 200 else body["error"]["message"]
        assert (answer, message.startswith(words) or message.endswith(words)) == (status, True)
        assert wire.server.books.accepted == (status == 200)


async def test_a_key_may_be_in_the_query() -> None:
    async with talking() as wire:
        body = {"instances": [{"prompt": "a boat"}]}
        assert (await wire.ask("POST", f"{DEVELOPER}:predictLongRunning?key=k", body))[0] == 200


async def test_a_running_operation_has_a_name_and_nothing_else() -> None:
    async with talking(latency="1000") as wire:
        _, accepted = await wire.submit(VERTEX, TOKEN)
        poll = f"{VERTEX}:fetchPredictOperation"
        assert await wire.ask("POST", poll, {"operationName": accepted["name"]}, TOKEN) == (200, accepted)
        _, accepted = await wire.submit()
        assert await wire.ask("GET", f"/v1beta/{accepted['name']}", headers=KEY) == (200, accepted)


async def test_unknown_operations_are_404_and_those_of_another_model_400() -> None:
    async with talking() as wire:
        assert (await wire.ask("GET", f"{DEVELOPER}/operations/abc", headers=KEY))[0] == 404
        _, accepted = await wire.submit(VERTEX, TOKEN)
        assert (await wire.ask("GET", f"/v1/{accepted['name']}", headers=TOKEN))[0] == 404  # Vertex polls by POST
        poll = f"{VERTEX}:fetchPredictOperation"
        assert (await wire.ask("POST", poll, {"operationName": f"{VERTEX[4:]}/operations/abc"}, TOKEN))[0] == 404
        assert (await wire.ask("POST", poll, {"operationName": "operations/abc"}, TOKEN))[0] == 400
        assert (await wire.ask("POST", poll, {}, TOKEN))[0] == 400
        assert (await wire.ask("GET", f"{DEVELOPER}:predictLongRunning", headers=KEY))[0] == 404


async def test_a_new_server_does_not_know_the_operations_of_the_last_one() -> None:
    async with talking(seed=1) as wire:
        _, accepted = await wire.submit()
    async with talking(seed=1) as wire:
        await wire.submit()
        assert (await wire.ask("GET", f"/v1beta/{accepted['name']}", headers=KEY))[0] == 404


async def test_with_a_storage_uri_vertex_names_a_place_in_the_bucket() -> None:
    async with talking() as wire:
        _, accepted = await wire.submit(VERTEX, TOKEN, storageUri="gs://bucket/out/", sampleCount=2)
        poll = f"{VERTEX}:fetchPredictOperation"
        _, done = await wire.ask("POST", poll, {"operationName": accepted["name"]}, TOKEN)
        first, second = (video["gcsUri"] for video in done["response"]["videos"])
        assert first.startswith("gs://bucket/out/")
        assert first.split("/")[4].isdigit()
        assert first.endswith("/sample_0.mp4")
        assert second == first.replace("sample_0", "sample_1")


async def test_bodies_that_are_not_json_or_too_large_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "BODY_LIMIT", 2000)
    async with talking() as wire:
        async with wire.http.post(f"{wire.server.url}{DEVELOPER}:predictLongRunning", data=b"{", headers=KEY) as answer:
            assert (answer.status, "Unexpected token" in await answer.text()) == (400, True)
        status, body = await wire.submit(prompt="x" * 3000)
        assert (status, body["error"]["message"]) == (400, "Request payload size exceeds the limit: 2000 bytes.")


# -- quotas ------------------------------------------------------------------------------------------------------------


async def test_the_delay_of_a_refusal_is_right_on_the_clients_clock() -> None:
    async with talking(rpm=1, speed=1000) as wire:
        await wire.submit()
        status, body = await wire.submit()
        delay = float(body["error"]["details"][-1]["retryDelay"].removesuffix("s"))
        assert status == 429
        assert 0 < delay <= 0.06  # a minute, a thousand times faster
        await asyncio.sleep(delay)
        assert (await wire.submit())[0] == 200


async def test_projects_and_keys_have_quotas_of_their_own() -> None:
    async with talking(rpm=1) as wire:
        answers = [
            await wire.submit(VERTEX, TOKEN),
            await wire.submit(VERTEX, {"Authorization": "Bearer another"}),  # the same project
            await wire.submit(VERTEX.replace("/p/", "/q/"), TOKEN),
            await wire.submit(VERTEX.replace("-generate-", "-fast-generate-"), TOKEN),
            await wire.submit(DEVELOPER, KEY),
            await wire.submit(DEVELOPER, {"x-goog-api-key": "another"}),
        ]
        assert [status for status, _ in answers] == [200, 429, 200, 200, 200, 200]


async def test_a_day_ends_at_midnight_pacific_on_the_injected_clock() -> None:
    now = [datetime(2026, 11, 24, 7, 59, 59, tzinfo=UTC)]  # one second to midnight in Los Angeles
    async with talking(rpd=1, now_utc=lambda: now[0]) as wire:
        statuses = [(await wire.submit())[0] for _ in range(2)]
        now[0] += timedelta(seconds=1)
        assert [*statuses, (await wire.submit())[0]] == [200, 429, 200]
        assert wire.server.books.refused_by_rule == {"day": 1}


async def test_quotas_can_change_while_it_runs() -> None:
    async with talking(rpm=2) as wire:
        await wire.submit()
        wire.server.set_quota(rpm=1)
        assert (await wire.submit())[0] == 429
        wire.server.set_quota(rpm=None, concurrency=0)
        assert "limit: 0" in (await wire.submit())[1]["error"]["message"]
        wire.server.set_quota(concurrency=None)
        assert (await wire.submit())[0] == 200
        with pytest.raises(TypeError, match=r"set_quota\(\) takes concurrency, rpd, rpm, spend; not wat\."):
            wire.server.set_quota(wat=1)


async def test_concurrency_counts_running_clips_and_spend_their_full_price() -> None:
    async with talking(rpm=None, concurrency=2, latency="20", speed=1000) as wire:
        assert [(await wire.submit())[0] for _ in range(3)] == [200, 200, 429]
        await asyncio.sleep(0.025)
        assert (await wire.submit())[0] == 200
        assert wire.server.books.peak_running == 2
    async with talking(spend=10) as wire:  # Google's first tier: three clips of 3.20 in ten minutes
        assert [(await wire.submit())[0] for _ in range(4)] == [200, 200, 200, 429]
        assert wire.server.books.refused_by_rule == {"spend": 1}


async def test_round_trips_take_their_time() -> None:
    async with talking(rtt="100", speed=10_000) as wire:
        began = asyncio.get_running_loop().time()
        await wire.submit()
        assert asyncio.get_running_loop().time() - began >= 0.01


# -- downloads ---------------------------------------------------------------------------------------------------------


async def test_a_download_needs_a_key_is_redirected_and_can_be_resumed() -> None:
    async with talking() as wire:
        path = await wire.film()
        assert (await wire.ask("GET", path))[0] == 403
        async with wire.http.get(wire.server.url + path, headers=KEY, allow_redirects=False) as answer:
            assert answer.status == 302
            assert answer.headers["Location"].startswith("/download/v1beta/files/")
        _, film = await wire.ask("GET", path, headers=KEY)
        async with wire.http.get(wire.server.url + path, headers={**KEY, "Range": "bytes=1000-"}) as answer:
            assert answer.status == 206
            assert answer.headers["Content-Range"] == f"bytes 1000-{len(film) - 1}/{len(film)}"
            assert film[1000:] == await answer.read()
        for span, status in (("bytes=0-9", 206), (f"bytes={len(film)}-", 416), ("bytes=x", 416), ("bytes=-5", 206)):
            assert (await wire.ask("GET", path, headers={**KEY, "Range": span}))[0] == status
        assert wire.server.books.download_bytes == 2 * len(film) - 1000 + 10 + 5


async def test_ranges_can_be_turned_off() -> None:
    async with talking(ranges=False) as wire:
        path = await wire.film()
        async with wire.http.get(wire.server.url + path, headers={**KEY, "Range": "bytes=5-"}) as answer:
            assert (answer.status, "Accept-Ranges" in answer.headers) == (200, False)


async def test_files_expire_after_two_days_and_unknown_ones_get_the_same_answer() -> None:
    async with talking(speed=1e7) as wire:
        path = await wire.film()
        await asyncio.sleep(0.02)  # 200,000 emulator seconds; files expire after 172,800
        status, body = await wire.ask("GET", path, headers=KEY)
        assert (status, body["error"]["message"].startswith("You do not have permission to access the File")) == (
            403,
            True,
        )
        assert (await wire.ask("GET", "/v1beta/files/nope:download?alt=media", headers=KEY))[0] == 403


# -- books, life -------------------------------------------------------------------------------------------------------


async def test_the_books_show_accepted_made_and_paid_clips() -> None:
    async with talking(rpm=3) as wire:
        for prompt in ("a", "b", "a", "c"):
            await wire.submit(prompt=prompt)
        await wire.submit(durationSeconds="8")
        await wire.submit(headers={})
        _, books = await wire.ask("GET", "/books.json")
        now = wire.server.books.as_dict()
        assert {**books, "emulator_seconds": 0} == {**now, "emulator_seconds": 0}
        assert books["accepted_by_prompt"] == {"a": 2, "b": 1}
        assert books["accepted_twice"] == {"a": 2}
        assert (books["submits"], books["accepted"], books["refused"], books["rejected"]) == (6, 3, 1, 2)
        assert books["rejected_by_status"] == {"400": 1, "403": 1}
        assert (books["videos"], books["billed_seconds"], books["billed_usd"]) == (3, 24, 9.6)
        assert books["posts"] == {f"{DEVELOPER}:predictLongRunning": 6}
        assert books["outcomes"] == {"success": 3}
        assert b"6 submits: 3 accepted, 1 refused, 2 rejected" in (await wire.ask("GET", "/"))[1]
        assert wire.server.books.summary().endswith("paid for more than once: 1 prompt")


async def test_a_clip_is_billed_when_it_is_done() -> None:
    async with talking(latency="20", speed=1000) as wire:
        await wire.submit()
        assert (wire.server.books.running, wire.server.books.billed_usd) == (1, 0)
        await asyncio.sleep(0.025)
        assert wire.server.books.running == 0
        assert wire.server.books.billed_usd == pytest.approx(3.2)


async def test_the_server_stops_without_waiting_for_hanging_responses_and_keeps_the_books() -> None:
    loop = asyncio.get_running_loop()
    async with talking(faults=["timeout-after"]) as wire:
        waiting = asyncio.create_task(wire.submit())
        await asyncio.wait([waiting], timeout=0.05)
        assert wire.server.books.accepted == 1
        left_at = loop.time()
    with pytest.raises(aiohttp.ClientError):
        await waiting
    assert loop.time() - left_at < 1
    assert wire.server.books.accepted == 1


async def test_a_taken_port_is_an_os_error() -> None:
    async with talking() as wire:
        with pytest.raises(OSError, match=str(wire.server.port)):
            await MockServer(port=wire.server.port).__aenter__()


async def test_equal_seeds_give_equal_latencies() -> None:
    def draws(seed: int) -> list[float]:
        emulator = MockServer(MockOptions(seed=seed)).emulator
        return [emulator.options.latency.draw(emulator.rng) for _ in range(5)]

    assert draws(1) == draws(1) != draws(2)


class JumpingLoop(asyncio.SelectorEventLoop):
    """Virtual time: it stands still while callbacks run, then jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        patiently = self._selector.select  # type: ignore[attr-defined]

        def select(timeout: float | None = None) -> Any:
            events = patiently(0.002 if timeout is None else min(timeout, 0.002))
            if not events and timeout:
                self._now += timeout
            return events

        self._selector.select = select  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now


def test_in_virtual_time_an_hour_passes_at_once() -> None:
    async def an_hour() -> None:
        async with talking(rpm=1, latency="300") as wire:
            for _ in range(60):
                assert (await wire.submit())[0] == 200
                assert (await wire.submit())[0] == 429
                await asyncio.sleep(60)
            assert 3600 <= wire.server.books.as_dict()["emulator_seconds"] < 3660
            assert wire.server.books.peak_running == 5

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(an_hour())


def test_the_calendar_runs_as_fast_as_the_clock() -> None:
    start = datetime(2026, 11, 23, tzinfo=UTC)

    async def ten_seconds() -> None:
        clock = Clock(60, lambda: start + timedelta(seconds=asyncio.get_running_loop().time()))
        clock.start()
        await asyncio.sleep(10)
        assert (clock.now(), clock.utc()) == (600, start + timedelta(seconds=600))
        assert clock.client_seconds(60) == 1

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(ten_seconds())


def test_the_emulator_imports_nothing_from_other_packages() -> None:
    for file in Path(aveo3.mock.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            strangers = [name for name in names if name.startswith("aveo3") and not name.startswith("aveo3.mock")]
            assert strangers == [], file.name


def test_importing_the_package_loads_neither_server_nor_codecs() -> None:
    code = "import sys, aveo3.mock; print([m for m in ('aveo3.mock.server', 'av', 'PIL') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
