"""`ClientThread`: one client for callers in any thread or event loop. It is open while calls are under way."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from aveo3.client import VeoClient

log = logging.getLogger(__name__)

T = TypeVar("T")


class _Run:
    """The time in which one client is open."""

    def __init__(self, before: threading.Thread | None) -> None:
        self.loop = asyncio.new_event_loop()
        self.client: asyncio.Future[VeoClient] = self.loop.create_future()
        self.over = asyncio.Event()
        self.calls = 0
        self.before = before
        self.thread: threading.Thread | None = None


class _Call(Generic[T]):
    """A call under way. `future` ends when its work has ended, cancelled or not."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self.task: asyncio.Task[T] | None = None
        self.loop = loop

    def cancel(self) -> None:
        """Cancel the work from any thread; `future` ends a moment later."""
        self.loop.call_soon_threadsafe(lambda: self.task and self.task.cancel())


class ClientThread:
    """Runs work with one client, in a thread and an event loop of its own, so that all calls share its quota.

    `connect` makes the client; it is called in the loop, and again for calls that come after the client has closed.
    `opened` and `closing` are called with the client.
    """

    def __init__(
        self,
        connect: Callable[[], VeoClient],
        *,
        opened: Callable[[VeoClient], object],
        closing: Callable[[VeoClient], object],
    ) -> None:
        self._connect, self._opened, self._closing = connect, opened, closing
        self._lock = threading.Lock()
        self._run: _Run | None = None
        self._last: threading.Thread | None = None

    def call(self, work: Callable[[VeoClient], Awaitable[T]]) -> T:
        """Do `work` and wait for it. An interrupt (Ctrl+C) cancels it and waits until the client is left in order."""
        call = self._begin(work)
        try:
            return call.future.result()
        except BaseException:
            if not call.future.done():
                call.cancel()
                concurrent.futures.wait([call.future])
            raise

    async def acall(self, work: Callable[[VeoClient], Awaitable[T]]) -> T:
        """`call` for a caller with an event loop of its own."""
        call = self._begin(work)
        waiting = asyncio.wrap_future(call.future)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            call.cancel()
            await asyncio.wait([waiting])
            if not waiting.cancelled():
                waiting.exception()
            raise

    def _begin(self, work: Callable[[VeoClient], Awaitable[T]]) -> _Call[T]:
        with self._lock:
            run = self._run
            if run is None:
                run = self._run = _Run(self._last)
                # A daemon: a program that ends during a call is not held up. The journal is safe against that.
                run.thread = self._last = threading.Thread(target=self._main, args=(run,), name="aveo3", daemon=True)
                run.thread.start()
            run.calls += 1
            call: _Call[T] = _Call(run.loop)
            run.loop.call_soon_threadsafe(self._start, run, call, work)
        return call

    def _start(self, run: _Run, call: _Call[Any], work: Callable[[VeoClient], Awaitable[Any]]) -> None:
        async def do() -> Any:
            return await work(await asyncio.shield(run.client))

        def end(task: asyncio.Task[Any]) -> None:
            self._leave(run)
            if task.cancelled():
                call.future.cancel()
                call.future.set_running_or_notify_cancel()
            elif (error := task.exception()) is not None:
                call.future.set_exception(error)
            else:
                call.future.set_result(task.result())

        call.task = run.loop.create_task(do())
        call.task.add_done_callback(end)

    def _leave(self, run: _Run) -> None:
        with self._lock:
            run.calls -= 1
            if not run.calls:
                self._run = None
                run.over.set()

    def _main(self, run: _Run) -> None:
        if run.before is not None:
            run.before.join()  # its client holds the journal
            run.before = None
        with asyncio.Runner(loop_factory=lambda: run.loop) as runner:
            runner.run(self._serve(run))

    async def _serve(self, run: _Run) -> None:
        try:
            async with self._connect() as veo:
                self._opened(veo)
                run.client.set_result(veo)
                await run.over.wait()
                self._closing(veo)
        except Exception as error:
            if run.client.done():
                log.exception("the client did not close in order")
                return
            run.client.set_exception(error)
            run.client.exception()  # calls raise it
            await run.over.wait()
