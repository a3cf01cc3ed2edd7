"""An event loop whose time jumps: waiting costs nothing, and a test of an hour's outage runs in milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from math import inf, nextafter
from typing import Any, TypeVar

Result = TypeVar("Result")

PATIENCE_WITH_IO = 0.002
"""Real seconds the loop waits for sockets and threads before it believes that nothing but time is awaited."""


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for real input only briefly; if none comes, the loop's time jumps to its next timer instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.threads = 0  # in flight: while one works, time stands still

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or (self.threads and timeout > 0):
            return super().select(None)
        # One descriptor is the loop's own wake-up pipe; more means that real connections are open.
        events = super().select(0 if len(self.get_map()) <= 1 else min(timeout, PATIENCE_WITH_IO))
        if not events and timeout > 0:
            self.now += timeout
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`asyncio.Runner(loop_factory=VirtualTimeLoop)`: `time()` starts at 0 and moves only when nobody can run.

    Work in threads (`asyncio.to_thread`) takes no virtual time. Real sockets work, but a slow peer may see the time
    jump ahead of it: keep to scripted backends, or to a server in the same loop.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = 1e-7  # asyncio's nanosecond drowns in rounding after half a year: timers never fire

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As ever, but no timer stands still: aiolimiter waits out what its roundings leave, which takes time."""
        return super().call_at(max(when, nextafter(self.time(), inf)), callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Result], *args: Any
    ) -> asyncio.Future[Result]:
        """As ever, and time stands still until the thread is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncio's own
        """As ever, and time stands still until the threads are done: a `timeout` would be jumped past."""
        self._jumping.threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._jumping.threads -= 1

    def _thread_done(self, _: object) -> None:
        self._jumping.threads -= 1


def run_virtual(main: Coroutine[Any, Any, Result]) -> Result:
    """`asyncio.run(main)` on a loop whose time jumps."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
