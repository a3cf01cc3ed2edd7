"""The dispatcher of a process that shares its journal with others: it works on the lanes that its process leads.

It begins (`lead`) and ends (`leave`) as often as the leader changes. Others accept, cancel and reopen requests, and
late answers are written by those who asked: `heard` tells it which jobs have changed. Of a request that another process
has moved meanwhile it lets go: the journal decides, by the state and the attempt that a move expects.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Any

from aveo3 import _threads
from aveo3.dispatch.stream import ClipStream
from aveo3.engine.recovery import RECOVER_MEDIANS
from aveo3.errors import JournalError
from aveo3.journal.lane_locks import LEASE
from aveo3.journal.next_step import ANSWER_LOST, record_as_found
from aveo3.journal.reader import PAGE
from aveo3.journal.requests import Extras, Request
from aveo3.journal.rows import JobRecord
from aveo3.lanes.lanes import Lane
from aveo3.lanes.routing import Route, within
from aveo3.lifecycle import State
from aveo3.models import ClipStatus, VideoClip
from aveo3.server.door.dispatcher import AGAIN_AFTER, LEFT, Dispatcher, pages
from aveo3.server.door.sender import Sender
from aveo3.server.door.shares import Shares
from aveo3.server.door.standing import is_waiting
from aveo3.session import Session

log = logging.getLogger(__name__)

LOST = "the process that sent it ended, or stood still, before the answer came: a video may be under way and billed"

Found = tuple[Request, JobRecord]


class SharedDispatcher(Dispatcher):
    """Submits and resumes requests for the lanes that it leads; the others are left to other processes.

    `ended_elsewhere` is called with the number of each job that another process has ended.
    """

    pause = 1.0

    def __init__(
        self,
        session: Session,
        *,
        weight_of: Callable[[str], float] = lambda _: 1.0,
        ended: Callable[[int], None] = lambda _: None,
        ended_elsewhere: Callable[[int], None] = lambda _: None,
    ) -> None:
        super().__init__(session, weight_of=weight_of, ended=ended)
        self._weight_of = weight_of
        self._ended_elsewhere = ended_elsewhere
        self.wanted: set[Lane] = set()
        """Lanes of requests that wait, and that this process does not lead."""
        self._extras: dict[int, Extras] = {}
        """Of the requests here that say anything besides their prompts."""
        self._leaving: set[asyncio.Task[None]] = set()
        """What ends by itself after `leave`: submits whose answers are awaited."""

    @property
    def led(self) -> frozenset[Lane]:
        """The lanes that this process leads."""
        return self._session.lane_pool.led or frozenset()

    def works_on(self, record: JobRecord) -> bool:
        """See `Dispatcher`. Its answer may come late, or the leader looks for its video in a bucket."""
        if self.is_busy(record.id) or record.state is not State.UNCERTAIN or record.error_kind != ANSWER_LOST:
            return self.is_busy(record.id)
        settings = self._session.settings
        wait = settings.request_timeout + LEASE
        if record.output_uri is not None:
            median = settings.model_catalog.latency(record.model, record.prompt.get("resolution"))
            wait = max(wait, RECOVER_MEDIANS * median)
        sent_utc = record.submitted_utc or record.queued_utc
        return (self._session.now_utc() - sent_utc).total_seconds() < wait

    # ---- leading -----------------------------------------------------------------------------------------------------

    async def lead(
        self, lanes: Collection[Lane], count: Callable[[Request, JobRecord], object] = lambda *_: None
    ) -> None:
        """Take up what waits and what runs for `lanes`, which this process leads from now on.

        Open submits of other processes are uncertain from now on, unless their answers come late. Raises
        `JournalError`.
        """
        found = self.journal.requests.in_states(self._session.service, *LEFT, State.SUBMITTING)
        while page := await _threads.reading.run(_page_of, found):
            resumed = []
            for request, record in page:
                if (
                    not self._is_under_way(record.id)
                    and (left := self._left_behind(request, record, lanes)) is not None
                ):
                    resumed += left
                    count(request, record)
            self._resume(resumed)

    def _left_behind(self, request: Request, record: JobRecord, lanes: Collection[Lane]) -> list[JobRecord] | None:
        """Queue a request that waits. Those jobs that are to be resumed; None if there is nothing to do here."""
        if self._is_under_way(record.id):
            return None
        if is_waiting(record):
            return [] if self._queue(request, record) else None
        if self._lane_of(record) not in lanes:
            return None
        if record.state is State.SUBMITTING:
            lost: dict[str, Any] = {"error_kind": ANSWER_LOST, "error_message": LOST}
            self.journal.move(record.id, record.state, State.UNCERTAIN, attempt=record.attempts, **lost)
            record = record_as_found(record)
        if not self._is_to_be_resumed(record):
            return None
        self._note(request)
        return [record]

    async def leave(self) -> None:
        """Submit nothing more. Submits under way get their answers, which are written; the rest is left to others."""
        tasks, self._tasks = self._tasks, set()
        self._session.lane_pool.leave()
        self._lines.clear()
        self._old_lines.clear()
        self._resumed.clear()
        self._extras.clear()
        self.wanted.clear()
        self._sender, self._shares = None, Shares(self._weight_of)
        for task in tasks:
            task.cancel()
            task.add_done_callback(self._leaving.discard)
        self._leaving |= tasks
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Leave for good. Cancelling it ends the time that submits and downloads get."""
        await self.leave()
        if not (tasks := [*self._leaving]):
            return
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise

    # ---- what others do ----------------------------------------------------------------------------------------------

    async def heard(self, jobs: Iterable[int]) -> None:
        """Go on with `jobs` as they stand by now: other processes have changed them. Raises `JournalError`."""
        for page in pages([job for job in dict.fromkeys(jobs) if not self._is_under_way(job)], PAGE):
            found = await _threads.reading.run(self.journal.requests.of_jobs, self._session.service, page)
            self._resume([record for each in found for record in self._meet(*each, self._ended_elsewhere)])

    def _meet(self, request: Request, record: JobRecord, ended: Callable[[int], None]) -> list[JobRecord]:
        """Queue a request, or take it out of its line, as it stands. Returns what is to be resumed."""
        if self._is_under_way(record.id):
            return []
        if is_waiting(record):
            if not self._stands_in_line(request):
                self._queue(request, record)
            return []
        self.cancel(request)
        if record.state is State.SUBMITTING:  # its process is at it, or whoever leads next finds it lost
            return []
        if not self._is_to_be_resumed(record):
            ended(record.id)
        elif self._lane_of(record) in self.led:
            self._note(request)
            return [record]
        return []

    def add(self, request: Request, route: Route | None) -> None:
        """Queue an accepted request, if its first choice of lanes has one that this process leads."""
        if not self.led or self._is_under_way(request.job) or self._stands_in_line(request):
            return
        if route is not None and (part := within(route, self.led)) is None:
            self.wanted.update(route.key[0])
            return
        self._note(request)
        super().add(request, route and part)

    def _queue(self, request: Request, record: JobRecord) -> bool:
        """Queue a request that waits; False if it is left to others."""
        self.add(request, self._route_of(record))
        return self._stands_in_line(request)

    def _note(self, request: Request) -> None:
        if any(request.extras):
            self._extras[request.job] = request.extras

    def _extras_of(self, job: int) -> Extras:
        return self._extras.get(job, Extras())

    def _stands_in_line(self, request: Request) -> bool:
        return any(line.has(request.caller, request.job, request.priority) for line in self._lines.values())

    def _is_under_way(self, job: int) -> bool:
        """True if a stream here has it, or will in its turn."""
        return self.is_busy(job) or (self._sender is not None and self._sender.has(job))

    def _lane_of(self, record: JobRecord) -> Lane:
        """The lane that a job was sent to, or the one most like it."""
        return self._session.lane_pool.lanes.at(record.place or {}, record.model)

    # ---- its streams -------------------------------------------------------------------------------------------------

    def _new_sender(self) -> Sender:
        return Sender(self._session, self.journal, self._lines, self._shares, self._over, extras_of=self._extras_of)

    def _stream_of(self, records: list[JobRecord]) -> ClipStream:
        return self._session.stream_requests(records, extras_of=self._extras_of)

    def _over(self, job: int, clip: VideoClip | None) -> None:
        """A stream is done with `job`. What the journal says of it counts: another process may have gone on with it."""
        if not self.led:
            return
        if clip is None or clip.error_kind in ("stopped", "journal"):
            wait = self.pause
        elif clip.status is ClipStatus.UNFINISHED and clip.error_kind != "left_running":
            wait = AGAIN_AFTER
        else:
            wait = 0.0
        self._start(self._take_up(job, wait))

    async def _take_up(self, job: int, wait: float) -> None:
        await asyncio.sleep(wait)
        try:
            found = await _threads.reading.run(self.journal.requests.of_jobs, self._session.service, [job])
        except JournalError as error:
            log.error("%s", error)
            self._start(self._take_up(job, self.pause))
            return
        for request, record in found if self.led else ():
            self._resume(self._meet(request, record, self._done))

    def _done(self, job: int) -> None:
        self._extras.pop(job, None)
        self._ended(job)


def _page_of(found: Iterator[Found]) -> list[Found]:
    return list(islice(found, PAGE))
