"""Notices, from a webhook, that operations have ended, and which of these operations was polled since."""

from __future__ import annotations

LIMIT = 1_000
"""Most notices that are kept. A notice may come before anybody here waits for its operation."""


class EndNotices:
    """The newest `LIMIT` operations that a notice says have ended: `operation in notices`."""

    def __init__(self) -> None:
        self._polled_since: dict[str, bool] = {}

    def __contains__(self, operation: str) -> bool:
        return operation in self._polled_since

    def __len__(self) -> int:
        return len(self._polled_since)

    def add(self, operation: str) -> None:
        """Note that `operation` is reported to have ended. A second notice changes nothing."""
        self._polled_since.setdefault(operation, False)
        if len(self._polled_since) > LIMIT:
            del self._polled_since[next(iter(self._polled_since))]

    def is_new(self, operation: str) -> bool:
        """True if `operation` is reported to have ended, and was not polled since."""
        return self._polled_since.get(operation) is False

    def polled(self, operation: str) -> bool:
        """Note a poll of `operation`. True if it is reported to have ended."""
        if operation not in self._polled_since:
            return False
        self._polled_since[operation] = True
        return True

    def remove(self, operation: str) -> bool:
        """Forget `operation`, whose end a poll has found. True if there was a notice of it."""
        return self._polled_since.pop(operation, None) is not None
