"""Wakes one waiting task at an instant, or when something has changed, whichever comes first."""

from __future__ import annotations

import asyncio
from math import inf


class Waker:
    """Check the condition, then `wait()`, then check again. A `ring()` while nobody waits does nothing, and no change
    is lost: between the check and the wait the task is not suspended."""

    __slots__ = ("_waiter",)

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self, until: float = inf) -> None:
        """Return at the next `ring()`, or at the instant `until` of the loop's clock."""
        if self._waiter is not None:
            raise RuntimeError("a Waker wakes one task, and one is waiting already")
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_at(until, self.ring) if until < inf else None
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def ring(self) -> None:
        """Wake the waiting task, if there is one."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
