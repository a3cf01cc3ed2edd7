"""When to poll each running operation of a client: from the learnt latency of its kind, the refusals of polls in its
lane, and one schedule for all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from aveo3.polling.interval import next_poll
from aveo3.polling.latency import LatencyModel
from aveo3.polling.notices import EndNotices
from aveo3.polling.schedule import PollSchedule, PollWaiter

FIRST_POLL = 0.5
"""Seconds to the first poll of the first operation of a kind; each further poll comes when it is twice as old."""

SOONER = 1.25
"""Waiters are rescheduled only if operations prove this many times shorter than estimated. A waiter with a slightly
wrong estimate loses little, and waiters that are rescheduled together also poll together."""

REFUSED_WAIT = 5.0
"""Seconds without a poll after a poll that was refused without a delay."""

SLOWEST = 1 / 64
"""Refusals never push a lane below this share of the usual polls; each answered poll gives as much back."""

AFTER_NOTICE = 5.0
"""Seconds between polls of an operation that is reported to have ended: it only waits for its file."""

SAFETY_NET = 4.0
"""Intervals are this many times longer in a lane whose ends are reported: polls only find ends without a notice."""

Kind = tuple[str, str | None, float | None]
"""Model, resolution and duration, the last two as the prompt has them."""


@dataclass(eq=False)
class _KindPolls:
    """One kind of operations: their latency, and those that run."""

    latency: LatencyModel
    running: dict[str, tuple[float, int]] = field(default_factory=dict)
    """For each operation, its age in seconds when a poll last found it running, and the era of its submit."""
    lessons: int = 0
    unread: float = 0.0
    slept_by: float = 0.0
    """The longest median on which a present waiter may rely."""
    scout: str | None = None

    def __post_init__(self) -> None:
        self.slept_by = self.latency.median

    def note(self, weight: float) -> bool:
        """Count evidence worth `weight` ends, and refit if it is enough. True if waiters should be rescheduled."""
        self.unread += weight
        # The first end of a large batch says much. Later, each fit costs a walk through all running operations.
        enough = max(1.0, 0.1 * self.latency.ends, min(0.1 * self.lessons, 0.05 * len(self.running)))
        if self.unread < enough:
            return False
        self.unread = 0.0
        self.latency.reckon((age, self.latency.weight(era)) for age, era in self.running.values() if age > 0)
        self.slept_by = max(self.slept_by, self.latency.median)
        if self.latency.median > self.slept_by / SOONER:
            return False
        self.slept_by = self.latency.median
        return True


@dataclass(eq=False)
class _LanePolls:
    """How one lane answers polls."""

    share: float = 1.0
    """The share of the usual polls that it gets: halved by a refusal, as TCP does."""
    quiet_until: float = -inf
    sends_notices: bool = False
    """A notice reported its last end before a poll found it."""

    def refused(self, now: float, retry_after: float | None) -> None:
        if now >= self.quiet_until:  # polls in flight together count as one refusal
            self.share = max(self.share / 2, SLOWEST)
        wait = retry_after if retry_after is not None else REFUSED_WAIT / self.share / 2
        self.quiet_until = max(self.quiet_until, now + wait)

    def answered(self) -> None:
        self.share = min(1.0, self.share + SLOWEST)


class Pollers:
    """The pollers of one client.

    `rate` limits the polls a minute of all operations together; None: no limit. `interval` is a fixed number of seconds
    between polls; polls then ignore the latency and the rate.
    """

    def __init__(self, *, interval: float | None, rate: float | None, rng: random.Random) -> None:
        self.interval = interval
        self.rng = rng
        self._rate = inf if rate is None else rate / 60
        self.schedule = PollSchedule(self._rate)
        self.notices = EndNotices()
        self._kinds: dict[Kind, _KindPolls] = {}
        self._lanes: dict[Hashable, _LanePolls] = {}
        self._memory: dict[Kind, Mapping[str, Any]] = {}
        self._waiting: dict[str, tuple[PollWaiter, _LanePolls]] = {}

    def of(self, lane: Hashable, kind: Kind, median: float) -> Poller:
        """The poller of one kind of operations in one lane. `median`: a first estimate of how long they take, in s."""
        if kind not in self._kinds:
            latency = LatencyModel(median)
            if (memory := self._memory.pop(kind, None)) is not None:
                latency.restore(memory)
            self._kinds[kind] = _KindPolls(latency)
        return Poller(self, self._kinds[kind], self._lanes.setdefault(lane, _LanePolls()))

    def share(self, processes: int) -> None:
        """Keep to the part of the rate that one of so many processes has."""
        self.schedule.share(self._rate / processes)

    def wake(self, operation: str) -> None:
        """Note that `operation` is reported to have ended: it is polled now, or as soon as somebody waits for it."""
        self.notices.add(operation)
        waiter, lane = self._waiting.get(operation, (None, None))
        if waiter is not None and lane is not None and asyncio.get_running_loop().time() >= lane.quiet_until:
            self.schedule.wake(waiter)

    async def sleep(self, operation: str, waiter: PollWaiter, lane: _LanePolls) -> None:
        """Return when `waiter` may poll `operation`: when the poll is due, or when `wake` is called for it."""
        self._waiting[operation] = waiter, lane
        try:
            await self.schedule.sleep(waiter)
        finally:
            self._waiting.pop(operation, None)

    def remember(self) -> dict[Kind, dict[str, Any]]:
        """The lessons of this run about each kind, ready for JSON and a later `restore`."""
        return {kind: polls.latency.remember() for kind, polls in self._kinds.items() if polls.lessons}

    def restore(self, memory: Mapping[Kind, Mapping[str, Any]]) -> None:
        """Start from what earlier runs have learnt. Kinds that have a poller already do not change."""
        self._memory.update(memory)


class Poller:
    """When to poll each running operation of one kind in one lane."""

    def __init__(self, pollers: Pollers, kind: _KindPolls, lane: _LanePolls) -> None:
        self._pollers = pollers
        self._kind = kind
        self._lane = lane

    async def wait(self, operation: str, sent_at: float, polled_at: float, until: float) -> None:
        """Return when `operation`, submitted at `sent_at` and found running at `polled_at`, is due for its next poll.

        Instants are the loop's. It returns at `until` at the latest, unless the budget of polls is used up.
        """
        kind, age = self._kind, max(polled_at - sent_at, 0.0)
        _, era = kind.running.get(operation, (0.0, kind.latency.era))
        kind.running[operation] = age, era
        if age > 0:
            self._lane.answered()
            self._note(min(0.25, 5 / len(kind.running)))
        jitter = self._pollers.rng.uniform(1.0, 1.1)  # no two poll in lockstep, and no poll comes just before an end

        def due() -> float:
            wait = AFTER_NOTICE if operation in notices else self._next_poll(operation, age)
            return polled_at + jitter * wait

        notices = self._pollers.notices
        if not notices.is_new(operation):
            await self._sleep(operation, due, until, demand=1 / self._own_pace(operation, age, 1.0))
        if notices.polled(operation):
            self._lane.sends_notices = True

    async def refused(self, operation: str, retry_after: float | None, until: float) -> None:
        """A poll was refused: all polls of the lane pause, then come at half the pace. Return when the next one may go.

        `retry_after` is the delay in seconds that the refusal names. A refused poll says nothing about submits.
        """
        now = asyncio.get_running_loop().time()
        self._lane.refused(now, retry_after)
        await self._sleep(operation, lambda: now, until, demand=0.0)

    def ended(self, operation: str, between: tuple[float, float] | None) -> None:
        """An operation has ended `between` two ages in seconds; None if its end says nothing about durations."""
        kind = self._kind
        age, era = kind.running.pop(operation, (0.0, kind.latency.era))
        if kind.scout == operation:
            kind.scout = None
        reported = self._pollers.notices.remove(operation)
        if between is None:
            if age > 0:
                kind.latency.outlived(age, kind.latency.weight(era))
            return
        self._lane.sends_notices = reported
        after, by = between
        kind.latency.learn(by if reported else after, by, kind.latency.weight(era))
        kind.lessons += 1
        self._note(1.0)

    def _note(self, weight: float) -> None:
        if self._kind.note(weight) and self._pollers.interval is None:
            self._pollers.schedule.rethink(self._kind)

    def _sleep(self, operation: str, due: Callable[[], float], until: float, *, demand: float) -> Awaitable[None]:
        lane, phase = self._lane, self._pollers.rng.random()

        def when() -> float:
            at = due()
            if at < lane.quiet_until:  # all wait for the pause to end: spread them as usual, not all at once
                at = lane.quiet_until + phase * self._own_pace("", self._kind.latency.median, 1 / lane.share)
            return min(at, until)

        fixed = self._pollers.interval is not None
        waiter = PollWaiter(when, self._kind, demand, paced=not fixed)
        return self._pollers.sleep(operation, waiter, lane)

    def _next_poll(self, operation: str, age: float) -> float:
        net = SAFETY_NET if self._lane.sends_notices else 1.0
        return self._own_pace(operation, age, net * self._pollers.schedule.stretch / self._lane.share)

    def _own_pace(self, operation: str, age: float, stretch: float) -> float:
        """Seconds from one poll to the next, budget aside, times `stretch`."""
        if self._pollers.interval is not None:
            return self._pollers.interval / self._lane.share
        kind = self._kind
        estimate = next_poll(kind.latency, age, stretch)
        if kind.latency.ends or not operation or kind.scout not in (None, operation):
            return estimate
        kind.scout = operation  # one operation finds the latency for all
        return min(max(FIRST_POLL, age), next_poll(kind.latency, max(age, FIRST_POLL), stretch))
