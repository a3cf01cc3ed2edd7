"""Three programs as people start them: Google's emulator, `aveo3 serve`, `aveo3 generate --server`; and kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import aveo3
from aveo3.mock import MockOptions, MockServer
from tests.support.children import until
from tests.support.ports import free_port

pytestmark = [pytest.mark.real_time, pytest.mark.skipif(sys.platform == "win32", reason="kill -9")]

PROMPTS = [f"boat {number}" for number in range(24)]


@asynccontextmanager
async def program(home: Path, *arguments: str, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {**os.environ, "PYTHONPATH": str(Path(aveo3.__path__[0]).parent), **variables}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aveo3", *arguments),
        cwd=home,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.whole
async def test_a_server_killed_three_times_and_a_client_interrupted_once_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS))
    port = str(free_port())
    options = MockOptions.model_validate({"films": "bundled", "latency": "0.5", "rpm": None})
    async with MockServer(options) as google:
        books = google.books

        def server() -> object:
            variables = {"VEO3_BASE_URL": google.url, "VEO3_BACKEND": "vertex", "GOOGLE_API_KEY": "key"}
            arguments = ("serve", "--port", port, "--output-dir", "server", "--rate", "3/2s", "--quiet")
            # The answer of a submit that is open when it is killed is lost: the film is found in the bucket.
            bucket = {"VEO3_OUTPUT_GCS_URI": "gs://films/server", "VEO3_STORAGE_URL": google.url}
            return program(tmp_path, *arguments, **variables, **bucket, VEO3_POLL_INTERVAL="0.2")

        order = ("generate", "prompts.txt", "--server", f"http://127.0.0.1:{port}", "--output-dir", "clips")

        async with server() as serving:  # type: ignore[attr-defined]
            await listening(int(port), serving)
            async with program(tmp_path, *order) as client:
                await until(lambda: books.accepted >= 4, client)
                client.send_signal(signal.SIGINT)
                stdout, stderr = (each.decode() for each in await client.communicate())
            assert client.returncode == 130, stderr
            assert "what was ordered goes on at the server" in stderr
            assert "The server goes on with" in stdout
            await until(lambda: books.accepted >= 6, serving)
            serving.kill()
            await serving.wait()
        async with program(tmp_path, *order) as client:
            await client.wait()  # nobody is there
            assert client.returncode == 2
        async with server() as serving:  # type: ignore[attr-defined]
            await listening(int(port), serving)
            async with program(tmp_path, *order) as client:
                for enough in (8, 14):
                    await until(lambda enough=enough: films(tmp_path) >= enough, client)  # type: ignore[misc]
                    serving.kill()
                    await serving.wait()
                    restarted = server()
                    serving = await restarted.__aenter__()  # type: ignore[attr-defined]
                stdout, stderr = (each.decode() for each in await client.communicate())
                assert client.returncode == 0, stderr
            serving.kill()
            await serving.wait()
        assert dict(books.accepted_by_prompt) == dict.fromkeys(PROMPTS, 1)
    assert films(tmp_path) == len(PROMPTS)


def films(home: Path) -> int:
    return len(list((home / "clips").glob("*.mp4")))


async def listening(port: int, server: asyncio.subprocess.Process) -> None:
    """Return when something listens at `port`."""
    while True:
        assert server.returncode is None
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
