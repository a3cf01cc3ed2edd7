"""Tests whether the server accepts more than the strictest way of counting allows: then a batch ends sooner. Pure.

Nobody outside Google knows how a quota is counted. A window that holds in any period is safe for all ways. But it makes
the rest of a batch, if the batch is no multiple of the limit, wait for up to a period; a bucket, which refills all the
time, would take the rest at once. One request too many shows which it is. It goes only where a refusal costs nothing:
the last period of the batch has room to spare, even on a server that counts refused requests.
"""

from __future__ import annotations

from math import inf

from aveo3.quota.windows import QuotaWindow

EARLY = 0.05
"""A refusal's delay must be shorter than a sliding window's by this fraction of a period to prove that the server has
none. Round trips blur smaller differences, and those gain nothing."""


LIKELY_PASSED = 0.6
"""Fraction of a period after which a request tests whether a fixed window's edge has passed: see `first_try_at`."""


class Refill:
    """Upper bound on how full the server's leaking bucket is, if it has one. Instants in, instants out.

    A request counts in full until it is answered, then leaks like the rest. So the server's bucket is never fuller than
    this, whenever the request arrived there.
    """

    def __init__(self, period: float, *, margin: float = 0.01) -> None:
        self.period = period * (1 + margin)
        self._level = 0.0
        self._at = -inf

    def answered(self, now: float, limit: float) -> None:
        """A request was answered: from now on it leaks."""
        # The level never exceeds the limit: refused requests build up no debt.
        self._level, self._at = min(self._leaked(now, limit) + 1, limit), now

    def ready_at(self, now: float, limit: float, in_flight: float) -> float:
        """The earliest instant at which one more request fits; `inf` if that depends on answers."""
        return inf if in_flight + 1 > limit else self.done_at(now, limit, in_flight + 1)

    def done_at(self, now: float, limit: float, more: float) -> float:
        """The earliest instant at which the last of `more` requests fits, if each goes as soon as it fits."""
        excess = self._leaked(now, limit) + more - limit
        return now if excess <= 0 else now + excess * self.period / limit

    def _leaked(self, now: float, limit: float) -> float:
        return max(0.0, self._level - (now - self._at) * limit / self.period) if self._at > -inf else 0.0


class Overflow:
    """Decides whether a request may go although the window is full: until one was refused, if a refusal is free."""

    def __init__(self, period: float) -> None:
        self._refill = Refill(period)
        self.refused = False
        """True once a request over the full window was refused: from then on the window holds."""
        self.accepted = 0
        """Requests over the full window that were accepted."""

    def answered(self, now: float, limit: float) -> None:
        """Count an answered request, whether the window was full or not."""
        self._refill.answered(now, limit)

    def ready_at(self, now: float, limit: float, in_flight: float) -> float:
        """When a server's bucket would take one more request over a full window; `inf` once one was refused."""
        if self.refused:
            return inf
        return self._refill.ready_at(now, limit, in_flight)

    def first_try_at(self, now: float, window: QuotaWindow, waiting: int) -> float:
        """The instant of the first request over a full window; `waiting` are still to come, this one included.

        A fixed window takes it once its edge has passed. The edge lies anywhere in the period T after the window's
        first request. A try at s·T comes after the edge with probability s, and the batch then ends up to s·T late;
        otherwise it ends up to (1 - s)·T late. A single try loses the least at s = 1/2: T / 4 on average, instead of
        T / 2 without a try. If another try may follow, the best is s = 2/3. A bucket takes the request as soon as it
        has refilled. It loses nothing by the wait if the wait ends before the last request would have gone.
        """
        refilled = self.ready_at(now, window.limit, window.in_flight)
        oldest = window.oldest(now)
        if oldest is None:
            return refilled
        bucket_end = self._refill.done_at(now, window.limit, window.in_flight + waiting)
        return max(refilled, min(oldest + LIKELY_PASSED * window.period, bucket_end))


class Edge:
    """The end of a fixed window, named by a refusal's delay: the server counts anew from there, and so may the client.

    A delay that ends before any of our requests is a period old cannot come from a sliding window of ours. With other
    people's requests in the window it looks the same, though. So a scout goes first, and once a named edge proves
    wrong, no edge is trusted again.
    """

    def __init__(self, window: QuotaWindow) -> None:
        self._window = window
        self._forgotten: list[tuple[float, float]] = []
        self._passed_at = -inf
        self._passed = False
        self._trusted = True
        self.at = inf
        """The edge named last; `inf` if none is still to come."""

    def named(self, delay: float, now: float) -> None:
        """Note an edge `delay` seconds from now. Call it if the server has no bucket and we alone filled its window."""
        nearly = self._window.period * (1 - EARLY)
        # Answers about to leave a sliding window explain a very short delay, but not a longer one.
        oldest = self._window.oldest(now, nearly if delay > self._window.period - nearly else None)
        if self._trusted and oldest is not None and now + delay < oldest + nearly:
            self.at = now + delay

    def pass_by(self, now: float) -> None:
        """Count anew if the edge has come."""
        if self.at <= now:
            self._forgotten = self._window.forget()
            self._passed_at, self.at, self._passed = now, inf, True

    def has_passed(self) -> bool:
        """True for the first call after an edge, False for the next ones."""
        passed, self._passed = self._passed, False
        return passed

    def refused(self, now: float) -> None:
        """Note a refusal. If it comes within the new window, the edge was wrong: the forgotten answers count again."""
        if now - self._passed_at < self._window.period * (1 - EARLY):
            self._window.put_back(self._forgotten)
            self._forgotten, self._passed_at, self._trusted = [], -inf, False
