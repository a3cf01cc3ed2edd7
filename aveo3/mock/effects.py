"""Acts faults out on a live connection: answers, silences, cuts. Decides nothing; `faults` has decided."""

import json
from collections.abc import Callable

from aiohttp import web

from aveo3.mock import answers
from aveo3.mock.answers import Answer
from aveo3.mock.emulator import Emulator

_STATUSES = {
    "500-before": answers.INTERNAL,
    "500-bare": answers.page(500, "Server Error"),
    "502-before": answers.page(502, "Bad Gateway"),
    "503": answers.UNAVAILABLE,
    "503-bare": answers.page(503, "Service Unavailable"),
    "504-before": answers.DEADLINE,
    "overloaded": answers.OVERLOADED,
    "country": answers.COUNTRY,
    "billing": answers.BILLING,
    "prepaid": answers.PREPAID,
    "500-after": answers.INTERNAL,
    "502-after": answers.page(502, "Bad Gateway"),
    "503-after": answers.UNAVAILABLE,
    "504-after": answers.DEADLINE,
    "array-after": Answer(500, [answers.INTERNAL.body]),
    "nameless-after": Answer(200, {}),
    "garbage-after": Answer(200, "<html>It works!</html>", {"Content-Type": "text/html"}),
    "poll-500": answers.INTERNAL,
    "poll-503": answers.UNAVAILABLE,
    "poll-429": answers.OVERLOADED,
    "poll-404": answers.not_found(),
    "poll-400": answers.CREDENTIALS,
    "poll-array": Answer(500, [answers.INTERNAL.body]),
    "poll-nameless": Answer(200, {}),
    "poll-garbage": Answer(200, "<html>It works!</html>", {"Content-Type": "text/html"}),
    "download-500": answers.INTERNAL,
    "download-503": answers.UNAVAILABLE,
    "download-404": answers.not_found(),
    "storage-503": answers.STORAGE_UNAVAILABLE,
}
_CUTS = frozenset({"drop-before", "drop-after", "poll-drop", "storage-drop"})
_SILENCES = frozenset({"timeout-before", "timeout-after", "poll-hang"})


def respond(answer: Answer) -> web.Response:
    """An answer as aiohttp sends it. The charset is Google's."""
    headers = {"Content-Type": "application/json; charset=UTF-8", **answer.headers}
    text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body, indent=2, ensure_ascii=False)
    return web.Response(status=answer.status, body=text.encode(), headers=headers)


def _as_it_is(answer: Answer) -> Answer:
    return answer


async def perform(
    fault: str,
    request: web.Request,
    emulator: Emulator,
    honest: Answer | None = None,
    *,
    word: Callable[[Answer], Answer] = _as_it_is,
) -> web.StreamResponse:
    """Do to `request` what `fault` says.

    `honest` is the answer it would have had; `word` puts an error into the words of the wire.
    """
    if fault in _STATUSES:
        return respond(word(_STATUSES[fault]))
    if fault in _CUTS:
        return cut(request)
    if fault in _SILENCES:
        await emulator.hang()
        return cut(request)
    if fault == "redirect":
        return web.Response(status=307, headers={"Location": emulator.options.redirect_to or request.path_qs})
    if fault == "truncated-after" and honest is not None:
        body = respond(honest).body
        assert isinstance(body, bytes)
        return await send(request, body[: len(body) // 2], promised=len(body))
    raise NotImplementedError(f"fault {fault!r} is in the table, but nobody acts it out")


def cut(request: web.Request) -> web.Response:
    """Close the connection without a word. The response returned is never seen."""
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
    """Send `body` under a Content-Length of `promised`, then close if it was a lie."""
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
    """Close after what was written has gone out (`cut` throws even that away)."""
    if request.transport is not None:
        request.transport.close()


async def trickle(response: web.StreamResponse, body: bytes, emulator: Emulator, pieces: int = 10) -> None:
    step = max(1, -(-len(body) // pieces))
    for start in range(0, len(body), step):
        await response.write(body[start : start + step])
        await emulator.clock.sleep(1)
