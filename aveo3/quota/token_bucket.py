"""The token bucket: `burst` submits at once, `limit` per `period` on average, on aiolimiter's `AsyncLimiter`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiolimiter import AsyncLimiter

from aveo3.config.rates import Rate


class TokenBucket:
    """Paces one lane. The bucket itself waits for a token, and keeps it until a submit takes it.

    So a cancelled waiter has taken nothing: the next one finds the token. The bucket waits for at most one token at a
    time, which makes aiolimiter serve strictly in order.
    """

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._limiter = _limiter(rate)
        self._in_hand = 0
        self._coming: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """True if a token can be taken now."""
        return self._in_hand > 0 or (self._coming is None and self._limiter.has_capacity())

    async def take(self) -> None:
        """Take a token that is `ready`. Never suspends, so it cannot be cancelled halfway."""
        if self._in_hand:
            self._in_hand -= 1
        else:
            await self._limiter.acquire()

    def put_back(self) -> None:
        """Return a token that was taken and not used."""
        self._in_hand += 1

    def call_when_ready(self, callback: Callable[[], object]) -> None:
        """Call `callback` once a token is ready. Takes no token."""

        def arrived(task: asyncio.Task[None]) -> None:
            if self._coming is task:
                self._coming = None
            if not task.cancelled():
                self._in_hand += 1
                callback()

        if self._coming is None:
            self._coming = asyncio.get_running_loop().create_task(self._limiter.acquire())
            self._coming.add_done_callback(arrived)

    def keep_up(self, limit: float, *, anew: bool) -> None:
        """Follow the windows: if they allow more than the bucket's rate, or begin `anew`, start full at their limit.

        Where the settings limit bursts, windows that begin anew change nothing: a burst stays limited.
        """
        rate = self.rate
        if limit > rate.limit or (anew and rate.burst == rate.limit):
            limit = max(rate.limit, int(limit))
            self.renew(Rate(limit, rate.period, limit if rate.burst == rate.limit else rate.burst))

    def renew(self, rate: Rate) -> None:
        """Start full at `rate`: the quota is whole again, or larger. Waiters must call `call_when_ready` again."""
        self.close()
        self._coming, self._in_hand, self.rate = None, 0, rate
        self._limiter = _limiter(rate)

    def close(self) -> None:
        """Stop waiting for tokens."""
        if self._coming is not None:
            self._coming.cancel()


def _limiter(rate: Rate) -> AsyncLimiter:
    """A limiter of `burst` tokens that refill at `limit / period`."""
    return AsyncLimiter(rate.burst, rate.burst * rate.period / rate.limit)
