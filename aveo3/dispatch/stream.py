"""The dispatcher: prompts in, clips out as they finish. It takes a permit first and only then starts a job's task, so
tasks, memory and open sockets follow what is in flight, not how many prompts there are."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sized
from datetime import datetime
from math import inf
from types import TracebackType
from typing import Any, Self

from aveo3._waker import Waker
from aveo3.backends.base import Backend
from aveo3.dispatch.backlog import Backlog, LaneWorker
from aveo3.dispatch.budget import Budget
from aveo3.dispatch.matching import JobMatcher
from aveo3.dispatch.planner import Planner, Prompt
from aveo3.engine.job import Again, Job
from aveo3.engine.open_lane import OpenLane
from aveo3.engine.runner import Engine
from aveo3.errors import AveoError, GateClosed, JournalError, UsageError
from aveo3.journal.rows import JobRecord
from aveo3.lanes.lanes import Lane
from aveo3.lanes.routing import Routes
from aveo3.lifecycle import State
from aveo3.models import VideoClip, VideoPrompt

log = logging.getLogger(__name__)

Prompts = Iterable[Prompt] | AsyncIterable[Prompt]
BackendAt = Callable[[Mapping[str, str | None]], Awaitable[Backend]]

LOOKAHEAD = 16
"""Prompts read ahead per lane, so that a lane that stands still does not hide prompts for another behind its own."""

LOOKAHEAD_IN_LIST = 10_000
"""The same where the prompts are all there already, and reading ahead costs nobody anything."""

UNCOLLECTED = 100
"""Finished clips that may wait for their reader before no new job is started: `stream` follows its reader's pace."""

TAKEN_UP = 64
"""Jobs of earlier runs that are looked at at once."""

GRACE = 10.0
"""Seconds that submits and downloads under way get when a run is left."""


class ClipStream:
    """The clips of one batch of prompts, as they finish. Use it as `async with veo.stream(prompts) as clips`.

    Leaving the block early stops the run as `leave` does. An exception raised by `prompts` itself comes out after the
    clips of what had been read before.
    """

    def __init__(
        self,
        prompts: Prompts | list[JobRecord],
        *,
        routes: Routes,
        open_lane: Callable[[Lane], Awaitable[OpenLane]],
        backend_at: BackendAt,
        matcher: JobMatcher | None,
        engine: Engine,
        budget: Budget,
        now_utc: Callable[[], datetime],
        ended: Callable[[VideoClip], VideoClip],
    ) -> None:
        if isinstance(prompts, str | bytes | Mapping | VideoPrompt):
            raise UsageError(
                f"prompts is one {type(prompts).__name__}, not several: write generate_many([prompt]), or "
                "generate(prompt) for a single one"
            )
        self._prompts = prompts
        self._resumes = bool(prompts) and isinstance(prompts, list) and isinstance(prompts[0], JobRecord)
        self._taking_up = asyncio.Semaphore(TAKEN_UP)
        self._lookahead = LOOKAHEAD_IN_LIST if isinstance(prompts, Sized) else LOOKAHEAD
        self._lanes = routes.lanes
        self._open_lane = open_lane
        self._backend_at = backend_at
        self._engine = engine
        self._budget = budget
        self._planner = Planner(routes, matcher, now_utc)
        self._now_utc = now_utc
        self._ended = ended
        self._workers: dict[Lane, LaneWorker] = {}
        self._backlogs: dict[tuple[tuple[Lane, ...], ...], Backlog] = {}
        self._jobs: dict[asyncio.Task[VideoClip | Again], tuple[Job, Backlog]] = {}
        self._helpers: set[asyncio.Task[None]] = set()
        self._finished: deque[VideoClip] = deque()
        self._feeding = True
        self._handed_on = -1  # index of the last prompt whose job is out of the feeder's hands
        self._opened = False
        self._stopping = False
        self._abandoned = False  # nobody reads any more
        self._crash: BaseException | None = None
        self._reader = Waker()  # the reader waits for clips
        self._room = asyncio.Event()  # helpers wait for the reader, or for a purse that is given back to
        self._feeder = Waker()  # the feeder waits for room in a backlog

    # ---- reading -----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._start(self._feed())
        self._opened = True
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._abandoned = True
        await self.leave()

    def __aiter__(self) -> AsyncIterator[VideoClip]:
        return self

    async def __anext__(self) -> VideoClip:
        if not self._opened:
            raise UsageError("open the stream first: async with veo.stream(prompts) as clips: …")
        while not self._finished:
            if not self._helpers and not self._jobs:
                if self._crash is not None:
                    crash, self._crash = self._crash, None
                    raise crash
                raise StopAsyncIteration
            await self._reader.wait()
        clip = self._finished.popleft()
        self._room.set()
        return clip

    # ---- stopping ----------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Submit nothing more. What is in flight is seen through; what waits comes out as `cancelled`."""
        if self._stopping:
            return
        self._stopping = True
        for helper in self._helpers:
            if _has_begun(helper):
                helper.cancel()
        for job, _ in self._jobs.values():
            # It has its permit, but nothing was sent yet.
            job.leaving = job.leaving or job.state is State.PLANNED or job.intended
        self._reader.ring()

    async def leave(self) -> None:
        """Stop, and do not wait for what is running: those clips come out `unfinished`, and the next run has them.

        Submits whose answer is under way get 10 seconds to learn their operation's name, and finished videos as long
        to reach the disk. Cancelling this cuts that short.
        """
        self.stop()
        for helper in self._helpers:
            if _has_begun(helper):
                helper.cancel()
        for task, (job, _) in self._jobs.items():
            job.leaving = True
            if job.state in (State.RUNNING, State.UNCERTAIN) and _has_begun(task):
                task.cancel()
        try:
            if tasks := [*self._helpers, *self._jobs]:
                await asyncio.wait(tasks, timeout=GRACE)
        finally:
            for task in self._jobs:
                task.cancel()
        if self._jobs:
            await asyncio.wait(self._jobs)

    # ---- feeding: prompts into backlogs ------------------------------------------------------------------------

    async def _feed(self) -> None:
        prompts = aiter(_each(self._prompts))
        index = 0
        given: Prompt | JobRecord | None = None
        try:
            if self._stopping:
                raise asyncio.CancelledError
            async for given in prompts:
                if (job := await self._plan(given, index)) is not None:
                    await self._enqueue(job)
                index, given = index + 1, None
        except asyncio.CancelledError:
            if given is not None:
                if index > self._handed_on:
                    self._give_back(given, index)
                index += 1
            if isinstance(self._prompts, Sized) and not self._abandoned:
                async for given in prompts:  # a list: each of its prompts gets a clip, also those not read yet
                    self._give_back(given, index)
                    index += 1
        except Exception as error:
            self._crash = error  # the iterable's own; told when what was read before is done
        finally:
            if self._planner.begun is not None:
                self._planner.begun.release()
            self._feeding = False
            self._see_to_the_end()

    async def _plan(self, given: Prompt | JobRecord, index: int) -> Job | None:
        """The job of one prompt; None if nothing is left to do for it, in which case its clip is out already."""
        await asyncio.sleep(0)  # a hundred thousand bad prompts in a row must not hold up the loop
        await self._collected()
        try:
            planned = await self._planner.plan(given, index)
        except JournalError as error:
            self._break_off(str(error))
            planned = self._planner.unsent(given, index, error)
        if planned is None:
            return None
        job, clip = planned
        if clip is None and self._resumes and job.state is State.PLANNED:
            clip = self._not_resumed(job)
        if clip is None:
            return job
        self._handed_on = index
        self._planner.hand_on()
        self._deliver(job, clip)
        return None

    def _give_back(self, given: Prompt | JobRecord, index: int) -> None:
        """The run was stopped before this prompt came to its turn."""
        if (begun := self._planner.begun) is not None and begun.index == index:
            self._cancel(begun)
        elif not self._abandoned and (unsent := self._planner.unsent(given, index)) is not None:
            self._deliver(*unsent)

    def _not_resumed(self, job: Job) -> VideoClip:
        """It came to nothing, and is not billed; resuming sends nothing."""
        why = f"{job.error_message}; " if job.error_message else ""
        return job.end(State.DEFERRED, "not_sent", f"{why}its prompt has to be given again for it to be sent once more")

    async def _enqueue(self, job: Job) -> None:
        try:
            at = (
                await self._open_lane(self._lanes.at(job.place or {}, job.model))
                if job.state is not State.PLANNED
                else None
            )
            backlog = await self._backlog_for(job, at)
        except AveoError as error:
            self._handed_on = job.index
            self._planner.hand_on()
            self._deliver(
                job, job.end(State.DEFERRED, "no_lane", str(error)) if job.state is State.PLANNED else job.cancel()
            )
            return
        if at is not None:
            await self._taking_up.acquire()  # stopped here, the job is still the planner's, and is given back
        self._handed_on = job.index
        self._planner.hand_on()
        if at is not None:
            self._launch(self._resume(job, at), job, backlog, job.cost_usd)
            return
        backlog.fresh.append(job)
        backlog.ring()
        while len(backlog.fresh) >= self._lookahead:
            await self._feeder.wait()

    async def _backlog_for(self, job: Job, at: OpenLane | None) -> Backlog:
        """Where jobs wait that may go to the same lanes as `job`; of one that none can take, the lane that has it."""
        key = job.route.key if job.route is not None else ((at.lane,),) if at is not None else ()
        if key not in self._backlogs:
            tiers = [[await self._open_lane(lane) for lane in tier] for tier in key]
            backlog = self._backlogs[key] = Backlog(tuple(tuple(map(self._worker_of, tier)) for tier in tiers))
            for worker in backlog.workers:
                worker.backlogs.append(backlog)
        return self._backlogs[key]

    def _worker_of(self, lane: OpenLane) -> LaneWorker:
        if lane.lane not in self._workers:
            self._workers[lane.lane] = LaneWorker(lane)
            self._start(self._run(self._workers[lane.lane]))
        return self._workers[lane.lane]

    # ---- pumping: what waits, through the gates of its lanes -----------------------------------------------------

    async def _run(self, worker: LaneWorker) -> None:
        """Submit what waits for this lane, until no more can come."""
        try:
            while not self._stopping and (found := await self._next_job(worker)) is not None:
                await self._submit_when_possible(*found, worker)
        except asyncio.CancelledError:
            pass
        except Exception as error:
            self._fail(error)
        finally:
            if self._stopping:
                for job in [job for backlog in self._backlogs.values() for job in backlog.drain()]:
                    self._cancel(job)

    async def _next_job(self, worker: LaneWorker) -> tuple[Backlog, Job] | None:
        """The next job that this lane may submit, as soon as there is one; None when no more can come."""
        while True:
            await self._collected()
            now = _now()
            if worker.reopens_at <= now:
                worker.closed, worker.reopens_at = None, inf
            if (found := worker.next_job(now)) is not None:
                return found
            if not self._feeding and worker.idle:
                return None
            await worker.waker.wait(min(worker.due_at(now), worker.reopens_at))

    async def _submit_when_possible(self, backlog: Backlog, job: Job, worker: LaneWorker) -> None:
        """Take a permit, and then what is next by then: another lane may have been quicker."""
        cost = _cost_of(job, worker)
        if not self._budget.fits(cost):
            await self._wait_for_money(backlog, job, worker)
            return
        if worker.passed is not job and (other := backlog.less_loaded(worker, cost)) is not None:
            worker.passed = job
            other.waker.ring()
            await asyncio.sleep(0)  # it goes first, if nothing keeps it
            return
        worker.closed, worker.reopens_at = None, inf
        worker.asking = asyncio.current_task()
        try:
            permit = await worker.lane.gate.acquire(cost, lambda: self._to_come(worker))
        except GateClosed as closed:
            self._pass_on(worker, closed)
            return
        finally:
            worker.asking = None
        found = worker.next_job(_now())
        if found is None or (found[1] is not job and _cost_of(found[1], worker) != cost) or not self._budget.fits(cost):
            worker.lane.gate.cancel(permit)
            return
        if found[1] is job:
            job.quota_wait += permit.waited
        backlog, job = found
        self._take(job, backlog)
        worker.lane.taken += 1
        self._launch(self._engine.run(job, permit, worker.lane), job, backlog, cost)

    def _to_come(self, worker: LaneWorker) -> int | None:
        """Submits that are still to come to a lane, the one that asks included; None if nobody can know."""
        if self._feeding or any(len(backlog.workers) > 1 for backlog in worker.backlogs):
            return None
        return sum(len(backlog.fresh) + len(backlog.again) for backlog in worker.backlogs)

    async def _wait_for_money(self, backlog: Backlog, job: Job, worker: LaneWorker) -> None:
        """Wait until something changes; or defer what cannot be paid on any lane that may take it, whatever is given
        back."""
        serving = [other for other in backlog.workers if backlog.serves(other)]
        if any(self._budget.can_ever_fit(_cost_of(job, other)) for other in serving):
            self._budget.waiting.add(worker.waker.ring)
            await worker.waker.wait()
            return
        self._take(job, backlog)
        why = f"US$ {_cost_of(job, worker):.2f} would go beyond {self._budget.told}"
        self._deliver(job, job.end(State.DEFERRED, "budget", why, operation=None))
        self._see_to_the_end()

    def _take(self, job: Job, backlog: Backlog) -> None:
        backlog.take(job)
        backlog.ring()  # a lane that had no money for this one may have it for the next
        self._feeder.ring()

    def _pass_on(self, worker: LaneWorker, closed: GateClosed) -> None:
        """A lane lets nobody through: what waits goes to the others, and is deferred where there are none."""
        worker.closed = closed
        if closed.retry_at_utc is not None:
            worker.reopens_at = _now() + max(1.0, (closed.retry_at_utc - self._now_utc()).total_seconds())
        for backlog in worker.backlogs:
            if (why := backlog.closed()) is None:
                backlog.ring()
            elif (job := backlog.pop(_now())) is not None:
                self._feeder.ring()
                self._deliver(job, job.defer(why))
        self._see_to_the_end()

    def _see_to_the_end(self) -> None:
        """Have lanes that wait for permits which nobody needs any more stop waiting."""
        if not self._feeding:
            for worker in self._workers.values():
                worker.waker.ring()
                if worker.idle and worker.asking is not None:
                    worker.asking.cancel()

    def _launch(
        self, work: Coroutine[Any, Any, VideoClip | Again], job: Job, backlog: Backlog, cost_usd: float | None
    ) -> None:
        job.reserved = 0.0 if job.paid else cost_usd or 0.0
        self._budget.reserve(job.reserved)
        backlog.in_flight += 1
        task = asyncio.get_running_loop().create_task(work)
        self._jobs[task] = job, backlog
        task.add_done_callback(self._job_done)

    async def _resume(self, job: Job, lane: OpenLane) -> VideoClip | Again:
        try:
            backend = await self._backend_at(job.place or {})
            return await self._engine.resume(job, lane, backend)
        except Exception as error:  # credentials that are gone, or whatever else became of that place
            return job.leave("not_looked_at", f"it could not be looked at where it was sent: {error}")
        except asyncio.CancelledError:
            return job.cancel()
        finally:
            self._taking_up.release()

    def _job_done(self, task: asyncio.Task[VideoClip | Again]) -> None:
        job, backlog = self._jobs.pop(task)
        backlog.in_flight -= 1
        outcome = None if task.cancelled() or task.exception() is not None else task.result()
        spent = (outcome.cost_usd or 0.0) if isinstance(outcome, VideoClip) else 0.0
        if not job.paid:
            self._budget.book(job.reserved, spent)
        else:
            self._budget.correct(job.paid_usd, spent)
            job.paid = False  # what it costs from here on is this run's
        if isinstance(outcome, VideoClip):
            self._deliver(job, outcome)
            if outcome.error_kind == "disk":  # each further clip would be paid and lost like this one
                self._break_off(outcome.error_message)
            elif job.journal is not None and job.journal.broken:  # what cannot be noted must not be sent
                self._break_off(job.journal.broken)
        elif outcome is None:
            self._fail(asyncio.CancelledError() if task.cancelled() else task.exception())
        elif self._resumes:
            self._deliver(job, self._not_resumed(job))
        elif self._stopping:
            self._cancel(job)
        elif job.route is None:
            why = "; ".join(filter(None, (job.error_message, "no lane can take its prompt any more")))
            self._deliver(job, job.end(State.DEFERRED, "no_lane", why))
        elif outcome.last:
            job.put_back += 1
            backlog.fresh.append(job)
        else:
            backlog.push_again(job, _now() + outcome.wait)
        backlog.ring()
        self._see_to_the_end()
        self._reader.ring()

    # ---- delivering --------------------------------------------------------------------------------------------

    def _deliver(self, job: Job, clip: VideoClip) -> None:
        job.release()
        self._finished.append(self._ended(clip))
        self._reader.ring()

    def _cancel(self, job: Job | None) -> None:
        if job is not None:
            self._deliver(job, job.cancel())

    async def _collected(self) -> None:
        """Wait until the reader has room for more clips."""
        while len(self._finished) >= UNCOLLECTED and not self._stopping:
            await self._changed()

    async def _changed(self) -> None:
        self._room.clear()
        await self._room.wait()

    def _start(self, work: Any) -> None:
        helper = asyncio.get_running_loop().create_task(work)
        self._helpers.add(helper)
        helper.add_done_callback(self._helper_done)

    def _helper_done(self, helper: asyncio.Task[None]) -> None:
        self._helpers.discard(helper)
        if not helper.cancelled() and helper.exception() is not None:
            self._fail(helper.exception())
        self._reader.ring()

    def _break_off(self, why: str | None) -> None:
        if not self._stopping:
            log.error("stopping: %s", why)
            self.stop()

    def _fail(self, error: BaseException | None) -> None:
        """Something that is not one prompt's fault went wrong: see through what runs, then raise it to the reader."""
        self._crash = self._crash or error
        self.stop()


def _cost_of(job: Job, worker: LaneWorker) -> float:
    assert job.route is not None
    return job.route.at(worker.lane.lane).cost_usd or 0.0


def _has_begun(task: asyncio.Task[Any]) -> bool:
    """A task that has not begun sees for itself that it is to stop; cancelled now, it would never clean up."""
    return inspect.getcoroutinestate(task.get_coro()) != inspect.CORO_CREATED  # type: ignore[arg-type]


async def _each(prompts: Prompts | list[JobRecord]) -> AsyncIterator[Prompt | JobRecord]:
    if isinstance(prompts, AsyncIterable):
        async for prompt in prompts:
            yield prompt
    else:
        for given in prompts:
            yield given


def _now() -> float:
    return asyncio.get_running_loop().time()
