"""Learns from an `aveo3 serve` when requests have ended: from its stream of events, so that nothing is polled in vain.

However many requests wait, and however long, each costs one poll when its end is told. Beside these, two polls every
`LOOK` seconds: one of the first request in the queue, for its place there, and one of a request of which nothing was
heard for long. Without a stream (a proxy keeps it back, or there are too many) requests are polled in turns.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime

import aiohttp

from aveo3.backends.server_wire import VERSION, Turn
from aveo3.quota.gate_stats import AtServer

log = logging.getLogger(__name__)

LOOK = 10.0
"""Seconds between two looks at the first in the queue."""

SILENCE = 45.0
"""Seconds of silence after which a stream is opened anew. The server sends something every 15."""

UNHEARD = 300.0
"""Seconds after which one of which nothing is heard may be polled, although it was not told to have ended."""

IN_TURN = 0.05
"""Seconds between two polls where no events come; each request is polled every `LOOK` seconds at most."""

AFTER_END = 5.0
"""Seconds until the next poll of one that is told to have ended, and whose poll does not say so yet."""

SLOWEST_TRY = 30.0
"""Seconds between tries to open a stream, at most."""

REMEMBERED = 1_000
"""Ends of requests that nobody waits for yet: the end may be told before the answer to the request is read."""

WAITING = "waiting"


@dataclass(eq=False, slots=True)
class _Watched:
    model: str
    heard_at: float
    state: str = WAITING
    done: bool = False
    """It is told to have ended."""
    polled: int = 0
    """Polls that it was let go for."""
    waiter: asyncio.Future[None] | None = field(default=None, repr=False)

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class ServerWatch:
    """The requests of one client at a server. `look` polls one for its turn; None if that failed."""

    def __init__(
        self,
        events: Callable[[str | None], Awaitable[aiohttp.ClientResponse]],
        look: Callable[[str], Awaitable[Turn | None]],
        *,
        rng: random.Random,
        now_utc: Callable[[], datetime],
    ) -> None:
        """`events` opens a stream behind the event with an id."""
        self._events = events
        self._look = look
        self._rng = rng
        self._now_utc = now_utc
        self._now = asyncio.get_running_loop().time
        self._watched: dict[str, _Watched] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._last_id: str | None = None
        self._streaming = asyncio.Event()
        self._first: dict[str, tuple[Turn, float]] = {}  # by model: the turn of the first that waits, and when told
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open the stream. Returns when it is open, or after some seconds without one."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._read_events()), loop.create_task(self._keep_looking())]
        with suppress(TimeoutError):
            async with asyncio.timeout(5.0):
                await self._streaming.wait()

    async def aclose(self) -> None:
        """Close the stream."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # ---- requests ------------------------------------------------------------------------------------------------

    def add(self, operation: str, model: str, *, at_once: bool = False) -> None:
        """Watch `operation`. `at_once`: it may have ended before anybody could hear of it, so it is polled first."""
        watched = self._watched.setdefault(operation, _Watched(model, self._now()))
        watched.done |= at_once or self._ended.pop(operation, self) is None

    def note(self, operation: str, model: str, turn: Turn) -> None:
        """A poll found `operation` running."""
        self.add(operation, model)
        watched = self._watched[operation]
        watched.state, watched.heard_at = turn.state, self._now()
        self._note_turn(watched.model, turn)

    async def ended(self, operation: str, model: str) -> None:
        """Return when `operation` is to be polled."""
        self.add(operation, model)
        watched = self._watched[operation]
        if watched.done:
            watched.polled += 1
            if watched.polled > 1:
                await asyncio.sleep(AFTER_END * self._rng.uniform(1.0, 1.2))
            return
        watched.waiter = asyncio.get_running_loop().create_future()
        try:
            await watched.waiter
        finally:
            watched.waiter = None
        watched.polled += watched.done

    def forget(self, operation: str) -> None:
        """`operation` is not watched any more."""
        self._watched.pop(operation, None)

    def standing(self, model: str, silent_for: float) -> AtServer:
        """How the requests for `model` stand."""
        states = [each.state for each in self._watched.values() if each.model == model and not each.done]
        waiting = states.count(WAITING)
        place = starts_in = None
        if waiting and (told := self._first.get(model)) is not None:
            turn, _ = told
            place = turn.place
            if turn.starts_utc is not None:
                starts_in = max(0.0, (turn.starts_utc - self._now_utc()).total_seconds())
        return AtServer(waiting, len(states) - waiting, place, starts_in, silent_for)

    # ---- events --------------------------------------------------------------------------------------------------

    async def _read_events(self) -> None:
        failed = 0
        while True:
            began, answered = self._now(), False
            try:
                async with await self._events(self._last_id) as answer:
                    answered = True
                    if answer.status != 200 or answer.content_type != "text/event-stream":
                        raise aiohttp.ClientError(f"HTTP {answer.status}")
                    async with aclosing(_events_of(answer)) as events:
                        async for id_, data in events:
                            self._take(data)
                            self._last_id = id_ or self._last_id
                            self._streaming.set()
                            answered, failed = False, 0
            except (aiohttp.ClientError, OSError, ValueError) as error:
                log.debug("the server's events cannot be read: %s: %s", type(error).__name__, error)
            if answered:  # and no event came: something keeps them back. A server that is away cannot be polled either.
                self._streaming.clear()
            failed += 1
            pause = min(SLOWEST_TRY, 2.0**failed / 2) * self._rng.uniform(0.5, 1.0)
            await asyncio.sleep(max(pause, 1.0 - (self._now() - began)))

    def _take(self, data: str) -> None:
        if not data:
            return
        event = json.loads(data)
        name, state = event.get("name"), event.get("state")
        if (watched := self._watched.get(name)) is None:
            if event.get("done") is True or state == "uncertain":
                self._ended[name] = None
                if len(self._ended) > REMEMBERED:
                    self._ended.popitem(last=False)
            return
        watched.state, watched.heard_at = str(state), self._now()
        if event.get("done") is True or state == "uncertain":
            watched.done = True
            watched.wake()

    # ---- polls ---------------------------------------------------------------------------------------------------

    async def _keep_looking(self) -> None:
        while True:
            if not self._streaming.is_set() and self._watched:
                await self._poll_in_turns()
                continue
            await asyncio.sleep(LOOK * self._rng.uniform(1.0, 1.1))
            firsts: dict[str, str] = {}
            for operation, watched in self._watched.items():
                if watched.state == WAITING:
                    firsts.setdefault(watched.model, operation)
            for model, operation in firsts.items():
                if (turn := await self._look(operation)) is not None:
                    self._note_turn(model, turn)
            now = self._now()
            unheard = min(self._watched.values(), key=lambda each: each.heard_at, default=None)
            if unheard is not None and unheard.heard_at < now - UNHEARD and unheard.state != WAITING:
                unheard.heard_at = now
                unheard.wake()

    async def _poll_in_turns(self) -> None:
        began = self._now()
        for watched in list(self._watched.values()):
            watched.wake()
            await asyncio.sleep(IN_TURN)
            if self._streaming.is_set():
                return
        await asyncio.sleep(max(0.0, LOOK - (self._now() - began)))

    def _note_turn(self, model: str, turn: Turn) -> None:
        if turn.state != WAITING or turn.place is None:
            return
        known = self._first.get(model)
        if known is None or known[1] < self._now() - LOOK / 2 or (known[0].place or 0) >= turn.place:
            self._first[model] = turn, self._now()


async def _events_of(answer: aiohttp.ClientResponse) -> AsyncGenerator[tuple[str | None, str], None]:
    """The id and the data of each event, an empty text for one without data. Ends with the stream."""
    id_, data = None, ""
    while True:
        async with asyncio.timeout(SILENCE):
            line = (await answer.content.readline()).decode()
        if not line:
            return
        name, _, value = line.rstrip("\r\n").partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            id_ = value
        elif name == "data":
            data += value
        elif line in ("\n", "\r\n"):
            yield id_, data
            id_, data = None, ""


EVENTS = f"/{VERSION.removesuffix('beta')}/events"
"""Where the stream is."""
