"""The page of a server in another process, or on another machine: passes on what the page asks for, with the key.

The key stays in this process: a browser has only the cookie of this page, which is good for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import web

PLACE = "/page"
"""Where a server has the answers."""

PATIENCE = 30.0
"""Seconds without news after which the server counts as gone: it gives a sign of life every 15."""

_PASSED_ON = ("Content-Type", "Content-Length", "Content-Range", "Accept-Ranges")


class RelayAnswers:
    """The answers of the server that `find` finds: its address, and a key or token; None if it does not run."""

    def __init__(self, title: str, find: Callable[[], tuple[str, str | None] | None]) -> None:
        self._find = find
        self._http: aiohttp.ClientSession | None = None
        self._followers = 0
        self.fields: Mapping[str, Any] = {"title": title, "server": {}}

    @property
    def viewers(self) -> int:
        return self._followers

    async def follow(self, request: web.Request) -> web.StreamResponse:
        self._followers += 1
        try:
            return await self._pass_on(request, "events")
        finally:
            self._followers -= 1

    async def video(self, request: web.Request) -> web.StreamResponse:
        return await self._pass_on(request, "videos", "key", "number")

    async def still(self, request: web.Request) -> web.StreamResponse:
        return await self._pass_on(request, "posters", "key", "number")

    async def act(self, request: web.Request) -> web.StreamResponse:
        return await self._pass_on(request, "actions", "name")

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        return await self._pass_on(request, "cancel", "key")

    async def pick(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPConflict(text="This page shows no film.")

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def _pass_on(self, request: web.Request, what: str, *names: str) -> web.StreamResponse:
        if (found := self._find()) is None:
            raise web.HTTPBadGateway(text="The server does not run.")
        url, key = found
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=PATIENCE)
            self._http = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        path = "/".join([PLACE, what, *(quote(request.match_info[name], safe="") for name in names)])
        headers = {} if key is None else {"x-goog-api-key": key}
        if (part := request.headers.get("Range")) is not None:
            headers["Range"] = part
        try:
            async with self._http.request(
                request.method, f"{url.rstrip('/')}{path}", headers=headers, allow_redirects=False
            ) as answer:
                return await _copied(request, answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise web.HTTPBadGateway(text="The server does not answer.") from error


async def _copied(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    if answer.status in (401, 403):
        raise web.HTTPBadGateway(text="The server does not take this key: it needs an operator's.")
    headers = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
    except (aiohttp.ClientError, ConnectionError, TimeoutError):  # one of the two has gone; a new try says which
        if request.transport is not None:
            request.transport.abort()
    return response
