"""Jobs in flight: gives each a task, then books and delivers its clip, or queues the job again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from aveo3.dispatch.backlog import Backlog, Backlogs
from aveo3.dispatch.batch import Batch
from aveo3.dispatch.budget import Budget
from aveo3.dispatch.lane_pool import LanePool
from aveo3.engine.job import Again, Job
from aveo3.engine.open_lane import OpenLane
from aveo3.engine.runner import Engine
from aveo3.lifecycle import State
from aveo3.models import VideoClip
from aveo3.quota.permit import Permit
from aveo3.quota.server_gate import ServerGate

RESUMED_AT_ONCE = 64
"""Jobs of earlier runs that are polled or fetched at the same time."""


class InFlight:
    """Starts the tasks of one batch's jobs and handles their outcomes."""

    def __init__(
        self, batch: Batch, backlogs: Backlogs, *, engine: Engine, budget: Budget, lane_pool: LanePool
    ) -> None:
        self.budget = budget
        self._batch = batch
        self._backlogs = backlogs
        self._engine = engine
        self._lane_pool = lane_pool
        self._resuming = asyncio.Semaphore(RESUMED_AT_ONCE)

    def submit(self, job: Job, permit: Permit, lane: OpenLane, backlog: Backlog, cost_usd: float) -> None:
        """Start the task that submits `job`, which came from `backlog`, and runs it to its outcome."""
        assert job.route is not None
        stake = job.route.at(lane.lane).cost_usd  # None if unknown, which `cost_usd` counts as free
        self._launch(self._engine.run(job, permit, lane), job, backlog, cost_usd, stake)

    async def room_to_resume(self, lane: OpenLane) -> None:
        """Wait for one of the places for jobs of earlier runs; the next `resume` in `lane` uses it."""
        if not isinstance(lane.gate, ServerGate):  # they all wait there, and cost nothing here
            await self._resuming.acquire()

    def resume(self, job: Job, lane: OpenLane, backlog: Backlog) -> None:
        """Start the task that resumes a job of an earlier run. If its operation has no result, `job` goes to
        `backlog`."""
        stake = 0.0 if job.billed_before else job.cost_usd
        self._launch(self._resume(job, lane), job, backlog, job.cost_usd, stake)

    async def _resume(self, job: Job, lane: OpenLane) -> VideoClip | Again:
        try:
            backend = await self._lane_pool.backend_at(job.place or {})
            return await self._engine.resume(job, lane, backend)
        except Exception as error:  # its credentials are missing, or its place cannot be reached
            return job.leave("not_looked_at", f"it could not be polled where it was sent: {error}")
        except asyncio.CancelledError:
            return job.cancel()
        finally:
            if not isinstance(lane.gate, ServerGate):
                self._resuming.release()

    def _launch(
        self,
        work: Coroutine[Any, Any, VideoClip | Again],
        job: Job,
        backlog: Backlog,
        cost_usd: float | None,
        stake: float | None,
    ) -> None:
        job.reserved, job.stake = 0.0 if job.paid else cost_usd or 0.0, stake
        self.budget.reserve(job.reserved)
        self.budget.launch(stake)
        self._batch.launched(job)
        backlog.in_flight += 1
        task = asyncio.get_running_loop().create_task(work)
        self._batch.jobs[task] = job, backlog
        task.add_done_callback(self._done)
        self._batch.events.money(self.budget)

    def _done(self, task: asyncio.Task[VideoClip | Again]) -> None:
        job, backlog = self._batch.jobs.pop(task)
        backlog.in_flight -= 1
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        outcome = task.result() if error is None else None
        self._book(job, outcome)
        if error is not None:
            job.abandon()
            self._batch.fail(error)
        elif isinstance(outcome, VideoClip):
            self._batch.deliver(job, outcome)
            self._break_off_if_hopeless(job, outcome)
        elif outcome is not None:
            self._try_again(job, backlog, outcome)
        backlog.ring()
        self._backlogs.release_idle()
        self._batch.reader.ring()
        self._batch.tell_if_over()

    def _book(self, job: Job, outcome: VideoClip | Again | None) -> None:
        spent = (outcome.cost_usd or 0.0) if isinstance(outcome, VideoClip) else 0.0
        self.budget.land(job.stake)
        if not job.paid:
            self.budget.book(job.reserved, spent)
        else:
            self.budget.correct(job.paid_usd, spent)
            job.paid = False  # further costs belong to this run
        self._batch.events.money(self.budget)

    def _break_off_if_hopeless(self, job: Job, clip: VideoClip) -> None:
        if clip.error_kind == "disk":  # every further clip would be paid and lost like this one
            self._batch.break_off(clip.error_message)
        elif (
            job.journal is not None and not job.is_shared and job.journal.broken
        ):  # without a journal entry nothing may be sent
            self._batch.break_off(job.journal.broken)

    def _try_again(self, job: Job, backlog: Backlog, again: Again) -> None:
        """Put a job that is planned again into its backlog, or end it if it must not be submitted."""
        if self._batch.resumes:
            self._batch.deliver(job, not_resumed(job))
        elif self._batch.stopping:
            self._batch.cancel(job)
        elif job.route is None:
            why = "; ".join(filter(None, (job.error_message, "no lane can take its prompt now")))
            self._batch.deliver(job, job.end(State.DEFERRED, "no_lane", why))
        else:
            if again.retrying:
                job.events.retrying(job, again.wait)
            if again.last:
                job.put_back += 1
                backlog.push(job)
            else:
                backlog.push_again(job, asyncio.get_running_loop().time() + again.wait)


def not_resumed(job: Job) -> VideoClip:
    """End a job of an earlier run that has no result and is not billed: resuming submits nothing."""
    why = f"{job.error_message}; " if job.error_message else ""
    return job.end(State.DEFERRED, "not_sent", f"{why}to send it again, run its prompt again")
