"""A video from an address to disk: streamed, resumed after a break, and the API key never sent to another host.

Leaves naming and checking the file to `saving`, and retrying to its caller.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiohttp

from aveo3.errors import FetchError
from aveo3.files import mp4, part_files
from aveo3.files.part_files import PartFile
from aveo3.files.saving import SavedFile, finish, not_an_mp4

CHUNK = 1 << 20
MAX_BYTES = 2 << 30
MAX_REDIRECTS = 5
PLAIN = {"Accept-Encoding": "identity"}
"""A film does not compress, and the length promised must be that of the film."""


async def to_file(
    session: aiohttp.ClientSession, uri: str, target: Path, headers: dict[str, str], *, silence: float
) -> SavedFile:
    """Stream `uri` to disk. If another video has the name `target`, it gets the next of -2, -3, …

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
                raise not_an_mp4(part.head, uri)
        if length is not None and part.size > length:
            raise FetchError(f"{uri}: {part.size} of {length} bytes arrived")
        if length is None or part.size == length:
            if part.size == 0:
                raise FetchError(f"{uri}: the file is empty")
            if _md5(response) not in (None, part.md5.digest()):
                raise FetchError(f"{uri}: what arrived has not the MD5 that came with it")
            return await asyncio.to_thread(finish, part, target, uri)
    except FetchError:
        part.discard()
        raise
    except OSError as error:
        if error.errno in part_files.FULL:  # whoever is to make room had better get this back
            part.discard()
        raise
    raise FetchError(f"{uri}: {part.size} of {length} bytes arrived")  # so far: the part stays
