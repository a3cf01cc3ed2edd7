"""`GET /v1/events`: how the caller's requests come along, as server-sent events, read from the journal's own events.

So a reader that comes back with `Last-Event-ID` gets what it has missed, over restarts, too, and nothing is kept here
for slow ones.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from aiohttp import web

from aveo3.errors import JournalError
from aveo3.journal.requests import Request, RequestEvent
from aveo3.server.door import omni_answers, openai_videos, veo_answers
from aveo3.server.door.callers import Caller
from aveo3.server.door.google_errors import Refused, invalid
from aveo3.server.door.intake import Intake
from aveo3.server.door.standing import has_ended_as, waits
from aveo3.session import Session

if TYPE_CHECKING:
    from aveo3.server.door.app import Door

EVERY = 0.5
"""Seconds between two looks at the journal."""

PAGE = 1000
"""Events of the journal that are read at a time, whosever they are."""

ALIVE = 15.0
"""Seconds of silence after which a comment shows that the connection lives."""

SLOWEST_READER = 30.0
"""Seconds in which a reader must take what was sent."""

STREAMS = 16
"""Streams of one caller at a time."""


class EventStream:
    """The handler. `door` knows callers."""

    def __init__(self, door: Door, session: Session, intake: Intake) -> None:
        assert session.journal is not None
        self._door = door
        self._journal = session.journal
        self._intake = intake
        self._open: Counter[str] = Counter()

    async def get(self, http: web.Request) -> web.StreamResponse:
        """Send the caller's events until it goes, its key is removed, or the server stops."""
        caller = self._door.caller(http)
        newest = self._journal.requests.newest_event()
        after = min(_last_id(http, newest), newest)
        if self._open[caller.account] >= STREAMS:
            raise Refused(429, f"{STREAMS} event streams of yours are open already.", retry_after=ALIVE)
        self._open[caller.account] += 1
        try:
            answer = web.StreamResponse(
                headers={
                    "Content-Type": "text/event-stream; charset=utf-8",
                    "Cache-Control": "no-store",
                    "X-Accel-Buffering": "no",  # nginx would hold events back
                }
            )
            await answer.prepare(http)
            await _send(answer, f"retry: 3000\nid: {after}\n\n")
            await self._follow(http, answer, caller, after)
        finally:
            self._open[caller.account] -= 1
        return answer

    async def _follow(self, http: web.Request, answer: web.StreamResponse, caller: Caller, after: int) -> None:
        loop = asyncio.get_running_loop()
        sent = loop.time()
        while self._intake.closed is None and self._is_there(http, caller):
            try:
                newest = self._journal.requests.newest_event()
                upto = min(newest, after + PAGE)
                events = self._journal.requests.events(caller.account, after, upto) if upto > after else []
            except JournalError:
                return
            after = max(after, upto)
            if events:
                await _send(answer, "".join(map(_text, events)))
                sent = loop.time()
            elif loop.time() - sent >= ALIVE:
                await _send(answer, f":\nid: {after}\n\n")
                sent = loop.time()
            await asyncio.sleep(EVERY if after >= newest else 0)

    def _is_there(self, http: web.Request, caller: Caller) -> bool:
        if http.transport is None or http.transport.is_closing():
            return False
        try:
            return self._door.caller(http).account == caller.account
        except Refused:
            return False


async def _send(answer: web.StreamResponse, text: str) -> None:
    try:
        async with asyncio.timeout(SLOWEST_READER):
            await answer.write(text.encode())
    except TimeoutError:
        raise ConnectionResetError("the reader of an event stream is too slow") from None


def _last_id(http: web.Request, newest: int) -> int:
    """Where the stream begins: behind `Last-Event-ID`, a header or a query parameter; else at what comes now."""
    text = http.headers.get("Last-Event-ID") or http.query.get("lastEventId")
    if not text:
        return newest
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise invalid(f"Last-Event-ID: {text[:20]!r} is no id of an event of this server.")
    return int(text)


def _text(event: RequestEvent) -> str:
    told: dict[str, Any] = {
        "name": _name_of(event.request),
        "state": "waiting" if waits(event.state, event.error_kind) else event.state.value,
        "done": has_ended_as(event.state, event.error_kind),
        "time": veo_answers.time_of(event.at_utc),
    }
    return f"id: {event.id}\ndata: {json.dumps(told)}\n\n"


def _name_of(request: Request) -> str:
    """What its caller knows a request by."""
    if request.resource == openai_videos.RESOURCE:
        return openai_videos.PREFIX + request.door_name
    return request.door_name if omni_answers.is_interaction(request) else veo_answers.name_of(request)
