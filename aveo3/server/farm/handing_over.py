"""A leader's side of followers: it offers what it has sent, keeps the running slots, and waits for the ends.

It takes a job back that nobody claims, or whose follower is gone, or has given it up, and then follows it itself.
While no follower lives, it offers nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice

from aveo3 import _threads
from aveo3.engine.attempt import Attempt
from aveo3.errors import JournalError
from aveo3.journal.follows import Follows, offer
from aveo3.journal.fresh import marks
from aveo3.journal.journal import Journal
from aveo3.journal.reader import PAGE
from aveo3.journal.rows import JobRecord
from aveo3.lifecycle import PAID, UNDER_WAY, State
from aveo3.models import ClipStatus, VideoClip

log = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds between two looks for followers, and at the jobs that are offered."""

_GOES_ON = "this process leads no longer; another one follows it"


@dataclass(slots=True, eq=False)
class _Waiting:
    attempt: Attempt
    ended: asyncio.Future[JobRecord]
    missed: bool = False
    """The last look did not find it among the offers."""


class HandingOver:
    """Offers jobs of `service` to followers: the engine's `handover`. It looks for some while this process leads."""

    def __init__(self, journal: Journal, service: str, follows: Follows, leads: Callable[[], bool]) -> None:
        self.followers = 0
        """How many live."""
        self._journal = journal
        self._service = service
        self._follows = follows
        self._leads = leads
        self._waiting: dict[int, _Waiting] = {}
        self._looking: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def start(self) -> None:
        """Begin to look for followers."""
        self._looking = asyncio.get_running_loop().create_task(self._look_again_and_again())

    async def close(self) -> None:
        """Offer nothing more. What others follow goes on."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        with suppress(JournalError):
            await self._follows.close()

    # ---- for the engine ----------------------------------------------------------------------------------------------

    async def see_through(self, attempt: Attempt) -> VideoClip | Attempt:
        """See `Handover`."""
        job = attempt.job
        try:
            if attempt.resumed and not await self._is_offered(job.record.id):
                if not self.followers or job.state is not State.RUNNING:
                    return attempt
                self._offer(job.record)
            elif not attempt.resumed:
                if not self.followers:
                    return attempt
                self._offer(job.record)
            waiting = _Waiting(attempt, asyncio.get_running_loop().create_future())
            self._waiting[job.record.id] = waiting
            try:
                record = await waiting.ended
            finally:
                del self._waiting[job.record.id]
        except asyncio.CancelledError:
            return job.clip(ClipStatus.UNFINISHED, kind="left_running", also=_GOES_ON)
        is_ours = record.state in UNDER_WAY and record.attempts == job.attempts
        job.become(record)
        if is_ours and record.state is State.RUNNING:
            return replace(attempt, resumed=True)
        attempt.finish(succeeded=record.state in PAID)
        if is_ours:
            return replace(attempt, resumed=True, permit=None)
        if record.state in UNDER_WAY or record.state in (State.PLANNED, State.SUBMITTING):
            return job.clip(ClipStatus.UNFINISHED, kind="stopped", also="another process has sent it again")
        return job.clip(ClipStatus(record.state))

    def _offer(self, record: JobRecord) -> None:
        self._journal.offer(offer(record.id, self._service, record.attempts))

    async def _is_offered(self, job: int) -> bool:
        """Whether an offer of an earlier leader stands. Waits until the database can tell."""
        while True:
            try:
                return job in (await self._follows.look([job])).offered
            except JournalError as error:
                log.debug("%s", error)
                await asyncio.sleep(LOOK)

    # ---- what others do ----------------------------------------------------------------------------------------------

    async def heard(self, jobs: Iterable[int]) -> None:
        """Go on with those of `jobs` that are handed over: other processes have moved them. Raises `JournalError`."""
        mine = iter([job for job in dict.fromkeys(jobs) if job in self._waiting])
        while page := [*islice(mine, PAGE)]:
            for record in await self._records(page):
                self._meet(record)

    def _meet(self, record: JobRecord) -> None:
        if (waiting := self._waiting.get(record.id)) is None:
            return
        if record.state not in UNDER_WAY or record.attempts != waiting.attempt.job.attempts:
            self._settle(record)
        elif record.state is State.FETCHING:  # its operation has ended
            waiting.attempt.finish(succeeded=True)

    def _settle(self, record: JobRecord) -> None:
        if (waiting := self._waiting.get(record.id)) is not None and not waiting.ended.done():
            waiting.ended.set_result(record)

    async def _records(self, jobs: list[int]) -> list[JobRecord]:
        query = f"SELECT * FROM jobs WHERE id IN ({marks(jobs)}) ORDER BY id"
        return await _threads.reading.run(self._journal.select, query, *jobs) if jobs else []

    async def _look_again_and_again(self) -> None:
        while True:
            try:
                self.followers = await self._follows.followers() if self._leads() else 0
                jobs = iter([*self._waiting])
                while page := [*islice(jobs, PAGE)]:
                    await self._look(page)
            except JournalError as error:
                log.debug("%s", error)
            except Exception:
                log.exception("looking after what is handed over was interrupted; it goes on in %g s", LOOK)
            for waiting in [*self._waiting.values()]:
                if waiting.attempt.job.leaving and not waiting.ended.done():
                    waiting.ended.cancel()
            await asyncio.sleep(LOOK)

    async def _look(self, jobs: list[int]) -> None:
        looked = await self._follows.look(jobs)
        missed = set()
        for job in jobs:
            if (waiting := self._waiting.get(job)) is not None and job not in looked.taken_back:
                if waiting.missed and job not in looked.offered:  # it has ended, or its offer was not written
                    missed.add(job)
                waiting.missed = job not in looked.offered
        records = await self._records([*looked.taken_back, *missed])  # with it, all offers are in the database
        if missed:
            missed -= (await self._follows.look([*missed])).offered
        for record in records:
            if record.id in looked.taken_back or record.id in missed:
                log.debug("job %s: no other process follows it any more", record.name)
                self._settle(record)
