"""Google's SDK and plain HTTP through the door, to the emulator and back."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google.genai import errors, types
from httpx2 import AsyncClient

from aveo3 import VeoClient
from aveo3.backends import veo
from aveo3.errors import JournalError
from aveo3.journal.rows import recorded_prompt
from aveo3.lifecycle import State
from aveo3.models import VideoPrompt
from aveo3.server.door import app
from aveo3.server.door.callers import Caller, CallerFile
from tests.support.door import MODEL, TOKEN, film, sdk, serving
from tests.support.emulated import emulator, quick

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
VERTEX = f"/v1/projects/p/locations/us-central1/publishers/google/models/{MODEL}"
DEVELOPER = f"/v1beta/models/{MODEL}"


@pytest.mark.parametrize("httpx", [False, True], ids=["aiohttp", "httpx"])
async def test_the_sdk_gets_its_film_inline_and_never_a_429(httpx: bool) -> None:
    async with emulator(rpm=5) as google, serving(google, rate_limit=5) as door, AsyncClient() as transport:
        client = sdk(door, httpx=transport if httpx else None)
        done = await asyncio.gather(*(film(client, f"boat {number}", every=5) for number in range(12)))
        films = [operation.response.generated_videos[0].video for operation in done]  # type: ignore[union-attr, index]
        assert all(((each and each.video_bytes) or b"")[4:8] == b"ftyp" for each in films)
        assert len({operation.name for operation in done}) == 12
        assert google.books.accepted_by_prompt == {f"boat {number}": 1 for number in range(12)}
        assert google.books.refused == 0
        await client.aio.aclose()


async def test_an_express_key_works_too() -> None:
    async with emulator() as google, serving(google) as door:
        client = sdk(door, api_key="anything")
        operation = await film(client, "a boat")
        assert operation.response is not None
        assert (operation.name or "").startswith(f"publishers/google/models/{MODEL}/operations/")
        await client.aio.aclose()


EVERYTHING = [
    VideoPrompt(text="a boat"),
    VideoPrompt(
        text="a boat",
        negative_prompt="people",
        duration_seconds=8,
        aspect_ratio="9:16",
        resolution="1080p",
        seed=7,
        number_of_videos=2,
        generate_audio=False,
        person_generation="allow_adult",
        compression_quality="lossless",
        labels={"team": "film"},
    ),
    VideoPrompt(text="it sails", image=PNG, last_frame=PNG, resize_mode="pad", duration_seconds=8),
    VideoPrompt(text="it sails", reference_images=[PNG, PNG + b"\0"], duration_seconds=8),
    VideoPrompt(text="it sails", image="gs://bucket/boat.png"),
    VideoPrompt(text="it sails on", video="gs://bucket/boat.mp4"),
]


@pytest.mark.parametrize("prompt", EVERYTHING, ids=range(len(EVERYTHING)))
async def test_every_field_of_a_request_reaches_google_as_it_was(prompt: VideoPrompt) -> None:
    async with emulator() as google, serving(google) as door:
        client = sdk(door)
        source, config = veo.request(prompt, prompt.labels, None)
        await client.aio.models.generate_videos(model=MODEL, source=source, config=config)
        assert door.session.journal is not None
        [record] = door.session.journal.records()
        kept = recorded_prompt(record.prompt, door.session.journal.home)
        assert record.digest == prompt.digest(MODEL) == kept.digest(MODEL)
        assert kept.labels == prompt.labels
        sent, settings = veo.request(kept, kept.labels, None)
        assert (sent, settings) == (source, config)
        await asyncio.sleep(10)
        assert door.session.journal.counts() == {State.SUCCEEDED: 1}
        await client.aio.aclose()


async def test_the_videos_go_to_the_bucket_that_the_caller_named_and_stay_there() -> None:
    async with emulator() as google, serving(google) as door:
        client = sdk(door)
        operation = await film(client, "a boat", output_gcs_uri="gs://bucket/mine/")
        [video] = operation.response.generated_videos  # type: ignore[union-attr, misc]
        assert ((video.video and video.video.uri) or "").startswith("gs://bucket/mine/")
        assert list(door.session.settings.output_dir.glob("*.mp4")) == []
        await client.aio.aclose()


async def test_a_poll_tells_state_place_and_expected_time_and_no_done() -> None:
    async with emulator(latency="30") as google, serving(google, rate_limit=2, poll_interval=5.0) as door:
        client = sdk(door)
        operations = [
            await client.aio.models.generate_videos(model=MODEL, source=types.GenerateVideosSource(prompt=f"boat {n}"))
            for n in range(5)
        ]
        await asyncio.sleep(3)
        polled = [await client.aio.operations.get(operation) for operation in operations]
        assert [operation.done for operation in polled] == [None] * 5
        metadata = [operation.metadata or {} for operation in polled]
        assert [each["state"] for each in metadata] == ["running", "running", "waiting", "waiting", "waiting"]
        assert [each.get("place") for each in metadata] == [None, None, 1, 1, 2]  # one stands ready
        assert metadata[4]["expectedStartTime"] < metadata[4]["expectedEndTime"]
        await client.aio.aclose()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("filtered-safety:1", "Support codes: 17301594"),
        ("filtered-input:1", {"code": 3}),
        ("error-13:1", {"code": 13}),
        ("error-8:1", {"code": 8}),
        ("drop-after:1", {"code": 2}),
    ],
)
async def test_ends_are_passed_on_in_googles_words(fault: str, expected: Any) -> None:
    async with emulator(faults=[fault]) as google, serving(google, max_retries=1) as door:
        client = sdk(door)
        operation = await film(client, "a boat")
        if isinstance(expected, str):
            assert operation.response is not None
            assert operation.response.rai_media_filtered_count == 1
            assert expected in (operation.response.rai_media_filtered_reasons or [""])[0]
        else:
            assert operation.response is None
            error = operation.error or {}
            assert error["code"] == expected["code"], error
            assert "(code" not in str(error["message"])
        await client.aio.aclose()


async def test_the_developer_apis_paths_give_a_file_with_ranges() -> None:
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        key = {"x-goog-api-key": "anything"}
        async with http.post(
            f"{DEVELOPER}:predictLongRunning", json={"instances": [{"prompt": "a boat"}]}, headers=key
        ) as answer:
            name = (await answer.json())["name"]
        assert name.startswith(f"models/{MODEL}/operations/")
        done: dict[str, Any] = {}
        while not done.get("done"):
            await asyncio.sleep(1)
            async with http.get(f"/v1beta/{name}", headers=key) as answer:
                done = await answer.json()
        [sample] = done["response"]["generateVideoResponse"]["generatedSamples"]
        uri: str = sample["video"]["uri"]
        path = "/" + uri.split("/", 3)[3]
        async with http.get(path, headers=key) as answer:
            whole = await answer.read()
            assert (answer.status, answer.content_type) == (200, "video/mp4")
        async with http.get(path, headers={**key, "Range": "bytes=4-7"}) as answer:
            assert (answer.status, await answer.read()) == (206, whole[4:8])
        async with http.get(path.partition(":")[0], headers=key) as answer:
            file = await answer.json()
            assert (file["state"], file["sizeBytes"]) == ("ACTIVE", str(len(whole)))
        async with http.get(path.replace("files/", "files/0"), headers=key) as answer:
            assert answer.status == 403


BODY = {"instances": [{"prompt": "a boat"}]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "`instances` must have exactly one entry."),
        (
            {"instances": [{"prompt": "a", "music": "jazz"}]},
            "Unknown name 'music' at 'instances[0]': Cannot find field.",
        ),
        (
            {**BODY, "parameters": {"durationSeconds": "8"}},
            "The value type for `durationSeconds` needs to be a number.",
        ),
        ({**BODY, "parameters": {"durationSeconds": 5}}, "durationSeconds=5 is not offered by"),
        ({**BODY, "parameters": {"fps": 24}}, "`fps` isn't supported: Veo 3.1 and Omni make 24 frames a second"),
        ({**BODY, "parameters": {"storageUri": "s3://bucket"}}, "`storageUri` needs to be a Cloud Storage URI"),
        ({**BODY, "parameters": {"enhancePrompt": False}}, "`enhancePrompt` cannot be turned off"),
        ({**BODY, "webhookConfig": {"uris": ["https://a.b"]}}, "`webhookConfig` isn't supported: this server does not"),
        ({"instances": [{"prompt": "a", "image": {"bytesBase64Encoded": "!!!"}}]}, "base64"),
        (
            {"instances": [{"prompt": "a", "image": {"gcsUri": "https://a.b/c.png"}}]},
            "Vertex AI reads media from gs://",
        ),
        ({"instances": [{"prompt": "a", "image": {"gcsUri": "/etc/passwd", "mimeType": "image/png"}}]}, "uri"),
        ({"instances": [{}]}, "text"),
    ],
)
async def test_what_cannot_work_is_refused_with_the_reason_and_leaves_no_trace(body: Any, said: str) -> None:
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        async with http.post(f"{VERTEX}:predictLongRunning", json=body) as answer:
            error = (await answer.json())["error"]
        assert (answer.status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
        assert said in error["message"]
        assert door.session.journal is not None
        assert list(door.session.journal.records()) == []


async def test_unknown_models_operations_and_paths_are_not_found() -> None:
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:

        async def status(path: str, body: Any) -> int:
            async with http.post(path, json=body) as answer:
                assert (await answer.json())["error"]["status"] == "NOT_FOUND"
                return answer.status

        name = VERTEX.removeprefix("/v1/")
        assert await status(f"{VERTEX.replace('3.1', '9.9')}:predictLongRunning", BODY) == 404
        assert (
            await status(f"{VERTEX}:fetchPredictOperation", {"operationName": f"{name}/operations/{'0' * 32}"}) == 404
        )
        assert await status("/v1/anything", BODY) == 404


async def test_an_operation_is_found_under_its_own_name_only() -> None:
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        async with http.post(f"{VERTEX}:predictLongRunning", json=BODY) as answer:
            name = (await answer.json())["name"]
        for asked, status in ((name, 200), (name.replace("projects/p/", "projects/q/"), 404)):
            async with http.post(f"{VERTEX}:fetchPredictOperation", json={"operationName": asked}) as answer:
                assert answer.status == status


async def test_equal_requests_are_two_films_and_equal_keys_are_one() -> None:
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:

        async def submit(body: Any, key: str | None = None, query: str = "") -> tuple[int, Any]:
            headers = {} if key is None else {"Idempotency-Key": key}
            async with http.post(f"{VERTEX}:predictLongRunning{query}", json=body, headers=headers) as answer:
                told = await answer.json()
                return answer.status, told.get("name") or told["error"]["status"]

        names = {(await submit(BODY))[1] for _ in range(2)}
        assert len(names) == 2
        together = await asyncio.gather(*(submit(BODY, "order 7") for _ in range(5)))
        assert len(set(together)) == 1
        assert await submit(BODY, query="?idempotencyKey=order%207") == together[0]
        assert await submit({"instances": [{"prompt": "a ship"}]}, "order 7") == (409, "ALREADY_EXISTS")
        labelled = {**BODY, "labels": {"idempotency_key": "order-8"}}
        assert await submit(labelled) == await submit(labelled)
        assert (await submit(BODY, "x" * 256))[0] == 400
        await asyncio.sleep(5)
        assert google.books.accepted_by_prompt == {"a boat": 4}


async def test_a_request_that_waits_can_be_cancelled_and_one_that_was_sent_cannot() -> None:
    async with (
        emulator(latency="20") as google,
        serving(google, rate_limit=1, poll_interval=5.0) as door,
        aiohttp.ClientSession(door.url) as http,
    ):
        names = []
        for number in range(3):
            body = {"instances": [{"prompt": f"boat {number}"}]}
            async with http.post(f"{VERTEX}:predictLongRunning", json=body) as answer:
                names.append((await answer.json())["name"])
        await asyncio.sleep(1)
        for name, status in ((names[2], 200), (names[2], 200), (names[0], 400)):
            async with http.post(f"/v1/{name}:cancel") as answer:
                assert answer.status == status, await answer.text()
        async with http.post(f"{VERTEX}:fetchPredictOperation", json={"operationName": names[2]}) as answer:
            assert (await answer.json())["error"]["code"] == 1
        await asyncio.sleep(300)
        assert google.books.accepted_by_prompt == {"boat 0": 1, "boat 1": 1}


async def test_the_budget_is_reserved_when_a_request_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with emulator() as google, serving(google, rate_limit=1, budget=7.0) as door:
        client = sdk(door)
        for _ in range(2):
            await client.aio.models.generate_videos(model=MODEL, source=types.GenerateVideosSource(prompt="a boat"))
        with pytest.raises(errors.ClientError) as refused:
            await client.aio.models.generate_videos(model=MODEL, source=types.GenerateVideosSource(prompt="a boat"))
        assert (refused.value.code, refused.value.status) == (402, "RESOURCE_EXHAUSTED")
        assert "US$ 6.40 are reserved for accepted requests" in str(refused.value)
        await client.aio.aclose()
    async with serving(google, rate_limit=1, budget=7.0) as door:
        client = sdk(door)
        with pytest.raises(errors.ClientError):
            await client.aio.models.generate_videos(model=MODEL, source=types.GenerateVideosSource(prompt="a boat"))
        await client.aio.aclose()


async def test_a_page_of_another_site_cannot_order_films() -> None:
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        for headers, status in (
            ({"Origin": "https://evil.example"}, 403),
            ({"Host": "evil.example"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Origin": "http://localhost:3000"}, 200),
        ):
            async with http.post(f"{VERTEX}:predictLongRunning", json=BODY, headers=headers) as answer:
                assert answer.status == status, headers


async def test_a_disk_that_refuses_gives_503_and_the_request_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        journal = door.session.journal
        assert journal is not None

        async def full() -> None:
            raise JournalError("the disk is full")

        with monkeypatch.context() as disk:
            disk.setattr(journal, "on_disk", full)
            async with http.post(f"{VERTEX}:predictLongRunning", json=BODY) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
        await asyncio.sleep(60)
        assert google.books.accepted == 0


async def test_after_a_503_the_same_key_is_free_and_nobody_is_told_of_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        journal = door.session.journal
        assert journal is not None

        async def full() -> None:
            raise JournalError("the disk is full")

        async def submit() -> tuple[int, dict[str, Any]]:
            headers = {"Idempotency-Key": "one"}
            async with http.post(f"{VERTEX}:predictLongRunning", json=BODY, headers=headers) as answer:
                return answer.status, await answer.json()

        with monkeypatch.context() as disk:
            disk.setattr(journal, "on_disk", full)
            assert (await submit())[0] == 503
        status, operation = await submit()
        assert status == 200
        await asyncio.sleep(300)
        poll = {"operationName": operation["name"]}
        async with http.post(f"{VERTEX}:fetchPredictOperation", json=poll) as answer:
            assert (await answer.json())["response"]["videos"]
        assert google.books.accepted == 1


async def test_what_got_a_200_is_not_taken_back_when_its_key_is_used_on_a_disk_that_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with emulator() as google, serving(google, rate_limit=1) as door, aiohttp.ClientSession(door.url) as http:
        journal = door.session.journal
        assert journal is not None

        async def full() -> None:
            raise JournalError("the disk is full")

        async def submit(key: str) -> int:
            headers = {"Idempotency-Key": key}
            async with http.post(f"{VERTEX}:predictLongRunning", json=BODY, headers=headers) as answer:
                return answer.status

        assert [await submit(key) for key in "123"] == [200, 200, 200]
        await asyncio.sleep(1)
        with monkeypatch.context() as disk:
            disk.setattr(journal, "on_disk", full)
            assert await submit("3") == 503
        await asyncio.sleep(300)
        assert google.books.accepted == 3


async def test_media_are_on_disk_before_the_answer_and_removed_when_nobody_needs_them() -> None:
    async with emulator(latency="30") as google:
        async with serving(google, poll_interval=5.0) as door, aiohttp.ClientSession(door.url) as http:
            image = {"bytesBase64Encoded": base64.b64encode(PNG).decode(), "mimeType": "image/png"}
            for text in ("it sails", "it sinks"):
                body = {"instances": [{"prompt": text, "image": image}]}
                async with http.post(f"{VERTEX}:predictLongRunning", json=body) as answer:
                    assert answer.status == 200
            [kept] = (door.session.settings.output_dir / ".aveo3/media").iterdir()
            assert kept.read_bytes() == PNG
            stray = kept.with_name("0" * 64)
            stray.write_bytes(PNG)  # left by a kill before its row
        async with serving(google, poll_interval=5.0) as door:
            assert kept.exists()
            assert not stray.exists()
            await asyncio.sleep(100)
            assert not kept.exists()
            assert google.books.accepted == 2


async def test_a_server_that_stops_refuses_new_requests_and_answers_polls() -> None:
    async with emulator(rtt="3") as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        async with http.post(f"{VERTEX}:predictLongRunning", json=BODY) as answer:
            name = (await answer.json())["name"]
        await asyncio.sleep(0.5)
        closing = asyncio.create_task(door.__aexit__(None, None, None))
        await asyncio.sleep(0.5)
        async with http.post(f"{VERTEX}:predictLongRunning", json=BODY) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
        async with http.get("/readyz") as answer:
            assert answer.status == 503
        async with http.post(f"{VERTEX}:fetchPredictOperation", json={"operationName": name}) as answer:
            assert answer.status == 200
        began = asyncio.get_running_loop().time()
        await closing
        assert asyncio.get_running_loop().time() - began < 10


async def test_a_project_of_a_domain_has_a_colon_in_its_name() -> None:
    async with emulator() as google, serving(google) as door:
        client = sdk(door, project="example.com:films", location="us-central1", credentials=TOKEN)
        operation = await film(client, "a boat")
        assert (operation.name or "").startswith("projects/example.com:films/locations/us-central1/")
        assert operation.response is not None
        await client.aio.aclose()


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'{"instances": NaN}', b'{"instances": ["\\ud800"]}', b""])
async def test_what_is_no_json_is_refused(body: bytes) -> None:
    async with (
        emulator() as google,
        serving(google) as door,
        aiohttp.ClientSession(door.url) as http,
        http.post(f"{VERTEX}:predictLongRunning", data=body) as answer,
    ):
        assert (answer.status, (await answer.json())["error"]["status"]) == (400, "INVALID_ARGUMENT")


async def test_a_body_that_is_too_large_is_refused_and_a_large_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LARGEST_BODY", 3 << 20)
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        for size, status in ((2 << 20, 200), (3 << 20, 413)):
            picture = base64.b64encode(PNG + bytes(size * 3 // 4)).decode()
            image = {"bytesBase64Encoded": picture, "mimeType": "image/png"}
            body = json.dumps({"instances": [{"prompt": "a boat", "image": image}]}).encode()
            async with http.post(f"{VERTEX}:predictLongRunning", data=io.BytesIO(body)) as answer:
                assert answer.status == status


async def test_large_bodies_that_one_caller_sends_slowly_hold_up_no_other() -> None:
    async def crawling() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(5)

    image = {"bytesBase64Encoded": base64.b64encode(PNG + bytes(2 << 20)).decode(), "mimeType": "image/png"}
    body = json.dumps({"instances": [{"prompt": "a boat", "image": image}]}).encode()
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        callers = CallerFile(door.session.settings.output_dir)
        slow, quick_one = ({"x-goog-api-key": callers.add(Caller(name=name))} for name in ("slow", "quick"))
        path, clock = f"{VERTEX}:predictLongRunning", asyncio.get_running_loop().time
        tasks = [asyncio.create_task(http.post(path, data=crawling(), headers=slow)) for _ in range(8)]
        await asyncio.sleep(1)
        began = clock()
        async with http.post(path, data=io.BytesIO(body), headers=quick_one) as answer:
            assert answer.status == 200
        assert clock() - began < 10
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_requests_through_the_door_take_no_longer_than_a_batch() -> None:
    clock, clips = asyncio.get_running_loop().time, 20
    quota: dict[str, Any] = {"rate_limit": 5, "poll_interval": 5.0, "journal": "auto"}
    async with emulator(rpm=5, latency="30") as google, VeoClient(quick(google, output_dir="direct", **quota)) as veo:
        began = clock()
        await veo.generate_many([f"boat {number}" for number in range(clips)])
        batch = clock() - began
    async with emulator(rpm=5, latency="30") as google, serving(google, **quota) as door:
        client, began = sdk(door), clock()
        await asyncio.gather(*(film(client, f"boat {number}", every=5) for number in range(clips)))
        assert clock() - began <= 1.01 * batch + 5  # its client polls so often
        assert google.books.refused == 0
        await client.aio.aclose()


@pytest.mark.parametrize("old", [False, True], ids=["moved", "written by an earlier release"])
async def test_media_of_waiting_requests_are_found_wherever_the_directory_is_by_now(old: bool) -> None:
    body = {"instances": [{"prompt": "it sails", "image": {"bytesBase64Encoded": base64.b64encode(PNG).decode()}}]}
    body["instances"][0]["image"]["mimeType"] = "image/png"  # type: ignore[index]
    async with emulator() as google:
        async with serving(google) as door, aiohttp.ClientSession(door.url) as http:
            door.session.pause()
            async with http.post(f"{DEVELOPER}:predictLongRunning", json=body) as answer:
                assert answer.status == 200
            assert door.session.journal is not None
            [record] = door.session.journal.records()
            path = record.prompt["image"]["path"]
            assert not Path(path).is_absolute()
        directory = Path("clips")
        if old:
            prompt = json.dumps({**record.prompt, "image": {**record.prompt["image"], "path": str(_absolute(path))}})
            with closing(sqlite3.connect(directory / ".aveo3/journal.db")) as db:
                db.execute("UPDATE jobs SET prompt = ?", (prompt,))
                db.commit()
        else:
            directory = directory.rename("elsewhere")  # noqa: ASYNC240
        async with serving(google, output_dir=directory) as door:
            await asyncio.sleep(20)
            assert door.session.journal is not None
            assert door.session.journal.counts() == {State.SUCCEEDED: 1}


def _absolute(path: str) -> Path:
    return Path("clips", path).absolute()


async def test_who_never_sends_a_whole_head_is_cut_off_and_large_heads_are_refused() -> None:
    async with emulator() as google, serving(google) as door:
        port = int(door.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        began = asyncio.get_running_loop().time()
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        closed = asyncio.ensure_future(reader.read())
        while not closed.done():
            assert asyncio.get_running_loop().time() - began < 100
            writer.write(b"X-Slow: 1\r\n")
            await asyncio.sleep(10)
        writer.close()
        assert await closed == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Bomb: " + b"x" * 100_000 + b"\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.0 400")
        writer.close()
