"""Fetches a video from an address to disk: streams it, resumes it, and never sends the API key to another host.

`saving` checks and names the file. The caller retries.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiohttp

from aveo3 import _threads
from aveo3.errors import FetchError
from aveo3.files import mp4, part_files
from aveo3.files.part_files import PartFile
from aveo3.files.saving import SavedFile, finish, not_an_mp4, place_for

CHUNK = 1 << 20
MAX_BYTES = 2 << 30
MAX_REDIRECTS = 5
PLAIN = {"Accept-Encoding": "identity"}
"""No compression: a film does not get smaller, and the promised length must be the film's."""


async def to_file(
    session: aiohttp.ClientSession,
    uri: str,
    target: Path,
    headers: dict[str, str],
    *,
    silence: float,
    ours: bool = True,
) -> SavedFile:
    """Stream `uri` to disk. If another video has the name `target`, it gets the next of -2, -3, … For
    `ours` see `saving.save`.

    `headers` go to the host of `uri` alone: a redirect elsewhere is followed without them. Raises `FetchError`;
    it is `final` if trying again is pointless. `silence` is the longest that a server may send nothing, in seconds.

    After a break, a cancellation or a kill, the next call for this `target` resumes, if the server's ETag or date says
    that it is still the same film. Otherwise it starts from zero.
    """
    try:
        target = await _threads.saving.run(place_for, target)
        left = part_files.resume(await _threads.saving.run(part_files.left_of, target))
        if left is not None:
            with left:
                async with await _get(session, uri, headers, silence, left.size) as response:
                    if _continues(response, uri, left):
                        await _threads.saving.run(left.read_again)
                        return await _receive(response, uri, left, _length(response), target, ours)
                    left.discard()
                    if response.status == 200:
                        return await _from_zero(response, uri, target, ours)
        async with await _get(session, uri, headers, silence) as response:
            return await _from_zero(response, uri, target, ours)
    except (
        aiohttp.ClientError,
        TimeoutError,
        ConnectionError,
    ) as error:  # first, because many of these are OSErrors, too
        raise FetchError(f"{uri}: {type(error).__name__}: {error}") from error
    except OSError as error:
        raise part_files.refused(target, error) from error


async def _get(
    session: aiohttp.ClientSession, uri: str, headers: dict[str, str], silence: float, start: int = 0
) -> aiohttp.ClientResponse:
    """GET from byte `start`, following redirects by hand: aiohttp would carry a key header to whatever host it is sent
    to. Answers 200; if `start` is not 0, also 206 and 416.

    It sends no If-Range: only the validator's hash is known. A server may also leave the date out of its 206 to such
    a request (RFC 9110, 15.3.7), and that date tells which film it continues.
    """
    url, home = uri, urlsplit(uri)[:2]  # scheme and host: a key must not travel over plain http either
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
            login = response.status == 401
            raise FetchError(f"{uri}: HTTP {response.status}: {text}", final=final, gone=gone, unauthorized=login)
        return response
    raise FetchError(f"{uri}: more than {MAX_REDIRECTS} redirects", final=True)


def _joined(uri: str, url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise FetchError(f"{uri}: redirected to {location[:200]!r}: {error}") from error


def _length(response: aiohttp.ClientResponse) -> int | None:
    """The length of the whole film, if the response promises one. A partial response has it in Content-Range."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return None  # although it was not accepted; the promised length is then not the film's
    if response.status == 206:
        stretch = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
        return int(stretch[1]) if stretch else None
    return response.content_length


def _identity(response: aiohttp.ClientResponse, uri: str) -> str | None:
    """What identifies this film: the hash of its path, its length, and its ETag or else its date.

    None if it cannot be identified: under a weak ETag the bytes may differ.
    """
    length = _length(response)
    validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
    if length is None or not validator or validator.startswith("W/"):
        return None
    return hashlib.sha256("\0".join([urlsplit(uri).path, validator, str(length)]).encode()).hexdigest()[:16]


def _md5(response: aiohttp.ClientResponse) -> bytes | None:
    """The hash that Cloud Storage gives for the whole object, also with a partial response."""
    said = re.search(r"\bmd5=([\w+/]{22}==)", ", ".join(response.headers.getall("x-goog-hash", ())))
    return None if said is None or _length(response) is None else base64.b64decode(said[1])


def _continues(response: aiohttp.ClientResponse, uri: str, left: PartFile) -> bool:
    """Whether the server sends the rest of exactly this film, from exactly this byte."""
    if response.status != 206 or _identity(response, uri) != part_files.identity_of(left):
        return False
    return response.headers["Content-Range"].startswith(f"bytes {left.size}-")


async def _from_zero(response: aiohttp.ClientResponse, uri: str, target: Path, ours: bool) -> SavedFile:
    # Opened here, not in a thread: one that is cancelled there would open it after its removal.
    with part_files.lasting(target, _identity(response, uri)) as part:
        return await _receive(response, uri, part, _length(response), target, ours)


async def _receive(
    response: aiohttp.ClientResponse, uri: str, part: PartFile, length: int | None, target: Path, ours: bool
) -> SavedFile:
    """Append the response to `part`. Name it if it is complete then; remove it if it can never be."""
    try:
        too_large = FetchError(f"{uri}: larger than {MAX_BYTES} bytes", final=True)
        if (length or 0) > MAX_BYTES:
            raise too_large
        async for chunk in response.content.iter_chunked(CHUNK):
            if part.size + len(chunk) > MAX_BYTES:
                raise too_large
            await _threads.saving.run(part.write, chunk)
            if len(part.head) == mp4.HEAD and not mp4.begins_well(part.head):
                raise not_an_mp4(part.head, uri)
        if length is not None and part.size > length:
            raise FetchError(f"{uri}: {part.size} of {length} bytes arrived")
        if length is None or part.size == length:
            if part.size == 0:
                raise FetchError(f"{uri}: the file is empty")
            if _md5(response) not in (None, part.md5.digest()):
                raise FetchError(f"{uri}: what arrived has not the MD5 that came with it")
            return await _threads.saving.run(finish, part, target, uri, ours=ours)
    except FetchError:
        part.discard()
        raise
    except OSError as error:
        if error.errno in part_files.FULL:  # return the space to a user who has to make room
            part.discard()
        raise
    raise FetchError(f"{uri}: {part.size} of {length} bytes arrived")  # an interruption: the part stays
