"""Hands each event to a client's listeners and to its readers. Publishing never waits, and raises nothing of theirs."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from inspect import iscoroutinefunction
from typing import Self
from weakref import ref

from aveo3._waker import Waker
from aveo3.errors import UsageError
from aveo3.events.kinds import Event, Missed

log = logging.getLogger(__name__)

BUFFER = 10_000
"""Events that wait for a slow reader, unless it asks for another number."""

Listener = Callable[[Event], object]


class EventBus:
    """Publishes the events of one client, in its event loop.

    Check `listening` before you build an event: with nobody there, publishing costs that one attribute.
    """

    __slots__ = ("_closed", "_failed", "_listeners", "_now_utc", "_readers", "listening")

    def __init__(
        self, listener: Listener | None = None, now_utc: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """`listener` is called with each event, and must be quick. Raises `UsageError` for a coroutine function."""
        if listener is not None and not callable(listener):
            raise UsageError(f"on_event is {type(listener).__name__}: give a function that takes one event")
        if iscoroutinefunction(listener) or iscoroutinefunction(getattr(listener, "__call__", None)):  # noqa: B004
            raise UsageError(
                "on_event is a coroutine function, and publishing never waits. Give a plain function, or read with "
                "`async for event in veo.events()`."
            )
        self._listeners: tuple[Listener, ...] = () if listener is None else (listener,)
        self._now_utc = now_utc
        self._readers: tuple[ref[EventReader], ...] = ()
        self._failed: tuple[Listener, ...] = ()
        self._closed = False
        self.listening = listener is not None
        """True if somebody gets what is published."""

    def publish(self, event: Event) -> None:
        """Hand `event` to everybody. Returns at once."""
        for weak in self._readers:
            if (reader := weak()) is not None:
                reader._put(event)
        for listener in self._listeners:
            try:
                listener(event)
            except (Exception, asyncio.CancelledError):
                if listener not in self._failed:
                    self._failed += (listener,)
                    log.exception(
                        "on_event raised at %s; the run goes on, and further errors of it are not logged", event
                    )

    def listen(self, listener: Listener) -> None:
        """Call `listener`, too, with each event from now on. It must be quick, and no coroutine function."""
        if not self._closed:
            self._listeners += (listener,)
            self.listening = True

    def reader(self, buffer: int = BUFFER) -> EventReader:
        """A new reader, which gets every event from now on."""
        if buffer < 1:
            raise UsageError(f"buffer={buffer}: at least one event must have room")
        reader = EventReader(self, buffer, self._now_utc)
        if self._closed:
            reader._end()
        else:
            self._readers += (ref(reader, self._remove),)  # a reader that nobody holds any more costs nothing
            self.listening = True
        return reader

    def _remove(self, gone: ref[EventReader]) -> None:
        self._readers = tuple(weak for weak in self._readers if weak is not gone)
        self.listening = bool(self._readers or self._listeners)

    def _drop(self, reader: EventReader) -> None:
        for weak in self._readers:
            if weak() is reader:
                self._remove(weak)

    def close(self) -> None:
        """Publish nothing more. Readers get what waits for them, and then end."""
        self._closed = True
        readers, self._readers = self._readers, ()
        self._listeners, self.listening = (), False
        for weak in readers:
            if (reader := weak()) is not None:
                reader._end()


class EventReader(AsyncIterator[Event]):
    """The events of a client, from the moment this reader was made until the client closes.

    Use it in one task: `async for event in reader`. It may be made before the client is open. If more than `buffer`
    events wait, the oldest are dropped, and a `Missed` with their number stands in their place.
    """

    def __init__(self, bus: EventBus, buffer: int, now_utc: Callable[[], datetime]) -> None:
        self._bus = bus
        self._waiting: deque[Event] = deque(maxlen=buffer)
        self._missed = 0
        self._ended = False
        self._waker = Waker()
        self._now_utc = now_utc

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            await self._waker.wait()
        if self._missed:
            missed, self._missed = self._missed, 0
            return Missed(at_utc=self._now_utc(), count=missed)
        return self._waiting.popleft()

    def ready(self) -> list[Event]:
        """Remove and return the events that wait, to write them together. Empty if the next is to be awaited."""
        events: list[Event] = []
        if self._missed:
            missed, self._missed = self._missed, 0
            events.append(Missed(at_utc=self._now_utc(), count=missed))
        events += self._waiting
        self._waiting.clear()
        return events

    async def aclose(self) -> None:
        """Get nothing more. A reader that is garbage needs no call of it."""
        self._bus._drop(self)
        self._waiting.clear()
        self._missed = 0
        self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _put(self, event: Event) -> None:
        waiting = self._waiting
        self._missed += len(waiting) == waiting.maxlen
        waiting.append(event)
        self._waker.ring()

    def _end(self) -> None:
        self._ended = True
        self._waker.ring()
