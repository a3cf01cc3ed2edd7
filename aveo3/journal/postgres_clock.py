"""The clock of a PostgreSQL server, so that machines whose own clocks are wrong agree on days and windows."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

DRIFT = 1e-4
"""Seconds that a clock may go wrong in each second between two measurements."""


class ServerClock:
    """The server's time, by the machine's monotonic clock and the last good measurement of how far it is off."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self._zero: datetime | None = None  # the server's time when the monotonic clock showed 0
        self._error = float("inf")  # seconds by which `_zero` may be wrong
        self._measured = 0.0

    def measure(self, begun: float, server: datetime) -> None:
        """Take the `server`'s time, which was asked for at `begun` by the monotonic clock, and has just arrived.

        It may have been read at any instant between. An answer that was longer under way counts if the last is old.
        """
        now = self.monotonic()
        error = (now - begun) / 2
        if error <= self._error + (now - self._measured) * DRIFT:
            self._zero = server.astimezone(UTC) - timedelta(seconds=(begun + now) / 2)
            self._error, self._measured = error, now

    def now_utc(self) -> datetime:
        """The server's time; the machine's before the first measurement."""
        if self._zero is None:
            return datetime.now(UTC)
        return self._zero + timedelta(seconds=self.monotonic())
