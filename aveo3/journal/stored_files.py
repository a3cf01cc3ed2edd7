"""What lies on the disk for requests that have ended: videos, and who has got them; media, which may be needed again.

A trigger writes the rows when a request's job ends: see `stored_files_schema`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from aveo3.journal.reader import JournalReader
from aveo3.journal.writer import Write


@dataclass(frozen=True, slots=True)
class Stored:
    """The files of one ended request, in the order of the columns."""

    job: int
    ended_utc: str
    files: int
    """How many videos there are."""
    bytes: int
    """Of all of its videos."""
    collected: int
    """The videos that its caller has got whole, a bit each."""
    collected_utc: str | None
    """When its caller last got one, if it has got them all."""
    removed_utc: str | None
    """When the server removed its videos and media."""
    removed_by: str | None
    """The setting because of which it did."""


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """Bytes of the videos of all requests that are on the disk."""

    everything: int
    collected: int
    """Those that their callers have got."""


class StoredFiles:
    """Finds and changes what is stored, in the journal that `reader` reads and `write` changes."""

    def __init__(self, reader: JournalReader, write: Write) -> None:
        self._reader = reader
        self._write = write

    def of_job(self, job: int) -> Stored | None:
        """What is stored for a job; None if it came as no request, or has not ended."""
        found = self._reader.read("SELECT * FROM stored_files WHERE job = ?", job)
        return Stored(*found[0]) if found else None

    def total(self) -> StoredBytes:
        """What is stored by now, which a trigger keeps count of."""
        [[everything, collected]] = self._reader.read("SELECT bytes, collected FROM stored_bytes")
        return StoredBytes(everything, collected)

    def largest_of_last(self) -> int:
        """Bytes of the largest videos of the last 50 requests that ended; 0 without any."""
        query = (
            "SELECT coalesce(max(bytes), 0) FROM (SELECT bytes FROM stored_files ORDER BY job DESC LIMIT 50) AS last"
        )
        return int(self._reader.read(query)[0][0])

    def ended_before(self, instant: datetime, behind: Stored | None, limit: int) -> list[Stored]:
        """Up to `limit` that are there and ended before `instant`, the oldest first; `behind` begins after that one."""
        after = ("", 0) if behind is None else (behind.ended_utc, behind.job)
        return self._page("ended_utc", instant, after, limit)

    def collected_before(self, instant: datetime, behind: Stored | None, limit: int) -> list[Stored]:
        """The same for those whose videos were all collected, the last one before `instant`; longest ago first."""
        after = ("", 0) if behind is None else (behind.collected_utc, behind.job)
        return self._page("collected_utc", instant, after, limit)

    def _page(self, column: str, before: datetime, after: tuple[str | None, int], limit: int) -> list[Stored]:
        query = (
            f"SELECT * FROM stored_files WHERE removed_utc IS NULL AND {column} < ? AND ({column}, job) > (?, ?) "
            f"ORDER BY {column}, job LIMIT ?"
        )
        return [Stored(*row) for row in self._reader.read(query, before.isoformat(), *after, limit)]

    def without_media(self) -> set[int]:
        """The jobs without videos whose media were removed."""
        rows = self._reader.read("SELECT job FROM stored_files WHERE removed_utc IS NOT NULL AND files = 0")
        return {job for [job] in rows}

    def collect(self, job: int, files: Iterable[int], at: datetime) -> None:
        """Note that its caller has got these videos of `job`, by their numbers from 0.

        Raises `JournalError` if the disk refuses.
        """
        bits = sum({1 << number for number in files})
        self._write((_COLLECT, (bits, bits, at.isoformat(), job)), commit=True)

    def remove(self, jobs: Iterable[int], at: datetime, setting: str) -> None:
        """Note that the files of `jobs` were removed because of a setting, in one step."""
        steps = [(_REMOVE, (at.isoformat(), setting, job)) for job in jobs]
        if steps:
            self._write(*steps, commit=True)


_COLLECT = (
    "UPDATE stored_files SET collected = collected | ?, "
    "collected_utc = CASE WHEN (collected | ?) = (CAST(1 AS BIGINT) << CAST(files AS INTEGER)) - 1 THEN ? END "
    "WHERE job = ?"
)
_REMOVE = "UPDATE stored_files SET removed_utc = ?, removed_by = ? WHERE job = ?"
