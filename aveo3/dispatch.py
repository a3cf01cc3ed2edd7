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

from aveo3.backends.base import Backend
from aveo3.backlog import Backlog
from aveo3.bell import Bell
from aveo3.budget import Budget
from aveo3.catalog import Catalog
from aveo3.engine import Engine, Lane
from aveo3.entries import Entry
from aveo3.errors import AveoError, GateClosed, JournalError, UsageError
from aveo3.job import Again, Job
from aveo3.lifecycle import State
from aveo3.models import VideoClip, VideoPrompt
from aveo3.planning import Planner, Prompt
from aveo3.recall import Recall

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
        prompts: Prompts | list[Entry],
        *,
        lane_for: Callable[[str], Lane],
        backend_at: BackendAt,
        recall: Recall | None,
        model: str,
        cards: Catalog,
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
        self._resumes = bool(prompts) and isinstance(prompts, list) and isinstance(prompts[0], Entry)
        self._taking_up = asyncio.Semaphore(TAKEN_UP)
        self._lookahead = LOOKAHEAD_IN_LIST if isinstance(prompts, Sized) else LOOKAHEAD
        self._lane_for = lane_for
        self._backend_at = backend_at
        self._engine = engine
        self._budget = budget
        self._planner = Planner(model, cards, recall, now_utc)
        self._ended = ended
        self._backlogs: dict[str, Backlog] = {}
        self._jobs: dict[asyncio.Task[VideoClip | Again], tuple[Job, Backlog]] = {}
        self._helpers: set[asyncio.Task[None]] = set()
        self._finished: deque[VideoClip] = deque()
        self._feeding = True
        self._handed_on = -1  # index of the last prompt whose job is out of the feeder's hands
        self._opened = False
        self._stopping = False
        self._abandoned = False  # nobody reads any more
        self._crash: BaseException | None = None
        self._reader = Bell()  # the reader waits for clips
        self._room = asyncio.Event()  # helpers wait for the reader, or for a purse that is given back to
        self._feeder = Bell()  # the feeder waits for room in a backlog

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
            job.leaving = job.leaving or job.state is State.PLANNED  # it has its permit, but nothing was sent yet
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
        given: Prompt | Entry | None = None
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
            for backlog in self._backlogs.values():
                backlog.bell.ring()

    async def _plan(self, given: Prompt | Entry, index: int) -> Job | None:
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

    def _give_back(self, given: Prompt | Entry, index: int) -> None:
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
        if job.model not in self._backlogs:
            self._backlogs[job.model] = Backlog(self._lane_for(job.model))
            self._start(self._pump(self._backlogs[job.model]))
        backlog = self._backlogs[job.model]
        if job.state is not State.PLANNED:
            await self._taking_up.acquire()  # stopped here, the job is still the planner's, and is given back
        self._handed_on = job.index
        self._planner.hand_on()
        if job.state is not State.PLANNED:
            self._launch(self._resume(job, backlog.lane), job, backlog)
            return
        backlog.fresh.append(job)
        backlog.bell.ring()
        while len(backlog.fresh) >= self._lookahead:
            await self._feeder.wait()

    # ---- pumping: one lane's backlog through its gate ------------------------------------------------------------

    async def _pump(self, backlog: Backlog) -> None:
        try:
            while not self._stopping and (job := await self._next_job(backlog)) is not None:
                try:
                    await self._submit_when_possible(job, backlog)
                except asyncio.CancelledError:
                    self._cancel(job)
                    raise
        except asyncio.CancelledError:
            pass
        finally:
            for job in backlog.drain():
                self._cancel(job)

    async def _next_job(self, backlog: Backlog) -> Job | None:
        """The next job to submit, as soon as there is one; None when no more can come."""
        while True:
            job = backlog.pop(_now())
            if job is not None:
                self._feeder.ring()
                return job
            if not (self._feeding or backlog.again or backlog.in_flight):
                return None
            await backlog.bell.wait(backlog.again[0][0] if backlog.again else inf)

    async def _submit_when_possible(self, job: Job, backlog: Backlog) -> None:
        await self._collected()
        cost = job.cost_usd or 0.0
        permit = None
        while permit is None:
            while not self._budget.fits(cost):
                if not self._budget.can_ever_fit(cost):
                    limit = f"the budget of US$ {self._budget.limit:g} (US$ {self._budget.spent:.2f} spent)"
                    why = f"US$ {cost:.2f} would go beyond {limit}"
                    self._deliver(job, job.end(State.DEFERRED, "budget", why, operation=None))
                    return
                self._budget.waiting.add(self._room.set)
                await self._changed()
            try:
                permit = await backlog.lane.gate.acquire(cost)
            except GateClosed as closed:
                self._deliver(job, job.defer(closed))
                return
            job.quota_wait += permit.waited
            if not self._budget.fits(cost):  # another lane, or another batch, was quicker
                backlog.lane.gate.cancel(permit)
                permit = None
        self._launch(self._engine.run(job, permit, backlog.lane), job, backlog)

    def _launch(self, work: Coroutine[Any, Any, VideoClip | Again], job: Job, backlog: Backlog) -> None:
        job.reserved = 0.0 if job.paid else job.cost_usd or 0.0
        self._budget.reserve(job.reserved)
        backlog.in_flight += 1
        task = asyncio.get_running_loop().create_task(work)
        self._jobs[task] = job, backlog
        task.add_done_callback(self._job_done)

    async def _resume(self, job: Job, lane: Lane) -> VideoClip | Again:
        try:
            backend = await self._backend_at(job.place or {})
            return await self._engine.resume(job, lane, backend)
        except AveoError as error:
            return job.leave("not_looked_at", f"it could not be looked at where it was sent: {error}")
        except asyncio.CancelledError:
            return job.cancel()
        finally:
            self._taking_up.release()

    def _job_done(self, task: asyncio.Task[VideoClip | Again]) -> None:
        job, backlog = self._jobs.pop(task)
        backlog.in_flight -= 1
        outcome = None if task.cancelled() or task.exception() is not None else task.result()
        spent = (outcome.cost_usd or 0.0) if isinstance(outcome, VideoClip) and not job.paid else 0.0
        self._budget.book(job.reserved, spent)
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
        else:
            backlog.push_again(job, _now() + outcome.wait)
        backlog.bell.ring()
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


def _has_begun(task: asyncio.Task[Any]) -> bool:
    """A task that has not begun sees for itself that it is to stop; cancelled now, it would never clean up."""
    return inspect.getcoroutinestate(task.get_coro()) != inspect.CORO_CREATED  # type: ignore[arg-type]


async def _each(prompts: Prompts | list[Entry]) -> AsyncIterator[Prompt | Entry]:
    if isinstance(prompts, AsyncIterable):
        async for prompt in prompts:
            yield prompt
    else:
        for given in prompts:
            yield given


def _now() -> float:
    return asyncio.get_running_loop().time()
