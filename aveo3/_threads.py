"""Threads of aveo3's own for work that blocks, so that videos reach the disk even if all threads of the loop are busy.

A program may wait for a clip in each of the loop's own threads (`asyncio.to_thread`). Work that the clip needs would
then never get a thread. So nothing here runs in them.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Threads:
    """At most `number` threads, started when they are needed. A fork starts its own.

    They end when the last holder leaves, each after the call it is in; at the latest when the program ends, which waits
    for them.
    """

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self._name = name
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._holders = 0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    async def run(
        self, function: Callable[Arguments, Result], /, *args: Arguments.args, **values: Arguments.kwargs
    ) -> Result:
        """Call `function` in one of the threads, in this context. Cancelling the wait does not stop the call."""
        context = copy_context()
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._number, f"aveo3-{self._name}")
            running = asyncio.get_running_loop().run_in_executor(
                self._pool, lambda: context.run(function, *args, **values)
            )
        return await running

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the threads until the block ends."""
        with self._lock:
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders = max(0, self._holders - 1)  # a fork within the block starts from 0
                if self._holders == 0 and self._pool is not None:
                    self._pool.shutdown(wait=False)
                    self._pool = None

    def _forget(self) -> None:
        self._lock, self._pool, self._holders = threading.Lock(), None, 0


saving = Threads(12, "saving")
"""For what brings a paid video to the disk: downloads, inline videos."""

network = Threads(8, "network")
"""For addresses and tokens. A name server that does not answer holds up no video that has arrived."""

reading = Threads(8, "reading")
"""For what comes before the submit: media, credentials, certificates. A slow disk here holds up no video."""


@contextmanager
def held() -> Iterator[None]:
    """Keep all threads until the block ends."""
    with saving.held(), network.held(), reading.held():
        yield
