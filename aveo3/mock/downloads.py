"""The Developer API's file shelf: a film by its id, through a redirect, whole or in ranges, until it expires."""

from collections.abc import Iterator

from aiohttp import web

from aveo3.mock import answers
from aveo3.mock.answers import Refused
from aveo3.mock.callers import caller_of
from aveo3.mock.effects import cut, hang_up, perform, respond, send, trickle
from aveo3.mock.emulator import Emulator
from aveo3.mock.faults import Point
from aveo3.mock.operations import File

_FILE = "{version:v1|v1beta|v1beta1}/files/{file:[a-z0-9]+}:download"


class FileWire:
    """Two steps, as on the real one: the address that a poll names asks for a key and redirects to the bytes."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def routes(self) -> Iterator[web.RouteDef]:
        yield web.get(f"/{_FILE}", self.redirect, allow_head=False)
        yield web.get(f"/download/{_FILE}", self.serve, allow_head=False)

    async def redirect(self, request: web.Request) -> web.StreamResponse:
        if caller_of(request) is None:
            raise Refused(answers.no_credential("developer"))
        self._file(request)
        return web.Response(status=302, headers={"Location": f"/download{request.path}?alt=media"})

    async def serve(self, request: web.Request) -> web.StreamResponse:
        emulator, file = self.emulator, self._file(request)
        emulator.books.downloads += 1
        fault = emulator.strike(Point.DOWNLOAD)
        if fault in ("download-500", "download-503", "download-404"):
            return await perform(fault, request, emulator)
        if fault == "download-403":
            return respond(answers.file_gone(request.match_info["file"]))
        film = await emulator.film(file.operation, file.sample)
        if fault == "download-cut":
            film = film[: len(film) // 2]
        headers = {"Content-Type": "video/mp4"}
        status, part = 200, film
        if emulator.options.ranges:
            headers["Accept-Ranges"] = "bytes"
        if emulator.options.ranges and fault != "download-no-range" and "Range" in request.headers:
            start, stop = _range(request, len(film))
            if start >= stop:
                return web.Response(status=416, headers={"Content-Range": f"bytes */{len(film)}"})
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(film)}"
            status, part = 206, film[start:stop]
        sent = await self._send(request, part, status, headers, fault)
        if fault in (None, "download-slow", "download-no-range"):
            file.operation.fetched = True
        return sent

    async def _send(
        self, request: web.Request, part: bytes, status: int, headers: dict[str, str], fault: str | None
    ) -> web.StreamResponse:
        emulator, books = self.emulator, self.emulator.books
        half = part[: len(part) // 2]
        if fault == "download-length":
            books.download_bytes += len(part)
            return await send(request, part, promised=len(part) + 1000, status=status, headers=headers)
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(part)
        await response.prepare(request)
        if fault in ("download-drop", "download-stall"):
            await response.write(half)
            books.download_bytes += len(half)
            if fault == "download-stall":
                await emulator.hang()
                cut(request)
            else:
                hang_up(request)
            return response
        if fault == "download-slow":
            await trickle(response, part, emulator)
        else:
            await response.write(part)
        books.download_bytes += len(part)
        books.downloads_complete += fault != "download-cut"
        return response

    def _file(self, request: web.Request) -> File:
        """The file asked for. One that never was and one that has expired look the same, as on Google's side."""
        name = request.match_info["file"]
        file = self.emulator.file(name)
        if file is None or self.emulator.expired(file):
            raise Refused(answers.file_gone(name))
        return file


def _range(request: web.Request, length: int) -> tuple[int, int]:
    """First byte and the one past the last; an empty range if it cannot be had."""
    try:
        start, stop, _ = request.http_range.indices(length)
    except ValueError:
        return 0, 0
    return start, stop
