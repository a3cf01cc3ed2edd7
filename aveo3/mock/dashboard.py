"""The dashboard: a page at `/`, its live events at `/events`, and the books as JSON at `/books.json`."""

import asyncio
import contextlib
import html
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web

from aveo3.mock.quota_rules import QuotaRule
from aveo3.mock.state.emulator import Emulator

PAGE = Path(__file__).with_name("page.html")
PATHS = frozenset({"/", "/events", "/books.json"})
"""Paths that Google does not have. They get no round trip and do not count in the books."""

REFRESH = 0.25  # seconds between two readings of the books while there are viewers
HEARTBEAT = 15.0  # seconds without a change after which viewers, and proxies on the way, get a sign of life
_HEARTBEAT_TEXT = b": still here\n\n"
_LANES = 40  # the newest lanes shown; a server can have any number of them

# The page loads nothing from other hosts, and the browser must block any attempt.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
_ALWAYS_CHANGING = frozenset({"emulator_seconds"})


def snapshot(emulator: Emulator) -> dict[str, Any]:
    """Return everything that the page shows, as plain values. Keys are masked, and the size does not grow with time."""
    figures = emulator.books.figures()
    options = emulator.options
    return {
        **figures,
        "speed": emulator.clock.speed,
        "quotas": emulator.quota_use(_LANES),
        "rules": [_rule(rule, emulator) for rule in emulator.quotas.rules],
        "armed": [str(fault) for fault in options.faults],
        "latency": str(options.latency),
        "slowdown": options.slowdown,
        "recent": emulator.recent.as_list(),
        "scenario": [
            {**step.as_dict(), "past": step.at <= figures["emulator_seconds"]} for step in emulator.scenario.steps
        ],
    }


def _rule(rule: QuotaRule, emulator: Emulator) -> dict[str, Any]:
    key = "any key" if rule.key == "*" else rule.key and emulator.masks.mask(rule.key)
    return {
        "kind": rule.kind,
        "limit": rule.limit,
        "period": rule.period if rule.kind in ("minute", "spend") else None,
        "whom": " ".join(filter(None, (rule.project and f"project {rule.project}", key, rule.location, rule.model)))
        or "everybody",
    }


class Viewers:
    """Sends the books to all viewers. They share one snapshot and one text; without viewers nothing runs.

    There is no queue that could grow: a slow viewer skips to the newest text.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._changed = asyncio.Condition()
        self._text = b""
        self._number = 0
        self._last: dict[str, Any] | None = None
        self._viewers = 0
        self._refreshing: asyncio.Task[None] | None = None

    def routes(self) -> Iterator[web.RouteDef]:
        yield web.get("/", self.page)
        yield web.get("/events", self.events, allow_head=False)
        yield web.get("/books.json", self.books)

    async def page(self, request: web.Request) -> web.Response:
        text = _page().replace("<!--summary-->", html.escape(self._emulator.books.summary()))
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def books(self, request: web.Request) -> web.Response:
        return web.json_response(self._emulator.books.as_dict(), headers={"Cache-Control": "no-store"})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Send one snapshot at once, then one after every change, and a comment as heartbeat."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        self._viewers += 1
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh_all())
        sent = self._number - bool(self._text)  # a later viewer gets the newest text at once
        try:
            while await self._wait(sent):
                text, sent = (self._text if self._number != sent else _HEARTBEAT_TEXT), self._number
                await response.write(text)
        except ConnectionResetError:  # the viewer went away
            pass
        finally:
            self._viewers -= 1
        return response

    async def _wait(self, sent: int) -> bool:
        """Wait for a newer text than `sent` or for the next heartbeat. Returns False if the server stops."""
        closing = self._emulator.closing
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT), self._changed:
                await self._changed.wait_for(lambda: self._number != sent or closing.is_set())
        return not closing.is_set()

    async def _refresh_all(self) -> None:
        try:
            while self._viewers and not self._emulator.closing.is_set():
                await self._refresh()
                await asyncio.sleep(REFRESH)
        finally:
            self._refreshing, self._last, self._text = None, None, b""

    async def _refresh(self) -> None:
        now = snapshot(self._emulator)
        comparable = {name: value for name, value in now.items() if name not in _ALWAYS_CHANGING}
        if comparable == self._last:
            return
        self._last = comparable
        async with self._changed:
            self._number += 1
            self._text = b"data: " + json.dumps(now, ensure_ascii=False).encode() + b"\n\n"
            self._changed.notify_all()

    async def close(self) -> None:
        """End the streams of all viewers."""
        if self._refreshing is not None:
            self._refreshing.cancel()
        async with self._changed:
            self._changed.notify_all()


@cache
def _page() -> str:
    return PAGE.read_text("utf-8")
