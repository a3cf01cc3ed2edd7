"""Other clients on the emulator: each submits, polls and gets a playable film."""

import asyncio
import base64
import importlib
import io
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials

from aveo3.cli.commands.mock_server import _welcome
from aveo3.mock import Latency, MockOptions, MockServer
from tests.support import npm

JS = Path(__file__).parents[1] / "data" / "js"
MODEL = "veo-3.1-generate-001"
OMNI = "gemini-omni-1.2-flash"
PRICE = 5792 * 12e-6
"""US$ for a second of it."""

# google-genai subclasses aiohttp's session, which aiohttp discourages.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


@asynccontextmanager
async def google(**options: Any) -> AsyncIterator[MockServer]:
    async with MockServer(MockOptions(**{"latency": Latency.parse("20"), "speed": 1000, **options})) as server:
        yield server


def assert_plays(film: bytes, *, seconds: float = 4, size: tuple[int, int] = (180, 320)) -> None:
    assert film[4:8] == b"ftyp"
    av = pytest.importorskip("av")
    with av.open(io.BytesIO(film)) as container:
        frames = [(frame.width, frame.height) for frame in container.decode(video=0)]
        assert container.duration / 1e6 == pytest.approx(seconds, abs=0.2)
    assert set(frames) == {size}


def assert_paid_for_one_clip_of_four_seconds(server: MockServer, price: float = 0.40) -> None:
    books = server.books
    assert (books.submits, books.accepted, books.videos) == (1, 1, 1)
    assert books.billed_usd == pytest.approx(4 * price)


# -- google-genai for Python -------------------------------------------------------------------------------------------

KEY: dict[str, Any] = {"vertexai": True, "api_key": "anything"}
PROJECT: dict[str, Any] = {"vertexai": True, "project": "demo", "location": "us-central1"}


async def film_from(client: genai.Client) -> bytes:
    operation = await client.aio.models.generate_videos(
        model=MODEL,
        source=types.GenerateVideosSource(prompt="a paper boat"),
        config=types.GenerateVideosConfig(duration_seconds=4, aspect_ratio="9:16"),
    )
    while not operation.done:
        await asyncio.sleep(0.005)
        operation = await client.aio.operations.get(operation)
    videos = (operation.response and operation.response.generated_videos) or []
    return b"".join((video.video and video.video.video_bytes) or b"" for video in videos)


@pytest.mark.parametrize("who", ["key", "project"])
async def test_google_genai_on_aiohttp_makes_a_film(who: str) -> None:
    sent = []

    async def note(_: Any, __: Any, params: aiohttp.TraceRequestStartParams) -> None:
        sent.append(params.method)

    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(note)
    how = KEY if who == "key" else {**PROJECT, "credentials": Credentials("token")}  # type: ignore[no-untyped-call]
    async with google() as server, aiohttp.ClientSession(trace_configs=[tracing]) as session:
        options = types.HttpOptions(base_url=server.url, aiohttp_client=session)
        assert_plays(await film_from(genai.Client(http_options=options, **how)))
        assert_paid_for_one_clip_of_four_seconds(server)
        assert len(sent) == 1 + server.books.polls  # all of it went through aiohttp


@pytest.mark.parametrize("who", ["key", "project"])
async def test_google_genai_on_httpx2_makes_a_film(who: str) -> None:
    httpx2 = pytest.importorskip("httpx2", reason="this google-genai talks through httpx, not httpx2")
    sent = []

    async def note(request: Any) -> None:
        sent.append(request.method)

    how = KEY if who == "key" else {**PROJECT, "credentials": Credentials("token")}  # type: ignore[no-untyped-call]
    async with google() as server, httpx2.AsyncClient(event_hooks={"request": [note]}) as http:
        options = types.HttpOptions(base_url=server.url, httpx_async_client=http)
        assert_plays(await film_from(genai.Client(http_options=options, **how)))
        assert_paid_for_one_clip_of_four_seconds(server)
        assert len(sent) == 1 + server.books.polls  # all of it went through httpx2


async def test_the_line_of_python_that_the_banner_prints_makes_a_film() -> None:
    async with google() as server:
        line = re.search(r"genai\.Client\(.+\)", _welcome(server, None))
        assert line
        client = eval(line[0], {"genai": genai})
        assert_plays(await film_from(client))
        assert_paid_for_one_clip_of_four_seconds(server)
        await client.aio.aclose()


async def interaction_of(client: genai.Client, delivery: str) -> Any:
    """Return a completed interaction."""
    interactions: Any = client.aio.interactions
    video_format = {"type": "video", "delivery": delivery, "duration": "4s", "aspect_ratio": "9:16"}
    interaction = await interactions.create(
        model=OMNI,
        input=[{"type": "text", "text": "a paper boat"}],
        background=True,
        store=True,
        response_format=video_format,
        labels={"job": "j1"},
    )
    while interaction.status == "in_progress":
        await asyncio.sleep(0.005)
        interaction = await interactions.get(interaction.id)
    return interaction


@asynccontextmanager
async def carriers(which: str) -> AsyncIterator[dict[str, Any]]:
    """Return HTTP options that select the transport of the SDK."""
    if which == "aiohttp":
        async with aiohttp.ClientSession() as session:
            yield {"aiohttp_client": session}
    else:
        httpx2 = pytest.importorskip("httpx2", reason="this google-genai talks through httpx, not httpx2")
        async with httpx2.AsyncClient() as http:
            yield {"httpx_async_client": http}


@asynccontextmanager
async def omni_client(server: MockServer, which: str, **how: Any) -> AsyncIterator[genai.Client]:
    if not hasattr(genai.client.AsyncClient, "interactions"):
        pytest.skip("this google-genai knows no interactions")
    once = types.HttpRetryOptions(attempts=1)
    async with carriers(which) as carrier:
        options = types.HttpOptions(base_url=server.url, retry_options=once, **carrier)
        client = genai.Client(http_options=options, **(how or {"api_key": "anything"}))
        yield client
        await client.aio.aclose()


@pytest.mark.parametrize("which", ["aiohttp", "httpx2"])
async def test_google_genai_makes_a_film_with_omni_and_fetches_it(which: str) -> None:
    async with google(processing="20") as server, omni_client(server, which) as client:
        interaction = await interaction_of(client, "uri")
        assert (interaction.status, interaction.labels, interaction.output_video.mime_type) == (
            "completed",
            {"job": "j1"},
            "video/mp4",
        )
        assert [(entry.modality, entry.tokens) for entry in interaction.usage.output_tokens_by_modality] == [
            ("video", 23168)
        ]
        file = f"files/{interaction.output_video.uri.partition('files/')[2].partition(':')[0]}"
        assert (await client.aio.files.get(name=file)).state in (types.FileState.PROCESSING, types.FileState.ACTIVE)
        await asyncio.sleep(0.02)
        assert (await client.aio.files.get(name=file)).state is types.FileState.ACTIVE
        film = await client.aio.files.download(file=interaction.output_video.uri)
        assert film is not None
        assert_plays(film)
        assert_paid_for_one_clip_of_four_seconds(server, PRICE)
        assert server.books.posts == {"/v1/interactions": 1}


async def test_google_genai_gets_omnis_film_inline_on_vertex() -> None:
    how = {**PROJECT, "location": "global", "credentials": Credentials("token")}  # type: ignore[no-untyped-call]
    async with google() as server, omni_client(server, "httpx2", **how) as client:
        interactions: Any = client.aio.interactions
        interaction = await interactions.create(model=OMNI, input="a paper boat", background=True)
        await asyncio.sleep(0.025)
        interaction = await interactions.get(interaction.id)
        assert_plays(base64.b64decode(interaction.output_video.data), seconds=10, size=(320, 180))


async def test_google_genai_cancels_deletes_and_raises_errors() -> None:
    errors: Any = importlib.import_module("google.genai._interactions")
    faults = ("late-429@1", "failed-error@2")
    async with google(faults=faults, latency="0") as server, omni_client(server, "httpx2") as client:
        interactions: Any = client.aio.interactions
        ask = {"model": OMNI, "input": "a paper boat", "background": True}
        late = await interactions.create(**ask)
        with pytest.raises(errors.RateLimitError, match="Please retry in"):
            await interactions.get(late.id)
        assert (await interactions.get((await interactions.create(**ask)).id)).status == "completed"
        failed = await interactions.get((await interactions.create(**ask)).id)
        assert (failed.status, failed.error["code"]) == ("failed", "api_error")
        server.change(latency="1000")
        running = await interactions.create(**ask)
        assert (await interactions.cancel(running.id)).status == "cancelled"
        await interactions.delete(running.id)
        with pytest.raises(errors.BadRequestError, match="Invalid interaction name"):
            await interactions.get(running.id)


# -- @google/genai for JavaScript --------------------------------------------------------------------------------------

Clip = Callable[..., Any]


@pytest.fixture(scope="session")
def js() -> Path:
    """A directory outside the repository with the script and its packages, kept between sessions."""
    return npm.installed(JS, "js")


@pytest.fixture
def clip(js: Path, tmp_path: Path) -> Clip:
    """`await clip(how, server)` returns the output of the script and its film. `how` is one of its clients, or omni."""

    async def run(how: str, server: MockServer) -> tuple[dict[str, Any], bytes]:
        file = tmp_path / "clip.mp4"
        script = ["interaction.mjs"] if how == "omni" else ["clip.mjs", how]
        command = ["node", *script, server.url, str(file)]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=js, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output = (await process.communicate())[0].decode()
        assert process.returncode == 0, output
        return json.loads(output.splitlines()[-1]), file.read_bytes() if file.exists() else b""

    return run


@pytest.mark.parametrize(
    ("how", "parent"),
    [
        ("key", f"publishers/google/models/{MODEL}"),
        ("project", f"projects/demo/locations/us-central1/publishers/google/models/{MODEL}"),
        ("developer", "models/veo-3.1-generate-preview"),
    ],
)
@pytest.mark.real_time
async def test_the_javascript_sdk_makes_a_film(clip: Clip, how: str, parent: str) -> None:
    async with google() as server:
        output, film = await clip(how, server)
        assert output.get("name", output).startswith(f"{parent}/operations/")
        assert output["polls"] == server.books.polls
        assert_plays(film)
        assert_paid_for_one_clip_of_four_seconds(server)


@pytest.mark.real_time
async def test_the_javascript_sdk_makes_a_film_with_omni(clip: Clip) -> None:
    async with google() as server:
        output, film = await clip("omni", server)
        assert output.get("status", output) == "completed"
        assert (output["polls"], output["tokens"] > 4 * 5792) == (server.books.polls, True)
        assert_plays(film)
        assert_paid_for_one_clip_of_four_seconds(server, PRICE)


@pytest.mark.parametrize("how", ["key", "omni"])
@pytest.mark.parametrize(
    ("options", "error", "accepted"),
    [
        ({"rpm": 0}, {"error": ("ApiError", "RateLimitError"), "status": (429,)}, 0),
        ({"faults": ("503",)}, {"error": ("ApiError", "InternalServerError"), "status": (503,)}, 0),
        ({"faults": ("drop-after",)}, {"error": ("TypeError", "APIConnectionError")}, 1),
    ],
    ids=["no quota", "overloaded", "answer lost"],
)
@pytest.mark.real_time
async def test_the_javascript_sdk_raises_errors_and_sends_only_once(
    clip: Clip, how: str, options: dict[str, Any], error: dict[str, Any], accepted: int
) -> None:
    async with google(**options) as server:
        output, film = await clip(how, server)
        assert all(output.get(name) in known for name, known in error.items()), output
        assert (server.books.submits, server.books.accepted, film) == (1, accepted, b"")
