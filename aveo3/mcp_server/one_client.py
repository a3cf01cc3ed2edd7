"""`OneClient`: the client of a desk. It is open while work is under way; then it closes, so that others may run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aveo3.client import VeoClient
from aveo3.errors import AveoError, JournalError
from aveo3.integrations.quotes import Refused
from aveo3.journal.journal import Journal

log = logging.getLogger(__name__)

T = TypeVar("T")


class OneClient:
    """Opens the client that `connect` makes, and closes it.

    `limit` gives the limit of its budget, from the journal and what the client counts as spent by earlier runs.
    `changed` is called when work has ended, and when the client has closed.
    """

    def __init__(
        self,
        connect: Callable[[], VeoClient],
        limit: Callable[[Journal, float], float],
        changed: Callable[[], object],
    ) -> None:
        self.veo: VeoClient | None = None
        """The client; None while it is closed."""
        self._connect, self._limit, self._changed = connect, limit, changed
        self._lock = asyncio.Lock()
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def journal(self) -> Journal | None:
        """The journal while the client is open; None otherwise."""
        return None if self.veo is None else self.veo.journal

    @asynccontextmanager
    async def open(self) -> AsyncIterator[VeoClient]:
        """The open client, for one order at a time. It closes when nothing is under way. Raises `Refused`."""
        async with self._lock:
            if self._closed:
                raise Refused("nothing was sent: this server is stopping")
            if self.veo is None:
                self.veo = await self._opened()
            try:
                yield self.veo
            finally:
                await self._close_if_idle()

    async def apart(self, order: Coroutine[Any, Any, T]) -> T:
        """Carry out an order in a task of its own, and return what it does.

        A caller that gives up cancels it once. The protocol's package would cancel it again at every step, also at
        those that leave things in order.
        """
        task = asyncio.get_running_loop().create_task(order)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            task.add_done_callback(_seen)
            raise

    async def _opened(self) -> VeoClient:
        veo = self._connect()
        try:
            await veo.__aenter__()
        except JournalError as error:
            raise Refused(f"nothing was sent: {error}") from error
        assert veo.journal is not None
        veo._session.budget.limit = self._limit(veo.journal, veo._session.budget.before)
        return veo

    async def close(self) -> None:
        """Submit nothing more, leave what is under way to the next start, and close for good."""
        async with self._lock:
            self._closed = True
            for task in (tasks := [*self._tasks]):
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            await self._close()

    async def _close_if_idle(self) -> None:
        if not self._tasks:
            await self._close()

    async def _close(self) -> None:
        veo, self.veo = self.veo, None
        if veo is not None:
            try:
                await veo.__aexit__(None, None, None)
            except AveoError as error:
                log.error("%s", error)
        self._changed()

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run the work of an order in the open client."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an order was interrupted: %s", error, exc_info=error)
        self._changed()
        if not self._tasks and self.veo is not None:
            closing = asyncio.get_running_loop().create_task(self._close_later())
            self._closing = closing  # asyncio keeps no hold of its tasks

    async def _close_later(self) -> None:
        async with self._lock:
            await self._close_if_idle()


def _seen(task: asyncio.Task[Any]) -> None:
    """Nobody waits for `task` any more: what it raises is logged if it is no refusal."""
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Refused):
        log.error("an order was interrupted: %s", error, exc_info=error)
