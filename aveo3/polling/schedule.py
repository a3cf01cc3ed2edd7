"""Everybody who waits for a look, on one heap with one timer, and within one budget of looks a second.

Ten thousand operations are ten thousand entries here, not ten thousand timers. Who is due first goes first.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

SLACK = 1.0
"""Seconds of looks that may go at once after a lull: looks come in clumps, and a clump may pass."""


@dataclass(eq=False, slots=True)
class Sleeper:
    """One who waits.

    `when` tells the instant of its look as things stand now, and is asked again when they change for its `group`.
    `demand` is how many looks a second it would have at its own pace. `paced`: it keeps to the budget.
    """

    when: Callable[[], float]
    group: object
    demand: float
    paced: bool
    due: float = 0.0
    woken: asyncio.Future[None] = field(init=False)


class Timetable:
    """Lets sleepers go when they are due, at most `pace` of the paced ones a second. One event loop, one thread."""

    def __init__(self, pace: float = inf) -> None:
        self._pace = pace
        self._heap: list[tuple[float, int, Sleeper]] = []
        self._sleepers: dict[Sleeper, None] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._free_at = -inf
        self._demand = 0.0
        self._tightest = 1.0

    def __len__(self) -> int:
        return len(self._sleepers)

    @property
    def stretch(self) -> float:
        """How many times longer than they would be the intervals have to be for Σ1/Δ to be within the budget.

        Δ = √(2c/h) for everybody, so that raising c to c·stretch² makes every Δ stretch times as long: there is nothing
        to search for.
        """
        return max(1.0, self._demand / self._pace)

    async def sleep(self, sleeper: Sleeper) -> None:
        """Return when `sleeper` may look. Cancelling leaves nothing behind."""
        loop = asyncio.get_running_loop()
        sleeper.woken = loop.create_future()
        self._sleepers[sleeper] = None
        self._demand += sleeper.demand
        self._tightest = max(self._tightest, self.stretch)
        self._push(sleeper)
        self._arm(loop)
        try:
            await sleeper.woken
        finally:
            self._leave(sleeper, loop)

    def wake(self, sleeper: Sleeper) -> None:
        """Let `sleeper` go now, whatever the budget."""
        if sleeper in self._sleepers and not sleeper.woken.done():
            sleeper.woken.set_result(None)

    def rethink(self, group: object = None) -> None:
        """Ask all of `group`, None for everybody, again when they are due."""
        for sleeper in self._sleepers:
            if group is None or sleeper.group is group:
                sleeper.due = sleeper.when()
        self._rebuild()
        self._arm(asyncio.get_running_loop())

    def _push(self, sleeper: Sleeper) -> None:
        sleeper.due = sleeper.when()
        self._count += 1
        heapq.heappush(self._heap, (sleeper.due, self._count, sleeper))

    def _rebuild(self) -> None:
        self._heap = [(s.due, n, s) for n, s in enumerate(self._sleepers) if not s.woken.done()]
        self._count = len(self._sleepers)
        heapq.heapify(self._heap)

    def _leave(self, sleeper: Sleeper, loop: asyncio.AbstractEventLoop) -> None:
        del self._sleepers[sleeper]
        sleeper.woken.cancel()
        self._demand = self._demand - sleeper.demand if self._sleepers else 0.0  # roundings do not add up for ever
        if self._tightest > 1 and self.stretch <= self._tightest / 2:  # there are fewer of us: look more often again
            self._tightest = self.stretch
            self.rethink()
        elif len(self._heap) > 2 * len(self._sleepers) + 16:  # the cancelled are still on it
            self._rebuild()
            self._arm(loop)
        elif not self._sleepers:
            self._heap.clear()
            self._arm(loop)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the timer to the next instant at which anybody may go."""
        at = inf
        if self._heap:
            due, _, sleeper = self._heap[0]
            at = max(due, self._free_at - SLACK) if sleeper.paced else due
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
            _, _, sleeper = self._heap[0]
            if sleeper.woken.done():
                heapq.heappop(self._heap)
            elif (due := sleeper.when()) > now:  # what it has been told since
                sleeper.due = due
                heapq.heapreplace(self._heap, (due, self._heap[0][1], sleeper))
            elif sleeper.paced and self._free_at - SLACK > now:
                break
            else:
                heapq.heappop(self._heap)
                if sleeper.paced:
                    self._free_at = max(self._free_at, now) + 1 / self._pace
                sleeper.woken.set_result(None)
        self._arm(loop)
