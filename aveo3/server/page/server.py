"""The server of a live page, on this machine only. It shows what a source knows, and hands on what a person wants.

It can harm no run: it has a bounded number of connections, viewers and videos, no queue that could grow, and what goes
wrong in it is logged and nothing more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Self

from aiohttp import web

from aveo3.errors import UsageError
from aveo3.server.page.answers import Answers, Source, SourceAnswers, routes_of
from aveo3.server.page.assets import Assets
from aveo3.server.page.guard import HEADERS, Access, Guard

log = logging.getLogger("aveo3.page")

CONNECTIONS = 100
"""Connections at once. Beyond that a new one is closed at once."""

BODY_LIMIT = 4096
"""Bytes of a request's body: there is nothing to say in one."""

HOST = "127.0.0.1"


class PageServer:
    """Shows `source`, or what `answers` gives, inside an `async with`. `port` 0 takes a free one.

    Entering raises `UsageError` if the port is taken. Leaving sends every viewer what is newest, and ends.
    """

    def __init__(
        self,
        source: Source | None = None,
        *,
        answers: Answers | None = None,
        port: int = 0,
        assets: Assets | None = None,
    ) -> None:
        self._port = port
        self._assets = assets or Assets()
        if answers is None:
            assert source is not None
            part = "server" in source.shown.fields  # charts would show it as if it were all
            answers = SourceAnswers(source, None if part else self._assets.charts())
        self._answers = answers
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self.guard = Guard(port)

    @property
    def link(self) -> str:
        """The address that opens the page. It holds the token: print it, and keep it out of logs."""
        return self.guard.link

    @property
    def viewers(self) -> int:
        """How many look at the page now."""
        return self._answers.viewers

    # ---- opening and closing ---------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        listening = socket.socket()
        try:
            if self._port and os.name == "posix":  # elsewhere it would share the port with a program that has it
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((HOST, self._port))
        except OSError as error:
            listening.close()
            why = error.strerror or error
            raise UsageError(f"the page cannot use port {self._port} of {HOST}: {why}. Name another.") from error
        self.guard = Guard(listening.getsockname()[1])
        app = web.Application(client_max_size=BODY_LIMIT, middlewares=[self._guarded])
        app.on_response_prepare.append(_with_headers)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/static/{name}", self._static),
                *routes_of(lambda: self._answers),
            ]
        )
        runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            logger=_silent(),
            shutdown_timeout=1.0,
            keepalive_timeout=30.0,
        )
        await runner.setup()
        serving = runner.server
        assert serving is not None

        def connect() -> asyncio.Protocol:
            return serving() if len(serving.connections) < CONNECTIONS else _Full()

        self._runner = runner
        self._server = await asyncio.get_running_loop().create_server(connect, sock=listening, backlog=CONNECTIONS)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close. Raises nothing."""
        try:
            if self._server is not None:
                self._server.close()
            await self._answers.close()
            if self._runner is not None:
                await self._runner.cleanup()
        except Exception as error:
            log.debug("the page cannot be closed in order: %s", error, exc_info=True)

    # ---- answers ---------------------------------------------------------------------------------------------------

    @web.middleware
    async def _guarded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Let in who may. What goes wrong is an answer, and never an error of the run."""
        may = self.guard.check(
            request.method,
            request.path,
            request.headers,
            given=request.query.get("token"),
            cookie=request.cookies.get(self.guard.cookie),
        )
        if may is Access.REFUSED:
            return web.Response(status=403, text=_REFUSED)
        if may is Access.LINK:
            response = web.Response(text=_ENTER, content_type="text/html")
            response.set_cookie(self.guard.cookie, self.guard.token, httponly=True, samesite="Strict", path="/")
            return response
        try:
            return await handler(request)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:
            log.debug("the page cannot answer: %s", error, exc_info=True)
            return web.Response(status=500, text="The page cannot answer this. The run goes on.")

    async def _page(self, request: web.Request) -> web.Response:
        text = self._assets.page(self._answers.fields)
        return web.Response(text=text, content_type="text/html")

    async def _static(self, request: web.Request) -> web.Response:
        if (found := self._assets.file(request.match_info["name"])) is None:
            raise web.HTTPNotFound
        text, kind = found
        return web.Response(text=text, content_type=kind)


async def _with_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


class _Full(asyncio.Protocol):
    """A connection too many: closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


def _silent() -> logging.Logger:
    """A logger for aiohttp, which would write each malformed request to the terminal of the run."""
    logger = logging.getLogger("aveo3.page.http")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger


_REFUSED = "This page opens only with the link that aveo3 has printed, on the same machine.\n"

_ENTER = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">'
    '<title>aveo3</title><p><a href="/">Go on to the page</a>'
)
"""What the link answers. A redirect would lose the cookie if the link was clicked on another site, such as a terminal
in a browser; from here on the page is our own."""
