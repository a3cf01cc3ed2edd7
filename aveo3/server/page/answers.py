"""What a page asks for while it is open, and the answers out of a source in this process. Who may ask, others judge.

A server of many callers gives the same answers to the page of its operator, which runs in another process: see `relay`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from aiohttp import web

from aveo3.report.from_journal import Film
from aveo3.server.page.files import Videos
from aveo3.server.page.shown import Shown
from aveo3.server.page.viewers import Charts, Viewers

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


@runtime_checkable
class Picks(Protocol):
    """A source of a film, of whose scenes a person may pick takes."""

    async def pick(self, scene: str, take: str) -> str | None:
        """Pick a take. Returns why that cannot be; None if it is done. Nothing is sent."""


class Answers(Protocol):
    """Answers what a page asks for."""

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields of the view that are no lists, as far as the page itself needs them."""

    @property
    def viewers(self) -> int:
        """How many look at the page now."""

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """The stream of events."""

    async def video(self, request: web.Request) -> web.StreamResponse:
        """The video of the clip `key` with this `number`."""

    async def still(self, request: web.Request) -> web.StreamResponse:
        """A picture of it."""

    async def act(self, request: web.Request) -> web.StreamResponse:
        """Do what the button `name` says."""

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """Cancel the row `key`."""

    async def pick(self, request: web.Request) -> web.StreamResponse:
        """Pick the `take` of a `scene`."""

    async def close(self) -> None:
        """Send everybody what is newest, and end."""


def routes_of(
    answers: Callable[[], Answers],
    prefix: str = "",
    guarded: Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Any] = lambda handler: handler,
) -> list[web.RouteDef]:
    """The routes below `prefix`; `guarded` wraps each handler, `answers` is called with the first request."""

    def of(name: str) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            handler: Callable[[web.Request], Awaitable[web.StreamResponse]] = getattr(answers(), name)
            return await handler(request)

        return guarded(handle)

    return [
        web.get(f"{prefix}/events", of("follow"), allow_head=False),
        web.get(f"{prefix}/videos/{{key}}/{{number}}", of("video")),
        web.get(f"{prefix}/posters/{{key}}/{{number}}", of("still"), allow_head=False),
        web.post(f"{prefix}/actions/{{name}}", of("act")),
        web.post(f"{prefix}/cancel/{{key}}", of("cancel")),
        web.post(f"{prefix}/picks/{{scene}}/{{take}}", of("pick")),
    ]


class SourceAnswers:
    """The answers of `source`. `charts` makes its charts; None for none. Has threads until it is closed."""

    def __init__(self, source: Source, charts: Charts | None = None) -> None:
        self._source = source
        self._worker = ThreadPoolExecutor(2, "aveo3-page")
        self._viewers = Viewers(source.shown, source.refresh, charts=charts, worker=self._worker)
        self._videos = Videos(source.home, self._worker)

    @property
    def fields(self) -> Mapping[str, Any]:
        return self._source.shown.fields

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    async def follow(self, request: web.Request) -> web.StreamResponse:
        return await self._viewers.follow(request)

    def _film(self, request: web.Request) -> Film:
        """The video that a request names by clip and number."""
        number = request.match_info["number"]
        films = self._source.films_of(request.match_info["key"])
        if not (number.isascii() and number.isdigit() and len(number) < 4 and int(number) < len(films)):
            raise web.HTTPNotFound(text="This page lists no such video.")
        return films[int(number)]

    async def video(self, request: web.Request) -> web.StreamResponse:
        return await self._videos.send(request, self._film(request).path)

    async def still(self, request: web.Request) -> web.StreamResponse:
        if (body := await self._videos.still(self._film(request))) is None:
            raise web.HTTPNotFound(text="No still can be cut from this video.")
        return web.Response(body=body, content_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})

    async def act(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if (act := self._source.actions().get(name)) is None:
            raise web.HTTPConflict(text="This page cannot do that: the run has ended, or another process runs it.")
        act()
        return web.Response(text="done")

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        if not isinstance(self._source, Cancels):
            raise web.HTTPConflict(text="This page cancels no single clip.")
        if (why := await self._source.cancel(request.match_info["key"])) is not None:
            raise web.HTTPConflict(text=why)
        return web.Response(text="done")

    async def pick(self, request: web.Request) -> web.StreamResponse:
        if not isinstance(self._source, Picks):
            raise web.HTTPConflict(text="This page shows no film.")
        if (why := await self._source.pick(request.match_info["scene"], request.match_info["take"])) is not None:
            raise web.HTTPConflict(text=why)
        return web.Response(text="done")

    async def close(self) -> None:
        try:
            await self._viewers.close()
        finally:
            self._worker.shutdown(wait=False, cancel_futures=True)
