"""A page without a run: what tests of its server show, and how they look at it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from aveo3.report.from_journal import Film
from aveo3.report.view import ClipRow, MoneyRow
from aveo3.server.page.answers import Actions
from aveo3.server.page.assets import Assets
from aveo3.server.page.server import PageServer
from aveo3.server.page.shown import Shown
from aveo3.server.page.viewers import Charts

MONEY = MoneyRow(spent_usd=0.0, in_flight_usd=0.0, may_be_paid_usd=0.0, unpriced=0, budget_usd=None)


class PlainAssets(Assets):
    """Without template, scripts and charts, which need extras."""

    def __init__(self) -> None:
        pass

    def charts(self) -> Charts | None:
        return None

    def file(self, name: str) -> tuple[str, str] | None:
        return ("let a = 1;", "text/javascript") if name == "main.js" else None

    def page(self, fields: Mapping[str, Any]) -> str:
        return f"<!doctype html><title>{fields['title']}</title>"


class Shelf:
    """A source of a page: what a test puts there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.shown = Shown(title="clips", directory=str(home), live=True, run=None, money=MONEY)
        self.paths: dict[str, tuple[Path, ...]] = {}
        self.acted: list[str] = []
        self.refreshed = 0

    async def refresh(self) -> None:
        self.refreshed += 1

    def films_of(self, key: str) -> tuple[Film, ...]:
        return tuple(Film(path, path.stat().st_size if path.is_file() else 0, "") for path in self.paths.get(key, ()))

    def actions(self) -> Actions:
        return {name: partial(self.acted.append, name) for name in ("pause", "stop")}


def clip(key: str, **values: Any) -> ClipRow:
    """A row as far as tests of the server look at it."""
    row: Any = {"key": key, "status": "planned", "text": "a paper boat", "videos": [], **values}
    return row  # type: ignore[no-any-return]


class Browser:
    """A client that has opened the link of a page, and keeps its cookie."""

    def __init__(self, server: PageServer) -> None:
        self.url = server.guard.url
        self.origin = self.url.rstrip("/")
        self._server = server
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Browser:
        jar = aiohttp.CookieJar(unsafe=True)  # of an address without a name
        self._session = aiohttp.ClientSession(cookie_jar=jar, auto_decompress=False)
        async with self._session.get(self._server.link) as answer:
            assert answer.status == 200
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    def get(self, path: str = "", **values: Any) -> Any:
        assert self._session is not None
        return self._session.get(self.url + path, **values)

    def post(self, path: str, **headers: str) -> Any:
        assert self._session is not None
        return self._session.post(self.url + path, headers={"Origin": self.origin, **headers})

    async def status(self, path: str = "", **values: Any) -> int:
        async with self.get(path, **values) as answer:
            return int(answer.status)


async def news(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    """The server-sent events of an answer: their kinds, and their data."""
    kind = ""
    async for line in _lines(answer):
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[str]:
    kept = b""
    async for chunk in answer.content.iter_any():
        *lines, kept = (kept + chunk).split(b"\n")
        for line in lines:
            yield line.decode()


async def raw(port: int, request: str) -> str:
    """What the server answers to the bytes of a request, to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    await writer.drain()
    try:
        return (await reader.read()).decode("utf-8", "replace")
    except ConnectionError:
        return ""
    finally:
        writer.close()
