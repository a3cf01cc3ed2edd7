"""The emulator's clock: the event loop's clock, multiplied by `speed`. No other module here reads a clock."""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def system_utc() -> datetime:
    return datetime.now(UTC)


class Clock:
    """Emulator seconds since the start: `speed` of them pass in each second of the running loop.

    The clock reads the loop, never `time.monotonic`, so the emulator also runs on a loop in virtual time. Calendar time
    is `now_utc()` plus the lead of the faster clock. At speed 1 it is exactly `now_utc()`.
    """

    def __init__(self, speed: float = 1.0, now_utc: Callable[[], datetime] = system_utc) -> None:
        self.speed = speed
        self._now_utc = now_utc
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started_at = 0.0

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()

    def now(self) -> float:
        if self._loop is None:
            return 0.0
        return (self._loop.time() - self._started_at) * self.speed

    def utc(self) -> datetime:
        lead = self.now() * (1 - 1 / self.speed)
        return self._now_utc() + timedelta(seconds=lead)

    def client_utc(self) -> datetime:
        """Calendar time on the client's clock, which does not run faster. For times that the client compares."""
        return self._now_utc()

    def utc_at(self, instant: float) -> datetime:
        """Calendar time at an emulator instant in the past."""
        return self.utc() - timedelta(seconds=self.now() - instant)

    def client_seconds(self, duration: float) -> float:
        """Convert `duration` emulator seconds to the client's clock, rounded up to whole microseconds.

        Every duration that leaves the process must be converted here. The client's clock does not run faster: on
        "retry in 60 s" from a server with speed 60 it would sleep through sixty windows. It has to read one second.
        """
        return math.ceil(duration / self.speed * 1e6) / 1e6

    async def sleep(self, duration: float) -> None:
        if duration > 0:
            await asyncio.sleep(duration / self.speed)
