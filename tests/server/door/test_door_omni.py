"""Omni through the door: Google's SDK on the Interactions API, to the emulator and back."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from google import genai
from google.genai import types

from aveo3.backends import omni
from aveo3.journal.rows import recorded_prompt
from aveo3.mock import MockServer
from aveo3.models import VideoPrompt
from aveo3.server.door.server import DoorServer
from tests.support.door import TOKEN, serving
from tests.support.emulated import emulator

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

MODEL = "gemini-omni-1.2-flash"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"


@asynccontextmanager
async def on_gemini(google: MockServer, **values: Any) -> AsyncIterator[tuple[DoorServer, genai.Client]]:
    async with serving(google, backend="gemini", model=MODEL, **values) as door:
        options = types.HttpOptions(base_url=door.url, retry_options=types.HttpRetryOptions(attempts=1))
        client = genai.Client(api_key="anything", http_options=options)
        yield door, client
        await client.aio.aclose()


async def ended(client: genai.Client, interaction: Any, every: float = 2.0) -> Any:
    while interaction.status == "in_progress":
        await asyncio.sleep(every)
        interaction = await client.aio.interactions.get(interaction.id)
    return interaction


def order(text: Any = "a boat", **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "input": text, "background": True, **more}


@pytest.mark.parametrize("delivery", ["inline", "uri"])
async def test_the_sdk_gets_its_film_and_never_a_429(delivery: str) -> None:
    async with emulator(rpm=2) as google, on_gemini(google, rate_limit=2) as (_, client):
        form = {"type": "video", "delivery": delivery, "duration": "5s", "resolution": "720p"}
        made = [await client.aio.interactions.create(**order(f"boat {n}", response_format=form)) for n in range(4)]
        assert len({interaction.id for interaction in made}) == 4
        for interaction in [await ended(client, each) for each in made]:
            assert interaction.status == "completed"
            assert interaction.usage.total_output_tokens > 17_376  # five seconds of video, as the emulator tells
            assert interaction.usage.output_tokens_by_modality[0].modality == "video"
            video = interaction.output_video
            if delivery == "uri":
                film = await client.aio.files.download(file=video.uri)
            else:
                film = base64.b64decode(video.data)
            assert film[4:8] == b"ftyp"
        assert google.books.accepted_by_prompt == {f"boat {number}": 1 for number in range(4)}
        assert google.books.refused == 0


EVERYTHING = [
    VideoPrompt(text="a boat"),
    VideoPrompt(
        text="a boat",
        duration_seconds=4.5,
        aspect_ratio="9:16",
        resolution="1080p",
        seed=7,
        labels={"team": "film"},
        service_tier="flex",
        safety_settings={"harassment": "block_only_high"},
    ),
    VideoPrompt(text="it sails", image=PNG, last_frame=PNG),
    VideoPrompt(text="it sails", reference_images=[PNG], reference_videos=[MP4]),
    VideoPrompt(text="it sails on", video=MP4, task="extend"),
    VideoPrompt(text="make it red", video=MP4, task="edit"),
    VideoPrompt(video=MP4, task="upscale", resolution="1080p"),
    VideoPrompt(text="make it red", previous="v1_ChYtOV9IaWQ"),
]


@pytest.mark.parametrize("prompt", EVERYTHING, ids=range(len(EVERYTHING)))
async def test_every_field_of_a_request_reaches_google_as_it_was(prompt: VideoPrompt) -> None:
    delivery = {"delivery": "inline"}
    request = omni.request(prompt, MODEL, delivery, prompt.labels)
    async with emulator() as google, on_gemini(google) as (door, client):
        await client.aio.interactions.create(**request)
        assert door.session.journal is not None
        [record] = door.session.journal.records()
        kept = recorded_prompt(record.prompt, door.session.journal.home)
        assert record.digest == prompt.digest(MODEL) == kept.digest(MODEL)
        assert omni.request(kept, MODEL, delivery, kept.labels) == request


async def test_an_earlier_clip_of_the_caller_is_continued_under_its_name_at_google() -> None:
    async with emulator() as google, on_gemini(google) as (door, client):
        first = await ended(client, await client.aio.interactions.create(**order()))
        again = order("make it red", previous_interaction_id=first.id)
        second = await ended(client, await client.aio.interactions.create(**again))
        assert second.status == "completed"
        assert door.session.journal is not None
        one, two = door.session.journal.records()
        assert two.prompt["previous"] == one.operation


async def test_on_vertex_it_is_the_same() -> None:
    async with emulator() as google, serving(google, model=MODEL, location="global") as door:
        options = types.HttpOptions(base_url=door.url, retry_options=types.HttpRetryOptions(attempts=1))
        client = genai.Client(vertexai=True, project="p", location="global", credentials=TOKEN, http_options=options)
        done = await ended(client, await client.aio.interactions.create(**order()))
        assert done.status == "completed"
        assert base64.b64decode(done.output_video.data)[4:8] == b"ftyp"
        await client.aio.aclose()


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ("filtered-safety:1", "completed", "I can't create videos with real people's likeness of children."),
        ("error-13:1", "failed", "Video generation failed due to an internal server issue."),
        ("drop-after:1", "failed", "the answer was lost"),
    ],
)
async def test_ends_are_passed_on_in_googles_words(fault: str, status: str, said: str) -> None:
    async with emulator(faults=[fault]) as google, on_gemini(google, max_retries=0) as (door, client):
        interaction = await ended(client, await client.aio.interactions.create(**order()))
        assert interaction.status == status
        async with aiohttp.ClientSession(door.url) as http, http.get(f"/v1/interactions/{interaction.id}") as answer:
            body = await answer.json()
        assert said in json.dumps(body)
        assert interaction.output_video is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"background": False}, "'background' must be true: the request waits for quota here."),
        ({"store": False}, "'store' must not be false"),
        ({"stream": True}, "nor 'stream' true"),
        ({"temperature": 1}, "Unknown parameter 'temperature'."),
        ({"webhook_config": {"uris": []}}, "The parameter 'webhook_config' is not supported: this server does not"),
        ({"response_format": {"type": "video", "duration": 8}}, "Invalid value at 'response_format.duration'"),
        ({"response_format": {"type": "video", "aspect_ratio": "1:7"}}, "aspect_ratio='1:7' is not offered by"),
        ({"input": [{"type": "audio", "data": "AAAA"}]}, "The value 'audio' is not supported for 'input[0].type'."),
        ({"input": [{"type": "image", "data": "AAAA", "mime_type": "image/png"}]}, "task' must say what the images"),
        ({"model": "veo-3.1-generate-001"}, "This model does not support Interactions API."),
        ({"input": None}, "a prompt needs a text"),
        ({"previous_interaction_id": "0" * 32}, "Invalid interaction name: interactions/" + "0" * 32),
    ],
)
async def test_what_cannot_work_is_refused_with_the_reason(change: dict[str, Any], said: str) -> None:
    async with (
        emulator() as google,
        on_gemini(google, project="p") as (door, _),
        aiohttp.ClientSession(door.url) as http,
    ):
        async with http.post("/v1/interactions", json={**order(), **change}) as answer:
            error = (await answer.json())["error"]
        assert (answer.status, error["code"]) == (400, "invalid_request")
        assert said in error["message"]
        assert door.session.journal is not None
        assert list(door.session.journal.records()) == []


async def test_a_deleted_interaction_is_gone_with_its_files_and_one_that_waits_is_never_sent() -> None:
    async with (
        emulator(latency="5", faults=["error-13@2"]) as google,
        on_gemini(google, rate_limit=1, rate_period=20, max_retries=0) as (door, client),
        aiohttp.ClientSession(door.url) as http,
    ):
        output = door.session.settings.output_dir
        headers = {"Idempotency-Key": "once"}
        async with http.post("/v1/interactions", json=order("boat 0"), headers=headers) as answer:
            first = (await answer.json())["id"]
        image = {"type": "image", "mime_type": "image/png", "data": base64.b64encode(PNG).decode()}
        config = {"video_config": {"task": "image_to_video"}}
        second = await client.aio.interactions.create(**order([image], generation_config=config))
        third = await client.aio.interactions.create(**order("boat 2"))
        assert await client.aio.interactions.delete(third.id) is None
        await asyncio.sleep(1)
        async with http.delete(f"/v1/interactions/{first}") as answer:
            assert answer.status == 400
            assert "Delete it when it has ended" in await answer.text()
        await ended(client, await client.aio.interactions.get(first))
        await ended(client, second)
        assert [*output.glob("*.mp4")]
        assert [*output.glob(".aveo3/media/*")]
        for made in (first, second.id):
            await client.aio.interactions.delete(made)
        assert [*output.glob("*.mp4")] == [*output.glob(".aveo3/media/*")] == []
        for made in (first, second.id, third.id):
            async with http.get(f"/v1/interactions/{made}") as answer:
                assert answer.status == 400
                assert "Invalid interaction name" in await answer.text()
        async with http.post("/v1/interactions", json=order("boat 0"), headers=headers) as answer:
            assert answer.status == 400
            assert "was deleted" in await answer.text()
        assert google.books.accepted_by_prompt.keys() == {"boat 0", ""}


async def test_unknown_interactions_are_a_400_and_waiting_ones_can_be_cancelled() -> None:
    async with emulator() as google, on_gemini(google, rate_limit=1) as (door, client):
        made = [await client.aio.interactions.create(**order(f"boat {n}")) for n in range(3)]
        await asyncio.sleep(1)
        cancelled = await client.aio.interactions.cancel(made[2].id)
        assert cancelled.status == "cancelled"
        assert (await client.aio.interactions.get(made[2].id)).status == "cancelled"
        waiting = await client.aio.interactions.get(made[1].id)
        assert waiting.status == "in_progress"
        async with aiohttp.ClientSession(door.url) as http:
            async with http.get("/v1/interactions/v1_none") as answer:
                body = await answer.json()
                assert (answer.status, body["error"]["code"]) == (400, "invalid_request")
            async with http.post(f"/v1/interactions/{made[0].id}/cancel") as answer:
                assert answer.status == 400
        await asyncio.sleep(200)
        assert google.books.accepted_by_prompt == {"boat 0": 1, "boat 1": 1}
