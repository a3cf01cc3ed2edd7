"""One lane's worker in one batch: takes a permit from the lane's gate, and then submits the next job."""

from __future__ import annotations

import asyncio
from math import inf

from aveo3.dispatch.backlog import Backlog, Backlogs, LaneQueue
from aveo3.dispatch.batch import Batch
from aveo3.dispatch.in_flight import InFlight
from aveo3.engine.job import Job
from aveo3.errors import GateClosed
from aveo3.lifecycle import State


class LaneWorker:
    """Submits the jobs in `queue`, one per permit, until no more can come."""

    def __init__(self, queue: LaneQueue, batch: Batch, backlogs: Backlogs, in_flight: InFlight) -> None:
        self._queue = queue
        self._batch = batch
        self._backlogs = backlogs
        self._in_flight = in_flight
        self._budget = in_flight.budget
        self._offered: Job | None = None  # the last job offered to a less loaded lane

    async def run(self) -> None:
        """Work until no more jobs can come, or the batch is stopping. After a stop, cancel every waiting job."""
        try:
            while not self._batch.stopping and (found := await self._next_job()) is not None:
                await self._submit_when_possible(*found)
        except asyncio.CancelledError:
            pass
        except Exception as error:
            self._batch.fail(error)
        finally:
            if self._batch.stopping:
                for job in self._backlogs.drain():
                    self._batch.cancel(job)

    async def _next_job(self) -> tuple[Backlog, Job] | None:
        """Wait for the next job that this lane may submit, and return it; None when no more can come."""
        queue = self._queue
        while True:
            await self._batch.reader_has_room()
            now = _now()
            if queue.reopens_at <= now:
                queue.reopen()
            if (found := queue.next_job(now)) is not None:
                return found
            if not self._backlogs.feeding and queue.idle:
                return None
            await queue.waker.wait(min(queue.due_at(now), queue.reopens_at))

    async def _submit_when_possible(self, backlog: Backlog, job: Job) -> None:
        """Take a permit, then the job that is next at that time: another lane may have taken `job`."""
        queue, lane = self._queue, self._queue.lane
        cost = self._cost_of(job, queue)
        if not self._budget.fits(cost):
            await self._wait_for_money(backlog, job)
            return
        if self._offered is not job and (other := backlog.less_loaded(queue, cost)) is not None:
            self._offered = job
            other.waker.ring()
            await asyncio.sleep(0)  # the other lane goes first if it can
            return
        queue.reopen()
        if self._batch.events.listening and not lane.gate.is_free(cost):
            self._batch.events.waiting(job, "person" if lane.gate.is_held else "quota", lane.lane.name)
        queue.permit_waiter = asyncio.current_task()
        try:
            permit = await lane.gate.acquire(cost, lambda: self._backlogs.still_to_come(queue))
        except GateClosed as closed:
            self._close(closed)
            return
        finally:
            queue.permit_waiter = None
        found = queue.next_job(_now())
        if (
            found is None
            or (found[1] is not job and self._cost_of(found[1], queue) != cost)
            or not self._budget.fits(cost)
        ):
            lane.gate.cancel(permit)
            return
        if found[1] is job:
            job.quota_wait += permit.waited
        backlog, job = found
        if queue.order is not None and backlog.is_fresh(job):
            queue.order.went(lane.lane, job)
        backlog.take(job)
        lane.taken += 1
        self._in_flight.submit(job, permit, lane, backlog, cost)

    async def _wait_for_money(self, backlog: Backlog, job: Job) -> None:
        """Wait for a change. Defer a job that no lane can afford, even if all reservations are released."""
        serving = [other for other in backlog.queues if backlog.serves(other)]
        if any(self._budget.can_ever_fit(self._cost_of(job, other)) for other in serving):
            self._batch.events.waiting(job, "budget", self._queue.lane.lane.name)
            self._budget.waiting.add(self._queue.waker.ring)
            await self._queue.waker.wait()
            return
        backlog.take(job)
        cost = self._cost_of(job, self._queue)
        if cost == inf:
            why = self._budget.why_not(self._queue.lane.lane.model)
        else:
            why = f"US$ {cost:.2f} would exceed {self._budget.summary}"
        self._batch.deliver(job, job.end(State.DEFERRED, "budget", why, operation=None))
        self._backlogs.release_idle()

    def _cost_of(self, job: Job, queue: LaneQueue) -> float:
        """What `job` costs on the lane of `queue`. An unknown price is beyond any budget."""
        assert job.route is not None
        cost = job.route.at(queue.lane.lane).cost_usd
        return cost if cost is not None else inf if self._budget.limit < inf else 0.0

    def _close(self, closed: GateClosed) -> None:
        """Close the lane, so that its jobs go to the other lanes. If all are closed, defer one job, or let all wait."""
        self._queue.closed = closed
        if closed.retry_at_utc is not None:
            wait = (closed.retry_at_utc - self._batch.now_utc()).total_seconds()
            self._queue.reopens_at = _now() + max(1.0, wait)
        for backlog in self._queue.backlogs:
            if (why := backlog.closed()) is None:
                backlog.ring()
            elif all(queue.holds for queue in backlog.queues):
                continue
            elif (job := backlog.pop(_now())) is not None:
                self._batch.deliver(job, job.defer(why))
        self._backlogs.release_idle()


def _now() -> float:
    return asyncio.get_running_loop().time()
