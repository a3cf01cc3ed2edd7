"""What other processes write into a shared journal, as they write it: the jobs that have changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress

from aveo3 import _threads
from aveo3.errors import JournalError
from aveo3.journal.journal import Journal

log = logging.getLogger(__name__)

PAGE = 1000
"""Events that are read at once."""

AWAY = 0.5
"""Seconds until a database that is away is asked again."""


async def tail(journal: Journal, after: int) -> AsyncGenerator[tuple[list[int], int], None]:
    """The jobs that have changed after the event of number `after`, and the number of the last event; as they change.

    Events have their numbers in the order of their commits, so none is missed. While the database is away it waits.
    """
    bell = journal.bell()
    try:
        while True:
            try:
                rows = await _threads.reading.run(journal.read, _NEWER, after, PAGE)
                if rows:
                    after = rows[-1][0]
                    yield list(dict.fromkeys(row[1] for row in rows)), after
                else:
                    await bell.wait()
            except JournalError as error:
                log.debug("%s", error)
                await asyncio.sleep(AWAY)
    finally:
        with suppress(JournalError):
            await bell.close()


_NEWER = "SELECT id, job FROM events WHERE id > ? ORDER BY id LIMIT ?"
