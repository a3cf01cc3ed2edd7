"""`aveo3 serve` as a program of its own: Google's SDK in front, the emulator behind."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.support.children import until
from tests.support.emulated import emulator
from tests.support.guide import recipe
from tests.support.ports import free_port
from tests.support.served import Served, served

pytestmark = [pytest.mark.real_time, pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")]

MODEL = "veo-3.1-generate-001"
BODY = {"instances": [{"prompt": "a boat"}]}


async def test_the_program_in_the_guide_gets_its_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with emulator() as google, served(google, output_dir=tmp_path) as server:
        program = recipe("serve", "door").text
        program = program.replace("http://127.0.0.1:8790", server.url).replace("sleep(5)", "sleep(0.2)")
        await asyncio.to_thread(exec, program, {})
    assert (tmp_path / "boat.mp4").read_bytes()[4:8] == b"ftyp"


async def test_sigterm_ends_it_in_time_and_what_was_accepted_goes_on(tmp_path: Path) -> None:
    path = f"/v1/publishers/google/models/{MODEL}:predictLongRunning"
    async with emulator(latency="0.5") as google:
        server = Served(google, free_port(), output_dir=tmp_path, rate_limit=1, rate_period=1)
        await server.start()
        async with aiohttp.ClientSession(server.url) as http:
            for _ in range(3):
                async with http.post(path, json=BODY) as answer:
                    assert answer.status == 200
            began = asyncio.get_running_loop().time()
            assert await server.end(signal.SIGTERM) == 0
            assert asyncio.get_running_loop().time() - began < 10
        await server.start()
        try:
            await until(lambda: google.books.accepted == 3, server.process)  # type: ignore[arg-type]
        finally:
            await server.end(signal.SIGTERM)
        assert google.books.accepted == 3
