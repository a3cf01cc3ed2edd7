"""The part of Cloud Storage's JSON API that finds, downloads and deletes the films of Vertex AI."""

import asyncio
import base64
import binascii
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web

from aveo3.mock.config.faults import Point
from aveo3.mock.error_bodies import Answer, RequestError
from aveo3.mock.http.auth import caller_of
from aveo3.mock.http.byte_ranges import deliver
from aveo3.mock.http.fault_effects import perform, respond
from aveo3.mock.state.checksums import Checksums
from aveo3.mock.state.emulator import Emulator
from aveo3.mock.state.gcs_buckets import Page, Stored
from aveo3.mock.storage import errors
from aveo3.mock.storage.field_masks import select

MOST = 1000  # entries on a page, as at Google, also if `maxResults` is higher

_LIST = "/storage/v1/b/{bucket:[^/]+}/o"
_OBJECT = f"{_LIST}/{{object:[^/]+}}"  # the slashes in an object's name arrive as %2F
_NARROWING = ("matchGlob", "startOffset", "endOffset", "versions", "softDeleted")


class StorageWire:
    """Lists, describes, downloads and deletes objects. A Bearer token opens every bucket; an API key opens none."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def routes(self) -> Iterator[web.RouteDef]:
        yield web.get(_LIST, self.list, allow_head=False)
        yield web.get(_OBJECT, self.get, allow_head=False)
        yield web.get(f"/download{_OBJECT}", self.get, allow_head=False)
        yield web.delete(_OBJECT, self.delete)

    # -- requests --------------------------------------------------------------------------------------------------

    async def list(self, request: web.Request) -> web.StreamResponse:
        """List one page of the objects whose operations have ended, sorted by name."""
        _authorize(request, "storage.objects.list")
        bucket, query = request.match_info["bucket"], request.query
        self.emulator.books.storage_lists += 1
        if (struck := await self._struck(request, "storage.objects.list", errors.no_bucket())) is not None:
            return struck
        if bucket not in self.emulator.buckets:
            raise RequestError(errors.no_bucket())
        for name in _NARROWING:  # ignoring one would list objects that the client excluded
            if query.get(name, "").lower() not in ("", "false"):
                raise RequestError(errors.error(400, "invalid", f"The mock server does not support {name}."))
        page = self.emulator.buckets.page(
            bucket,
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            after=_after(query.get("pageToken", "")),
            most=_most(query.get("maxResults", "")),
        )
        return _answer(request, await self._listing(request, page))

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Send the bytes of an object with `alt=media`, otherwise its metadata."""
        _authorize(request, "storage.objects.get")
        if request.query.get("alt") == "media":
            return await self._media(request)
        missing = errors.no_object(request.match_info["bucket"], request.match_info["object"])
        if (struck := await self._struck(request, "storage.objects.get", missing)) is not None:
            return struck
        return _answer(request, await self._resource(request, self._stored(request)))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        _authorize(request, "storage.objects.delete")
        missing = errors.no_object(request.match_info["bucket"], request.match_info["object"])
        if (struck := await self._struck(request, "storage.objects.delete", missing)) is not None:
            return struck
        self.emulator.buckets.delete(self._stored(request))
        return web.Response(status=204)

    async def _struck(self, request: web.Request, permission: str, missing: Answer) -> web.StreamResponse | None:
        """Return the response of a fault that strikes this request, or None. Ends all operations that are due."""
        fault = self.emulator.strike(Point.STORAGE)
        if fault == "storage-403":
            return respond(errors.denied(permission))
        if fault == "storage-404":
            return respond(missing)
        return None if fault is None else await perform(fault, request, self.emulator)

    async def _media(self, request: web.Request) -> web.StreamResponse:
        self.emulator.settle()
        try:
            stored = self._stored(request)
        except RequestError as refused:
            raise RequestError(errors.in_prose(refused.answer)) from None
        checksums = await self._checksums(stored)
        headers = {
            "ETag": _etag(stored),
            "x-goog-generation": str(stored.generation),
            "x-goog-hash": f"crc32c={checksums.crc32c},md5={checksums.md5}",
            "x-goog-stored-content-length": str(checksums.size),
        }
        denied = errors.in_prose(errors.denied("storage.objects.get"))
        return await deliver(request, self.emulator, stored.operation, stored.sample, denied=denied, headers=headers)

    def _stored(self, request: web.Request) -> Stored:
        """Return the object, in the requested generation if the query names one. Raises RequestError with 404."""
        bucket, name = request.match_info["bucket"], request.match_info["object"]
        stored = self.emulator.buckets.find(bucket, name)
        if stored is None or request.query.get("generation", str(stored.generation)) != str(stored.generation):
            raise RequestError(errors.no_object(bucket, name))
        return stored

    # -- bodies ----------------------------------------------------------------------------------------------------

    async def _listing(self, request: web.Request, page: Page) -> dict[str, Any]:
        body: dict[str, Any] = {"kind": "storage#objects"}
        if page.last is not None:
            body["nextPageToken"] = base64.urlsafe_b64encode(page.last.encode()).decode()
        if page.prefixes:
            body["prefixes"] = page.prefixes
        if page.objects:
            body["items"] = await asyncio.gather(*(self._resource(request, stored) for stored in page.objects))
        return body

    async def _resource(self, request: web.Request, stored: Stored) -> dict[str, Any]:
        checksums = await self._checksums(stored)
        generation, made = str(stored.generation), _rfc3339(stored.made)
        path = f"storage/v1/b/{stored.bucket}/o/{quote(stored.name, safe='')}"
        here = f"{request.scheme}://{request.host}"
        return {
            "kind": "storage#object",
            "id": f"{stored.bucket}/{stored.name}/{generation}",
            "selfLink": f"{here}/{path}",
            "mediaLink": f"{here}/download/{path}?generation={generation}&alt=media",
            "name": stored.name,
            "bucket": stored.bucket,
            "generation": generation,
            "metageneration": "1",
            "contentType": "video/mp4",
            "storageClass": "STANDARD",
            "size": str(checksums.size),
            "md5Hash": checksums.md5,
            "crc32c": checksums.crc32c,
            "etag": _etag(stored),
            "timeCreated": made,
            "updated": made,
        }

    async def _checksums(self, stored: Stored) -> Checksums:
        """Compute the checksums once. This makes the film, so the first listing of many objects is slow."""
        if stored.checksums is None:
            stored.checksums = Checksums.of(await self.emulator.film(stored.operation, stored.sample))
        return stored.checksums


def _authorize(request: web.Request, permission: str) -> None:
    caller = caller_of(request)
    if caller is None or caller.by_key:
        denied = errors.denied(permission, anonymous=True)
        raise RequestError(errors.in_prose(denied) if request.query.get("alt") == "media" else denied)


def _answer(request: web.Request, body: dict[str, Any]) -> web.Response:
    if fields := request.query.get("fields"):
        try:
            body = select(body, fields)
        except ValueError as error:
            raise RequestError(errors.error(400, "invalidParameter", str(error))) from None
    return respond(Answer(200, body))


def _after(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise RequestError(errors.error(400, "invalid", f"Invalid page token: {token}")) from None


def _most(text: str) -> int:
    if text and not text.isdecimal():
        raise RequestError(errors.error(400, "invalidParameter", f"Invalid unsigned integer value: '{text}'."))
    return min(int(text or 0) or MOST, MOST)


def _etag(stored: Stored) -> str:
    return base64.b64encode(f"{stored.generation}/1".encode()).decode()


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
