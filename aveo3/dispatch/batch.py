"""The state that the parts of one batch share: its tasks, its finished clips, and whether it is stopping."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Any

from aveo3 import _timeouts
from aveo3._waker import Waker
from aveo3.dispatch.backlog import Backlog
from aveo3.dispatch.batch_events import BatchEvents
from aveo3.dispatch.lane_pool import LanePool
from aveo3.dispatch.stats import Tally
from aveo3.engine.job import Again, Job
from aveo3.lifecycle import BILLED, State
from aveo3.models import ClipStatus, VideoClip

log = logging.getLogger(__name__)

GRACE = 10.0
"""Seconds that submits and downloads in progress get when a batch is left."""

UNCOLLECTED = 100
"""Finished clips that may wait for the reader. Beyond that no new job starts: a slow reader slows the stream."""


class Batch:
    """One batch while it runs. Feeder, lane workers and jobs in flight share it.

    `resumes`: the batch finishes jobs of earlier runs and submits nothing. `grace`: seconds that submits and downloads
    in progress get when it is left.
    """

    def __init__(
        self,
        lane_pool: LanePool,
        tally: Tally,
        now_utc: Callable[[], datetime],
        *,
        events: BatchEvents,
        resumes: bool = False,
        grace: float = GRACE,
    ) -> None:
        self.events = events
        self.resumes = resumes
        self._grace = grace
        self.now_utc = now_utc
        self.stopping = False
        """Nothing more is submitted."""
        self.abandoned = False
        """The reader has left."""
        self.fed = False
        """Every prompt has been read."""
        self.all_made = True
        """Every clip so far is a video."""
        self.crash: BaseException | None = None
        """An error that no prompt caused. The reader gets it after the last clip."""
        self.finished: deque[VideoClip] = deque()
        self.reader = Waker()
        """Wakes the reader, which waits for clips."""
        self.helpers: set[asyncio.Task[None]] = set()
        """The tasks of the feeder and of the lane workers."""
        self.jobs: dict[asyncio.Task[VideoClip | Again], tuple[Job, Backlog]] = {}
        """The tasks of the jobs in flight."""
        self.on_end: Callable[[Job, VideoClip], None] | None = None
        """Is told of each clip that ends; None if no prompt depends on another."""
        self._lane_pool = lane_pool
        self._tally = tally
        self._clips: Counter[ClipStatus] = Counter()
        self._begun = self._over = False
        self._room = asyncio.Event()  # helpers wait for the reader

    @property
    def over(self) -> bool:
        """True if no task is left that could bring another clip."""
        return not self.helpers and not self.jobs

    # ---- clips -------------------------------------------------------------------------------------------------

    def begin(self, total: int | None) -> None:
        """Tell that the batch begins; `total` is the number of its prompts, if known."""
        self._begun = True
        self.events.begun(total)

    def deliver(self, job: Job, clip: VideoClip) -> None:
        """Hand the clip of `job` to the reader."""
        job.release()
        if clip.error_message and (words := self._lane_pool.without_keys(clip.error_message)) != clip.error_message:
            clip = clip.model_copy(update={"error_message": words})
        self._lane_pool.keep_new_lessons()
        known = clip.cached or job.billed_before
        self._tally.count(clip, job.record.id, billed=job.state in BILLED, known=known)
        self.all_made &= clip.succeeded
        self._clips[clip.status] += 1
        self.finished.append(clip)
        self.reader.ring()
        self.events.ended(job, clip)
        if self.on_end is not None:
            self.on_end(job, clip)

    def launched(self, job: Job) -> None:
        """Note that `job` is in flight: what it owed before is no longer told apart."""
        self._tally.launched(job.record.id)

    def cancel(self, job: Job) -> None:
        """Deliver the clip of a job that was not submitted because the batch is stopping."""
        self.deliver(job, job.cancel())

    def collect(self) -> VideoClip:
        """Remove and return the clip that has waited longest for the reader."""
        clip = self.finished.popleft()
        self._room.set()
        return clip

    async def reader_has_room(self) -> None:
        """Wait until the reader has room for more clips."""
        while len(self.finished) >= UNCOLLECTED and not self.stopping:
            self._room.clear()
            await self._room.wait()

    # ---- tasks -------------------------------------------------------------------------------------------------

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a helper. If it raises, the batch stops, and the reader gets the error."""
        helper = asyncio.get_running_loop().create_task(work)
        self.helpers.add(helper)
        helper.add_done_callback(self._helper_done)

    def _helper_done(self, helper: asyncio.Task[None]) -> None:
        self.helpers.discard(helper)
        if not helper.cancelled() and (error := helper.exception()) is not None:
            self.fail(error)
        self.reader.ring()
        self.tell_if_over()

    def tell_if_over(self, *, closes: bool = False) -> None:
        """Tell, once, that the batch is over, or that its client `closes`."""
        if self._begun and not self._over and (self.over or closes):
            self._over = True
            self.events.over(self._clips, self.crash)

    # ---- stopping ----------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Submit nothing more. Jobs in flight run to their end; waiting jobs become `cancelled` clips."""
        if self.stopping:
            return
        self.stopping = True
        self._cancel_helpers()
        for job, _ in self.jobs.values():
            # Jobs that have a permit, but have sent nothing yet.
            job.leaving = job.leaving or job.state is State.PLANNED or job.intended
        self.reader.ring()

    async def leave(self) -> None:
        """Stop without waiting for running operations: their clips become `unfinished`, and the next run resumes them.

        Submits in progress get some seconds to learn their operation's name, and downloads the same time to reach
        the disk. Cancelling `leave` ends this time.
        """
        self.stop()
        self._cancel_helpers()
        for task, (job, _) in self.jobs.items():
            job.leaving = True
            if job.state in (State.RUNNING, State.UNCERTAIN) and _has_begun(task):
                task.cancel()
        try:
            if tasks := [*self.helpers, *self.jobs]:
                with suppress(TimeoutError):
                    async with _timeouts.timeout(self._grace):
                        await asyncio.wait(tasks)
        finally:
            for task in self.jobs:
                task.cancel()
        if self.jobs:
            await asyncio.wait(self.jobs)

    def _cancel_helpers(self) -> None:
        for helper in self.helpers:
            if _has_begun(helper):
                helper.cancel()

    def break_off(self, why: str | None) -> None:
        """Stop because every further clip would be lost, and log `why`."""
        if not self.stopping:
            log.error("stopping: %s", why)
            self.stop()

    def fail(self, error: BaseException) -> None:
        """Stop because of an error that no prompt caused. Running jobs end first, then the reader gets the error."""
        self.crash = self.crash or error
        self.stop()


def _has_begun(task: asyncio.Task[Any]) -> bool:
    """False for a task that has not run yet. It will notice the stop by itself; cancelled now, it would never clean
    up."""
    return inspect.getcoroutinestate(task.get_coro()) != inspect.CORO_CREATED  # type: ignore[arg-type]
