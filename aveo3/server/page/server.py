"""The server of a live page, on this machine only. It shows what a source knows, and hands on what a person wants.

It can harm no run: it has a bounded number of connections, viewers and videos, no queue that could grow, and what goes
wrong in it is logged and nothing more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from aiohttp import web

from aveo3.errors import UsageError
from aveo3.report.from_journal import Film
from aveo3.server.page.assets import Assets
from aveo3.server.page.files import Videos
from aveo3.server.page.guard import HEADERS, Access, Guard
from aveo3.server.page.shown import Shown
from aveo3.server.page.viewers import Viewers

log = logging.getLogger("aveo3.page")

CONNECTIONS = 100
"""Connections at once. Beyond that a new one is closed at once."""

BODY_LIMIT = 4096
"""Bytes of a request's body: there is nothing to say in one."""

HOST = "127.0.0.1"

Actions = Mapping[str, Callable[[], object]]
"""What a person may do, by its name: `pause`, `go-on`, `stop`, `leave`. A second call does nothing."""


class Source(Protocol):
    """Where a page gets what it shows."""

    shown: Shown
    home: Path
    """The output directory."""

    async def refresh(self) -> None:
        """Bring `shown` up to date. Called a few times a second while somebody looks."""

    def films_of(self, key: str) -> tuple[Film, ...]:
        """The videos of a clip, in the order of its row."""

    def actions(self) -> Actions:
        """What a person may do now."""


@runtime_checkable
class Cancels(Protocol):
    """A source whose rows a person may cancel one by one."""

    async def cancel(self, key: str) -> str | None:
        """Cancel what a row shows. Returns why that cannot be; None if it is done."""


class PageServer:
    """Shows `source`, inside an `async with`. `port` 0 takes a free one.

    Entering raises `UsageError` if the port is taken. Leaving sends every viewer what is newest, and ends.
    """

    def __init__(self, source: Source, *, port: int = 0, assets: Assets | None = None) -> None:
        self._source = source
        self._port = port
        self._worker = ThreadPoolExecutor(2, "aveo3-page")
        self._assets = assets or Assets()
        charts = None if "server" in source.shown.fields else self._assets.charts()  # they would show a part only
        self._viewers = Viewers(source.shown, source.refresh, charts=charts, worker=self._worker)
        self._videos = Videos(source.home, self._worker)
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
        return len(self._viewers)

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
                web.get("/events", self._viewers.follow, allow_head=False),
                web.get("/static/{name}", self._static),
                web.get("/videos/{key}/{number}", self._video),
                web.get("/posters/{key}/{number}", self._still, allow_head=False),
                web.post("/actions/{name}", self._act),
                web.post("/cancel/{key}", self._cancel),
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
            await self._viewers.close()
            if self._runner is not None:
                await self._runner.cleanup()
        except Exception as error:
            log.debug("the page cannot be closed in order: %s", error, exc_info=True)
        finally:
            self._worker.shutdown(wait=False, cancel_futures=True)

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
        text = self._assets.page(self._source.shown.fields)
        return web.Response(text=text, content_type="text/html")

    async def _static(self, request: web.Request) -> web.Response:
        if (found := self._assets.file(request.match_info["name"])) is None:
            raise web.HTTPNotFound
        text, kind = found
        return web.Response(text=text, content_type=kind)

    def _film(self, request: web.Request) -> Film:
        """The video that a request names by clip and number."""
        number = request.match_info["number"]
        films = self._source.films_of(request.match_info["key"])
        if not (number.isascii() and number.isdigit() and len(number) < 4 and int(number) < len(films)):
            raise web.HTTPNotFound(text="This page lists no such video.")
        return films[int(number)]

    async def _video(self, request: web.Request) -> web.StreamResponse:
        return await self._videos.send(request, self._film(request).path)

    async def _still(self, request: web.Request) -> web.Response:
        if (body := await self._videos.still(self._film(request))) is None:
            raise web.HTTPNotFound(text="No still can be cut from this video.")
        return web.Response(body=body, content_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})

    async def _act(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if (act := self._source.actions().get(name)) is None:
            raise web.HTTPConflict(text="This page cannot do that: the run has ended, or another process runs it.")
        act()
        return web.Response(text="done")

    async def _cancel(self, request: web.Request) -> web.Response:
        if not isinstance(self._source, Cancels):
            raise web.HTTPConflict(text="This page cancels no single clip.")
        if (why := await self._source.cancel(request.match_info["key"])) is not None:
            raise web.HTTPConflict(text=why)
        return web.Response(text="done")


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
