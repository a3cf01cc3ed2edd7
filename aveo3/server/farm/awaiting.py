"""Waits until requests have ended, whichever process makes them: it reads the journal's events as they come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice
from typing import Any, TypeVar

from aveo3 import _threads
from aveo3.journal.database import Unreachable
from aveo3.journal.fresh import marks
from aveo3.journal.journal import Journal
from aveo3.journal.rows import JobRecord
from aveo3.server.door.standing import has_ended

log = logging.getLogger(__name__)

Result = TypeVar("Result")

LOOK = 1.0
"""Seconds between two looks for new events."""

PAGE = 1000
"""Events or jobs that are read at once."""


async def ended(journal: Journal, jobs: Iterable[int], after: int) -> AsyncIterator[JobRecord]:
    """Each of `jobs` once it has ended, also those that had ended before.

    `after` is the number of an event that was there before the first of `jobs` was looked for. A database that is away
    is waited for, as long as it takes.
    """
    waiting = set(jobs)
    everything = iter(tuple(waiting))
    while page := list(islice(everything, PAGE)):
        query = f"SELECT * FROM jobs WHERE id IN ({marks(page)}) ORDER BY id"
        for record in await _again(journal.select, query, *page):
            if has_ended(record, busy=False):
                waiting.discard(record.id)
                yield record
    while waiting:
        changed, last = await _again(journal.changed_since, after, PAGE)
        for record in changed:
            if record.id in waiting and has_ended(record, busy=False):
                waiting.discard(record.id)
                yield record
        if last == after:
            await asyncio.sleep(LOOK)
        after = last


async def _again(read: Callable[..., Result], *values: Any) -> Result:
    """What `read` returns, in a thread; again until the database is there."""
    told = False
    while True:
        try:
            return await _threads.reading.run(read, *values)
        except Unreachable as error:
            if not told:
                log.warning("%s", error)
            told = True
            await asyncio.sleep(LOOK)
