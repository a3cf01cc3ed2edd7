"""A client that stands still for longer than its requests may take, stopped or blocked, loses no answer."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

import aveo3
from aveo3 import VeoClient, VideoClip
from aveo3.mock import MockServer
from tests.support.children import until
from tests.support.emulated import emulator, quick
from tests.support.virtual import stall

BOATS = [f"boat {number}" for number in range(12)]
TIMEOUT = 6.0
SOME = 1  # on a slow machine the second comes late, and the first would have waited for too long before the stop

PROGRAM = """
import asyncio, json, sys
from aveo3 import Settings, VeoClient

async def main():
    async with VeoClient(Settings(**json.loads(sys.argv[1]))) as veo:
        return await veo.generate_many(json.loads(sys.argv[2]))

print(json.dumps([[clip.status, clip.error_message] for clip in asyncio.run(main())]))
"""


class Waiting(asyncio.Event):
    """What the answers wait for. `complete` is set once `SOME` requests have one."""

    def __init__(self) -> None:
        super().__init__()
        self.complete = asyncio.Event()
        self._number = 0

    async def wait(self) -> Literal[True]:
        self._number += 1
        if self._number == SOME:
            self.complete.set()
        return await super().wait()


@asynccontextmanager
async def held_up(server: MockServer, waiting: Waiting) -> AsyncIterator[int]:
    """The port of a proxy to `server` that keeps answers back as long as they have to wait.

    The first connection has none: the client sends one submit alone before it sends the others.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, waiting: Waiting | None) -> None:
        try:
            while data := await reader.read(1 << 16):
                if waiting is not None:
                    await waiting.wait()
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection("127.0.0.1", server.port)
        both = pump(reader, requests, None), pump(answers, writer, waiting if tasks else None)
        tasks.update(map(asyncio.create_task, both))

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        proxy.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


def written(chosen: dict[str, Any], tmp_path: Path) -> str:
    return json.dumps(
        {
            **chosen,
            "api_key": "key",
            "rate_limit": 100,
            "poll_interval": 0.05,
            "output_dir": str(tmp_path),
        }
    )


@pytest.mark.whole  # what a stall does to a timeout is in tests/test_timeouts.py
@pytest.mark.real_time
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")
@pytest.mark.parametrize("backend", ["vertex", "gemini"])
async def test_a_process_that_was_stopped_reads_the_answers_that_came_meanwhile(backend: str, tmp_path: Path) -> None:
    waiting = Waiting()
    async with emulator() as server, held_up(server, waiting) as port:
        chosen = {"base_url": f"http://127.0.0.1:{port}", "backend": backend, "request_timeout": TIMEOUT}
        root = str(Path(aveo3.__path__[0]).parent)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, written(chosen, tmp_path), json.dumps(BOATS)),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": root},
        )
        await until(waiting.complete.is_set, process)
        process.send_signal(signal.SIGSTOP)
        waiting.set()
        await asyncio.sleep(TIMEOUT + 1.5)
        process.send_signal(signal.SIGCONT)
        assert process.stdout is not None
        clips = json.loads(await process.stdout.read())
        assert await process.wait() == 0
        assert [status for status, _ in clips] == ["succeeded"] * len(BOATS), clips
        assert server.books.accepted == len(BOATS)


@pytest.mark.parametrize("backend", ["vertex", "gemini"])
async def test_a_program_that_blocks_the_loop_between_its_clips_loses_none(backend: str, tmp_path: Path) -> None:
    clips: list[VideoClip] = []
    async with emulator() as server:
        chosen = quick(server, backend=backend, output_dir=tmp_path, request_timeout=5.0, max_concurrency=4)
        async with VeoClient(chosen) as veo, veo.stream(BOATS) as results:
            async for clip in results:
                clips.append(clip)
                stall(60.0)
        assert [clip.status for clip in clips] == ["succeeded"] * len(BOATS), [clip.error_message for clip in clips]
        assert server.books.accepted == len(BOATS)
