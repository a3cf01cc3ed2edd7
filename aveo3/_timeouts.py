"""A timeout for which only the time counts in which the event loop ran: late timers first let it read what arrived.

A process that was stopped (Ctrl-Z, a closed lid), or a loop that a program blocked, wakes up with answers in its
sockets and timers that are due. `asyncio.timeout`, aiohttp and httpx then cancel requests whose answers are there.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

TICK = 0.5
TICKS = 4
"""The timer fires this many times, `TICK` seconds apart, before the time is up. Each of them must fire on time."""

LATE = 0.25
"""Seconds after which a timer is late. The loop did not run then, so the ticks start again."""

MAX_LATE = 20
"""Late ticks after which the time is up anyway. The loop read what had arrived after each of them."""

NEVER = 30 * 86_400.0
"""Seconds, for timeouts of libraries that must not count before ours."""


class timeout:  # noqa: N801  # like asyncio.timeout
    """`async with timeout(seconds):` raises TimeoutError if the block takes longer.

    If the loop stood still towards the end, the block gets `ticks` more ticks from when the loop runs again.
    """

    def __init__(self, seconds: float, *, ticks: int = TICKS) -> None:
        self._seconds = seconds
        self._tick = min(TICK, seconds / ticks / 2)
        self._ticks = self._left = ticks
        self._late = 0
        self._timer: asyncio.TimerHandle | None = None
        self._inner = asyncio.timeout(None)  # cancels the block, and tells this cancellation from others

    async def __aenter__(self) -> None:
        await self._inner.__aenter__()
        loop = asyncio.get_running_loop()
        self._wait(loop, loop.time() + self._seconds - self._tick * self._left)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._inner.__aexit__(kind, error, at)

    def _wait(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._timer = loop.call_at(due, self._fired, loop, due)

    def _fired(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        if now - due > LATE and self._late < MAX_LATE:
            self._late += 1
            self._left, self._tick = self._ticks, TICK
            due = now
        self._left -= 1
        if self._left < 0:
            self._inner.reschedule(now)
        else:
            self._wait(loop, due + self._tick)
