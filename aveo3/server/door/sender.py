"""Submits what waits: one stream for all lanes, which reads each request when its turn at a lane has come near."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from aveo3 import _threads
from aveo3.dispatch.backlog import Backlog, Backlogs, LaneQueue
from aveo3.engine.job import Job
from aveo3.errors import GateClosed, JournalError
from aveo3.journal.journal import Journal
from aveo3.journal.requests import Extras
from aveo3.journal.rows import JobRecord
from aveo3.lanes.lanes import Lane
from aveo3.models import VideoClip
from aveo3.server.door.shares import Shares, Turn
from aveo3.server.door.waiting_line import WaitingLine
from aveo3.session import Session
from aveo3.verdicts import Refusal

log = logging.getLogger(__name__)

Key = tuple[tuple[Lane, ...], ...]
"""The lanes that a request may go to, tier by tier; empty if none can take it any more."""

AWAY = 0.5
"""Seconds until a shared journal that is away is read again."""

Over = Callable[[int, VideoClip | None], None]


@dataclass(slots=True)
class _Given:
    """A request that the stream has, and that has no clip yet."""

    job: int
    caller: str
    priority: int
    key: Key
    counted: bool = False
    """It has gone to a lane, so its caller's share has been charged."""


class Sender:
    """Submits the requests in `lines`, which may change at any time, in the order of `shares`.

    `over` is called with the number of each job that its stream is done with, and its clip; None if it gave none.
    """

    def __init__(
        self,
        session: Session,
        journal: Journal,
        lines: Mapping[Key, WaitingLine],
        shares: Shares,
        over: Over,
        extras_of: Callable[[int], Extras] | None = None,
    ) -> None:
        """`extras_of` returns what a request says besides its prompt; None to read it from the journal."""
        self._session = session
        self._journal = journal
        self._lines = lines
        self._shares = shares
        self._over = over
        self._extras_of = extras_of
        self._feed = Feed(lines, shares, self._record_of)

    @property
    def under_way(self) -> list[int]:
        """The jobs that its stream has and that have no clip yet."""
        return [given.job for given in self._feed.given.values()]

    def has(self, job: int) -> bool:
        """True if its stream has a job that has no clip yet."""
        return any(given.job == job for given in self._feed.given.values())

    def ready(self, lane: Lane) -> Counter[str]:
        """By caller: how many requests stand ready to be submitted to `lane`."""
        return self._feed.ready(lane)

    def key_of_ready(self, job: int) -> Key | None:
        """The lanes for which `job` stands ready; None if it does not."""
        return next((given.key for given in self._feed.given.values() if given.job == job and not given.counted), None)

    def ring(self) -> None:
        """Something has changed in the lines."""
        self._feed.ring()

    def reopen(self) -> None:
        """Let requests go to lanes again that have been opened again."""
        self._feed.backlogs.reopen()

    async def run_once(self) -> None:
        """Submit until cancelled, or until the stream ends by itself: the disk is full, or the journal locked."""
        feed = self._feed = Feed(self._lines, self._shares, self._record_of)
        try:
            async with self._session.stream_requests(feed, feed, extras_of=self._extras_of) as clips:
                async for clip in clips:
                    self._over(feed.given.pop(clip.index).job, clip)
        except Exception:
            log.exception("submitting requests was interrupted; it goes on soon")
        left, feed.given = feed.given, {}
        for given in left.values():
            self._over(given.job, None)

    async def _record_of(self, job: int) -> JobRecord:
        """A job as it stands now. From a shared journal it is read in a thread, again until that is there."""
        query = "SELECT * FROM jobs WHERE id = ?"
        if not self._journal.shared:
            [record] = self._journal.select(query, job)
            return record
        while True:
            try:
                [record] = await _threads.reading.run(self._journal.select, query, job)
            except JournalError as error:
                log.error("%s", error)
                await asyncio.sleep(AWAY)
            else:
                return record


class Feed:
    """What one stream reads, and its order: at each lane, the caller whose turn it is goes next.

    A request leaves its line when it is the next of its caller, and its caller the next at one of its lanes. Then it
    stands ready; so at most one request of a caller does for the same lanes.
    """

    def __init__(
        self, lines: Mapping[Key, WaitingLine], shares: Shares, record_of: Callable[[int], Awaitable[JobRecord]]
    ) -> None:
        self.given: dict[int, _Given] = {}
        """By index in the stream."""
        self.backlogs = Backlogs(self)
        self._lines = lines
        self._shares = shares
        self._record_of = record_of
        self._numbers = count()
        self._coming: int | None = None
        """The index of the one that was read last: it may not stand in its backlog yet."""
        self._last = -1
        """The index of the one that went last."""

    def ring(self) -> None:
        """Something has changed in the lines."""
        self.backlogs.room.ring()
        self.backlogs.ring()

    # ---- what the stream reads ---------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[JobRecord]:
        return self

    async def __anext__(self) -> JobRecord:
        if self._coming is not None:
            self._coming = None
            self.backlogs.ring()  # it may have ended while it was planned: then it is another's turn
        while (wanted := self._wanted()) is None:
            await self.backlogs.room.wait()
        return await self._take(*wanted)

    async def _take(self, key: Key, caller: str) -> JobRecord:
        line = self._lines[key]
        priority, job = line.head_of(caller)
        line.remove(caller, job, priority)
        self._coming = next(self._numbers)
        self.given[self._coming] = _Given(job, caller, priority, key)  # if it cannot be read, the stream ends with it
        return await self._record_of(job)

    def _wanted(self) -> tuple[Key, str] | None:
        """The line and the caller whose next request has to stand ready, and does not; None if there is none."""
        ready = self._standing()
        for key, line in self._lines.items():
            if not key and len(line):
                return key, next(iter(line.callers))
            callers = {*line.callers, *(caller for of, caller in ready if of == key)}
            for lane in (lane for tier in key for lane in tier) if callers else ():
                first = min(callers, key=lambda caller: self._shares.turn_of(lane, caller))
                if (key, first) not in ready:
                    return key, first
        return None

    def _fresh(self) -> Iterator[Job]:
        """What stands in a backlog."""
        return (job for backlog in self.backlogs.by_tiers.values() for job in backlog.fresh)

    def _standing(self) -> set[tuple[Key, str]]:
        """The lines and callers whose next request stands ready."""
        return {
            (given.key, given.caller)
            for job in self._fresh()
            if not self._steps_back(job) and (given := self.given.get(job.index)) is not None
        }

    def ready(self, lane: Lane) -> Counter[str]:
        """By caller: how many requests stand ready to be submitted to `lane`."""
        if (queue := self.backlogs.queues.get(lane)) is None:
            return Counter()
        fresh = (job for backlog in queue.backlogs for job in backlog.fresh)
        return Counter(given.caller for job in fresh if (given := self.given.get(job.index)) is not None)

    # ---- its order: see `Order` --------------------------------------------------------------------------------------

    def begin(self, backlogs: Backlogs) -> None:
        """See `Order`."""
        self.backlogs = backlogs

    def choose(self, queue: LaneQueue, ready: list[tuple[Backlog, Job]]) -> tuple[Backlog, Job] | None:
        """See `Order`."""
        lane, standing = queue.lane.lane, self._standing()
        found: list[tuple[_Given, tuple[Backlog, Job] | None]] = [
            (given, (backlog, job)) for backlog, job in ready if (given := self.given.get(job.index)) is not None
        ]
        for key, line in self._lines.items():
            if line and self._serves(queue, key):
                for caller in line.callers:
                    if (key, caller) not in standing:
                        priority, number = line.head_of(caller)
                        found.append((_Given(number, caller, priority, key), None))
        if (coming := self._on_its_way()) is not None and self._serves(queue, coming.key):
            found.append((coming, None))
        self._shares.note_waiting(lane, (given.caller for given, _ in found))
        if len(found) > 1:
            found = [(given, pair) for given, pair in found if not (pair and self._steps_back(pair[1]))] or found

        def turn(each: tuple[_Given, object]) -> tuple[Turn, int, int]:
            return self._shares.turn_of(lane, each[0].caller), -each[0].priority, each[0].job

        return min(found, key=turn)[1] if found else None

    def _on_its_way(self) -> _Given | None:
        """The request that was read last, if it does not stand in its backlog yet."""
        given = self.given.get(self._coming) if self._coming is not None else None
        if given is None or given.counted or any(job.index == self._coming for job in self._fresh()):
            return None
        return given

    def _steps_back(self, job: Job) -> bool:
        """True for one that was put back just now, so that another one shows whether it was at fault."""
        return job.put_back > 0 and job.index == self._last

    def _serves(self, queue: LaneQueue, key: Key) -> bool:
        """True if the lane of `queue` may take requests of the line `key` now."""
        backlog = self.backlogs.by_tiers.get(key)
        if backlog is None:  # none has been fed yet
            return bool(key) and queue.lane.lane in key[0]
        return queue in backlog.queues and backlog.serves(queue)

    def went(self, lane: Lane, job: Job) -> None:
        """See `Order`."""
        self._last = job.index
        if (given := self.given.get(job.index)) is not None and not given.counted:
            given.counted = True
            self._shares.went(lane, given.caller)

    def holds(self, closed: GateClosed) -> bool:
        """See `Order`. A person can mend everything but a model that Google does not have."""
        return closed.retry_at_utc is None and closed.kind != Refusal.NO_MODEL
