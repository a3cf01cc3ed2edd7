"""A door of this process's own, for its own client: it takes orders on a loopback port, and leads if nobody does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Self

from aveo3.config.settings import Settings
from aveo3.server.door.server import DoorServer

THREAD = "aveo3-door"
"""The name of the thread, by which a log tells its records from those of the client."""


class LoopbackDoor:
    """A `DoorServer` in a thread with an event loop of its own: `with LoopbackDoor(settings) as door`.

    It is open, with `url`, when the block begins; errors of its opening are raised there. At the block's end it stops
    in order: what was sent learns its operation's name.
    """

    def __init__(self, settings: Settings, *, serve: Callable[[Settings], DoorServer] | None = None) -> None:
        self.url = ""
        self._settings = settings
        self._serve = serve or _on_a_free_port
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name=THREAD)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._ready.wait()
        except BaseException:
            self.close()
            raise
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the door, and wait for its end."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _work(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with self._serve(self._settings) as server:
            self.url = server.url
            self._ready.set()
            await self._stop.wait()


def _on_a_free_port(settings: Settings) -> DoorServer:
    return DoorServer(settings, port=0)
