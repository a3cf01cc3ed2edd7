"""Whether the server lets more through than the strictest way of counting: the end of a batch without waiting. Pure.

Nobody outside Google knows how a quota is counted. A window that holds in any period is safe for all ways, and makes
the rest of a batch that is no multiple of the limit wait for up to a period where a bucket, which refills all the time,
would take it at once. One request too many shows which it is. It goes only where it costs nothing if it is refused: the
last period of the batch has places to spare, even for a server that counts what it refuses.
"""

from __future__ import annotations

from math import inf

from aveo3.quota.windows import QuotaWindow

EARLY = 0.05
"""Fraction of a period by which a named delay must be shorter than a sliding window would ask for to prove that it is
none: round trips blur what is less, and nothing is to be gained by it."""


LIKELY_PASSED = 0.6
"""Fraction of a period after which it is found out whether a fixed window's edge has passed: see `first_try_at`."""


class Refill:
    """How full a leaking bucket of the server's is at the most, if it has one. Instants in, instants out.

    A request counts in full until it is answered, then leaks like the rest: whenever it arrived, the server's bucket is
    no fuller than this.
    """

    def __init__(self, period: float, *, margin: float = 0.01) -> None:
        self.period = period * (1 + margin)
        self._level = 0.0
        self._at = -inf

    def answered(self, now: float, limit: float) -> None:
        """A request was answered: from here on it leaks."""
        # A bucket cannot be emptier than empty: what was refused has built up no debt.
        self._level, self._at = min(self._leaked(now, limit) + 1, limit), now

    def ready_at(self, now: float, limit: float, in_flight: float) -> float:
        """The earliest instant at which one more fits; `inf` if that hangs on answers."""
        return inf if in_flight + 1 > limit else self.done_at(now, limit, in_flight + 1)

    def done_at(self, now: float, limit: float, more: float) -> float:
        """The earliest instant at which the last of so many `more` fits, each having gone as soon as it did."""
        excess = self._leaked(now, limit) + more - limit
        return now if excess <= 0 else now + excess * self.period / limit

    def _leaked(self, now: float, limit: float) -> float:
        return max(0.0, self._level - (now - self._at) * limit / self.period) if self._at > -inf else 0.0


class Overflow:
    """May one request go though the window is full? Until one was refused, if nothing is lost by that."""

    def __init__(self, period: float) -> None:
        self._refill = Refill(period)
        self.refused = False
        """A request too many was refused: from then on the window holds."""
        self.accepted = 0
        """Requests too many that were accepted."""

    def answered(self, now: float, limit: float) -> None:
        """Any request was answered."""
        self._refill.answered(now, limit)

    def ready_at(self, now: float, limit: float, in_flight: float) -> float:
        """The instant at which a server's bucket would take one more over a full window; `inf` once one was refused."""
        if self.refused:
            return inf
        return self._refill.ready_at(now, limit, in_flight)

    def first_try_at(self, now: float, window: QuotaWindow, waiting: int) -> float:
        """The instant of the first request over a full window, `waiting` being still to come, this one included.

        A fixed window takes it once its edge has passed, which lies anywhere in the period T after the window's first
        request. Who tries at s·T finds it passed with the probability s, and is up to s·T late at the end; else up to
        (1 - s)·T. One try loses the least at s = 1/2: T / 4 on average, instead of T / 2 without; if another may
        follow, at s = 2/3. A bucket would take it as soon as it has refilled, and loses nothing by the wait as long as
        it is over by the time at which the last one would have gone.
        """
        refilled = self.ready_at(now, window.limit, window.in_flight)
        oldest = window.oldest(now)
        if oldest is None:
            return refilled
        a_buckets_end = self._refill.done_at(now, window.limit, window.in_flight + waiting)
        return max(refilled, min(oldest + LIKELY_PASSED * window.period, a_buckets_end))


class Edge:
    """The end of a fixed window, told by a refusal's delay: the server counts anew from there, and so may we.

    A delay that ends before anything of ours is a period old cannot be a sliding window's. That of somebody else's
    request looks the same, though: a scout goes first, and what was named in vain once is never believed again.
    """

    def __init__(self, window: QuotaWindow) -> None:
        self._window = window
        self._forgotten: list[tuple[float, float]] = []
        self._passed_at = -inf
        self._passed = False
        self._keeps_its_word = True
        self.at = inf
        """The instant that was named last, if it is still to come."""

    def named(self, delay: float, now: float) -> None:
        """The server is no bucket, we alone filled its window, and it has room again in `delay` seconds."""
        nearly = self._window.period * (1 - EARLY)
        # What is about to leave a sliding window explains a delay of a moment, and no longer one.
        oldest = self._window.oldest(now, nearly if delay > self._window.period - nearly else None)
        if self._keeps_its_word and oldest is not None and now + delay < oldest + nearly:
            self.at = now + delay

    def pass_by(self, now: float) -> None:
        """Count anew if its time has come."""
        if self.at <= now:
            self._forgotten = self._window.forget()
            self._passed_at, self.at, self._passed = now, inf, True

    def has_passed(self) -> bool:
        """True once after it has."""
        passed, self._passed = self._passed, False
        return passed

    def refused(self, now: float) -> None:
        """A request was refused: if the window was to be new, it was named in vain, and what it saw counts again."""
        if now - self._passed_at < self._window.period * (1 - EARLY):
            self._window.put_back(self._forgotten)
            self._forgotten, self._passed_at, self._keeps_its_word = [], -inf, False
