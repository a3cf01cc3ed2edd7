"""Takes one prompt at a time: plans its job, and puts that where it is sent from, or delivers its clip if known."""

from __future__ import annotations

import asyncio

from aveo3.dispatch.backlog import Backlog, Backlogs, LaneQueue
from aveo3.dispatch.batch import Batch
from aveo3.dispatch.in_flight import InFlight, not_resumed
from aveo3.dispatch.lane_pool import LanePool
from aveo3.dispatch.lane_worker import LaneWorker
from aveo3.dispatch.planner import Planner, Prompt
from aveo3.engine.job import Job
from aveo3.engine.open_lane import OpenLane
from aveo3.errors import AveoError, JournalError
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import State


class Intake:
    """Takes prompts for one task. It owns a prompt until it hands its job on."""

    def __init__(
        self, batch: Batch, backlogs: Backlogs, in_flight: InFlight, *, planner: Planner, lane_pool: LanePool
    ) -> None:
        self._batch = batch
        self._backlogs = backlogs
        self._in_flight = in_flight
        self._planner = planner
        self._lane_pool = lane_pool
        self._handed_on = -1  # index of the last prompt whose job was handed on

    def twin(self) -> Intake:
        """Another one, for another task."""
        return Intake(
            self._batch, self._backlogs, self._in_flight, planner=self._planner.twin(), lane_pool=self._lane_pool
        )

    async def plan(
        self,
        prompt: Prompt | JobRecord,
        index: int,
        not_sent: str | None = None,
        wrong: str | None = None,
        *,
        cuts: bool = False,
    ) -> Job | None:
        """The job of one prompt; None if nothing is left to do for it, and its clip is already delivered.

        `not_sent`, `wrong` and `cuts` as in `Planner.plan`.
        """
        await asyncio.sleep(0)  # a hundred thousand bad prompts in a row must not block the loop
        await self._batch.reader_has_room()
        try:
            planned = await self._planner.plan(prompt, index, not_sent, wrong, cuts=cuts)
        except JournalError as error:
            self._batch.break_off(str(error))
            planned = self._planner.unsent(prompt, index, error)
        if planned is None:
            return None
        job, clip = planned
        if clip is None and self._batch.resumes and job.state is State.PLANNED:
            clip = not_resumed(job)
        if clip is None:
            return job
        self.hand_on(index)
        self._batch.deliver(job, clip)
        return None

    def hand_on(self, index: int) -> None:
        """Give up ownership of this prompt's job: another part of the batch has it now."""
        self._handed_on = index
        self._planner.hand_on()

    def owns(self, index: int) -> bool:
        """True until the job of this prompt is handed on. Only of the prompt that was taken last."""
        return index != self._handed_on

    def give_back(self, prompt: Prompt | JobRecord, index: int) -> None:
        """Deliver the clip of a prompt whose turn did not come before the batch stopped."""
        if (begun := self._planner.begun) is not None and begun.index == index:
            self._batch.cancel(begun)
        elif not self._batch.abandoned and (unsent := self._planner.unsent(prompt, index)) is not None:
            self._batch.deliver(*unsent)

    def release(self) -> None:
        """Let another batch claim the job that was matched last, if it was not handed on."""
        if self._planner.begun is not None:
            self._planner.begun.release()

    async def enqueue(self, job: Job, *, first: bool = False) -> Backlog | None:
        """Put `job` into its backlog, or with `first` before those that are new there. Returns the backlog.

        None for a job that an earlier run sent: that is resumed at once.
        """
        lane = None
        try:
            if job.state is not State.PLANNED:
                lane = await self._lane_pool.open_lane(self._lane_pool.lanes.at(job.place or {}, job.model))
            backlog = await self._backlog_of(job, lane)
        except AveoError as error:
            self.hand_on(job.index)
            self._batch.deliver(
                job, job.end(State.DEFERRED, "no_lane", str(error)) if job.state is State.PLANNED else job.cancel()
            )
            return None
        if lane is not None:
            await self._in_flight.room_to_resume(lane)  # after a stop here the job is still ours, and is given back
            self.hand_on(job.index)
            self._batch.events.planned(job)
            self._in_flight.resume(job, lane, backlog)
            return None
        self.hand_on(job.index)
        self._batch.events.planned(job)
        if first:
            backlog.push_again(job, asyncio.get_running_loop().time())
        else:
            backlog.push(job)
        backlog.ring()
        return backlog

    async def _backlog_of(self, job: Job, lane: OpenLane | None) -> Backlog:
        """The backlog of jobs that may go to the same lanes as `job`; for a job without a route, that of `lane`."""
        tiers = job.route.key if job.route is not None else ((lane.lane,),) if lane is not None else ()
        if tiers not in self._backlogs.by_tiers:
            opened = [[await self._lane_pool.open_lane(lane) for lane in tier] for tier in tiers]
            if tiers not in self._backlogs.by_tiers:  # another intake may have been quicker
                queues = [[self._queue_of(lane) for lane in tier] for tier in opened]
                self._backlogs.by_tiers[tiers] = Backlog(queues, self._backlogs.room)
        return self._backlogs.by_tiers[tiers]

    def _queue_of(self, lane: OpenLane) -> LaneQueue:
        if lane.lane not in self._backlogs.queues:
            queue = self._backlogs.queues[lane.lane] = LaneQueue(lane, self._backlogs.order)
            self._batch.start(LaneWorker(queue, self._batch, self._backlogs, self._in_flight).run())
        return self._backlogs.queues[lane.lane]
