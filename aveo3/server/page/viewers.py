"""Sends a page's view to its viewers as server-sent events: first the view, then what changes, and the charts.

There is no queue: each viewer has a `Cursor`, and a slow one skips to what is newest. Without viewers nothing runs.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from aveo3 import _timeouts
from aveo3.server.page.shown import Cursor, Shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aveo3.report.view import View

log = logging.getLogger("aveo3.page")

REFRESH = 0.25
"""Seconds between two looks at what has changed, while there are viewers."""

FIRST = 0.5
"""Seconds that the first viewer waits for the first look, so that it gets no view that is out of date."""

CHARTS = 2.0
"""Seconds between two drawings of the charts; longer if drawing takes long: see `SHARE`."""

SHARE = 0.02
"""Share of the time that goes into drawing charts, at most."""

HEARTBEAT = 15.0
"""Seconds without news after which a viewer gets a sign of life."""

STALLED = 60.0
"""Seconds that a viewer may take to read a piece; after that its connection is cut, and its browser asks anew."""

MOST = 20
"""Viewers at once."""

Charts = Callable[["View"], "Mapping[str, Mapping[str, Any]]"]
"""Makes the charts out of a view: the `columns` of each source, and the `texts` that say what each shows."""


class Viewers:
    """The viewers of `shown`. `refresh` brings it up to date; `charts` makes its charts, in a thread of `worker`."""

    def __init__(
        self,
        shown: Shown,
        refresh: Callable[[], Awaitable[object]],
        *,
        charts: Charts | None = None,
        worker: Executor | None = None,
    ) -> None:
        self._shown = shown
        self._refresh = refresh
        self._worker = worker
        self._make_charts = charts
        self._cursors: dict[asyncio.Task[Any] | None, Cursor] = {}
        self._changed = asyncio.Event()  # replaced with each refresh: wakes all who wait
        self._told = -1  # the number of changes when they were woken last
        self._refreshing: asyncio.Task[None] | None = None
        self._piece: tuple[Cursor, Cursor, bytes] | None = None  # viewers that are level share it
        # What each part of the charts is, as JSON, and the number of its drawing.
        self._charts: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._drawing_number = 0
        self._drawing: asyncio.Task[None] | None = None
        self._drawn_at = -1  # the number of changes that the charts show
        self._draw_after = 0.0
        self.closing = False

    def __len__(self) -> int:
        return len(self._cursors)

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Answer a request for `events`, until the viewer goes or the page closes."""
        if len(self._cursors) >= MOST or self.closing:
            raise web.HTTPServiceUnavailable(text=f"{MOST} viewers look at this page already")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        task = asyncio.current_task()
        self._cursors[task] = Cursor()
        try:
            await self._begin()
            await response.prepare(request)
            await self._send_all(request, response)
        except (ConnectionError, TimeoutError):  # the viewer went away, or does not read
            if request.transport is not None:
                request.transport.abort()
        finally:
            del self._cursors[task]
        return response

    async def _begin(self) -> None:
        """Keep up to date from now on. The first viewer waits for the first look."""
        if self._refreshing is None:
            self._told, first = -1, self._changed
            self._refreshing = asyncio.create_task(self._refresh_all())
            with suppress(TimeoutError):
                async with _timeouts.timeout(FIRST):
                    await first.wait()

    async def _send_all(self, request: web.Request, response: web.StreamResponse) -> None:
        charts = 0
        text, cursor = self._shown.first()
        await _send(response, b"view", text)
        while True:
            changed, newest = self._changed, self._shown.now()
            while not cursor.covers(newest):  # what changes meanwhile comes with the next refresh
                text, cursor = self._after(cursor)
                await _send(response, b"patch", text)
                await asyncio.sleep(0)  # between two pieces the run goes on
            if charts != self._drawing_number:
                news = self._charts_after(charts)
                charts = self._drawing_number
                await _send(response, b"charts", news)
            if self.closing:
                return
            try:
                async with _timeouts.timeout(HEARTBEAT):
                    await changed.wait()
            except TimeoutError:
                await _written(response, b": still here\n\n")

    def _after(self, cursor: Cursor) -> tuple[bytes, Cursor]:
        """The next piece for a viewer that does not know everything."""
        if self._piece is None or self._piece[0] != cursor or self._piece[1].fields != self._shown.changes:
            found = self._shown.since(cursor)
            assert found is not None
            self._piece = cursor, found[1], found[0]
        return self._piece[2], self._piece[1]

    def _charts_after(self, drawing: int) -> bytes:
        """What changed in the charts after a drawing: their columns, by source, and their sentences, by chart."""
        kinds: dict[str, list[bytes]] = {"columns": [], "texts": []}
        for (kind, _), (number, text) in self._charts.items():
            if number > drawing:
                kinds[kind].append(text)
        return b"{" + b",".join(b'"%s":{%s}' % (kind.encode(), b",".join(of)) for kind, of in kinds.items()) + b"}"

    # ---- keeping up to date ----------------------------------------------------------------------------------------

    async def _refresh_all(self) -> None:
        try:
            while self._cursors and not self.closing:
                await self._bring_up_to_date()
                await asyncio.sleep(REFRESH)
        finally:
            self._refreshing = None

    async def _bring_up_to_date(self) -> None:
        """Refresh what is shown, and wake the viewers if anything has changed."""
        try:
            await self._refresh()
        except Exception as error:
            log.debug("the page cannot be refreshed: %s", error, exc_info=True)
        now = asyncio.get_running_loop().time()
        if (
            self._make_charts is not None
            and self._drawing is None
            and now >= self._draw_after
            and self._drawn_at != self._shown.changes
        ):
            self._drawing = asyncio.create_task(self._draw(self._make_charts))
        if self._shown.changes != self._told:
            self._wake()

    def _wake(self) -> None:
        self._told = self._shown.changes
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _draw(self, charts: Charts) -> None:
        """Make the charts in a thread."""
        loop = asyncio.get_running_loop()
        started, number = loop.time(), self._shown.changes
        copy = self._shown.copy()

        def draw() -> dict[tuple[str, str], bytes]:
            view = copy.view()
            view["made_utc"] = datetime.now(UTC).isoformat()  # lines go on until now
            return {
                (kind, name): json.dumps({name: value}, separators=(",", ":"))[1:-1].encode("utf-8", "replace")
                for kind, of in charts(view).items()
                for name, value in of.items()
            }

        try:
            drawn = await loop.run_in_executor(self._worker, draw)
            news = {name: text for name, text in drawn.items() if self._charts.get(name, (0, b""))[1] != text}
            if news:
                self._drawing_number += 1
                self._charts |= {name: (self._drawing_number, text) for name, text in news.items()}
                self._wake()
        except Exception as error:
            log.debug("the charts of the page cannot be drawn: %s", error, exc_info=True)
        finally:
            self._drawn_at, self._drawing = number, None
            self._draw_after = loop.time() + max(CHARTS, (loop.time() - started) / SHARE)

    async def close(self, patience: float = 2.0) -> None:
        """Send everybody what is newest, and end their streams."""
        await self._bring_up_to_date()
        self.closing = True
        self._wake()
        for task in (self._refreshing, self._drawing):
            if task is not None:
                task.cancel()
        if tasks := [task for task in self._cursors if task is not None]:
            with suppress(TimeoutError):
                async with _timeouts.timeout(patience):
                    await asyncio.wait(tasks)


async def _send(response: web.StreamResponse, kind: bytes, text: bytes) -> None:
    await _written(response, b"event: " + kind + b"\ndata: " + text + b"\n\n")


async def _written(response: web.StreamResponse, text: bytes) -> None:
    async with _timeouts.timeout(STALLED):
        await response.write(text)
