"""Performs faults on a live connection: error answers, hanging, cuts. `config.faults` decides which fault strikes."""

import json
from collections.abc import Callable

from aiohttp import web

from aveo3.mock import error_bodies
from aveo3.mock.error_bodies import Answer
from aveo3.mock.state.emulator import Emulator
from aveo3.mock.storage.errors import UNAVAILABLE as STORAGE_UNAVAILABLE

_STATUSES = {
    "500-before": error_bodies.INTERNAL,
    "500-bare": error_bodies.page(500, "Server Error"),
    "502-before": error_bodies.page(502, "Bad Gateway"),
    "503": error_bodies.UNAVAILABLE,
    "503-bare": error_bodies.page(503, "Service Unavailable"),
    "504-before": error_bodies.DEADLINE,
    "overloaded": error_bodies.OVERLOADED,
    "country": error_bodies.COUNTRY,
    "billing": error_bodies.BILLING,
    "prepaid": error_bodies.PREPAID,
    "500-after": error_bodies.INTERNAL,
    "502-after": error_bodies.page(502, "Bad Gateway"),
    "503-after": error_bodies.UNAVAILABLE,
    "504-after": error_bodies.DEADLINE,
    "array-after": Answer(500, [error_bodies.INTERNAL.body]),
    "nameless-after": Answer(200, {}),
    "garbage-after": Answer(200, "<html>It works!</html>", {"Content-Type": "text/html"}),
    "poll-500": error_bodies.INTERNAL,
    "poll-503": error_bodies.UNAVAILABLE,
    "poll-429": error_bodies.OVERLOADED,
    "poll-404": error_bodies.not_found(),
    "poll-400": error_bodies.CREDENTIALS,
    "poll-array": Answer(500, [error_bodies.INTERNAL.body]),
    "poll-nameless": Answer(200, {}),
    "poll-garbage": Answer(200, "<html>It works!</html>", {"Content-Type": "text/html"}),
    "download-500": error_bodies.INTERNAL,
    "download-503": error_bodies.UNAVAILABLE,
    "download-404": error_bodies.not_found(),
    "storage-503": STORAGE_UNAVAILABLE,
    "quota-404": error_bodies.not_found(),
    "quota-429": error_bodies.OVERLOADED,
    "quota-503": error_bodies.UNAVAILABLE,
    "quota-garbage": Answer(200, "<html>It works!</html>", {"Content-Type": "text/html"}),
}
_CUTS = frozenset({"drop-before", "drop-after", "poll-drop", "storage-drop", "quota-drop"})
_HANGS = frozenset({"timeout-before", "timeout-after", "poll-hang", "quota-hang"})


def respond(answer: Answer) -> web.Response:
    """Convert an answer to an aiohttp response, with Google's charset."""
    headers = {"Content-Type": "application/json; charset=UTF-8", **answer.headers}
    text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body, indent=2, ensure_ascii=False)
    return web.Response(status=answer.status, body=text.encode(), headers=headers)


def _unchanged(answer: Answer) -> Answer:
    return answer


async def perform(
    fault: str,
    request: web.Request,
    emulator: Emulator,
    honest: Answer | None = None,
    *,
    word: Callable[[Answer], Answer] = _unchanged,
) -> web.StreamResponse:
    """Perform `fault` on `request`.

    `honest` is the answer without the fault. `word` converts an error to the format of the wire.
    """
    if fault in _STATUSES:
        return respond(word(_STATUSES[fault]))
    if fault in _CUTS:
        return cut(request)
    if fault in _HANGS:
        await emulator.hang()
        return cut(request)
    if fault == "redirect":
        return web.Response(status=307, headers={"Location": emulator.options.redirect_to or request.path_qs})
    if fault == "truncated-after" and honest is not None:
        body = respond(honest).body
        assert isinstance(body, bytes)
        return await send(request, body[: len(body) // 2], promised=len(body))
    raise NotImplementedError(f"fault {fault!r} is in the table, but it has no effect here")


def cut(request: web.Request) -> web.Response:
    """Close the connection without a response. The client never sees the returned one."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def send(
    request: web.Request,
    body: bytes,
    *,
    promised: int,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> web.StreamResponse:
    """Send `body` with a Content-Length of `promised`. If they differ, close the connection."""
    response = web.StreamResponse(
        status=status, headers={"Content-Type": "application/json; charset=UTF-8", **(headers or {})}
    )
    response.content_length = promised
    await response.prepare(request)
    await response.write(body)
    if len(body) != promised:
        hang_up(request)
    return response


def hang_up(request: web.Request) -> None:
    """Close the connection after the written bytes were sent (`cut` discards them)."""
    if request.transport is not None:
        request.transport.close()


async def trickle(response: web.StreamResponse, body: bytes, emulator: Emulator, pieces: int = 10) -> None:
    step = max(1, -(-len(body) // pieces))
    for start in range(0, len(body), step):
        await response.write(body[start : start + step])
        await emulator.clock.sleep(1)
