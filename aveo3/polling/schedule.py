"""All operations that wait for their next poll, on one heap with one timer, and within one budget of polls a second.

Ten thousand operations are ten thousand entries here, not ten thousand timers. The one that is due first goes first.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

SLACK = 1.0
"""After a lull, the polls of this many seconds may go at once: polls come in clumps, and a clump may pass."""


@dataclass(eq=False, slots=True)
class PollWaiter:
    """One operation that waits for its next poll.

    `when` returns the instant of that poll; the schedule calls it again when estimates for its `group` change.
    `demand` is the number of polls a second at its own pace. `paced`: it keeps to the budget.
    """

    when: Callable[[], float]
    group: object
    demand: float
    paced: bool
    due: float = 0.0
    woken: asyncio.Future[None] = field(init=False)


class PollSchedule:
    """Lets waiters go when they are due, at most `pace` of the paced ones a second. One event loop, one thread."""

    def __init__(self, pace: float = inf) -> None:
        self._pace = pace
        self._heap: list[tuple[float, int, PollWaiter]] = []
        self._waiters: dict[PollWaiter, None] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._free_at = -inf
        self._demand = 0.0
        self._tightest = 1.0

    def share(self, pace: float) -> None:
        """Keep to `pace` polls a second from now on: other processes use up the rest of the budget."""
        self._pace = pace

    def __len__(self) -> int:
        return len(self._waiters)

    @property
    def stretch(self) -> float:
        """The factor by which all intervals must grow for Σ1/Δ to be within the budget.

        Δ = √(2c/h) for every operation, so c·stretch² instead of c makes every Δ stretch times as long. No search is
        needed.
        """
        return max(1.0, self._demand / self._pace)

    async def sleep(self, waiter: PollWaiter) -> None:
        """Return when `waiter` may poll. Cancelling leaves nothing behind."""
        loop = asyncio.get_running_loop()
        waiter.woken = loop.create_future()
        self._waiters[waiter] = None
        self._demand += waiter.demand
        self._tightest = max(self._tightest, self.stretch)
        self._push(waiter)
        self._arm(loop)
        try:
            await waiter.woken
        finally:
            self._leave(waiter, loop)

    def wake(self, waiter: PollWaiter) -> None:
        """Let `waiter` go now, whatever the budget."""
        if waiter in self._waiters and not waiter.woken.done():
            waiter.woken.set_result(None)

    def rethink(self, group: object = None) -> None:
        """Compute anew when the waiters of `group` are due; None: all waiters."""
        for waiter in self._waiters:
            if group is None or waiter.group is group:
                waiter.due = waiter.when()
        self._rebuild()
        self._arm(asyncio.get_running_loop())

    def _push(self, waiter: PollWaiter) -> None:
        waiter.due = waiter.when()
        self._count += 1
        heapq.heappush(self._heap, (waiter.due, self._count, waiter))

    def _rebuild(self) -> None:
        self._heap = [(s.due, n, s) for n, s in enumerate(self._waiters) if not s.woken.done()]
        self._count = len(self._waiters)
        heapq.heapify(self._heap)

    def _leave(self, waiter: PollWaiter, loop: asyncio.AbstractEventLoop) -> None:
        del self._waiters[waiter]
        waiter.woken.cancel()
        self._demand = self._demand - waiter.demand if self._waiters else 0.0  # roundings would add up for ever
        if self._tightest > 1 and self.stretch <= self._tightest / 2:  # far fewer operations: poll more often again
            self._tightest = self.stretch
            self.rethink()
        elif len(self._heap) > 2 * len(self._waiters) + 16:  # cancelled waiters are still on the heap
            self._rebuild()
            self._arm(loop)
        elif not self._waiters:
            self._heap.clear()
            self._arm(loop)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the timer to the next instant at which a waiter may go."""
        at = inf
        if self._heap:
            due, _, waiter = self._heap[0]
            at = max(due, self._free_at - SLACK) if waiter.paced else due
        if self._timer is not None:
            if self._timer.when() == at:
                return
            self._timer.cancel()
            self._timer = None
        if at < inf:
            self._timer = loop.call_at(at, self._go, loop)

    def _go(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while self._heap and self._heap[0][0] <= now:
            _, _, waiter = self._heap[0]
            if waiter.woken.done():
                heapq.heappop(self._heap)
            elif (due := waiter.when()) > now:  # it was put off since
                waiter.due = due
                heapq.heapreplace(self._heap, (due, self._heap[0][1], waiter))
            elif waiter.paced and self._free_at - SLACK > now:
                break
            else:
                heapq.heappop(self._heap)
                if waiter.paced:
                    self._free_at = max(self._free_at, now) + 1 / self._pace
                waiter.woken.set_result(None)
        self._arm(loop)
