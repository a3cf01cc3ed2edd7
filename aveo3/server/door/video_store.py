"""Keeps the files of ended requests as long as they may stay: by age, and by the room that they take together.

By age, everything goes. For room, only videos go that their callers have got, the one fetched longest ago first. Only
what the server's own requests have made is looked at, and nothing that is being sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from aveo3 import _threads
from aveo3.errors import JournalError
from aveo3.journal.fresh import marks
from aveo3.journal.journal import Journal
from aveo3.journal.rows import JobRecord
from aveo3.journal.stored_files import Stored, StoredBytes
from aveo3.lifecycle import State
from aveo3.server.door.media_store import MediaStore, hashes_in
from aveo3.server.door.standing import WITHDRAWN, has_ended

log = logging.getLogger(__name__)

EVERY = 60.0
"""Seconds from one sweep to the next."""

GRACE = timedelta(minutes=10)
"""A video stays for so long after it was fetched: its caller may have lost it on the way to its own disk."""

PAGE = 25
"""Requests whose files are removed together: the loop stands still for a few milliseconds each time."""

BY_AGE, BY_ROOM = "VEO3_RETENTION", "VEO3_DISK_LIMIT"


class VideoStore:
    """The files of the ended requests in `journal`; `media` has what was sent with them.

    `retention`: seconds after their end. `limit`: bytes of all videos together. None for no bound.
    """

    def __init__(
        self,
        journal: Journal,
        media: MediaStore,
        *,
        retention: float | None,
        limit: int | None,
        now_utc: Callable[[], datetime],
    ) -> None:
        self.limit = limit
        self.retention = retention
        self.removed: Counter[str] = Counter()
        """Requests whose files were removed since the start, by the setting."""
        self._journal = journal
        self._media = media
        self._now_utc = now_utc
        self._sent: Counter[int] = Counter()  # jobs whose videos are being sent
        self._going: dict[int, str] = {}  # jobs whose files are being removed, and the setting
        self._task: asyncio.Task[None] | None = None
        self._is_over = False  # and that was logged

    def start(self) -> None:
        """Remove what may not stay, now and then until `close`."""
        if self.retention is not None or self.limit is not None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Remove nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @property
    def size(self) -> StoredBytes:
        """What is stored now. Raises `JournalError`."""
        return self._journal.stored_files.total()

    # ---- callers -----------------------------------------------------------------------------------------------------

    @contextmanager
    def sending(self, job: int) -> Iterator[None]:
        """Keep the videos of a job until the block ends."""
        self._sent[job] += 1
        try:
            yield
        finally:
            self._sent[job] -= 1
            if not self._sent[job]:
                del self._sent[job]

    def collected(self, job: int, files: Iterable[int]) -> None:
        """Note that its caller has got these videos of a job."""
        try:
            self._journal.stored_files.collect(job, files, self._now_utc())
        except JournalError as error:  # then it counts as not collected, and stays
            log.error("%s", error)

    def why_gone(self, job: int) -> str | None:
        """Why the files of a job were removed; None if they were not. Raises `JournalError`."""
        setting = self._going.get(job)
        if setting is None:
            stored = self._journal.stored_files.of_job(job)
            if stored is None or stored.removed_utc is None or not stored.files:
                return None
            setting = f"{stored.removed_by} since {datetime.fromisoformat(stored.removed_utc):%Y-%m-%d %H:%M} UTC"
        return f"the video was made, and its file is not kept on this server any more: {setting}"

    async def delete(self, record: JobRecord) -> None:
        """Remove the files of an ended job, media included, for its caller; what of an uncertain one may yet be needed
        stays. Its request must be deleted by now. Raises `JournalError`."""
        for file in record.files:
            with suppress(OSError):
                await _threads.saving.run(self._journal.locate(file).unlink, missing_ok=True)
        stored = self._journal.stored_files.of_job(record.id)
        if record.state is State.UNCERTAIN or (stored is not None and stored.removed_utc is not None):
            return
        self._journal.stored_files.remove([record.id], self._now_utc(), "its caller")
        if _keeps_media(record) and (media := hashes_in(record.prompt)):
            await _threads.saving.run(self._media.release, media)

    # ---- sweeps ------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep()
            except JournalError as error:
                log.error("files of ended requests are not removed now: %s", error)
            except Exception:
                log.exception("files of ended requests are not removed now")
            await asyncio.sleep(EVERY)

    async def sweep(self) -> None:
        """Remove what may not stay. Raises `JournalError`."""
        if self.retention is not None:
            await self._remove_old(self._now_utc() - timedelta(seconds=self.retention))
        if self.limit is not None:
            await self._make_room(self.limit)

    async def _remove_old(self, ended_before: datetime) -> None:
        last = None
        while page := self._journal.stored_files.ended_before(ended_before, last, PAGE):
            await self._remove(page, BY_AGE)
            last = page[-1]

    async def _make_room(self, limit: int) -> None:
        stored, last = self._journal.stored_files, None
        while (excess := self.size.everything - limit) > 0:
            if not (page := stored.collected_before(self._now_utc() - GRACE, last, PAGE)):
                break
            chosen: list[Stored] = []
            while page and excess > 0:
                chosen.append(page.pop(0))
                excess -= chosen[-1].bytes
            await self._remove(chosen, BY_ROOM)
            last = chosen[-1]
        if self._is_over is not (excess > 0):
            self._is_over = excess > 0
            if self._is_over:
                log.warning(
                    "the videos of requests take %.1f GB, which is more than %s: what their callers have not fetched, "
                    "or only just, stays",
                    self.size.everything / 1e9,
                    BY_ROOM,
                )

    async def _remove(self, page: list[Stored], setting: str) -> None:
        """Remove the files of those requests of a page that may go."""
        query = f"SELECT * FROM jobs WHERE id IN ({marks(page)})"
        found = self._journal.select(query, *(each.job for each in page))
        records = {record.id: record for record in found if self._may_go(record)}
        self._going |= dict.fromkeys(records, setting)
        try:
            stayed = await _threads.saving.run(self._unlink, [*records.values()])
            gone = [record for job, record in records.items() if job not in stayed]
            self._journal.stored_files.remove((record.id for record in gone), self._now_utc(), setting)
        finally:
            for job in records:
                del self._going[job]
        self.removed[setting] += len(gone)
        # Only now: what is released twice would be removed under another request that has it, too.
        media = [name for record in gone if _keeps_media(record) for name in hashes_in(record.prompt)]
        if media:
            await _threads.saving.run(self._media.release, media)

    def _may_go(self, record: JobRecord) -> bool:
        """False while its video is sent, made or searched for, or a person may still find out whether it was made."""
        if self._sent[record.id] or record.state is State.UNCERTAIN:
            return False
        return has_ended(record, busy=False)

    def _unlink(self, records: list[JobRecord]) -> set[int]:
        """Remove the videos of `records`. Returns the jobs whose videos could not be removed. Blocks."""
        stayed: set[int] = set()
        for record in records:
            for file in record.files:
                path = self._journal.locate(file)
                try:
                    if _is(path, file["size"]):
                        path.unlink()
                except FileNotFoundError:
                    continue
                except OSError as error:
                    log.warning("%s cannot be removed: %s", path, error.strerror)
                    stayed.add(record.id)
        return stayed


def _is(path: Path, size: int) -> bool:
    """False if another file has taken the place of a video of `size` bytes."""
    return path.is_file() and path.stat().st_size == size


def _keeps_media(record: JobRecord) -> bool:
    """True if the media of an ended request are kept, for a person may have it sent again."""
    return record.state is not State.SUCCEEDED and record.error_kind != WITHDRAWN
