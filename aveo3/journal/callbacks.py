"""Callbacks: which ends of requests are to be told, where, and how far the telling has come."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import datetime

from aveo3.journal.fresh import marks
from aveo3.journal.reader import JournalReader
from aveo3.journal.writer import Write
from aveo3.lifecycle import State


@dataclass(frozen=True, slots=True)
class Callback:
    """One end to be told, in the order of its columns. Its row is written with its request."""

    job: int
    url: str
    base: str
    """The address of the server as the caller used it: `scheme://host`."""
    attempts: int = 0
    next_utc: str | None = None
    """When it is tried again; None before the first attempt."""
    closed_utc: str | None = None
    """When it was delivered or given up: nothing more is sent."""
    outcome: str | None = None
    """`delivered`, or what went wrong last."""

    @property
    def due(self) -> datetime | None:
        """When it is tried again."""
        return None if self.next_utc is None else datetime.fromisoformat(self.next_utc)


class Callbacks:
    """Finds and changes the callbacks in the journal that `reader` reads and `write` changes."""

    def __init__(self, reader: JournalReader, write: Write) -> None:
        self._reader = reader
        self._write = write

    def of_job(self, job: int) -> Callback | None:
        """The callback of a job, unless it is closed; None if there is none."""
        found = self._reader.read("SELECT * FROM callbacks WHERE job = ? AND closed_utc IS NULL", job)
        return Callback(*found[0]) if found else None

    def open_jobs(self) -> list[int]:
        """The jobs whose callbacks are not closed, except those that wait or are under way, oldest first."""
        query = (
            "SELECT job FROM callbacks JOIN jobs ON jobs.id = job WHERE closed_utc IS NULL "
            f"AND state NOT IN ({marks(_UNENDED)}) ORDER BY job"
        )
        return [job for [job] in self._reader.read(query, *_UNENDED)]

    def change(self, callback: Callback) -> None:
        """Replace the row of a callback, committed. Raises `JournalError` if the disk refuses."""
        self._write((_CHANGE, (*astuple(callback)[3:], callback.job)), commit=True)


_UNENDED = (State.PLANNED, State.SUBMITTING, State.RUNNING, State.FETCHING)

ADD = "INSERT INTO callbacks VALUES (?, ?, ?, ?, ?, ?, ?)"
DROP = "DELETE FROM callbacks WHERE job = ?"
_CHANGE = "UPDATE callbacks SET attempts = ?, next_utc = ?, closed_utc = ?, outcome = ? WHERE job = ?"
