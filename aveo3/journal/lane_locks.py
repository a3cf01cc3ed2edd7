"""The locks of the lanes: of each lane, only the process that holds its lock submits there."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol

LEASE = 15.0
"""Seconds without a sign of life after which the database ends the session that holds the locks."""


class LaneLocks(Protocol):
    """The locks that this process holds. They are lost together, with the session that holds them.

    Lanes are named by their keys (`lane_key`). Methods raise `JournalError` while the database is away.
    """

    @property
    def held(self) -> frozenset[str]:
        """The lanes whose locks this process holds."""
        ...

    async def wait(self, lanes: Collection[str]) -> frozenset[str]:
        """Wait until a lock of `lanes` is held, and take the others that are free. Returns all held."""
        ...

    async def take_free(self, lanes: Collection[str]) -> frozenset[str]:
        """Take the locks of `lanes` that nobody holds, without waiting. Returns all held."""
        ...

    async def until_lost(self) -> None:
        """Return when no lock is held any more."""
        ...

    async def release(self) -> None:
        """Give all locks back."""
        ...


class OwnLocks:
    """The locks of a journal that no other process can write to: they are free, and never lost."""

    def __init__(self) -> None:
        self.held: frozenset[str] = frozenset()

    async def wait(self, lanes: Collection[str]) -> frozenset[str]:
        """See `LaneLocks`."""
        return await self.take_free(lanes)

    async def take_free(self, lanes: Collection[str]) -> frozenset[str]:
        """See `LaneLocks`."""
        self.held |= frozenset(lanes)
        return self.held

    async def until_lost(self) -> None:
        """See `LaneLocks`."""
        await asyncio.get_running_loop().create_future()

    async def release(self) -> None:
        """See `LaneLocks`."""
        self.held = frozenset()
