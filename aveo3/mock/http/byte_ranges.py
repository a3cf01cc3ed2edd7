"""Sends the bytes of a film: whole, in ranges, or with a download fault. The wires find the film and check access."""

from collections.abc import Mapping

from aiohttp import web

from aveo3.mock.config.faults import Point
from aveo3.mock.error_bodies import Answer
from aveo3.mock.http.fault_effects import cut, hang_up, perform, respond, send, trickle
from aveo3.mock.state.emulator import Emulator
from aveo3.mock.state.operations import Operation


async def deliver(
    request: web.Request,
    emulator: Emulator,
    operation: Operation,
    sample: int,
    *,
    denied: Answer,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Answer a download of an existing film. `denied` is the 403 of its storage, `headers` its extra headers."""
    emulator.books.downloads += 1
    fault = emulator.strike(Point.DOWNLOAD)
    if fault in ("download-500", "download-503", "download-404"):
        return await perform(fault, request, emulator)
    if fault == "download-403":
        return respond(denied)
    film = await emulator.film(operation, sample)
    if fault == "download-cut":
        film = film[: len(film) // 2]
    sent_headers = {"Content-Type": "video/mp4", **(headers or {})}
    status, part = 200, film
    if emulator.options.ranges:
        sent_headers["Accept-Ranges"] = "bytes"
    if emulator.options.ranges and fault != "download-no-range" and _wants_a_part(request, sent_headers.get("ETag")):
        start, stop = _range(request, len(film))
        if start >= stop:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(film)}"})
        sent_headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(film)}"
        status, part = 206, film[start:stop]
    response = await _send(request, emulator, part, status, sent_headers, fault)
    if fault in (None, "download-slow", "download-no-range"):
        operation.fetched = True
    return response


async def _send(
    request: web.Request, emulator: Emulator, part: bytes, status: int, headers: dict[str, str], fault: str | None
) -> web.StreamResponse:
    books = emulator.books
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


def _wants_a_part(request: web.Request, etag: str | None) -> bool:
    """True for a range of this very film. If-Range with another ETag asks for the whole (RFC 9110, 13.1.5)."""
    return "Range" in request.headers and request.headers.get("If-Range", etag) == etag


def _range(request: web.Request, length: int) -> tuple[int, int]:
    """Return the first byte and the byte after the last; an empty range if the request cannot be satisfied."""
    try:
        start, stop, _ = request.http_range.indices(length)
    except ValueError:
        return 0, 0
    return start, stop
