"""Videos that come as base64 in the JSON of an answer: decodes them into temporary files while they arrive.

The SDK would hold three to four copies of tens of megabytes, and block the loop while it decodes them. Instead it gets
the answer with a short mark in place of each video, and returns the mark to us.
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

from aveo3 import _threads
from aveo3.backends.sieve import Sieve
from aveo3.files import part_files
from aveo3.files.part_files import PartFile

KEY = b"bytesBase64Encoded"
PIECE = 1 << 17
"""Bytes of an answer that are worth a thread; smaller pieces are decoded on the loop."""

LONGEST_ANSWER = 16 << 20
"""Bytes of an answer, besides the videos in it. Google's have some thousand: the rest of a longer one is not read."""

PARALLEL = 4
"""Large answers that are read at the same time. More would share the same line and processor, each with its own
buffers, and each may have to wait for the decoding thread in every round of the loop."""

_one_at_a_time = threading.Lock()
"""Decoding holds the interpreter lock: each further decoding thread would only make the loop wait longer."""

_current: ContextVar[InlineVideos] = ContextVar("inline_videos")


class InlineVideos:
    """Within `with`, inline videos of the answers that this task reads go to files in `directory`.

    `key` is the name of the JSON members that hold videos. `readers` limits how many large answers are read at the
    same time: share it. On exit, files that were not taken are removed. Reading such an answer raises `FetchError`
    if the disk refuses, ValueError if a video is not base64.
    """

    def __init__(self, directory: Path, key: bytes = KEY, *, readers: asyncio.Semaphore | None = None) -> None:
        self.readers = readers or asyncio.Semaphore(PARALLEL)
        self._key = key
        self._directory = directory
        self._files: dict[bytes, PartFile] = {}  # by mark
        self._over = False
        self._turn = threading.Lock()

    def __enter__(self) -> InlineVideos:
        self._token = _current.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _current.reset(self._token)
        # After a cancellation a thread may still be writing. Once `_over` is set, later writes do nothing.
        with self._turn:
            self._over = True
            for part in self._files.values():
                part.discard()
            self._files.clear()

    def take(self, data: bytes | None) -> Path | None:
        """The file of the video with the mark `data`, which the caller owns from now on; None if it is no mark."""
        part = self._files.pop(data, None) if data is not None else None
        return None if part is None else part_files.hand_on(part)

    def sieve(self) -> Sieve:
        """A new sieve for one answer."""
        return Sieve(self._key, self._open)

    def _open(self) -> tuple[bytes, PartFile]:
        """A new file and its mark. The mark cannot be guessed, so no server can swap one video for another."""
        self._directory.mkdir(parents=True, exist_ok=True)
        mark = secrets.token_bytes(24)
        part = self._files[mark] = part_files.loose(self._directory)
        return mark, part

    def feed(self, sieve: Sieve, data: bytes) -> None:
        """Feed `data` to `sieve`, in any thread. Does nothing after the exit from `with`."""
        with self._turn:
            if self._over:
                return
            try:
                sieve.feed(data)
            except OSError as error:
                raise part_files.refused(self._directory, error) from error


def current() -> InlineVideos | None:
    """The `InlineVideos` whose `with` block this task is in; None outside."""
    return _current.get(None)


async def strain(blocks: AsyncIterable[bytes], inline_videos: InlineVideos) -> bytes:
    """Read a JSON answer from `blocks` to its end. Return its text without the videos."""
    sieve, waiting, large = inline_videos.sieve(), bytearray(), False
    async with AsyncExitStack() as stack:
        async for block in blocks:
            waiting += block
            check_length(len(sieve.text))
            if len(waiting) >= PIECE:
                if not large:  # small answers wait for no other
                    await stack.enter_async_context(inline_videos.readers)
                    large = True
                await _threads.saving.run(_feed, inline_videos, sieve, bytes(waiting))
                waiting.clear()
        inline_videos.feed(sieve, bytes(waiting))
    check_length(len(sieve.text))
    return bytes(sieve.text)


def check_length(length: int, longest: int | None = None) -> None:
    """Raise ValueError for an answer that is longer than any that Google sends."""
    longest = LONGEST_ANSWER if longest is None else longest
    if length > longest:
        raise ValueError(f"the answer is longer than {longest:,} bytes, and is not read to its end")


async def bounded(blocks: AsyncIterable[bytes], longest: int | None = None) -> AsyncIterator[bytes]:
    """`blocks`, up to `longest` bytes (`LONGEST_ANSWER`); then ValueError."""
    length = 0
    async for block in blocks:
        length += len(block)
        check_length(length, longest)
        yield block


class InlineVideoResponse(aiohttp.ClientResponse):
    """aiohttp's response, whose body has a size, and goes through a `Sieve` if the reading task is within an
    `InlineVideos`.

    The latter holds for a 200 in an encoding where a quote is one byte. Everything else, errors of the wire included,
    is aiohttp's own behaviour.
    """

    async def read(self) -> bytes:
        """See aiohttp."""
        inline_videos = current()
        if self.status != 200 or (self.charset or "utf-8").lower() not in ("utf-8", "us-ascii"):
            inline_videos = None
        content = self.content
        self.content = _Whole(content, inline_videos)  # type: ignore[assignment]
        try:
            return await super().read()
        finally:
            self.content = content


class _Whole:
    """A response's stream that a single `read` reads to its end: through a sieve, or up to `LONGEST_ANSWER`."""

    def __init__(self, content: aiohttp.StreamReader, inline_videos: InlineVideos | None) -> None:
        self._content = content
        self._inline_videos = inline_videos

    async def read(self) -> bytes:
        if self._inline_videos is not None:
            return await strain(self._blocks(), self._inline_videos)
        return b"".join([block async for block in bounded(self._blocks())])

    async def _blocks(self) -> AsyncIterator[bytes]:
        while block := await self._content.readany():
            yield block

    # The other methods of a stream, for aiohttp.
    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)


def _feed(inline_videos: InlineVideos, sieve: Sieve, data: bytes) -> None:
    with _one_at_a_time:
        inline_videos.feed(sieve, data)


# ---- the same for httpx or httpx2: the SDK chooses -----------------------------------------------------------------


async def _ask_for_plain_bytes(request: Any) -> None:
    request.headers["accept-encoding"] = "identity"  # a video does not compress, and the sieve reads plain text


async def _read_with_bounds(response: Any) -> None:
    """Bound the body; pass it through a `Sieve` if the reading task is within an `InlineVideos`."""
    inline_videos, stream = current(), response.stream
    is_packed = "content-encoding" in response.headers  # which was not asked for
    into = None if response.status_code != 200 or is_packed else inline_videos
    longest = LONGEST_ANSWER // 1000 if is_packed else LONGEST_ANSWER
    library = sys.modules[type(response).__module__.partition(".")[0]]

    class Bounded(library.AsyncByteStream):  # type: ignore[misc,name-defined]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            if into is not None:
                yield await strain(stream, into)
                return
            async for block in bounded(stream, longest):
                yield block

        async def aclose(self) -> None:
            await stream.aclose()

    response.stream = Bounded()


HTTPX_HOOKS: Mapping[str, list[Callable[[Any], Awaitable[None]]]] = {
    "request": [_ask_for_plain_bytes],
    "response": [_read_with_bounds],
}
"""Event hooks that make an httpx client put inline videos aside."""
