"""A finished video to disk: written beside its target, checked, then renamed, so that a file is there whole or not
at all. Leaves retrying to its caller."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from itertools import count
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import aiohttp

from aveo3.errors import FetchError

CHUNK = 1 << 20
MAX_BYTES = 2 << 30
MAX_REDIRECTS = 5
PLAIN = {"Accept-Encoding": "identity"}
"""A film does not compress, and the length promised must be that of the film."""


async def save(data: bytes, target: Path) -> Path:
    """Write a video that came inline; return where it is, which is not `target` if that was taken.

    Raises `FetchError` if it is not an MP4 or the disk refuses. Works off the event loop.
    """
    _check_mp4(data[:12], str(target))
    return await asyncio.to_thread(_write, data, target)


async def download(
    session: aiohttp.ClientSession, uri: str, target: Path, headers: dict[str, str], *, silence: float
) -> Path:
    """Stream `uri` to disk; return where it is, which is not `target` if that was taken.

    `headers` go to the host of `uri` alone: a redirect elsewhere is followed without them. Raises `FetchError`;
    it is `final` if trying again is pointless. `silence` is the longest that a server may send nothing, in seconds.
    """
    part = _part_of(target)
    try:
        await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
        async with await _get(session, uri, headers, silence) as response:
            await _stream(response, uri, part)
        return await asyncio.to_thread(_publish, part, target)
    except (aiohttp.ClientError, TimeoutError) as error:  # first: many of them are OSErrors, too
        raise FetchError(f"{uri}: {type(error).__name__}: {error}") from error
    except OSError as error:
        raise _disk_error(target, error) from error
    finally:
        _discard(part)


async def _get(
    session: aiohttp.ClientSession, uri: str, headers: dict[str, str], silence: float
) -> aiohttp.ClientResponse:
    """GET, following redirects by hand: aiohttp would carry a key header to whatever host it is sent to."""
    url, home = uri, urlsplit(uri)[:2]  # scheme and host: a key does not go over plain http either
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=silence, sock_read=silence)
    for _ in range(MAX_REDIRECTS):
        sent = headers if urlsplit(url)[:2] == home else {}
        response = await session.get(url, headers={**sent, **PLAIN}, timeout=timeout, allow_redirects=False)
        if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
            url = urljoin(url, response.headers["Location"])
            response.release()
            continue
        if response.status != 200:
            text = (await response.text())[:500]
            response.release()
            gone = 400 <= response.status < 500 and response.status not in (408, 429)
            raise FetchError(f"{uri}: HTTP {response.status}: {text}", final=gone)
        return response
    raise FetchError(f"{uri}: more than {MAX_REDIRECTS} redirects", final=True)


async def _stream(response: aiohttp.ClientResponse, uri: str, part: Path) -> None:
    expected, received, head = response.content_length, 0, b""
    with _create(part) as file:
        async for chunk in response.content.iter_chunked(CHUNK):
            if len(head) < 12:  # a chunk may be as short as a byte
                head += chunk[: 12 - len(head)]
                if len(head) == 12:
                    _check_mp4(head, uri)
            received += len(chunk)
            if received > MAX_BYTES:
                raise FetchError(f"{uri}: larger than {MAX_BYTES} bytes", final=True)
            await asyncio.to_thread(file.write, chunk)
        if expected is not None and received != expected:
            raise FetchError(f"{uri}: {received} of {expected} bytes arrived")
        if received == 0:
            raise FetchError(f"{uri}: the file is empty")
        _check_mp4(head, uri)
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())


def _create(part: Path) -> BinaryIO:
    return part.open("wb")  # not in a thread: one that is cancelled there would create it after its removal


def _write(data: bytes, target: Path) -> Path:
    part = _part_of(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return _publish(part, target)
    except OSError as error:
        raise _disk_error(target, error) from error
    finally:
        _discard(part)


def _publish(part: Path, target: Path) -> Path:
    """Give the finished file its name. A file that is there already was paid for: it is never written over."""
    wanted, n = target, 1
    while True:
        try:
            _name(part, wanted)
            break
        except FileExistsError:
            n += 1
            wanted = target.with_stem(f"{target.stem}-{n}")
    if os.name == "posix":  # the new name, too, must outlive a power cut; other systems open no directories
        directory = os.open(wanted.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    return wanted


def _name(part: Path, target: Path) -> None:
    """Rename `part` unless `target` exists: `FileExistsError`. One atomic step where the file system has hard links."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:
        if target.exists():
            raise FileExistsError(target) from None
        part.rename(target)


def _discard(part: Path) -> None:
    with contextlib.suppress(OSError):  # gone already, or never there: its directory may be the trouble
        part.unlink()


_parts = count()


def _part_of(target: Path) -> Path:
    return target.with_name(f".{os.getpid()}-{next(_parts)}.part")


def _disk_error(target: Path, error: OSError) -> FetchError:
    return FetchError(
        f"cannot write {target}: {error.strerror or error}. The video is made and paid; free the disk or mend the "
        "directory before you make more.",
        final=True,
        disk=True,
    )


def _check_mp4(head: bytes, source: str) -> None:
    """An MP4 begins with a box named ftyp (ISO/IEC 14496-12)."""
    if head[4:8] != b"ftyp":
        raise FetchError(f"{source}: this is not an MP4: it begins with {head[:12]!r}", final=True)


def file_name(index: int, text: str, digest: str, number: int | None = None) -> str:
    """`0007-a-paper-boat-1a2b3c4d.mp4`: place in the batch from 1, first words, digest; and `number`, if given."""
    words = re.sub(r"[\W_]+", "-", text.lower()).strip("-")[:40].rstrip("-") or "video"
    return f"{index + 1:04}-{words}-{digest[:8]}{'' if number is None else f'-{number}'}.mp4"
