"""The jobs of one batch that wait for their submit, and the lanes that may take them. Retries go before new jobs."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from typing import Protocol

from aveo3._waker import Waker
from aveo3.engine.job import Job
from aveo3.engine.open_lane import OpenLane
from aveo3.errors import GateClosed
from aveo3.lanes.lanes import Lane


class Order(Protocol):
    """Decides which new job of a batch goes next at each lane. Without one, they go as they came."""

    def begin(self, backlogs: Backlogs) -> None:
        """The batch begins: here are its backlogs. `Backlogs.room` rings when a job has left one."""

    def choose(self, queue: LaneQueue, ready: list[tuple[Backlog, Job]]) -> tuple[Backlog, Job] | None:
        """The one of `ready` that goes next; None if it is another one, which has not been fed yet."""

    def went(self, lane: Lane, job: Job) -> None:
        """`job`, which was new or had been put back, is being submitted to `lane`."""

    def holds(self, closed: GateClosed) -> bool:
        """True if jobs wait at a lane that is `closed`, until it is opened again. Else they end one by one."""


class LaneQueue:
    """The jobs that wait for one lane in one batch, across backlogs, and whether the lane is closed."""

    def __init__(self, lane: OpenLane, order: Order | None = None) -> None:
        self.lane = lane
        self.order = order
        self.backlogs: list[Backlog] = []
        self.waker = Waker()
        """Wakes the lane's worker."""
        self.closed: GateClosed | None = None
        """Why the lane grants no permits now; None if it does."""
        self.reopens_at = inf
        """When to request a permit again, on the loop's clock."""
        self.permit_waiter: asyncio.Task[object] | None = None
        """The worker's task while it waits for a permit."""

    @property
    def idle(self) -> bool:
        """True if no job waits for this lane, and none in flight can come back to it."""
        return all(backlog.idle for backlog in self.backlogs)

    @property
    def load(self) -> float:
        """Jobs submitted to the lane, divided by its weight. Of the free lanes, the least loaded goes first."""
        return self.lane.taken / self.lane.lane.weight

    @property
    def holds(self) -> bool:
        """True if the lane is closed and jobs wait until it is opened again."""
        return self.closed is not None and self.order is not None and self.order.holds(self.closed)

    def next_job(self, now: float) -> tuple[Backlog, Job] | None:
        """The first job that this lane may submit at `now`, and its backlog."""
        if self.order is not None:
            serving = [backlog for backlog in self.backlogs if backlog.serves(self)]
            retries = [(backlog, job) for backlog in serving if (job := backlog.retry_due(now)) is not None]
            if retries:
                return min(retries, key=lambda pair: pair[1].index)
            return self.order.choose(self, [(backlog, job) for backlog in serving for job in backlog.fresh])
        candidates = [
            (backlog, job) for backlog in self.backlogs if backlog.serves(self) and (job := backlog.peek(now))
        ]
        return min(
            candidates, key=lambda pair: (pair[0].is_fresh(pair[1]), pair[1].put_back, pair[1].index), default=None
        )

    def due_at(self, now: float) -> float:
        """When the first retry after `now` is due, on the loop's clock."""
        due = (backlog.again[0][0] for backlog in self.backlogs if backlog.again)
        return min((at for at in due if at > now), default=inf)

    def reopen(self) -> None:
        """Forget that the lane was closed: its gate decides again."""
        self.closed, self.reopens_at = None, inf


class Backlog:
    """Jobs that may go to the same lanes, tier by tier. Retries that are due come first.

    `room` wakes the feeder, which waits for room here.
    """

    def __init__(self, tiers: Sequence[Sequence[LaneQueue]], room: Waker) -> None:
        self.tiers = tiers
        self.queues = [queue for tier in tiers for queue in tier]
        self.fresh: deque[Job] = deque()
        self.again: list[tuple[float, int, Job]] = []
        self.in_flight = 0
        self._room = room
        for queue in self.queues:
            queue.backlogs.append(self)

    @property
    def idle(self) -> bool:
        """True if no job waits here, and none in flight can come back."""
        return not (self.fresh or self.again or self.in_flight)

    def serves(self, queue: LaneQueue) -> bool:
        """True if the lane of `queue` may take the jobs here: a tier opens when every lane before it is closed.

        If all lanes are closed, any worker may try its gate again and defer the jobs one by one; unless they wait.
        """
        for tier in self.tiers:
            if queue in tier and queue.closed is None:
                return True
            if any(other.closed is None for other in tier):
                return False
        return not all(other.holds for other in self.queues)

    def closed(self) -> GateClosed | None:
        """Why no lane grants permits, and until when; None if at least one does."""
        reasons = [(queue.lane.lane.name, queue.closed) for queue in self.queues if queue.closed is not None]
        if len(reasons) < len(self.queues) or not reasons:
            return None
        soonest = min((reason for _, reason in reasons), key=lambda why: (why.retry_at_utc is None, why.retry_at_utc))
        if len(reasons) == 1:
            return soonest
        by_lane = "; ".join(f"{name}: {reason}" for name, reason in reasons)
        return GateClosed(soonest.kind, f"every lane is closed: {by_lane}", soonest.retry_at_utc)

    def less_loaded(self, queue: LaneQueue, cost_usd: float) -> LaneQueue | None:
        """Another lane of the same tier that could submit now, and is less loaded than that of `queue`."""
        if len(self.queues) == 1:
            return None
        tier = next(tier for tier in self.tiers if queue in tier)
        free = (other for other in tier if other.load < queue.load and other.lane.gate.is_free(cost_usd))
        return min(free, key=lambda other: other.load, default=None)

    def peek(self, now: float) -> Job | None:
        """The next job to submit; None if there is none at `now`."""
        if (retry := self.retry_due(now)) is not None:
            return retry
        return self.fresh[0] if self.fresh else None

    def retry_due(self, now: float) -> Job | None:
        """The first retry that is due at `now`; None if there is none."""
        return self.again[0][2] if self.again and self.again[0][0] <= now else None

    def is_fresh(self, job: Job) -> bool:
        """False for the retry that is due first."""
        return not (self.again and self.again[0][2] is job)

    def push(self, job: Job) -> None:
        """Add a new job at the end."""
        self.fresh.append(job)

    def push_again(self, job: Job, due_at: float) -> None:
        """Add a retry, due at `due_at` on the loop's clock."""
        heapq.heappush(self.again, (due_at, job.index, job))

    def pop(self, now: float) -> Job | None:
        """Remove and return the next job to submit; None if there is none at `now`."""
        if (job := self.peek(now)) is not None:
            self._remove(job)
            self._room.ring()
        return job

    def take(self, job: Job) -> None:
        """Remove `job`, which `peek` returned. `pop` might return another, which is due by now."""
        self._remove(job)
        self.ring()  # a lane whose budget was too small for this job may afford the next
        self._room.ring()

    def _remove(self, job: Job) -> None:
        if not self.is_fresh(job):
            heapq.heappop(self.again)
        else:
            self.fresh.remove(job)  # removes the first one

    def ring(self) -> None:
        """Wake the workers of its lanes, because something changed here."""
        for queue in self.queues:
            queue.waker.ring()

    def drain(self) -> list[Job]:
        """Remove and return all jobs, retries first."""
        jobs = [job for _, _, job in sorted(self.again)] + list(self.fresh)
        self.again.clear()
        self.fresh.clear()
        return jobs


class Backlogs:
    """All backlogs of one batch, by their tiers of lanes, and the queue of each lane.

    `order` decides which new job goes next at each lane; None: the one that came first.
    """

    def __init__(self, order: Order | None = None) -> None:
        self.order = order
        self.feeding = True
        """More jobs may come from the prompts."""
        self.room = Waker()
        """Wakes the feeder, which waits for room in a backlog."""
        self.queues: dict[Lane, LaneQueue] = {}
        self.by_tiers: dict[tuple[tuple[Lane, ...], ...], Backlog] = {}

    def ring(self) -> None:
        """Wake the workers of all lanes."""
        for queue in self.queues.values():
            queue.waker.ring()

    def reopen(self) -> None:
        """Let jobs go to lanes again that they wait for, and that have been opened again."""
        for queue in self.queues.values():
            if queue.closed is not None and queue.closed.retry_at_utc is None and not queue.lane.gate.is_closed:
                queue.reopen()
        self.ring()

    def drain(self) -> Iterable[Job]:
        """Remove and return all jobs."""
        return [job for backlog in self.by_tiers.values() for job in backlog.drain()]

    def still_to_come(self, queue: LaneQueue) -> int | None:
        """Number of submits still to come to a lane, with the one that waits for a permit; None if unknown."""
        if self.feeding or any(len(backlog.queues) > 1 for backlog in queue.backlogs):
            return None
        return sum(len(backlog.fresh) + len(backlog.again) for backlog in queue.backlogs)

    def release_idle(self) -> None:
        """After the last prompt: stop workers that wait for a permit no job needs."""
        if not self.feeding:
            for queue in self.queues.values():
                queue.waker.ring()
                if queue.idle and queue.permit_waiter is not None:
                    queue.permit_waiter.cancel()
