"""Watches the room on the disk: submits stop first, while what runs can still be downloaded; then accepting stops.

Both go on by themselves when there is room again.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from aveo3 import _threads
from aveo3.dispatch.lane_pool import LanePool
from aveo3.errors import JournalError
from aveo3.journal.journal import Journal

log = logging.getLogger(__name__)

FLOOR = 64_000_000
"""Bytes that are left to the journal: with less, no request is accepted."""

USUAL_VIDEO = 50_000_000
"""Bytes of the videos of one request, as long as none was made."""

SPREAD = 2
"""How many times as large as the largest of the last ones the next video may be."""

OFTEN, SELDOM = 5.0, 300.0
"""The shortest and the longest time between two looks, in seconds."""

FILLED_PER_SECOND = 200e6
"""Bytes in a second that whoever else uses the disk may write: the more room there is, the less often it is looked."""

DISK = "disk"


class DiskRoom:
    """The room in `directory`. `under_way` returns how many operations have a video that is still to come."""

    def __init__(
        self,
        directory: Path,
        journal: Journal,
        lane_pool: LanePool,
        *,
        under_way: Callable[[], int],
    ) -> None:
        self.free: int | None = None
        """Bytes that are free, less the media that were accepted since; None if that cannot be known."""
        self.is_low = False
        """Nothing is submitted."""
        self._directory = directory
        self._journal = journal
        self._lane_pool = lane_pool
        self._under_way = under_way
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look, and go on looking until `close`."""
        await self._look()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @property
    def reserve(self) -> int:
        """Bytes that must be free for another submit: for it, for what runs, and for the journal."""
        largest = self._journal.stored_files.largest_of_last() * SPREAD or USUAL_VIDEO
        return FLOOR + (self._under_way() + 1) * largest

    def why_full(self, size: int = 0) -> str | None:
        """Why no request with media of `size` bytes can be accepted; None if it can."""
        if self.free is None or self.free - size >= FLOOR:
            return None
        return "the server's disk is full"

    def take(self, size: int) -> None:
        """Note that the media of a request will take so many bytes."""
        if self.free is not None:
            self.free -= size

    async def _run(self) -> None:
        while True:
            spare = SELDOM if self.free is None else (self.free - self.reserve) / FILLED_PER_SECOND
            await asyncio.sleep(min(max(spare, OFTEN), SELDOM))
            try:
                await self._look()
            except Exception:
                log.exception("the room on the disk is not known")

    async def _look(self) -> None:
        try:
            self.free = (await _threads.reading.run(shutil.disk_usage, self._directory)).free
        except OSError as error:
            if self.free is not None:
                log.warning("the room on the disk is not known: %s", error.strerror)
            self.free = None
        try:
            self._judge()
        except JournalError as error:
            log.error("%s", error)

    def _judge(self) -> None:
        is_low = self.free is not None and self.free < self.reserve
        if is_low is not self.is_low:
            self.is_low = is_low
            if is_low:
                self._lane_pool.hold(DISK)
                log.warning(
                    "%.0f MB are left on the disk of %s: nothing more is submitted, what runs is downloaded. Free "
                    "%.0f MB, and it goes on by itself",
                    (self.free or 0) / 1e6,
                    self._directory,
                    (self.reserve - (self.free or 0)) / 1e6,
                )
            else:
                self._lane_pool.go_on(DISK)
                log.warning("there is room on the disk again: submits go on")
        if self._journal.broken is not None and self.why_full() is None:
            self._journal.commit()  # with room again, what could not be written is
