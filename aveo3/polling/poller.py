"""When to poll each running operation of a client: by what is learnt of its kind, what its lane says to being polled,
and one schedule for all of them."""

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
"""Seconds to the first poll of the first operation of a kind; each next one comes when it is twice as old."""

SOONER = 1.25
"""How many times shorter operations have to be than was believed before the waiters are rescheduled. A waiter whose
belief is a little off loses little, and all who are rescheduled at once also poll at once."""

REFUSED_WAIT = 5.0
"""Seconds without a poll after one that was refused without a delay."""

SLOWEST = 1 / 64
"""Share of the usual polls below which refusals take no lane; each poll that is answered gives as much back."""

AFTER_TOLD = 5.0
"""Seconds between polls of an operation that is said to have ended: it only waits for its file."""

SAFETY_NET = 4.0
"""How many times longer the intervals are in a lane whose ends are said: the polls find those that are not."""

Kind = tuple[str, str | None, int | None]
"""Model, resolution and duration, the last two as the prompt has them."""


@dataclass(eq=False)
class _Learnt:
    """One kind of operations: what is known of it, and which of them run."""

    latency: LatencyModel
    running: dict[str, tuple[float, int]] = field(default_factory=dict)
    """How old each operation was when it was last seen running, and the era that it is from."""
    lessons: int = 0
    unread: float = 0.0
    slept_by: float = 0.0
    """The longest median that anybody may be waiting by."""
    scout: str | None = None

    def __post_init__(self) -> None:
        self.slept_by = self.latency.median

    def note(self, weight: float) -> bool:
        """Take in evidence worth `weight` ends. True if the waiters had better be rescheduled."""
        self.unread += weight
        # The first end of a crowd tells it much; later, each conclusion costs a walk through all that run.
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
    """What one lane has said to being polled."""

    share: float = 1.0
    """Of the usual polls, how many it gets: halved by a refusal, as TCP does."""
    quiet_until: float = -inf
    told: bool = False
    """Its last end was said before a poll found it."""

    def refused(self, now: float, retry_after: float | None) -> None:
        if now >= self.quiet_until:  # what was out together is one refusal
            self.share = max(self.share / 2, SLOWEST)
        wait = retry_after if retry_after is not None else REFUSED_WAIT / self.share / 2
        self.quiet_until = max(self.quiet_until, now + wait)

    def answered(self) -> None:
        self.share = min(1.0, self.share + SLOWEST)


class Pollers:
    """The pollers of one client.

    `rate` bounds the polls a minute of all operations together, None for as many as it takes; `interval` is a fixed
    number of seconds between polls, which then heeds neither what is learnt nor the rate.
    """

    def __init__(self, *, interval: float | None, rate: float | None, rng: random.Random) -> None:
        self.interval = interval
        self.rng = rng
        self.schedule = PollSchedule(inf if rate is None else rate / 60)
        self.notices = EndNotices()
        self._kinds: dict[Kind, _Learnt] = {}
        self._lanes: dict[Hashable, _LanePolls] = {}
        self._memory: dict[Kind, Mapping[str, Any]] = {}
        self._waiting: dict[str, tuple[PollWaiter, _LanePolls]] = {}

    def of(self, lane: Hashable, kind: Kind, median: float) -> Poller:
        """The poller of one kind of operations in one lane. `median` seconds is what they take as far as is known."""
        if kind not in self._kinds:
            latency = LatencyModel(median)
            if (memory := self._memory.pop(kind, None)) is not None:
                latency.restore(memory)
            self._kinds[kind] = _Learnt(latency)
        return Poller(self, self._kinds[kind], self._lanes.setdefault(lane, _LanePolls()))

    def wake(self, operation: str) -> None:
        """It is said that `operation` has ended: let it be polled now, or as soon as it is known here."""
        self.notices.add(operation)
        waiter, lane = self._waiting.get(operation, (None, None))
        if waiter is not None and lane is not None and asyncio.get_running_loop().time() >= lane.quiet_until:
            self.schedule.wake(waiter)

    async def sleep(self, operation: str, waiter: PollWaiter, lane: _LanePolls) -> None:
        """Return when `waiter` may poll `operation`: when that is due, or `wake` is called for it."""
        self._waiting[operation] = waiter, lane
        try:
            await self.schedule.sleep(waiter)
        finally:
            self._waiting.pop(operation, None)

    def remember(self) -> dict[Kind, dict[str, Any]]:
        """What this run learnt of each kind, as JSON takes it, for a later `restore`."""
        return {kind: known.latency.remember() for kind, known in self._kinds.items() if known.lessons}

    def restore(self, memory: Mapping[Kind, Mapping[str, Any]]) -> None:
        """Start from what earlier runs have learnt. For kinds that have a poller already it is too late."""
        self._memory.update(memory)


class Poller:
    """When to poll each running operation of one kind in one lane."""

    def __init__(self, pollers: Pollers, known: _Learnt, lane: _LanePolls) -> None:
        self._pollers = pollers
        self._known = known
        self._lane = lane

    async def wait(self, operation: str, sent_at: float, polled_at: float, until: float) -> None:
        """Return when the next poll is due of an operation submitted at `sent_at` and last seen running at `polled_at`.

        Instants are the loop's; `until` is the latest to return at, unless the budget is used up.
        """
        known, age = self._known, max(polled_at - sent_at, 0.0)
        _, era = known.running.get(operation, (0.0, known.latency.era))
        known.running[operation] = age, era
        if age > 0:
            self._lane.answered()
            self._note(min(0.25, 5 / len(known.running)))
        jitter = self._pollers.rng.uniform(1.0, 1.1)  # no two in lockstep, and no poll just before the one that pays

        def due() -> float:
            wait = AFTER_TOLD if operation in notices else self._next_poll(operation, age)
            return polled_at + jitter * wait

        notices = self._pollers.notices
        if not notices.is_new(operation):
            await self._sleep(operation, due, until, demand=1 / self._own_pace(operation, age, 1.0))
        if notices.polled(operation):
            self._lane.told = True

    async def refused(self, operation: str, retry_after: float | None, until: float) -> None:
        """A poll was refused: all polls of the lane pause, then come at half the pace. Return when one may be tried.

        `retry_after` seconds is what the refusal asks for. Nothing is concluded about submits.
        """
        now = asyncio.get_running_loop().time()
        self._lane.refused(now, retry_after)
        await self._sleep(operation, lambda: now, until, demand=0.0)

    def ended(self, operation: str, between: tuple[float, float] | None) -> None:
        """An operation has ended `between` two ages in seconds; None if that says nothing about how long clips take."""
        known = self._known
        age, era = known.running.pop(operation, (0.0, known.latency.era))
        if known.scout == operation:
            known.scout = None
        told = self._pollers.notices.remove(operation)
        if between is None:
            if age > 0:
                known.latency.outlived(age, known.latency.weight(era))
            return
        self._lane.told = told
        after, by = between
        known.latency.learn(by if told else after, by, known.latency.weight(era))
        known.lessons += 1
        self._note(1.0)

    def _note(self, weight: float) -> None:
        if self._known.note(weight) and self._pollers.interval is None:
            self._pollers.schedule.rethink(self._known)

    def _sleep(self, operation: str, due: Callable[[], float], until: float, *, demand: float) -> Awaitable[None]:
        lane, phase = self._lane, self._pollers.rng.random()

        def when() -> float:
            at = due()
            if at < lane.quiet_until:  # all wait for its end: spread them as they would have been, not all at once
                at = lane.quiet_until + phase * self._own_pace("", self._known.latency.median, 1 / lane.share)
            return min(at, until)

        fixed = self._pollers.interval is not None
        waiter = PollWaiter(when, self._known, demand, paced=not fixed)
        return self._pollers.sleep(operation, waiter, lane)

    def _next_poll(self, operation: str, age: float) -> float:
        net = SAFETY_NET if self._lane.told else 1.0
        return self._own_pace(operation, age, net * self._pollers.schedule.stretch / self._lane.share)

    def _own_pace(self, operation: str, age: float, stretch: float) -> float:
        """Seconds from one poll to the next if nobody else were polling, times `stretch`."""
        if self._pollers.interval is not None:
            return self._pollers.interval / self._lane.share
        known = self._known
        believed = next_poll(known.latency, age, stretch)
        if known.latency.ends or not operation or known.scout not in (None, operation):
            return believed
        known.scout = operation  # one operation finds out for all
        return min(max(FIRST_POLL, age), next_poll(known.latency, max(age, FIRST_POLL), stretch))
