"""Rings when other processes may have written into a journal."""

from __future__ import annotations

import asyncio
from typing import Protocol

EVERY = 2.0
"""Seconds after which it rings at the latest: a signal may be lost."""


class Bell(Protocol):
    """Rings soon after each change by another process, and every few seconds."""

    async def wait(self) -> None:
        """Return when it rings. Raises `JournalError` while the database is away."""
        ...

    async def close(self) -> None:
        """Wait no more."""
        ...


class Clockwork:
    """A bell that rings every few seconds: nobody else writes, or nobody says so."""

    async def wait(self) -> None:
        """See `Bell`."""
        await asyncio.sleep(EVERY)

    async def close(self) -> None:
        """See `Bell`."""
