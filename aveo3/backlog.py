"""What one lane has yet to submit, in order: jobs to be tried again before fresh ones."""

from __future__ import annotations

import heapq
from collections import deque

from aveo3.bell import Bell
from aveo3.engine import Lane
from aveo3.job import Job


class Backlog:
    """What one lane has yet to submit: jobs to be tried again, by the instant they are due, before fresh ones."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.fresh: deque[Job] = deque()
        self.again: list[tuple[float, int, Job]] = []
        self.in_flight = 0
        self.bell = Bell()

    def pop(self, now: float) -> Job | None:
        """The next job to submit, None if there is none at `now`."""
        if self.again and self.again[0][0] <= now:
            return heapq.heappop(self.again)[2]
        return self.fresh.popleft() if self.fresh else None

    def push_again(self, job: Job, due_at: float) -> None:
        """Have `job` submitted anew, not before `due_at`."""
        heapq.heappush(self.again, (due_at, job.index, job))
        self.bell.ring()

    def drain(self) -> list[Job]:
        """Take out everything that waits."""
        jobs = [job for _, _, job in sorted(self.again)] + list(self.fresh)
        self.again.clear()
        self.fresh.clear()
        return jobs
