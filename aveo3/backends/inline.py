"""Videos that come as base64 in the JSON of an answer, decoded into temporary files while they arrive.

The SDK would hold tens of megabytes three to four times over, and stop everything else while it decodes them. Now it
sees the answer with a short mark in place of each video, and hands us the mark.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import threading
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from aveo3.backends.sieve import Sieve
from aveo3.files import part_files
from aveo3.files.part_files import PartFile

KEY = b"bytesBase64Encoded"
PIECE = 1 << 17
"""Bytes of an answer that are worth a thread; less is done at once."""

PARALLEL = 4
"""Large answers that are read at once. More would only share the line and the processor, each with its buffers, and in
every round of the loop each of them may have to wait for the thread that decodes."""

_one_at_a_time = threading.Lock()
"""Decoding does not let go of the interpreter: each further thread at it would only keep the loop waiting longer."""

_current: ContextVar[InlineVideos] = ContextVar("inline_videos")


class InlineVideos:
    """Within `with`, inline videos of the answers that this task reads go to files in `directory`.

    `key` is the name of the members that hold videos. `readers` bounds how many large answers are read at once: share
    it. On leaving, those that were not taken are removed. Reading such an answer raises `FetchError`
    if the disk refuses, ValueError if a video is not base64.
    """

    def __init__(self, directory: Path, key: bytes = KEY, *, readers: asyncio.Semaphore | None = None) -> None:
        self.readers = readers or asyncio.Semaphore(PARALLEL)
        self._key = key
        self._directory = directory
        self._made: dict[bytes, PartFile] = {}
        self._over = False
        self._turn = threading.Lock()

    def __enter__(self) -> InlineVideos:
        self._token = _current.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _current.reset(self._token)
        # A thread may still be writing if we were cancelled; what comes to its turn later does nothing.
        with self._turn:
            self._over = True
            for part in self._made.values():
                part.discard()
            self._made.clear()

    def take(self, data: bytes | None) -> Path | None:
        """The file of the video that `data` is the mark of, from now on the caller's; None if it is no mark."""
        part = self._made.pop(data, None) if data is not None else None
        return None if part is None else part_files.hand_on(part)

    def sieve(self) -> Sieve:
        """What one answer goes through."""
        return Sieve(self._key, self._open)

    def _open(self) -> tuple[bytes, PartFile]:
        """A new file, and its mark. The mark cannot be guessed: no server can pass off a video for another."""
        self._directory.mkdir(parents=True, exist_ok=True)
        mark = secrets.token_bytes(24)
        part = self._made[mark] = part_files.loose(self._directory)
        return mark, part

    def feed(self, sieve: Sieve, data: bytes) -> None:
        """Let `data` through `sieve`, in any thread, unless all is over."""
        with self._turn:
            if self._over:
                return
            try:
                sieve.feed(data)
            except OSError as error:
                raise part_files.refused(self._directory, error) from error


def current() -> InlineVideos | None:
    """The `InlineVideos` that this task is within, if any."""
    return _current.get(None)


async def strain(blocks: AsyncIterable[bytes], inline_videos: InlineVideos) -> bytes:
    """Read a JSON answer that arrives in `blocks` to its end. Return its text without the videos."""
    sieve, waiting, large = inline_videos.sieve(), bytearray(), False
    async with AsyncExitStack() as stack:
        async for block in blocks:
            waiting += block
            if len(waiting) >= PIECE:
                if not large:  # what is short waits for nobody
                    await stack.enter_async_context(inline_videos.readers)
                    large = True
                await asyncio.to_thread(_feed, inline_videos, sieve, bytes(waiting))
                waiting.clear()
        inline_videos.feed(sieve, bytes(waiting))
    return bytes(sieve.text)


class InlineVideoResponse(aiohttp.ClientResponse):
    """aiohttp's response, whose body goes through a `Sieve` if the task that reads it is within an `InlineVideos`.

    Only of a 200, and only of text in which a quote is one byte. Otherwise, and whatever goes wrong on the wire, it is
    aiohttp's own.
    """

    async def read(self) -> bytes:
        """See aiohttp."""
        inline_videos = current()
        if (
            inline_videos is None
            or self.status != 200
            or (self.charset or "utf-8").lower() not in ("utf-8", "us-ascii")
        ):
            return await super().read()
        content = self.content
        self.content = _Sieved(content, inline_videos)  # type: ignore[assignment]
        try:
            return await super().read()
        finally:
            self.content = content


class _Sieved:
    """A response's stream, of which the whole is read at once."""

    def __init__(self, content: aiohttp.StreamReader, inline_videos: InlineVideos) -> None:
        self._content = content
        self._inline_videos = inline_videos

    async def read(self) -> bytes:
        return await strain(self._blocks(), self._inline_videos)

    async def _blocks(self) -> AsyncIterator[bytes]:
        while block := await self._content.readany():
            yield block

    # What aiohttp does with a stream besides.
    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)


def _feed(inline_videos: InlineVideos, sieve: Sieve, data: bytes) -> None:
    with _one_at_a_time:
        inline_videos.feed(sieve, data)


# ---- the same for httpx, or httpx2: the SDK's choice -----------------------------------------------------------------


async def _ask_for_plain_bytes(request: Any) -> None:
    request.headers["accept-encoding"] = "identity"  # a film does not compress, and is put aside as it comes


async def _put_videos_aside(response: Any) -> None:
    """Let the body go through a `Sieve` while it arrives, if the task that reads it is within an `InlineVideos`."""
    inline_videos = current()
    if inline_videos is None or response.status_code != 200 or "content-encoding" in response.headers:
        return
    stream, into = response.stream, inline_videos
    library = sys.modules[type(response).__module__.partition(".")[0]]

    class Sieved(library.AsyncByteStream):  # type: ignore[misc,name-defined]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield await strain(stream, into)

        async def aclose(self) -> None:
            await stream.aclose()

    response.stream = Sieved()


HTTPX_HOOKS: Mapping[str, list[Callable[[Any], Awaitable[None]]]] = {
    "request": [_ask_for_plain_bytes],
    "response": [_put_videos_aside],
}
"""What an httpx client needs among its event hooks for inline videos to be put aside."""
