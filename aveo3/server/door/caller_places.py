"""Bounds what goes on at the same time, in all and for each caller, so that no caller keeps all others waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class CallerPlaces:
    """`total` places, of which one caller has at most `each`. Who waits for one goes in the order of its coming."""

    def __init__(self, total: int, each: int) -> None:
        self._all = asyncio.Semaphore(total)
        self._each = each
        self._own: dict[str, asyncio.Semaphore] = {}
        self._users: dict[str, int] = {}

    @asynccontextmanager
    async def place(self, account: str) -> AsyncIterator[None]:
        """Hold a place of a caller until the block ends. It waits for one of its own first, so it blocks no other."""
        own = self._own.setdefault(account, asyncio.Semaphore(self._each))
        self._users[account] = self._users.get(account, 0) + 1
        try:
            async with own, self._all:
                yield
        finally:
            self._users[account] -= 1
            if not self._users[account]:
                del self._users[account], self._own[account]
