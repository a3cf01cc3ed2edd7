"""A follower: claims jobs that leaders have sent, polls them, and saves their videos.

A claim lasts some seconds, by the database's clock, and a beat renews it. Each move of a job is made only while its
claim is there; who stood still for longer stops when it wakes, for another process may be at the job.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf

from aveo3 import _threads
from aveo3.dispatch.matching import JobMatcher
from aveo3.engine.handover import ClaimLost
from aveo3.engine.job import Job
from aveo3.errors import JournalError
from aveo3.journal.database import Unreachable
from aveo3.journal.follows import CLAIM_LASTS, HOLDS, Claim, Follows, ended, held
from aveo3.journal.journal import Journal
from aveo3.journal.requests import Extras
from aveo3.journal.rows import JobRecord
from aveo3.journal.writer import Statement
from aveo3.lifecycle import UNDER_WAY, State
from aveo3.session import Session

log = logging.getLogger(__name__)

FOLLOWED_AT_ONCE = 500
"""Jobs that one process follows at the same time."""

PAGE = 100
"""Jobs that are claimed at once."""

BEAT = 2.0
"""Seconds between two signs of life."""

LOOK = 0.5
"""Seconds between two looks for jobs to claim."""

JUST_SENT = 30.0
"""Seconds after its submit in which nobody can have polled a job that was offered for the first time."""

LEAVE_WITHIN = 5.0
"""Seconds that downloads get when the process stops."""


class _Held:
    """The claim of this process on one job: see `JobClaim`. `until` is by the loop's clock, on the safe side."""

    def __init__(self, journal: Journal, job: int, follower: str, until: float) -> None:
        self.until = until
        self._journal = journal
        self._job = job
        self._follower = follower

    def check(self) -> None:
        """See `JobClaim`."""
        if asyncio.get_running_loop().time() >= self.until:
            raise ClaimLost(f"the claim of job {self._job} has run out")

    async def confirm(self) -> None:
        """See `JobClaim`. A database that is away is waited for, as long as the claim lasts."""
        while True:
            self.check()
            try:
                found = await _threads.reading.run(self._journal.read, HOLDS, self._job, self._follower)
            except Unreachable as error:
                log.debug("%s", error)
                await asyncio.sleep(LOOK)
                continue
            if not found:
                raise ClaimLost(f"job {self._job} is no longer claimed by this process")
            self.check()
            return

    def fence(self, new: State) -> Statement:
        """What must be possible when the job moves."""
        return (held if new in UNDER_WAY else ended)(self._job, self._follower)


class Following:
    """Follows jobs for the leaders of the journal of `session`, up to `most` at once, while it is started."""

    def __init__(self, session: Session, follows: Follows, *, most: int = FOLLOWED_AT_ONCE) -> None:
        assert session.journal is not None
        assert session.engine is not None
        self._session = session
        self._engine = session.engine
        self._journal: Journal = session.journal
        self._follows = follows
        self._most = most
        self._extras: dict[int, Extras] = {}
        self._matcher = JobMatcher(self._journal, session.service, extras_of=self._extras.__getitem__)
        self._claims: dict[int, _Held] = {}
        self._jobs: dict[int, Job] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._beating: asyncio.Task[None] | None = None
        self._claiming: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        """Set by the first answer to a beat: before it, no claim is counted as this follower's."""

    @property
    def jobs(self) -> list[int]:
        """The jobs that it follows now."""
        return [*self._tasks]

    def start(self) -> None:
        """Begin to claim and follow."""
        loop = asyncio.get_running_loop()
        self._beating = loop.create_task(_again(self._beat, BEAT))
        self._claiming = loop.create_task(_again(self._claim, LOOK))

    async def close(self) -> None:
        """Follow nothing more: others may claim at once what runs. Downloads get `LEAVE_WITHIN` seconds.

        Cancelling it ends that time.
        """
        await _cancelled(self._claiming)
        try:
            for number, task in self._tasks.items():
                if (job := self._jobs.get(number)) is None or job.state is not State.FETCHING:
                    task.cancel()
            if self._tasks:
                await asyncio.wait([*self._tasks.values()], timeout=LEAVE_WITHIN)
        finally:
            await _cancelled(*self._tasks.values(), self._beating)
            with suppress(JournalError):
                await self._journal.on_disk()
            with suppress(JournalError):
                await self._follows.leave()
            with suppress(JournalError):
                await self._follows.close()

    # ---- claims ------------------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        """Drop what may be another's by now, and renew the rest."""
        loop = asyncio.get_running_loop()
        for number, claim in self._claims.items():
            if loop.time() >= claim.until:
                self._lose(number)
        asked, begun = [*self._claims], loop.time()
        beat = await self._follows.beat(asked)
        for number in asked:
            if (mine := self._claims.get(number)) is None:
                continue
            if number in beat.held:
                mine.until = begun + CLAIM_LASTS
            else:
                self._lose(number)
        self._engine.pollers.share(beat.followers)
        self._begun.set()

    def _lose(self, job: int) -> None:
        self._claims[job].until = -inf
        self._tasks[job].cancel()
        log.info("job %d is no longer claimed by this process, which stops following it", job)

    async def _claim(self) -> None:
        await self._begun.wait()
        if (room := min(PAGE, self._most - len(self._tasks))) <= 0:
            return
        begun = asyncio.get_running_loop().time()
        if claims := await self._follows.claim(self._session.service, room):
            await self._begin(claims, begun + CLAIM_LASTS)

    async def _begin(self, claims: list[Claim], until: float) -> None:
        jobs = [claim.job for claim in claims]
        rows = await _threads.reading.run(self._journal.requests.of_jobs, self._session.service, jobs)
        found = {record.id: (request, record) for request, record in rows}
        refused = []
        for claim in claims:
            request, record = found.get(claim.job, (None, None))
            if (
                request is None
                or record is None
                or (record.state not in UNDER_WAY or record.attempts != claim.attempts)
                or claim.job in self._tasks  # it was lost, and its task has not ended
            ):
                refused.append(claim.job)
                continue
            self._extras[claim.job] = request.extras
            self._claims[claim.job] = held = _Held(self._journal, claim.job, self._follows.name, until)
            task = asyncio.get_running_loop().create_task(self._follow(record, held, again=claim.again))
            self._tasks[claim.job] = task
        if refused:
            await self._follows.give_back(refused)

    # ---- one job -----------------------------------------------------------------------------------------------------

    async def _follow(self, record: JobRecord, held: _Held, *, again: bool) -> None:
        number, has_ended = record.id, False
        try:
            has_ended = await self._see_through(record, held, again=again)
        except ClaimLost as error:
            log.info("%s: this process stops following it", error)
            return
        except Exception as error:  # its place cannot be reached from here, or a bug: the leader tries it
            log.warning("job %s is left to its leader: %s: %s", record.name, type(error).__name__, error)
        finally:
            self._journal.fences.pop(number, None)
            self._extras.pop(number, None)
            del self._claims[number]
            self._tasks.pop(number)
            if (job := self._jobs.pop(number, None)) is not None:
                job.release()
        if not has_ended:
            with suppress(JournalError):
                await self._journal.on_disk()  # what it has noted of the job goes before
            try:
                await self._follows.give_back([number])
            except JournalError as error:  # then the claim runs out
                log.debug("%s", error)

    async def _see_through(self, record: JobRecord, held: _Held, *, again: bool) -> bool:
        """True if the job has ended; False if its leader must go on with it."""
        job = self._matcher.request_of(record, 0)
        if job is None:
            return False
        self._jobs[record.id] = job
        self._journal.fences[record.id] = held.fence
        pool = self._session.lane_pool
        backend = await pool.backend_at(record.place)
        lane = await pool.open_lane(pool.lanes.at(record.place, record.model), for_use=False)
        age = (self._session.now_utc() - (record.submitted_utc or record.queued_utc)).total_seconds()
        return await self._engine.follow(job, lane, backend, held, resumed=again or age > JUST_SENT)


async def _again(step: Callable[[], Awaitable[None]], pause: float) -> None:
    """Do `step` again and again, whatever becomes of it."""
    while True:
        try:
            await step()
        except JournalError as error:
            log.debug("%s", error)
        except Exception:
            log.exception("following was interrupted; it goes on in %g s", pause)
        await asyncio.sleep(pause)


async def _cancelled(*tasks: asyncio.Task[None] | None) -> None:
    if running := [task for task in tasks if task is not None]:
        for task in running:
            task.cancel()
        await asyncio.wait(running)
