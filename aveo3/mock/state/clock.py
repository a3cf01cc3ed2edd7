"""What time it is inside the emulator: the event loop's clock, run faster; nobody else here reads a clock."""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def system_utc() -> datetime:
    return datetime.now(UTC)


class Clock:
    """Emulator seconds since the start, `speed` of them to each second of the running loop.

    The loop is asked, never `time.monotonic`, so the emulator also runs on a loop whose time jumps. Calendar time is
    `now_utc()` plus the lead that the faster clock has gained; at speed 1 it is `now_utc()` itself, to the letter.
    """

    def __init__(self, speed: float = 1.0, now_utc: Callable[[], datetime] = system_utc) -> None:
        self.speed = speed
        self._now_utc = now_utc
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began = 0.0

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    def now(self) -> float:
        if self._loop is None:
            return 0.0
        return (self._loop.time() - self._began) * self.speed

    def utc(self) -> datetime:
        lead = self.now() * (1 - 1 / self.speed)
        return self._now_utc() + timedelta(seconds=lead)

    def client_utc(self) -> datetime:
        """The calendar on the client's clock, which is not sped up: for what it compares with its own."""
        return self._now_utc()

    def utc_at(self, instant: float) -> datetime:
        """The calendar at an emulator instant that has passed."""
        return self.utc() - timedelta(seconds=self.now() - instant)

    def client_seconds(self, duration: float) -> float:
        """How long `duration` emulator seconds take on the client's clock, rounded up to whole microseconds.

        Every duration that leaves the process goes through here. The client's clock is not sped up: told "retry in
        60 s" by a server that runs 60 times faster it would sleep through sixty windows, so it must be told one second.
        """
        return math.ceil(duration / self.speed * 1e6) / 1e6

    async def sleep(self, duration: float) -> None:
        if duration > 0:
            await asyncio.sleep(duration / self.speed)
