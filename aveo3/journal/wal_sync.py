"""Syncs the journal's log to the disk, off the event loop, one sync for many commits: these outlive a power cut.

SQLite writes the log with `synchronous=NORMAL`: it hands a commit to the system at once, so the commit outlives the
process, but not a power cut. `FULL` does no more than sync the log at each commit. What has gone from the log into the
journal's file needs no sync here: a checkpoint syncs the log and then the file before the log begins anew, and the
first sync of a new log syncs its directory (SQLite's wal.c and os_unix.c, read 2026-11).
"""

from __future__ import annotations

import asyncio
import logging
import os
from asyncio import AbstractEventLoop, Future
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from aveo3.errors import JournalError
from aveo3.files.syncing import sync_data

log = logging.getLogger(__name__)

SYNCS_LATER = os.name == "posix"
"""Whether this module syncs the log. Elsewhere SQLite does at each commit: a second handle to it may be refused."""


class WalSync:
    """Syncs the log of the journal at `path`: `request` a sync and go on, or `wait` for it.

    One sync runs at a time; requests that come meanwhile share the next. If a sync fails, no later one can tell what it
    lost (Linux reports an error once), so `broken` stays set: open the journal anew.
    """

    def __init__(self, path: Path, log_file: Path) -> None:
        self.broken: str | None = None
        self._path = path
        self._log_file = log_file
        self._file: BinaryIO | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._loop: AbstractEventLoop | None = None  # the loop in which a sync is about to begin, or runs
        self._requested = False  # something was committed after the last sync began
        self._waiting: list[Future[None]] = []  # for the next sync
        self._syncing: list[Future[None]] = []  # for the sync that runs

    def request(self) -> None:
        """Have all that was committed by now synced soon; at once (blocking) where no event loop runs."""
        if not SYNCS_LATER:
            return
        self._requested = True
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._requested = False
            self._sync()
            return
        if self._loop is not loop:
            self._loop = loop
            loop.call_soon(self._begin, loop)  # commits in the same turn of the loop share this sync

    async def wait(self) -> None:
        """Return when all that was requested by now is on the disk. Raises `JournalError` if a sync failed.

        Cancelling the wait stops no sync.
        """
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):  # that loop may have ended before its sync did
            self.request()
        if self._loop is loop:
            synced = loop.create_future()
            (self._waiting if self._requested else self._syncing).append(synced)
            await synced
        if self.broken is not None:
            raise JournalError(f"{self.broken}. See to the disk, then run it again.")

    def close(self) -> None:
        """Sync what is left, and close the log."""
        if self._thread is not None:
            self._thread.shutdown()
        if self._requested:
            self._requested = False
            self._sync()
        self._release(self._syncing + self._waiting)
        if self._file is not None:
            self._file.close()

    def _begin(self, loop: AbstractEventLoop) -> None:
        if not self._requested:  # `request` or `close` has synced at once meanwhile
            self._release(self._waiting)
            self._loop = None
            return
        self._requested, self._syncing, self._waiting = False, self._waiting, []
        syncing = self._syncing
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "aveo3-journal")  # downloads may keep the loop's own threads busy
        try:
            under_way = loop.run_in_executor(self._thread, self._sync)
        except RuntimeError:  # no thread can be started, or the interpreter is shutting down
            self._sync()
            self._synced(loop, syncing)
        else:
            under_way.add_done_callback(lambda _: self._synced(loop, syncing))

    def _synced(self, loop: AbstractEventLoop, syncing: list[Future[None]]) -> None:
        self._release(syncing)
        if self._syncing is not syncing or self._loop is not loop:  # another loop began one since
            return
        if self._requested:
            loop.call_soon(self._begin, loop)
        else:
            self._loop = None

    def _sync(self) -> None:
        """Sync the log. Blocks."""
        try:
            if self._file is None:
                self._file = self._log_file.open("rb")
            sync_data(self._file.fileno())
        except OSError as error:
            why = f"the journal {self._path} cannot be synced to the disk: {error.strerror or error}"
            if self.broken is None:
                log.error("%s; a power cut may take what happens now", why)
            self.broken = why

    @staticmethod
    def _release(waiting: list[Future[None]]) -> None:
        for synced in waiting:
            if not synced.done() and not synced.get_loop().is_closed():
                synced.set_result(None)
