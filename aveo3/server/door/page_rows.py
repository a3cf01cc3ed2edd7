"""Which requests the live page of the door shows: those that run, go next, and ended last, some of each caller.

Reads the journal by a connection of its own, in a thread: what changed since the last look, and no table as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aveo3.journal.fresh import marks
from aveo3.journal.journal import Journal
from aveo3.journal.reader import PAGE
from aveo3.journal.requests import Request
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import State
from aveo3.server.door.dispatcher import Dispatcher

MOST_RUNNING, MOST_WAITING, MOST_ENDED = 200, 150, 250
"""Requests that are shown."""

LOOK_BACK = 300_000
"""Steps of the journal in which the first look searches for what ended last."""

CHANGING = frozenset({State.PLANNED, State.SUBMITTING, State.RUNNING, State.FETCHING})
"""Jobs that have not ended."""


@dataclass(slots=True)
class Found:
    """What one look at the journal has found."""

    rows: list[tuple[Request, JobRecord]]
    """The requests to be shown that are new or have changed."""
    removed: Mapping[int, str]
    """Those whose files were removed from the disk, and the setting because of which they were."""


@dataclass(slots=True)
class Known:
    """What was found before."""

    event: int | None = None
    """The number of the last step of any job."""
    ended: dict[int, str] = field(default_factory=dict)
    """The callers of requests that ended, the last one last."""
    removed: Mapping[int, str] = field(default_factory=dict)
    rows: set[int] = field(default_factory=set)
    """The requests that are shown."""


def current(dispatcher: Dispatcher) -> list[int]:
    """The jobs that run, and that go next."""
    share = max(2, MOST_WAITING // max(1, len(dispatcher.waiting_by_caller())))
    return [*dispatcher.under_way()[-MOST_RUNNING:], *dispatcher.next_of_each(share)[:MOST_WAITING]]


def look(path: Path, known: Known, jobs: list[int]) -> Found:
    """Read what ended, and what has changed of that and of `jobs`. Brings `known` up to date, but for its `rows`.

    Raises `JournalError`.
    """
    with Journal(path, writes=False, checks=False) as journal:
        event = journal.last_event()
        since = max(0, event - LOOK_BACK) if known.event is None else known.event
        for job, caller in reversed(journal.read(_ENDED, since, event)):
            known.ended.pop(job, None)
            known.ended[job] = caller
        trim(known.ended)
        wanted = {*jobs, *known.ended}
        removed = {job: str(setting) for job, setting in journal.among(_REMOVED, [*known.ended])}
        stale = (wanted - known.rows) | (removed.keys() ^ known.removed.keys()) & wanted
        if known.event is not None:
            stale |= {job for [job] in journal.among(_CHANGED, [*wanted], since)}
        found = Found([*_rows(journal, sorted(stale))], removed)
    known.event, known.removed = event, removed
    return found


def trim(ended: dict[int, str]) -> None:
    """Keep `MOST_ENDED`: the oldest of who has most goes first, so that each caller keeps some."""
    of_each = Counter(ended.values())
    while (over := len(ended) - MOST_ENDED) > 0:
        most = max(of_each.values())
        full = {caller for caller, number in of_each.items() if number == most}
        for job in [job for job, caller in ended.items() if caller in full][: max(1, min(over, most // 2))]:
            of_each[ended.pop(job)] -= 1


def _rows(journal: Journal, jobs: list[int]) -> Iterator[tuple[Request, JobRecord]]:
    for begin in range(0, len(jobs), PAGE):
        page = jobs[begin : begin + PAGE]
        listed = f"IN ({marks(page)})"
        requests = {row[0]: Request(*row) for row in journal.read(f"SELECT * FROM requests WHERE job {listed}", *page)}
        for record in journal.select(f"SELECT * FROM jobs WHERE id {listed} ORDER BY id", *page):
            if record.id in requests:
                yield requests[record.id], record


_STATES = ", ".join(f"'{state}'" for state in sorted(set(State) - CHANGING))
_ENDED = (
    "SELECT events.job, caller FROM events JOIN requests ON requests.job = events.job + 0 "
    f"WHERE events.id > ? AND events.id <= ? AND state IN ({_STATES}) ORDER BY events.id DESC LIMIT 2000"
)
_CHANGED = "SELECT DISTINCT job FROM events WHERE id > ? AND job IN ({})"
_REMOVED = "SELECT job, removed_by FROM stored_files WHERE removed_utc IS NOT NULL AND files > 0 AND job IN ({})"
