"""Hears of each flush that any process makes into a journal in PostgreSQL: the server notifies who listens."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from math import inf

import psycopg

from aveo3.journal.bell import EVERY
from aveo3.journal.place import SharedJournal
from aveo3.journal.postgres_flushes import CHANNEL
from aveo3.journal.postgres_session import Session, connect, refused


class PostgresBell:
    """See `Bell`. It has a session of its own, which is opened anew when it was lost."""

    def __init__(self, place: SharedJournal) -> None:
        self._place = place
        self._session: Session | None = None
        self._thread = ThreadPoolExecutor(1, "aveo3-bell")
        self._closed = False

    async def wait(self) -> None:
        """See `Bell`."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._wait)

    async def close(self) -> None:
        """See `Bell`."""
        self._closed = True
        if self._session is not None:
            self._session.patience = -1.0  # ends the wait within a tenth of a second
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _wait(self) -> None:
        if self._closed:
            return
        try:
            if self._session is None or self._session.closed:
                self._session = connect(self._place)
                self._session.execute(f"LISTEN {CHANNEL}".encode())
                self._session.patience = inf
                return  # what came before is not heard
            for _ in self._session.notifies(timeout=EVERY, stop_after=1):
                pass
        except psycopg.Error as error:
            if not self._closed:
                raise refused(self._place, error) from None

    def _close(self) -> None:
        if self._session is not None:
            self._session.close()
