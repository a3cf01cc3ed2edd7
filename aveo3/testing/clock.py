"""An event loop with virtual time: waiting costs nothing, and a test of an hour's outage runs in milliseconds."""

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
"""Real seconds the loop waits for sockets before it concludes that only timers are pending."""


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for real input only briefly. If none comes, the loop's time jumps to its next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.threads = 0  # running threads: while one works, time does not jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or (self.threads and timeout > 0):
            return super().select(None)
        # One descriptor is the loop's own wake-up pipe; more than one means open connections.
        events = super().select(0 if len(self.get_map()) <= 1 else min(timeout, PATIENCE_WITH_IO))
        if not events and timeout > 0:
            self.now += timeout
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` starts at 0 and jumps whenever no task can run.

    Use it as `asyncio.Runner(loop_factory=VirtualTimeLoop)`. Work in threads (`asyncio.to_thread`) takes no virtual
    time. Real sockets work, but the time may jump while a slow peer prepares its answer: use a scripted backend, or a
    server in the same loop.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # After half a virtual year asyncio's resolution of a nanosecond is lost in rounding, and timers never fire.
        self._clock_resolution = 1e-7

    def time(self) -> float:
        """Virtual seconds since the loop was created."""
        return self._jumping.now

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Schedule as asyncio does, but always later than now.

        aiolimiter waits for the rest that its rounding leaves. Without progress in time, it would wait for ever.
        """
        return super().call_at(max(when, nextafter(self.time(), inf)), callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Result], *args: Any
    ) -> asyncio.Future[Result]:
        """Run as asyncio does; time does not jump until the thread is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncio's own
        """Shut down as asyncio does; time does not jump until the threads are done, so `timeout` cannot pass."""
        self._jumping.threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._jumping.threads -= 1

    def _thread_done(self, _: object) -> None:
        self._jumping.threads -= 1


def run_virtual(main: Coroutine[Any, Any, Result]) -> Result:
    """Run `main` like `asyncio.run`, on a `VirtualTimeLoop`, and return its result."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
