"""Feeds prompts to backlogs: reads ahead a little, plans each prompt's job, and opens the lanes it may go to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sized

from aveo3.dispatch.backlog import Backlog, Backlogs, LaneQueue
from aveo3.dispatch.batch import Batch
from aveo3.dispatch.in_flight import InFlight, not_resumed
from aveo3.dispatch.lane_pool import LanePool
from aveo3.dispatch.lane_worker import LaneWorker
from aveo3.dispatch.planner import Planner, Prompt, Source
from aveo3.engine.job import Job
from aveo3.engine.open_lane import OpenLane
from aveo3.errors import AveoError, JournalError
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import State

LOOKAHEAD = 16
"""Prompts read ahead per backlog, so that a stalled lane does not hide prompts for another."""

LOOKAHEAD_IN_LIST = 10_000
"""The same if all prompts are already in memory, where reading ahead costs nothing."""


class Feeder:
    """Feeds the prompts of one batch, in order. The feeder owns a prompt until it hands its job on."""

    def __init__(
        self,
        prompts: Source,
        batch: Batch,
        backlogs: Backlogs,
        in_flight: InFlight,
        *,
        planner: Planner,
        lane_pool: LanePool,
        lookahead: int | None = None,
    ) -> None:
        self._prompts = prompts
        self._lookahead = lookahead or (LOOKAHEAD_IN_LIST if isinstance(prompts, Sized) else LOOKAHEAD)
        self._batch = batch
        self._backlogs = backlogs
        self._in_flight = in_flight
        self._planner = planner
        self._lane_pool = lane_pool
        self._handed_on = -1  # index of the last prompt whose job was handed on

    async def run(self) -> None:
        """Feed until the prompts end or the batch stops. The reader gets an error of the iterable after all clips."""
        prompts = aiter(_each(self._prompts))
        index = 0
        prompt: Prompt | JobRecord | None = None
        try:
            if self._batch.stopping:
                raise asyncio.CancelledError
            async for prompt in prompts:
                if (job := await self._plan(prompt, index)) is not None:
                    await self._enqueue(job)
                index, prompt = index + 1, None
            self._batch.fed = True
        except asyncio.CancelledError:
            if prompt is not None:
                if index > self._handed_on:
                    self._give_back(prompt, index)
                index += 1
            if isinstance(self._prompts, Sized) and not self._batch.abandoned:
                async for prompt in prompts:  # a list: each prompt gets a clip, even if not read yet
                    self._give_back(prompt, index)
                    index += 1
        except Exception as error:
            self._batch.crash = error  # from the iterable: raised after the jobs of earlier prompts
        finally:
            if self._planner.begun is not None:
                self._planner.begun.release()
            self._backlogs.feeding = False
            self._backlogs.release_idle()

    async def _plan(self, prompt: Prompt | JobRecord, index: int) -> Job | None:
        """The job of one prompt; None if nothing is left to do for it, and its clip is already delivered."""
        await asyncio.sleep(0)  # a hundred thousand bad prompts in a row must not block the loop
        await self._batch.reader_has_room()
        try:
            planned = await self._planner.plan(prompt, index)
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
        self._hand_on(index)
        self._batch.deliver(job, clip)
        return None

    def _hand_on(self, index: int) -> None:
        """Give up ownership of this prompt's job: another part of the batch has it now."""
        self._handed_on = index
        self._planner.hand_on()

    def _give_back(self, prompt: Prompt | JobRecord, index: int) -> None:
        """Deliver the clip of a prompt whose turn did not come before the batch stopped."""
        if (begun := self._planner.begun) is not None and begun.index == index:
            self._batch.cancel(begun)
        elif not self._batch.abandoned and (unsent := self._planner.unsent(prompt, index)) is not None:
            self._batch.deliver(*unsent)

    async def _enqueue(self, job: Job) -> None:
        """Put `job` into its backlog and wait until that has room. Resume a job that an earlier run sent at once."""
        lane = None
        try:
            if job.state is not State.PLANNED:
                lane = await self._lane_pool.open_lane(self._lane_pool.lanes.at(job.place or {}, job.model))
            backlog = await self._backlog_of(job, lane)
        except AveoError as error:
            self._hand_on(job.index)
            self._batch.deliver(
                job, job.end(State.DEFERRED, "no_lane", str(error)) if job.state is State.PLANNED else job.cancel()
            )
            return
        if lane is not None:
            # After a stop here the feeder still owns the job, and gives it back.
            await self._in_flight.room_to_resume(lane)
            self._hand_on(job.index)
            self._batch.events.planned(job)
            self._in_flight.resume(job, lane, backlog)
            return
        self._hand_on(job.index)
        self._batch.events.planned(job)
        backlog.push(job)
        backlog.ring()
        while len(backlog.fresh) >= self._lookahead:
            await self._backlogs.room.wait()

    async def _backlog_of(self, job: Job, lane: OpenLane | None) -> Backlog:
        """The backlog of jobs that may go to the same lanes as `job`; for a job without a route, that of `lane`."""
        tiers = job.route.key if job.route is not None else ((lane.lane,),) if lane is not None else ()
        if tiers not in self._backlogs.by_tiers:
            opened = [[await self._lane_pool.open_lane(lane) for lane in tier] for tier in tiers]
            queues = [[self._queue_of(lane) for lane in tier] for tier in opened]
            self._backlogs.by_tiers[tiers] = Backlog(queues, self._backlogs.room)
        return self._backlogs.by_tiers[tiers]

    def _queue_of(self, lane: OpenLane) -> LaneQueue:
        if lane.lane not in self._backlogs.queues:
            queue = self._backlogs.queues[lane.lane] = LaneQueue(lane)
            self._batch.start(LaneWorker(queue, self._batch, self._backlogs, self._in_flight).run())
        return self._backlogs.queues[lane.lane]


async def _each(prompts: Source) -> AsyncIterator[Prompt | JobRecord]:
    if isinstance(prompts, AsyncIterable):
        async for prompt in prompts:
            yield prompt
    else:
        for each in prompts:
            yield each
