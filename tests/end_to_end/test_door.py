"""`aveo3 serve` as a program of its own: Google's SDK in front, the emulator behind, kills in between."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials
from httpx2 import AsyncClient, TransportError

from aveo3.mock import MockServer
from tests.support.children import until
from tests.support.emulated import emulator
from tests.support.guide import GUIDES, blocks
from tests.support.ports import free_port

pytestmark = [pytest.mark.real_time, pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")]

MODEL = "veo-3.1-generate-001"
BODY = {"instances": [{"prompt": "a boat"}]}


class Served:
    """The program, which can be killed and started again at the same port."""

    def __init__(self, google: MockServer, port: int, **settings: Any) -> None:
        given = {"base_url": google.url, "backend": "vertex", "poll_interval": 0.1, "retry_wait_base": 0.1, **settings}
        variables = {f"VEO3_{name.upper()}": str(value) for name, value in given.items()}
        self._environment = {**os.environ, **variables, "GOOGLE_API_KEY": "key"}
        self._port = port
        self.url = f"http://127.0.0.1:{port}"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = [sys.executable, "-m", "aveo3", "serve", "--quiet", "--port", str(self._port)]
        self.process = await asyncio.create_subprocess_exec(*command, env=self._environment)
        async with aiohttp.ClientSession() as http:
            while True:
                assert self.process.returncode is None
                with suppress(aiohttp.ClientError):
                    async with http.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)

    async def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(how)
        return await self.process.wait()


async def film(client: genai.Client, text: str) -> types.GenerateVideosOperation:
    """A program that knows nothing of the door. It asks again if a poll, which is free, finds nobody there."""
    operation = await client.aio.models.generate_videos(model=MODEL, source=types.GenerateVideosSource(prompt=text))
    while not operation.done:
        await asyncio.sleep(0.5)
        with suppress(aiohttp.ClientError, TransportError, ConnectionError):
            operation = await client.aio.operations.get(operation)
    return operation


async def check_films(google: MockServer, served: Served, *, films: int, kills: int, quota: int) -> None:
    async with AsyncClient() as transport:

        def client(**more: Any) -> genai.Client:
            token = Credentials(token="anything")  # type: ignore[no-untyped-call]
            options = types.HttpOptions(base_url=served.url, **more)
            return genai.Client(
                vertexai=True, project="p", location="us-central1", credentials=token, http_options=options
            )

        clients = [client(), client(httpx_async_client=transport)]
        work = [asyncio.create_task(film(clients[n % 2], f"boat {n}")) for n in range(films)]
        for kill in range(1, kills + 1):
            await until(lambda at=kill * quota: google.books.accepted >= at, served.process)  # type: ignore
            await asyncio.sleep(0.3)  # no submit is under way: the quota is used up
            await served.end(signal.SIGKILL)
            await served.start()
        done = await asyncio.gather(*work)
        for each in clients:
            await each.aio.aclose()
    videos: list[Any] = [each.response.generated_videos[0].video for each in done if each.response]  # type: ignore[index]
    assert len([video for video in videos if (video.video_bytes or b"")[4:8] == b"ftyp"]) == films
    assert google.books.accepted_by_prompt == {f"boat {number}": 1 for number in range(films)}
    assert google.books.refused == 0


@pytest.mark.parametrize(
    ("films", "kills", "quota", "period"),
    [(8, 1, 4, 2), pytest.param(50, 3, 10, 4, marks=pytest.mark.whole)],
)
async def test_everybody_gets_a_film_while_the_server_is_killed(
    tmp_path: Path, films: int, kills: int, quota: int, period: int
) -> None:
    async with emulator(rpm=quota, period=period, latency="0.5") as google:
        served = Served(google, free_port(), output_dir=tmp_path, rate_limit=quota, rate_period=period)
        await served.start()
        try:
            await check_films(google, served, films=films, kills=kills, quota=quota)
        finally:
            assert await served.end(signal.SIGTERM) == 0


async def test_the_program_in_the_guide_gets_its_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [block] = [each for each in blocks(GUIDES["serve"].read_text("utf-8")) if each.comment == "recipe: door"]
    monkeypatch.chdir(tmp_path)
    async with emulator() as google:
        served = Served(google, free_port(), output_dir=tmp_path)
        await served.start()
        try:
            program = block.text.replace("http://127.0.0.1:8790", served.url).replace("sleep(5)", "sleep(0.2)")
            await asyncio.to_thread(exec, program, {})
        finally:
            await served.end(signal.SIGKILL)
    assert (tmp_path / "boat.mp4").read_bytes()[4:8] == b"ftyp"


async def test_sigterm_ends_it_in_time_and_what_was_accepted_goes_on(tmp_path: Path) -> None:
    path = f"/v1/publishers/google/models/{MODEL}:predictLongRunning"
    async with emulator(latency="0.5") as google:
        served = Served(google, free_port(), output_dir=tmp_path, rate_limit=1, rate_period=1)
        await served.start()
        async with aiohttp.ClientSession(served.url) as http:
            for _ in range(3):
                async with http.post(path, json=BODY) as answer:
                    assert answer.status == 200
            began = asyncio.get_running_loop().time()
            assert await served.end(signal.SIGTERM) == 0
            assert asyncio.get_running_loop().time() - began < 10
        await served.start()
        try:
            await until(lambda: google.books.accepted == 3, served.process)  # type: ignore[arg-type]
        finally:
            await served.end(signal.SIGTERM)
        assert google.books.accepted == 3
