"""What waits and runs at the door, caller by caller, at one instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aveo3.journal.journal import Journal
from aveo3.lifecycle import State
from aveo3.server.door.dispatcher import Dispatcher


@dataclass(slots=True)
class Queue:
    """The requests of one caller that have not ended."""

    waiting: int = 0
    """To be sent: those in the queue, those next in line of a lane, those to be sent again."""
    running: int = 0
    """Being submitted, made or fetched."""
    oldest_seconds: float = 0.0
    """Seconds since the oldest of the waiting ones was accepted."""


def queues_of(dispatcher: Dispatcher, journal: Journal, now: datetime) -> dict[str, Queue]:
    """The requests of each caller that has some. Reads one row for each caller, and those that are under way.

    Raises `JournalError`.
    """
    found: dict[str, Queue] = {}

    def wait(caller: str, number: int, queued_utc: str) -> None:
        queue = found.setdefault(caller, Queue())
        queue.waiting += number
        seconds = (now - datetime.fromisoformat(queued_utc)).total_seconds()
        queue.oldest_seconds = max(queue.oldest_seconds, seconds)

    for caller, (number, oldest) in dispatcher.waiting_by_caller().items():
        [[queued_utc]] = journal.read("SELECT queued_utc FROM jobs WHERE id = ?", oldest)
        wait(caller, number, queued_utc)
    rows = journal.among(_UNDER_WAY, dispatcher.under_way())
    for caller, state, number, queued_utc in rows:
        if state == State.PLANNED:
            wait(caller, number, queued_utc)
        elif state in (State.SUBMITTING, State.RUNNING, State.FETCHING):
            found.setdefault(caller, Queue()).running += number
    return found


_UNDER_WAY = (
    "SELECT caller, state, count(*), min(queued_utc) FROM requests JOIN jobs ON jobs.id = job "
    "WHERE job IN ({}) GROUP BY caller, state"
)
