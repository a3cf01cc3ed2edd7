"""Videos that come as base64 in the JSON of an answer, decoded into temporary files while they arrive.

The SDK would hold tens of megabytes three to four times over, and stop everything else while it decodes them. Now it
sees the answer with a short mark in place of each video, and hands us the mark.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import secrets
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AsyncExitStack
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from aveo3.files import part_files
from aveo3.files.part_files import PartFile

KEY = b"bytesBase64Encoded"
PIECE = 1 << 17
"""Bytes of an answer that are worth a thread; less is done at once."""

PARALLEL = 4
"""Large answers that are read at once. More would only share the line and the processor, each with its buffers, and in
every round of the loop each of them may have to wait for the thread that decodes."""

_QUOTE, _BACKSLASH = b'"', b"\\"
_SPECIAL = re.compile(rb'["\\]')
_NOT_SPACE = re.compile(rb"[^ \t\r\n]")
_HALF_ESCAPE = re.compile(rb"\\(u[0-9a-fA-F]{0,3})?\Z")
_STANDARD = bytes.maketrans(b"-_", b"+/")

_one_at_a_time = threading.Lock()
"""Decoding does not let go of the interpreter: each further thread at it would only keep the loop waiting longer."""

_current: ContextVar[InlineVideos] = ContextVar("spill")


class InlineVideos:
    """Within `with`, inline videos of the answers that this task reads go to files in `directory`.

    `key` is the name of the members that hold videos; `line` is shared by those whose large answers are to be read
    only so many at once. On leaving, those that were not taken are removed. Reading such an answer raises `FetchError`
    if the disk refuses, ValueError if a video is not base64.
    """

    def __init__(self, directory: Path, key: bytes = KEY, *, line: asyncio.Semaphore | None = None) -> None:
        self.key = key
        self.line = line or asyncio.Semaphore(PARALLEL)
        self._directory = directory
        self._made: dict[bytes, PartFile] = {}
        self._over = False
        self._turn = threading.Lock()

    def __enter__(self) -> InlineVideos:
        self._token = _current.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _current.reset(self._token)
        with (
            self._turn
        ):  # a thread may be writing still if we were cancelled; what comes to its turn later does nothing
            self._over = True
            for part in self._made.values():
                part.discard()
            self._made.clear()

    def take(self, data: bytes | None) -> Path | None:
        """The file of the video that `data` is the mark of, from now on the caller's; None if it is no mark."""
        part = self._made.pop(data, None) if data is not None else None
        return None if part is None else part_files.hand_on(part)

    def open(self) -> tuple[bytes, PartFile]:
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


class Sieve:
    """Passes a JSON text through, piece by piece, without the videos: their bytes go to the files of `inline_videos`.

    Follows the text just far enough to tell a member's name from the same words within a string. What is not JSON
    passes unchanged, or is no JSON afterwards either.
    """

    def __init__(self, inline_videos: InlineVideos) -> None:
        self.text = bytearray()
        self._inline_videos = inline_videos
        self._state: Callable[[bytes, int], int] = self._between_strings
        self._string = bytearray()  # the beginning of the string that we are in, as far as it may be the key
        self._escaped = False
        self._awaited = b""
        self._video: tuple[bytes, PartFile] | None = None
        self._rest = b""  # of the video, what is not enough to go on with: half an escape, …
        self._odd = b""  # … or less than four base64 digits
        self._padded = False

    def feed(self, data: bytes) -> None:
        """Take the next piece. Raises ValueError if a video is not base64, OSError from the disk."""
        at = 0
        while at < len(data):
            at = self._state(data, at)

    # Each state takes what is its own from `data` at `at`, and returns where the next begins.

    def _between_strings(self, data: bytes, at: int) -> int:
        end = data.find(_QUOTE, at) + 1
        if not end:
            self.text += data[at:]
            return len(data)
        self.text += data[at:end]
        self._string.clear()
        self._state = self._in_string
        return end

    def _in_string(self, data: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return self._through(data, at, at + 1)
        special = _SPECIAL.search(data, at)
        if special is None:
            return self._through(data, at, len(data))
        self._through(data, at, special.start())
        if special[0] == _BACKSLASH:
            self._escaped = True
            return self._through(data, special.start(), special.end())
        self.text += _QUOTE
        self._await(b":") if self._string == self._inline_videos.key else self._let_go()
        return special.end()

    def _through(self, data: bytes, at: int, end: int) -> int:
        self.text += data[at:end]
        self._string += data[at : min(end, at + len(self._inline_videos.key) + 1 - len(self._string))]
        return end

    def _after_key(self, data: bytes, at: int) -> int:
        """The key was a string; it is a name if a colon follows, and it names a video if a quote follows that."""
        found = _NOT_SPACE.search(data, at)
        end = found.start() if found else len(data)
        self.text += data[at:end]
        if found is None:
            return end
        if found[0] != self._awaited:
            self._let_go()
            return end
        self.text += found[0]
        if found[0] == _QUOTE:
            self._rest, self._odd, self._padded = b"", b"", False
            self._state = self._in_video
        else:
            self._await(_QUOTE)
        return end + 1

    def _await(self, sign: bytes) -> None:
        self._awaited = sign
        self._state = self._after_key

    def _let_go(self) -> None:
        self._state = self._between_strings

    def _in_video(self, data: bytes, at: int) -> int:
        end = data.find(_QUOTE, at)
        if end < 0:
            self._decode(data[at:], last=False)
            return len(data)
        self._decode(data[at:end], last=True)
        if self._video is not None:
            self.text += base64.b64encode(self._video[0])
            self._video = None
        self.text += _QUOTE
        self._let_go()
        return end + 1

    def _decode(self, piece: bytes, *, last: bool) -> None:
        digits, self._rest = self._rest + piece, b""
        if _BACKSLASH in digits:
            if not last and (half := _HALF_ESCAPE.search(digits)):
                digits, self._rest = digits[: half.start()], half[0]
            digits = json.loads(_QUOTE + digits + _QUOTE).encode("ascii")
        digits = self._odd + digits.translate(_STANDARD, b" \t\r\n")
        if last:
            digits += b"=" * (-len(digits) % 4)
        whole = len(digits) - len(digits) % 4
        self._odd = digits[whole:]
        if whole == 0:
            return
        if self._padded or digits.endswith(b"===", 0, whole):
            raise binascii.Error("base64 goes on after its end")
        self._padded = digits.endswith(b"=", 0, whole)
        if self._video is None:
            self._video = self._inline_videos.open()
        self._video[1].write(binascii.a2b_base64(memoryview(digits)[:whole], strict_mode=True))


def current() -> InlineVideos | None:
    """The `InlineVideos` that this task is within, if any."""
    return _current.get(None)


async def strain(blocks: AsyncIterable[bytes], inline_videos: InlineVideos) -> bytes:
    """Read a JSON answer that arrives in `blocks` to its end. Return its text without the videos."""
    sieve, waiting, large = Sieve(inline_videos), bytearray(), False
    async with AsyncExitStack() as stack:
        async for block in blocks:
            waiting += block
            if len(waiting) >= PIECE:
                if not large:  # what is short waits for nobody
                    await stack.enter_async_context(inline_videos.line)
                    large = True
                await asyncio.to_thread(_feed, inline_videos, sieve, bytes(waiting))
                waiting.clear()
        inline_videos.feed(sieve, bytes(waiting))
    return bytes(sieve.text)


class InlineVideoResponse(aiohttp.ClientResponse):
    """aiohttp's response, whose body goes through a `Sieve` if the task that reads it is within a `InlineVideos`.

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
