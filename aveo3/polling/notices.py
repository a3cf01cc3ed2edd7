"""Operations that are said to have ended before a poll found out, and which of them was polled since."""

from __future__ import annotations

LIMIT = 1_000
"""Notices that are kept. An operation may end, and be said to, before anybody here waits for it."""


class EndNotices:
    """The newest `LIMIT` operations that are said to have ended: `operation in notices`."""

    def __init__(self) -> None:
        self._polled_since: dict[str, bool] = {}

    def __contains__(self, operation: str) -> bool:
        return operation in self._polled_since

    def __len__(self) -> int:
        return len(self._polled_since)

    def add(self, operation: str) -> None:
        """It is said that `operation` has ended. Said again it changes nothing."""
        self._polled_since.setdefault(operation, False)
        if len(self._polled_since) > LIMIT:
            del self._polled_since[next(iter(self._polled_since))]

    def is_new(self, operation: str) -> bool:
        """True if `operation` is said to have ended, and was not polled since."""
        return self._polled_since.get(operation) is False

    def polled(self, operation: str) -> bool:
        """Note a poll of `operation`. True if it is said to have ended."""
        if operation not in self._polled_since:
            return False
        self._polled_since[operation] = True
        return True

    def remove(self, operation: str) -> bool:
        """Forget `operation`, whose end is known. True if it was said to have ended."""
        return self._polled_since.pop(operation, None) is not None
