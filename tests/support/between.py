"""A proxy before a server: it counts requests, loses answers, refuses connections; and clients behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from aveo3 import Settings, VeoClient
from aveo3.mock import MockServer
from aveo3.server.door.server import DoorServer
from tests.support.door import serving
from tests.support.emulated import emulator

Answer = Callable[[web.Request, web.Response], web.Response | None]


class Between:
    """Passes requests on to `door`. `after` may change an answer; None breaks the connection."""

    def __init__(self) -> None:
        self.door: DoorServer | None = None
        self.after: Answer = lambda _, answer: answer
        self.seen: Counter[str] = Counter()
        self.bodies: list[bytes] = []
        self.priorities: list[str | None] = []
        self.refuses: str | None = None
        self.url = ""
        self.http: aiohttp.ClientSession | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        kind = _kind_of(request)
        self.seen[kind] += 1
        if kind == self.refuses:
            return web.Response(status=404)
        if self.door is None:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"}, text="the server restarts")
        headers = {name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")}
        body = await request.read()
        if kind == "order":
            self.bodies.append(body)
            self.priorities.append(request.headers.get("Aveo3-Priority"))
        assert self.http is not None
        url, forever = self.door.url + request.path_qs, aiohttp.ClientTimeout(None)
        async with self.http.request(
            request.method, url, data=body or None, headers=headers, timeout=forever
        ) as answer:
            if kind == "events":
                return await self._events(request, answer)
            told = web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)
            if "Retry-After" in answer.headers:
                told.headers["Retry-After"] = answer.headers["Retry-After"]
        changed = self.after(request, told)
        if changed is None:
            assert request.transport is not None
            request.transport.abort()
            return told
        return changed

    async def _events(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        told = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})
        await told.prepare(request)
        async for block in answer.content.iter_any():
            await told.write(block)
        return told


def _kind_of(request: web.Request) -> str:
    if request.method == "POST":
        return "order"
    for kind in ("events", "files", "server"):
        if f"/{kind}" in request.path:
            return kind
    return "poll"


@asynccontextmanager
async def between() -> AsyncIterator[Between]:
    proxy = Between()
    app = web.Application(client_max_size=100 << 20)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as proxy.http:
            yield proxy
    finally:
        await runner.cleanup()


@asynccontextmanager
async def before(google: MockServer, proxy: Between, home: Path, **values: Any) -> AsyncIterator[DoorServer]:
    async with serving(google, output_dir=home / "server", **values) as door:
        proxy.door = door
        try:
            yield door
        finally:
            proxy.door = None


def ours(proxy: Between, home: Path, **values: Any) -> Settings:
    return Settings(**{"server": proxy.url, "output_dir": home / "clips", **values})


def accepted(google: MockServer) -> dict[str, int]:
    return dict(google.books.accepted_by_prompt)


@asynccontextmanager
async def world(
    home: Path, google: dict[str, Any] | None = None, server: dict[str, Any] | None = None, **values: Any
) -> AsyncIterator[tuple[MockServer, Between, VeoClient]]:
    """Google, a server before it with a proxy, and a client of the server with `values`."""
    async with (
        emulator(**(google or {})) as emulated,
        between() as proxy,
        before(emulated, proxy, home, **(server or {})),
        VeoClient(ours(proxy, home, **values)) as veo,
    ):
        yield emulated, proxy, veo
