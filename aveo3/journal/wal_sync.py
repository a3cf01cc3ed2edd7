"""What must outlive a power cut: syncs the journal's log to the disk, off the event loop, once for all who ask.

SQLite keeps the log with `synchronous=NORMAL`: a commit is handed to the system at once, so it outlives the process
that made it, but not a power cut. To sync the log afterwards is all that `FULL` does at each commit. What has gone from
the log into the journal's file needs nothing: a checkpoint syncs the log and then the file before the log begins anew,
and the first sync of a new log syncs its directory (SQLite's wal.c and os_unix.c, read 2026-11).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from asyncio import AbstractEventLoop, Future
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from aveo3.errors import JournalError

log = logging.getLogger(__name__)

SYNCS_LATER = os.name == "posix"
"""Whether the log is synced here. Elsewhere SQLite does so at each commit: a second handle to it may be refused."""


class WalSync:
    """Syncs the log of the journal at `path`: `ask` and go on, or `wait`.

    One sync is under way at a time; whoever asks meanwhile shares the next. What a sync that failed has lost, no later
    one can tell (Linux reports it once), so `broken` then stays: open the journal anew.
    """

    def __init__(self, path: Path, log_file: Path) -> None:
        self.broken: str | None = None
        self._path = path
        self._log_file = log_file
        self._file: BinaryIO | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._loop: AbstractEventLoop | None = None  # in which a sync is about to begin, or under way
        self._asked = False  # something was committed after the last sync had begun
        self._waiting: list[Future[None]] = []  # for the next sync
        self._aboard: list[Future[None]] = []  # for the one under way

    def ask(self) -> None:
        """Have all that was committed by now synced soon; at once, where no loop runs."""
        if not SYNCS_LATER:
            return
        self._asked = True
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._asked = False
            self._sync()
            return
        if self._loop is not loop:
            self._loop = loop
            loop.call_soon(self._begin, loop)  # whoever else commits in this turn of the loop has its share

    async def wait(self) -> None:
        """Return when all that was asked for by now is on the disk. Raises `JournalError` if that cannot be.

        Cancelling the wait stops no sync.
        """
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):  # that one may have ended before the sync did
            self.ask()
        if self._loop is loop:
            landed = loop.create_future()
            (self._waiting if self._asked else self._aboard).append(landed)
            await landed
        if self.broken is not None:
            raise JournalError(f"{self.broken}. See to the disk, then run it again.")

    def close(self) -> None:
        """Sync what is left, and let go of the log."""
        if self._thread is not None:
            self._thread.shutdown()
        if self._asked:
            self._asked = False
            self._sync()
        self._let_go(self._aboard + self._waiting)
        if self._file is not None:
            self._file.close()

    def _begin(self, loop: AbstractEventLoop) -> None:
        if not self._asked:  # somebody synced it at once meanwhile
            self._let_go(self._waiting)
            self._loop = None
            return
        self._asked, self._aboard, self._waiting = False, self._waiting, []
        aboard = self._aboard
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "aveo3-journal")  # downloads may keep the loop's own threads busy
        try:
            under_way = loop.run_in_executor(self._thread, self._sync)
        except RuntimeError:  # the system has no thread left, or the interpreter is about to end
            self._sync()
            self._landed(loop, aboard)
        else:
            under_way.add_done_callback(lambda _: self._landed(loop, aboard))

    def _landed(self, loop: AbstractEventLoop, aboard: list[Future[None]]) -> None:
        self._let_go(aboard)
        if self._aboard is not aboard or self._loop is not loop:  # a loop that stood still: others were at it since
            return
        if self._asked:
            loop.call_soon(self._begin, loop)
        else:
            self._loop = None

    def _sync(self) -> None:
        """Sync the log. Blocks."""
        try:
            if self._file is None:
                self._file = self._log_file.open("rb")
            _sync_data(self._file.fileno())
        except OSError as error:
            why = f"the journal {self._path} cannot be synced to the disk: {error.strerror or error}"
            if self.broken is None:
                log.error("%s; a power cut may take what happens now", why)
            self.broken = why

    @staticmethod
    def _let_go(waiting: list[Future[None]]) -> None:
        for landed in waiting:
            if not landed.done() and not landed.get_loop().is_closed():
                landed.set_result(None)


def _sync_data(descriptor: int) -> None:
    """As SQLite does it: on macOS, too, without F_FULLFSYNC, which leaves the last step to the drive."""
    if sys.platform == "linux":
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)
