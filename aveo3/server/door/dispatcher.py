"""Hands waiting requests to the client's streams, in fair shares, and resumes those that an earlier run left.

The queue is the journal: here are only the numbers of the jobs that wait. Requests that may go to the same lanes stand
in one line. One stream takes from all lines, so that a caller's weight is its share of each lane, whatever its requests
are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from itertools import islice
from typing import Any, TypeVar

from aveo3.dispatch.stream import ClipStream
from aveo3.errors import JournalError, UsageError
from aveo3.journal.fresh import marks
from aveo3.journal.journal import Journal
from aveo3.journal.next_step import NextStep, next_step
from aveo3.journal.reader import PAGE
from aveo3.journal.requests import Request
from aveo3.journal.rows import JobRecord, recorded_prompt
from aveo3.lanes.routing import Route, Routes
from aveo3.lifecycle import WITHOUT_FILE, State
from aveo3.models import ClipStatus, VideoClip
from aveo3.server.door.sender import Key, Sender
from aveo3.server.door.shares import Shares
from aveo3.server.door.standing import is_waiting
from aveo3.server.door.turns import Turns
from aveo3.server.door.waiting_line import WaitingLine
from aveo3.session import Session

log = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds after a stream has ended by itself until the next one: the disk was full, or the journal locked."""

AGAIN_AFTER = 60.0
"""Seconds until a clip that could not be brought to its end is taken up again, as the next run would."""

LEFT = (State.PLANNED, State.CANCELLED, State.DEFERRED, State.RUNNING, State.FETCHING, State.UNCERTAIN)

Item = TypeVar("Item")


class Dispatcher(Turns):
    """Submits and resumes the requests in the journal of `session`, which is open and keeps one.

    `weight_of` returns the weight of a caller; `ended` is called with the number of each job that has ended.
    """

    pause = PAUSE

    def __init__(
        self,
        session: Session,
        *,
        weight_of: Callable[[str], float] = lambda _: 1.0,
        ended: Callable[[int], None] = lambda _: None,
    ) -> None:
        assert session.journal is not None
        super().__init__(session, Shares(weight_of))
        self.journal: Journal = session.journal
        self._ended = ended
        self._old_lines: list[WaitingLine] = []
        """Lines of the lanes before a reload, while what waits there is moved."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._resumed: set[int] = set()
        """Jobs of an earlier run that a stream works on, or will in its turn."""

    def start(self, count: Callable[[Request, JobRecord], object] = lambda *_: None) -> None:
        """Take up what an earlier run left; `count` is called with each request that has not ended, and its job."""
        under_way: list[JobRecord] = []
        for request, record in self.journal.requests.in_states(self._session.service, *LEFT):
            if is_waiting(record):
                self.add(request, self._route_of(record))
                count(request, record)
            elif self._is_to_be_resumed(record):
                count(request, record)
                under_way.append(record)
        self._resume(under_way)

    def add(self, request: Request, route: Route | None) -> None:
        """Queue an accepted request, which may take `route`."""
        self._put(route, request.caller, request.job, request.priority)

    def _put(self, route: Route | None, caller: str, job: int, priority: int) -> None:
        key: Key = () if route is None else route.key
        line = self._lines.setdefault(key, WaitingLine())
        is_first = caller not in line.callers
        line.push(caller, job, priority)
        if self._sender is None:
            self._sender = self._new_sender()
            self._start(self._send(self._sender))
        elif is_first:  # else this changes no turn
            self._sender.ring()

    def _new_sender(self) -> Sender:
        return Sender(self._session, self.journal, self._lines, self._shares, self._over)

    async def _send(self, sender: Sender) -> None:
        """Submit until cancelled. If the stream ends by itself, go on with another one after a pause."""
        while True:
            await sender.run_once()
            await asyncio.sleep(self.pause)

    def cancel(self, request: Request) -> bool:
        """Take a request out of its line; False if it is not there any more, because its turn has come."""
        numbers = request.caller, request.job, request.priority
        if not any(line.remove(*numbers) for line in (*self._lines.values(), *self._old_lines)):
            return False
        if self._sender is not None:
            self._sender.ring()
        return True

    def under_way(self) -> list[int]:
        """The jobs that streams work on, or will next: they are in no line any more."""
        return [*self._resumed, *(self._sender.under_way if self._sender is not None else ())]

    def is_busy(self, job: int) -> bool:
        """True if this process works on a job, or is about to."""
        return job in self._resumed or self.journal.claims.holds(job)

    def works_on(self, record: JobRecord) -> bool:
        """True if something may yet come of an uncertain job by itself."""
        return self.is_busy(record.id)

    def check_routes(self, routes: Routes) -> None:
        """Raise `UsageError` if a request that waits, and has lanes now, would have none with `routes`."""
        waiting = [number for key, line in self._lines.items() if key for _, number, _ in line.entries()]
        for page in pages(waiting, PAGE):
            for record in self.journal.select(f"SELECT * FROM jobs WHERE id IN ({marks(page)})", *page):
                if self._route_of(record, routes) is None:
                    raise UsageError(
                        f"requests for {record.model} wait, and the new lanes cannot take them. Keep a lane for it "
                        "until they are made."
                    )

    async def reroute(self) -> None:
        """Queue what waits for the lanes that the session has now. What streams have already goes on as it was.

        Callers keep their turns at lanes that stay.
        """
        lines = [*self._lines.values()]
        self._old_lines += lines
        self._lines.clear()
        for line in lines:
            for page in pages(line.entries(), PAGE):
                query = f"SELECT * FROM jobs WHERE id IN ({marks(page)})"
                try:
                    found = self.journal.select(query, *(number for _, number, _ in page))
                    routes = {record.id: self._route_of(record) for record in found}
                except JournalError as error:
                    log.error("%s", error)
                    routes = {}
                for caller, number, priority in page:
                    if not line.remove(caller, number, priority):
                        continue  # its caller has cancelled it meanwhile
                    if number in routes:
                        self._put(routes[number], caller, number, priority)
                    else:
                        self._start(self._take_up(number, PAUSE))
                await asyncio.sleep(0)
            self._old_lines.remove(line)

    def reopen(self) -> list[str]:
        """Try lanes again that were closed for good, and return their names. What waits for them goes on."""
        names = self._session.lane_pool.reopen()
        if names and self._sender is not None:
            self._sender.reopen()
        return names

    async def leave(self) -> None:
        """Submit nothing more, and leave what is under way to the next run: see `ClipStream.leave`.

        Cancelling `leave` ends the time that submits and downloads get.
        """
        if not (tasks := [*self._tasks]):
            return
        for task in tasks:
            task.cancel()
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise

    async def close(self) -> None:
        """Leave at the end of the process."""
        await self.leave()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _route_of(self, record: JobRecord, routes: Routes | None = None) -> Route | None:
        prompt = recorded_prompt(record.prompt)
        home = self.journal.place_of(record.service, prompt.previous) if prompt.previous else None
        return (routes or self._session.routes).of(prompt, home)[0]

    def _is_to_be_resumed(self, record: JobRecord) -> bool:
        if record.state not in WITHOUT_FILE or self.is_busy(record.id):
            return False
        return next_step(record, self._session.service, made=False) is not NextStep.HAND_OUT

    def _resume(self, records: list[JobRecord]) -> None:
        """Bring jobs that were sent, or may have been, to their end."""
        if records:
            self._resumed |= {record.id for record in records}
            self._start(self._run_resumed(records))

    def _stream_of(self, records: list[JobRecord]) -> ClipStream:
        return self._session.stream_requests(records)

    async def _run_resumed(self, records: list[JobRecord]) -> None:
        left = {record.id for record in records}
        try:
            async with self._stream_of(records) as clips:
                async for clip in clips:
                    job = records[clip.index].id
                    left.discard(job)
                    self._resumed.discard(job)
                    self._over(job, clip)
        except Exception:
            log.exception("resuming requests was interrupted; it goes on in %g s", self.pause)
        self._resumed -= left
        for job in left:
            self._over(job, None)

    def _over(self, job: int, clip: VideoClip | None) -> None:
        """A stream is done with `job`: it has ended, or is taken up again later. `clip` is None if none came."""
        if clip is None or clip.error_kind in ("stopped", "journal"):
            self._start(self._take_up(job, PAUSE))
        elif clip.status is ClipStatus.UNFINISHED:
            self._start(self._take_up(job, AGAIN_AFTER))
        else:
            self._ended(job)

    async def _take_up(self, job: int, wait: float) -> None:
        """After `wait` seconds, queue or resume a job, wherever it stands by then."""
        await asyncio.sleep(wait)
        try:
            [record] = self.journal.select("SELECT * FROM jobs WHERE id = ?", job)
            request = self.journal.requests.of_job(job)
        except JournalError as error:
            log.error("%s", error)
            self._start(self._take_up(job, wait))
            return
        if request is None or self.is_busy(job):
            return
        if is_waiting(record):
            self.add(request, self._route_of(record))
        elif self._is_to_be_resumed(record):
            self._resume([record])
        else:
            self._ended(job)


def pages(items: list[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while page := list(islice(rest, size)):
        yield page
