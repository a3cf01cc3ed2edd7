"""A finished video to disk: written beside its target, checked, then named, so that a file is there whole or not at
all. Leaves retrying to its caller; whose a temporary file is, to `parts`."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import re
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import aiohttp

from aveo3.errors import FetchError
from aveo3.files import mp4, part_files
from aveo3.files.part_files import PartFile
from aveo3.files.part_files import drop as drop
from aveo3.files.part_files import sweep as sweep

CHUNK = 1 << 20
MAX_BYTES = 2 << 30
MAX_REDIRECTS = 5
PLAIN = {"Accept-Encoding": "identity"}
"""A film does not compress, and the length promised must be that of the film."""


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A video as it was when it got its name: where, how many bytes, and their SHA-256 in hex."""

    path: Path
    size: int
    sha256: str


async def save(data: bytes, target: Path) -> SavedFile:
    """Write a video that came inline. It is not at `target` if that was taken by another; see `_name`.

    Raises `FetchError` if it is not a whole MP4 or the disk refuses. Works off the event loop.
    """
    if (fault := _fault(data[: mp4.HEAD], io.BytesIO(data), len(data), str(target))) is not None:
        raise fault
    return await asyncio.to_thread(_save, data, target)


async def keep(part: Path, target: Path) -> SavedFile:
    """Let the finished temporary file `part` become `target`, as `save` does with bytes.

    Raises `FetchError` as `save` does. Whatever comes of it, `part` is gone.
    """
    return await asyncio.to_thread(_keep, part, target)


async def download(
    session: aiohttp.ClientSession, uri: str, target: Path, headers: dict[str, str], *, silence: float
) -> SavedFile:
    """Stream `uri` to disk. It is not at `target` if that was taken by another video; see `_name`.

    `headers` go to the host of `uri` alone: a redirect elsewhere is followed without them. Raises `FetchError`;
    it is `final` if trying again is pointless. `silence` is the longest that a server may send nothing, in seconds.

    What had arrived when it broke off, was cancelled or killed is resumed by the next call for this `target`, if the
    server says by ETag or date that it is still the same film. Otherwise that begins anew.
    """
    try:
        await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
        left = part_files.resume(await asyncio.to_thread(part_files.left_of, target))
        if left is not None:
            with left:
                async with await _get(session, uri, headers, silence, left.size) as response:
                    if _continues(response, uri, left):
                        await asyncio.to_thread(left.read_again)
                        return await _receive(response, uri, left, _length(response), target)
                    left.discard()
                    if response.status == 200:
                        return await _from_zero(response, uri, target)
        async with await _get(session, uri, headers, silence) as response:
            return await _from_zero(response, uri, target)
    except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:  # first: many of them are OSErrors, too
        raise FetchError(f"{uri}: {type(error).__name__}: {error}") from error
    except OSError as error:
        raise part_files.refused(target, error) from error


async def is_intact(file: SavedFile) -> bool:
    """Whether the file is there with the bytes it was saved with. Looks at its size before it reads it."""
    return await asyncio.to_thread(_holds, file.path, file.size, file.sha256)


# ---- over the wire ---------------------------------------------------------------------------------------------------


async def _get(
    session: aiohttp.ClientSession, uri: str, headers: dict[str, str], silence: float, start: int = 0
) -> aiohttp.ClientResponse:
    """GET from byte `start`, following redirects by hand: aiohttp would carry a key header to whatever host it is sent
    to. Answers 200; if `start` is not 0, also 206 and 416.

    There is no If-Range: we know the validator only by its hash; and to such a request a server may leave out of its
    206 the very date by which we tell what it continues (RFC 9110, 15.3.7).
    """
    url, home = uri, urlsplit(uri)[:2]  # scheme and host: a key does not go over plain http either
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=silence, sock_read=silence)
    extra, welcome = (PLAIN, {200}) if start == 0 else ({**PLAIN, "Range": f"bytes={start}-"}, {200, 206, 416})
    for _ in range(MAX_REDIRECTS):
        sent = headers if urlsplit(url)[:2] == home else {}
        response = await session.get(url, headers={**sent, **extra}, timeout=timeout, allow_redirects=False)
        if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
            url = _joined(uri, url, response.headers["Location"])
            response.release()
            continue
        if response.status not in welcome:
            async with response:
                text = (await response.content.read(2000)).decode(errors="replace")[:500]
            final = 400 <= response.status < 500 and response.status not in (408, 429)
            gone = response.status in (404, 410)
            raise FetchError(f"{uri}: HTTP {response.status}: {text}", final=final, gone=gone)
        return response
    raise FetchError(f"{uri}: more than {MAX_REDIRECTS} redirects", final=True)


def _joined(uri: str, url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise FetchError(f"{uri}: redirected to {location[:200]!r}: {error}") from error


def _length(response: aiohttp.ClientResponse) -> int | None:
    """The length of the whole film, if the answer promises one: that of a part is in its Content-Range."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return None  # against our wish; what is promised is then not the length of what comes out
    if response.status == 206:
        stretch = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
        return int(stretch[1]) if stretch else None
    return response.content_length


def _identity(response: aiohttp.ClientResponse, uri: str) -> str | None:
    """What this film has to be told from all others by: the hash of its path, its length, and its ETag or else date.

    None if it cannot be told: a weak ETag says that the bytes may differ under it.
    """
    length = _length(response)
    validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
    if length is None or not validator or validator.startswith("W/"):
        return None
    return hashlib.sha256("\0".join([urlsplit(uri).path, validator, str(length)]).encode()).hexdigest()[:16]


def _md5(response: aiohttp.ClientResponse) -> bytes | None:
    """What Cloud Storage says of the whole object, whichever part of it was asked for."""
    said = re.search(r"\bmd5=([\w+/]{22}==)", ", ".join(response.headers.getall("x-goog-hash", ())))
    return None if said is None or _length(response) is None else base64.b64decode(said[1])


def _continues(response: aiohttp.ClientResponse, uri: str, left: PartFile) -> bool:
    """Whether what the server sends is the rest of just this film, from just this byte."""
    if response.status != 206 or _identity(response, uri) != part_files.identity_of(left):
        return False
    return response.headers["Content-Range"].startswith(f"bytes {left.size}-")


async def _from_zero(response: aiohttp.ClientResponse, uri: str, target: Path) -> SavedFile:
    # Opened here, not in a thread: one that is cancelled there would open it after its removal.
    with part_files.lasting(target, _identity(response, uri)) as part:
        return await _receive(response, uri, part, _length(response), target)


async def _receive(
    response: aiohttp.ClientResponse, uri: str, part: PartFile, length: int | None, target: Path
) -> SavedFile:
    """Append what comes to `part`; if that makes it a whole film, name it. Removes a part that will never be one."""
    try:
        too_large = FetchError(f"{uri}: larger than {MAX_BYTES} bytes", final=True)
        if (length or 0) > MAX_BYTES:
            raise too_large
        async for chunk in response.content.iter_chunked(CHUNK):
            if part.size + len(chunk) > MAX_BYTES:
                raise too_large
            await asyncio.to_thread(part.write, chunk)
            if len(part.head) == mp4.HEAD and not mp4.begins_well(part.head):
                raise _not_an_mp4(part.head, uri)
        if length is not None and part.size > length:
            raise FetchError(f"{uri}: {part.size} of {length} bytes arrived")
        if length is None or part.size == length:
            if part.size == 0:
                raise FetchError(f"{uri}: the file is empty")
            if _md5(response) not in (None, part.md5.digest()):
                raise FetchError(f"{uri}: what arrived has not the MD5 that came with it")
            return await asyncio.to_thread(_finish, part, target, uri)
    except FetchError:
        part.discard()
        raise
    except OSError as error:
        if error.errno in part_files.FULL:  # whoever is to make room had better get this back
            part.discard()
        raise
    raise FetchError(f"{uri}: {part.size} of {length} bytes arrived")  # so far: the part stays


# ---- on the disk; all of it blocks -----------------------------------------------------------------------------------


def _save(data: bytes, target: Path) -> SavedFile:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part_files.loose(target.parent) as part:
            part.write(data)
            return _finish(part, target, str(target))
    except OSError as error:
        raise part_files.refused(target, error) from error


def _keep(path: Path, target: Path) -> SavedFile:
    try:
        with part_files.take(path) as part:
            target.parent.mkdir(parents=True, exist_ok=True)
            return _finish(part, target, str(target))
    except OSError as error:
        raise part_files.refused(target, error) from error


def _finish(part: PartFile, target: Path, source: str) -> SavedFile:
    """Check a part that is complete, sync it and give it its name."""
    with part.pinned():
        if (fault := _fault(part.head, part.file, part.size, source)) is not None:
            raise fault
        part.settle()
        saved = _name(part, target)
        if os.name == "posix":  # the new name, too, must outlive a power cut; other systems open no directories
            directory = os.open(saved.path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        part.discard()
    return saved


def _name(part: PartFile, target: Path) -> SavedFile:
    """Give `part` the name of `target`, or that with -2, -3, …: what is there already was paid for, and stays.

    A file with the very same bytes is this video: we were killed after naming it, before that was noted down.
    """
    sha256 = part.sha256.hexdigest()
    for n in count(1):
        wanted = target if n == 1 else target.with_stem(f"{target.stem}-{n}")
        try:
            _rename(part.path, wanted)
        except FileExistsError:
            if not _holds(wanted, part.size, sha256):
                continue
        break
    return SavedFile(wanted, part.size, sha256)


def _rename(part: Path, target: Path) -> None:
    """Rename `part` unless `target` exists: `FileExistsError`. One atomic step where the file system has hard links
    (the old name then stays, too)."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:
        if target.exists():
            raise FileExistsError(target) from None
        part.rename(target)


def _holds(path: Path, size: int, sha256: str) -> bool:
    try:
        if path.stat().st_size != size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def _fault(head: bytes, file: BinaryIO, size: int, source: str) -> FetchError | None:
    if not mp4.begins_well(head):
        return _not_an_mp4(head, source)
    if (flaw := mp4.flaw(file, size)) is not None:
        return FetchError(f"{source}: this MP4 is not whole: {flaw}")
    return None


def _not_an_mp4(head: bytes, source: str) -> FetchError:
    return FetchError(f"{source}: this is not an MP4: it begins with {head!r}", final=True)


def file_name(index: int, text: str, digest: str, number: int | None = None, *, ordinal: int = 1) -> str:
    """`0007-a-paper-boat-1a2b3c4d.mp4`: place in the batch from 1, first words, digest; and `number`, if given.

    The digest of the second of equal prompts (`ordinal` 2) reads `1a2b3c4d.2`.
    """
    words = re.sub(r"[\W_]+", "-", text.lower()).strip("-")[:40].rstrip("-") or "video"
    which = digest[:8] if ordinal == 1 else f"{digest[:8]}.{ordinal}"
    return f"{index + 1:04}-{words}-{which}{'' if number is None else f'-{number}'}.mp4"
