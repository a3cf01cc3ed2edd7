"""No work of aveo3's waits for a thread of the loop's: a program may keep them all busy, waiting for clips."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from aveo3 import ClipStatus, Media, VeoClient, VideoPrompt, _threads
from aveo3.backends.base import Finished, Video
from aveo3.backends.gemini import GeminiBackend
from aveo3.backends.http import connector
from aveo3.backends.login import Login
from aveo3.files import download
from aveo3.testing import ScriptedBackend
from aveo3.testing.scripted import FILM
from aveo3.verdicts import VerdictKind
from tests.support.raw_server import answer, serving
from tests.support.settings import settings

PNG = b"\x89PNG\r\n\x1a\nnot much of a picture"


class Busy(ThreadPoolExecutor):
    """All of its threads are taken, for ever."""

    def submit(self, function: Callable[..., Any], /, *_: Any, **__: Any) -> Any:
        raise AssertionError(f"{function} would wait for a thread of the loop's")


def made(_: VideoPrompt) -> Finished:
    return Finished((Video(data=FILM),))


async def test_a_clip_with_a_picture_is_made_and_saved_though_the_loop_has_no_thread_left(tmp_path: Path) -> None:
    asyncio.get_running_loop().set_default_executor(Busy(1))
    (tmp_path / "boat.png").write_bytes(PNG)
    prompt = VideoPrompt(text="a boat", image=Media(path=tmp_path / "boat.png"))
    own = settings(output_dir=tmp_path / "clips", journal="auto")
    for _ in range(2):  # the second time its file is read again
        async with VeoClient(own, backend=ScriptedBackend(ending=made)) as veo:
            [clip] = await veo.generate_many([prompt])
        assert clip.status is ClipStatus.SUCCEEDED
    assert clip.cached


async def test_an_address_is_looked_up_and_a_video_downloaded_though_the_loop_has_no_thread_left(
    tmp_path: Path,
) -> None:
    asyncio.get_running_loop().set_default_executor(Busy(1))

    async def film(_: web.Request) -> web.Response:
        return web.Response(body=FILM, headers={"ETag": '"1"'})

    app = web.Application()
    app.router.add_get("/film.mp4", film)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession(connector=connector()) as session:
            saved = await download.to_file(
                session, f"http://localhost:{port}/film.mp4", tmp_path / "film.mp4", {}, silence=30.0
            )
    finally:
        await runner.cleanup()
    assert saved.path.read_bytes() == FILM


@pytest.mark.real_time
async def test_threads_that_wait_for_their_clips_get_them(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(6))  # as many as a machine with two processors has
    backend = ScriptedBackend(ending=made, latency=0.0)
    async with (
        asyncio.timeout(60),
        VeoClient(settings(output_dir=tmp_path, poll_interval=0.01), backend=backend) as veo,
    ):

        def wait_for_a_clip(number: int) -> Any:
            return asyncio.run_coroutine_threadsafe(veo.generate(f"boat {number}"), loop).result()

        clips = await asyncio.gather(*(asyncio.to_thread(wait_for_a_clip, n) for n in range(6)))
    assert [clip.status for clip in clips] == [ClipStatus.SUCCEEDED] * 6
    assert len({path for clip in clips for path in clip.paths}) == 6


async def test_a_call_keeps_its_context_and_its_error() -> None:
    threads = _threads.Threads(1, "test")
    with pytest.raises(FileNotFoundError):
        await threads.run(os.stat, "nowhere")
    assert await threads.run(int, "ff", base=16) == 255


async def test_httpx_connects_to_addresses_that_were_looked_up_in_threads_of_our_own() -> None:
    """The interactions of the SDK use httpx, whose backends ask the loop for addresses."""
    asyncio.get_running_loop().set_default_executor(Busy(1))
    async with serving(answer(200, {"id": "v1_" + "a" * 60, "status": "in_progress"})) as wire:
        backend = await GeminiBackend.open(
            settings(backend="gemini", api_key="key", base_url=f"http://localhost:{wire.port}")
        )
        verdict = await backend.submit(VideoPrompt(text="a boat"), "gemini-omni-1.1-flash")
        await backend.aclose()
    assert verdict.kind is VerdictKind.ACCEPTED, verdict.message


async def test_a_token_that_has_expired_is_refreshed_in_a_thread_of_our_own() -> None:
    asyncio.get_running_loop().set_default_executor(Busy(1))

    class Token:
        token: str | None = None
        expired = True

        def refresh(self, _: object) -> None:
            self.token, self.expired = "new", False

    login = Login(Token())  # type: ignore[arg-type]
    await asyncio.gather(*(login.refresh() for _ in range(3)))
    assert login.credentials is not None
    assert login.credentials.token == "new"


async def test_threads_end_once_nobody_holds_them() -> None:
    threads = _threads.Threads(2, "held")
    with threads.held(), threads.held():
        [thread] = {await threads.run(threading.current_thread) for _ in range(2)}
    await asyncio.to_thread(thread.join, 60)
    assert not thread.is_alive()
    assert await threads.run(int, "1") == 1  # others may begin anew
