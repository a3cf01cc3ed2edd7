"""OpenAI's SDK through the door, to the emulator and back."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from google import genai
from google.genai import types

from aveo3.models import VideoPrompt
from aveo3.server.door.callers import Caller, CallerFile
from aveo3.server.door.server import DoorServer
from tests.support.door import MODEL, serving
from tests.support.emulated import emulator

# The service behind it is gone; the protocol is spoken by LiteLLM, n8n and others.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
OMNI = "gemini-omni-1.2-flash"


def sdk(door: DoorServer, key: str = "anything") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{door.url}/v1", api_key=key, max_retries=0)


async def ended(client: openai.AsyncOpenAI, video: Any) -> Any:
    while video.status in ("queued", "in_progress"):
        await asyncio.sleep(2)
        video = await client.videos.retrieve(video.id)
    return video


@pytest.mark.parametrize("model", [MODEL, OMNI])
async def test_the_sdk_gets_its_films_and_never_a_429(model: str) -> None:
    place = {"location": "global"} if model == OMNI else {}
    async with (
        emulator(rpm=2) as google,
        serving(google, rate_limit=2, model=model, **place) as door,
        sdk(door) as client,
    ):
        made = [
            await client.videos.create(model=model, prompt=f"boat {n}", seconds="8", size="1280x720") for n in range(4)
        ]
        assert made[-1].status == "queued"
        for video in [await ended(client, each) for each in made]:
            assert (video.status, video.progress, video.seconds, video.size) == ("completed", 100, "8", "1280x720")
            content = await client.videos.download_content(video.id)
            assert content.content[4:8] == b"ftyp"
        assert google.books.accepted_by_prompt == {f"boat {number}": 1 for number in range(4)}
        assert google.books.refused == 0


async def test_a_request_is_the_prompt_that_it_says() -> None:
    async with emulator() as google, serving(google) as door, sdk(door) as client:
        url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
        tall: Any = "1080x1920"
        await client.videos.create(model=MODEL, prompt="it sails", size=tall, input_reference=("a.png", PNG))
        reference = {"image_url": url}
        async with aiohttp.ClientSession(door.url) as http:
            body = {"model": MODEL, "prompt": "it sails", "input_reference": reference}
            async with http.post("/v1/videos", json=body) as answer:
                assert answer.status == 200
        await client.videos.create(model=MODEL, prompt="it sails", seconds="4")
        assert door.session.journal is not None
        digests = [record.digest for record in door.session.journal.records()]
        expected = [
            VideoPrompt(text="it sails", aspect_ratio="9:16", resolution="1080p", image=PNG),
            VideoPrompt(text="it sails", image=PNG),
            VideoPrompt(text="it sails", duration_seconds=4),
        ]
        assert digests == [prompt.digest(MODEL) for prompt in expected]


async def test_videos_are_listed_page_by_page_and_each_caller_sees_its_own() -> None:
    async with emulator() as google, serving(google) as door:
        keys = [CallerFile(door.session.settings.output_dir).add(Caller(name=name)) for name in ("alice", "bob")]
        async with sdk(door, keys[0]) as alice, sdk(door, keys[1]) as bob:
            made = [(await alice.videos.create(model=MODEL, prompt=f"boat {n}")).id for n in range(5)]
            other = await bob.videos.create(model=MODEL, prompt="a ship")
            assert [video.id async for video in alice.videos.list(limit=2)] == made[::-1]
            assert [video.id async for video in alice.videos.list(limit=2, order="asc")] == made
            assert [video.id async for video in bob.videos.list()] == [other.id]
            with pytest.raises(openai.NotFoundError):
                await bob.videos.retrieve(made[0])
            with pytest.raises(openai.NotFoundError):
                await bob.videos.list(after=made[0])
            async with sdk(door, "wrong") as nobody:
                with pytest.raises(openai.AuthenticationError):
                    await nobody.videos.list()


async def test_a_deleted_video_is_gone_and_one_that_waits_is_never_sent() -> None:
    async with (
        emulator(latency="20") as google,
        serving(google, rate_limit=1, poll_interval=5.0) as door,
        sdk(door) as client,
    ):
        sent, _, waiting = [await client.videos.create(model=MODEL, prompt=f"boat {n}") for n in range(3)]
        await asyncio.sleep(2)
        assert (await client.videos.delete(waiting.id)).deleted
        with pytest.raises(openai.ConflictError):
            await client.videos.delete(sent.id)
        with pytest.raises(openai.NotFoundError):
            await client.videos.download_content(sent.id)
        await ended(client, sent)
        files = list(door.session.settings.output_dir.glob("*.mp4"))
        assert len(files) == 1
        assert (await client.videos.delete(sent.id)).deleted
        assert not files[0].exists()
        for video in (sent, waiting):
            with pytest.raises(openai.NotFoundError):
                await client.videos.retrieve(video.id)
        await asyncio.sleep(200)
        assert google.books.accepted_by_prompt == {"boat 0": 1, "boat 1": 1}
        assert len([video async for video in client.videos.list()]) == 1


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("filtered-safety:1", "moderation_blocked", "Support codes: 17301594"),
        ("error-13:1", "api_error", "Video generation failed due to an internal server issue"),
    ],
)
async def test_a_failure_says_why(fault: str, code: str, said: str) -> None:
    async with emulator(faults=[fault]) as google, serving(google, max_retries=0) as door, sdk(door) as client:
        video = await ended(client, await client.videos.create(model=MODEL, prompt="a boat"))
        assert video.status == "failed"
        assert video.error is not None
        assert video.error.code == code
        assert said in video.error.message


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prompt": "a", "size": "1024x1792"}, "Invalid size '1024x1792': choose 1280x720, 720x1280"),
        ({"prompt": "a", "seconds": "5"}, "seconds=5 is not offered by"),
        ({"prompt": "a", "music": "jazz"}, "Unknown parameter: 'music'."),
        ({"prompt": "a", "input_reference": {"image_url": "https://a.b/c.png"}}, "no address is opened"),
        ({"prompt": "a", "input_reference": {"file_id": "f"}}, "no address is opened"),
        ({}, "a prompt needs a text"),
    ],
)
async def test_what_cannot_work_is_refused_with_the_reason(fields: dict[str, Any], said: str) -> None:
    async with emulator() as google, serving(google) as door, aiohttp.ClientSession(door.url) as http:
        async with http.post("/v1/videos", json={"model": MODEL, **fields}) as answer:
            error = (await answer.json())["error"]
        assert (answer.status, error["type"]) == (400, "invalid_request_error")
        assert said in error["message"]
        assert door.session.journal is not None
        assert list(door.session.journal.records()) == []


async def test_the_same_form_with_the_same_key_is_one_video() -> None:
    async with emulator() as google, serving(google) as door, sdk(door) as client:
        more: Any = {"extra_headers": {"Idempotency-Key": "order 7"}}
        ids = {(await client.videos.create(model=MODEL, prompt="a boat", **more)).id for _ in range(3)}
        assert len(ids) == 1
        with pytest.raises(openai.ConflictError):
            await client.videos.create(model=MODEL, prompt="a ship", **more)


def one_lane() -> Path:
    """A file of lanes that has one."""
    file = Path("lanes.toml")
    file.write_text(f'[[lane]]\nmodel = "{MODEL}"\nproject = "p"\n')
    return file


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
async def test_openais_and_googles_clients_list_the_models_that_their_key_may_use() -> None:
    async with emulator() as google, serving(google) as door:
        callers = CallerFile(door.session.settings.output_dir)
        alice = callers.add(Caller(name="alice", models=(MODEL,)))
        bob = callers.add(Caller(name="bob"))
        seen = {}
        for key in (alice, bob):
            options = types.HttpOptions(base_url=door.url)
            googles = genai.Client(api_key=key, http_options=options)
            async with sdk(door, key) as client:
                seen[key] = [model.id async for model in client.models.list()]
                assert [f"models/{model}" for model in seen[key]] == [
                    model.name async for model in await googles.aio.models.list()
                ]
                assert (await client.models.retrieve(MODEL)).id == MODEL
                assert (await googles.aio.models.get(model=MODEL)).name == f"models/{MODEL}"
                if key == alice:
                    with pytest.raises(openai.NotFoundError):
                        await client.models.retrieve("veo-3.1-fast-generate-001")
            await googles.aio.aclose()
        assert seen[alice] == [MODEL]
        assert len(seen[bob]) > 2
    lanes = one_lane()
    async with emulator() as google, serving(google, lanes=lanes, api_key=None) as door, sdk(door, bob) as client:
        assert [model.id async for model in client.models.list()] == [MODEL]
