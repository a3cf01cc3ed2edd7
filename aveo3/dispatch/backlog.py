"""What is yet to be submitted, and to which lanes it may go: jobs to be tried again before fresh ones."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Iterator
from math import inf

from aveo3._waker import Waker
from aveo3.engine.job import Job
from aveo3.engine.open_lane import OpenLane
from aveo3.errors import GateClosed


class LaneWorker:
    """One lane's work in one batch: it takes a permit, and then the job that is next."""

    def __init__(self, lane: OpenLane) -> None:
        self.lane = lane
        self.backlogs: list[Backlog] = []
        self.waker = Waker()
        self.closed: GateClosed | None = None
        """Why the lane lets nobody through, while that lasts."""
        self.reopens_at = inf
        """When asking again makes sense, on the loop's clock."""
        self.asking: asyncio.Task[object] | None = None
        """Waits for a permit."""
        self.passed: Job | None = None
        """The job that it has left to a lane which got less so far, once."""

    @property
    def idle(self) -> bool:
        """True if nothing waits for this lane, and nothing can come back to it."""
        return all(backlog.idle for backlog in self.backlogs)

    @property
    def load(self) -> float:
        """How many clips the lane got, by its weight: of lanes that could go at once, the least loaded does."""
        return self.lane.taken / self.lane.lane.weight

    def next_job(self, now: float) -> tuple[Backlog, Job] | None:
        """The first job that this lane may submit at `now`, and where it waits."""
        found = [(backlog, job) for backlog in self.backlogs if backlog.serves(self) and (job := backlog.peek(now))]
        return min(found, key=lambda pair: (pair[0].is_fresh(pair[1]), pair[1].put_back, pair[1].index), default=None)

    def due_at(self, now: float) -> float:
        """When the next job that is to be tried again may be submitted, of those that may not yet."""
        due = (backlog.again[0][0] for backlog in self.backlogs if backlog.again)
        return min((at for at in due if at > now), default=inf)


class Backlog:
    """Jobs with the same lanes to go to, tier by tier; those to be tried again come first, by when they are due."""

    def __init__(self, tiers: tuple[tuple[LaneWorker, ...], ...]) -> None:
        self.tiers = tiers
        self.workers = [worker for tier in tiers for worker in tier]
        self.fresh: deque[Job] = deque()
        self.again: list[tuple[float, int, Job]] = []
        self.in_flight = 0

    @property
    def idle(self) -> bool:
        """True if nothing waits here, and nothing can come back."""
        return not (self.fresh or self.again or self.in_flight)

    def serves(self, worker: LaneWorker) -> bool:
        """True if the jobs here may go to `worker`: a tier is for when every lane of those before it is closed.

        Where all are closed any pump may ask again, and say so of each job.
        """
        for tier in self.tiers:
            if worker in tier and worker.closed is None:
                return True
            if any(other.closed is None for other in tier):
                return False
        return all(other.closed is not None for other in self.workers)

    def closed(self) -> GateClosed | None:
        """Why no lane lets anybody through, and until when; None if one does."""
        whys = [(worker.lane.lane.name, worker.closed) for worker in self.workers if worker.closed is not None]
        if len(whys) < len(self.workers) or not whys:
            return None
        soonest = min((why for _, why in whys), key=lambda why: (why.retry_at_utc is None, why.retry_at_utc))
        if len(whys) == 1:
            return soonest
        told = "; ".join(f"{name}: {why}" for name, why in whys)
        return GateClosed(soonest.kind, f"every lane is closed: {told}", soonest.retry_at_utc)

    def less_loaded(self, worker: LaneWorker, cost_usd: float) -> LaneWorker | None:
        """Another lane of the same tier that could submit at once, and got less than `worker` by its weight."""
        if len(self.workers) == 1:
            return None
        tier = next(tier for tier in self.tiers if worker in tier)
        free = (other for other in tier if other.load < worker.load and other.lane.gate.is_free(cost_usd))
        return min(free, key=lambda other: other.load, default=None)

    def peek(self, now: float) -> Job | None:
        """The next job to submit, None if there is none at `now`."""
        if self.again and self.again[0][0] <= now:
            return self.again[0][2]
        return self.fresh[0] if self.fresh else None

    def is_fresh(self, job: Job) -> bool:
        """False for a job that is to be tried again, and so is before those that are fresh."""
        return not (self.again and self.again[0][2] is job)

    def pop(self, now: float) -> Job | None:
        """Take out the next job to submit."""
        if self.again and self.again[0][0] <= now:
            return heapq.heappop(self.again)[2]
        return self.fresh.popleft() if self.fresh else None

    def take(self, job: Job) -> None:
        """Take out `job`, which `peek` has shown: by the time that the clock is read again, another may be due."""
        if not self.is_fresh(job):
            heapq.heappop(self.again)
        else:
            self.fresh.remove(job)  # the first of them

    def push_again(self, job: Job, due_at: float) -> None:
        """Have `job` submitted anew, not before `due_at`."""
        heapq.heappush(self.again, (due_at, job.index, job))

    def ring(self) -> None:
        """Something has changed here: have the lanes look."""
        for worker in self.workers:
            worker.waker.ring()

    def drain(self) -> Iterator[Job]:
        """Take out everything that waits."""
        jobs = [job for _, _, job in sorted(self.again)] + list(self.fresh)
        self.again.clear()
        self.fresh.clear()
        return iter(jobs)
