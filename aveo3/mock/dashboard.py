"""The books for people: a page at `/`, live by server-sent events at `/events`, and the same for programs."""

import asyncio
import contextlib
import html
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web

from aveo3.mock.quotas import QuotaRule
from aveo3.mock.state.emulator import Emulator

PAGE = Path(__file__).with_name("page.html")
PATHS = frozenset({"/", "/events", "/books.json"})
"""What is ours and not Google's: no round trip, no part in the books."""

GLANCE = 0.25  # seconds between looks at the books, as long as somebody looks on
HEARTBEAT = 15.0  # seconds of silence after which a viewer, and any proxy between, is told that we live
_STILL_HERE = b": still here\n\n"
_LANES = 40  # the newest, shown; a server may have any number, a page has room for some

# Nothing on the page comes from elsewhere, and nothing on it may be made to.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
_MOVING = frozenset({"emulator_seconds"})


def snapshot(emulator: Emulator) -> dict[str, Any]:
    """All that the page shows, as plain values. No key in full, and no larger the longer the server runs."""
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
        "whom": " ".join(filter(None, (rule.project and f"project {rule.project}", key, rule.model))) or "everybody",
    }


class Viewers:
    """Everybody who watches. One look at the books and one text serve them all; with nobody there nothing runs.

    A viewer who is slow skips to the newest text: there is no queue to grow.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._news = asyncio.Condition()
        self._text = b""
        self._number = 0
        self._seen: dict[str, Any] | None = None
        self._watching = 0
        self._glances: asyncio.Task[None] | None = None

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
        """One snapshot at once, then one whenever something has changed; a comment as heartbeat."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        self._watching += 1
        if self._glances is None:
            self._glances = asyncio.create_task(self._look_on())
        sent = self._number - bool(self._text)  # whoever comes later gets the newest at once
        try:
            while await self._wait(sent):
                text, sent = (self._text if self._number != sent else _STILL_HERE), self._number
                await response.write(text)
        except ConnectionResetError:  # the viewer has left
            pass
        finally:
            self._watching -= 1
        return response

    async def _wait(self, sent: int) -> bool:
        """Until there is a newer text than `sent`, or a heartbeat is due; False once the server stops."""
        closing = self._emulator.closing
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT), self._news:
                await self._news.wait_for(lambda: self._number != sent or closing.is_set())
        return not closing.is_set()

    async def _look_on(self) -> None:
        try:
            while self._watching and not self._emulator.closing.is_set():
                await self._glance()
                await asyncio.sleep(GLANCE)
        finally:
            self._glances, self._seen, self._text = None, None, b""

    async def _glance(self) -> None:
        now = snapshot(self._emulator)
        still = {name: value for name, value in now.items() if name not in _MOVING}
        if still == self._seen:
            return
        self._seen = still
        async with self._news:
            self._number += 1
            self._text = b"data: " + json.dumps(now, ensure_ascii=False).encode() + b"\n\n"
            self._news.notify_all()

    async def close(self) -> None:
        """Send everybody home."""
        if self._glances is not None:
            self._glances.cancel()
        async with self._news:
            self._news.notify_all()


@cache
def _page() -> str:
    return PAGE.read_text("utf-8")
