"""Hands waiting requests to the client's streams, in fair shares, and resumes those that an earlier run left.

The queue is the journal: here are only the numbers of the jobs that wait. Requests that may go to the same lanes share
a queue and a stream, which is read one ahead, so that the choice of the next one is made when its turn comes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from itertools import count, islice
from typing import Any, TypeVar

from aveo3._waker import Waker
from aveo3.errors import JournalError, UsageError
from aveo3.journal.fresh import marks
from aveo3.journal.journal import Journal
from aveo3.journal.next_step import NextStep, next_step
from aveo3.journal.reader import PAGE
from aveo3.journal.requests import Request
from aveo3.journal.rows import JobRecord, recorded_prompt
from aveo3.lanes.lanes import Lane
from aveo3.lanes.routing import Route, Routes
from aveo3.lifecycle import WITHOUT_FILE, State
from aveo3.models import ClipStatus, VideoClip
from aveo3.server.door import pace
from aveo3.server.door.fair_queue import FairQueue
from aveo3.server.door.standing import is_waiting
from aveo3.session import Session

log = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds after a stream has ended by itself until the next one: the disk was full, or the journal locked."""

AGAIN_AFTER = 60.0
"""Seconds until a clip that could not be brought to its end is taken up again, as the next run would."""

_LEFT = (State.PLANNED, State.CANCELLED, State.DEFERRED, State.RUNNING, State.FETCHING, State.UNCERTAIN)

Item = TypeVar("Item")

Key = tuple[tuple[Lane, ...], ...]
"""The lanes that a request may go to, tier by tier; empty if none can take it any more."""


class Dispatcher:
    """Submits and resumes the requests in the journal of `session`, which is open and keeps one.

    `weight_of` returns the weight of a caller; `ended` is called with the number of each job that has ended.
    """

    def __init__(
        self,
        session: Session,
        *,
        weight_of: Callable[[str], float] = lambda _: 1.0,
        ended: Callable[[int], None] = lambda _: None,
    ) -> None:
        assert session.journal is not None
        self._session = session
        self.journal: Journal = session.journal
        self._weight_of = weight_of
        self._ended = ended
        self._lines: dict[Key, Line] = {}
        self._retired: list[Line] = []
        """Lines of lanes before the last reload that are not over."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._resumed: set[int] = set()
        """Jobs of an earlier run that a stream works on, or will in its turn."""

    def start(self, count: Callable[[Request, JobRecord], object] = lambda *_: None) -> None:
        """Take up what an earlier run left; `count` is called with each request that has not ended, and its job."""
        under_way: list[JobRecord] = []
        for request, record in self.journal.requests.in_states(self._session.service, *_LEFT):
            if is_waiting(record):
                self.add(request, self._route_of(record))
                count(request, record)
            elif self._is_to_be_resumed(record):
                count(request, record)
                under_way.append(record)
        self._resume(under_way)

    def add(self, request: Request, route: Route | None) -> None:
        """Queue an accepted request, which may take `route`."""
        self._line_of(route).put(request.caller, request.job, request.priority)

    def _line_of(self, route: Route | None) -> Line:
        key: Key = () if route is None else route.key
        if key not in self._lines:
            line = self._lines[key] = Line(self._session, self.journal, self._weight_of, self._over)
            self._start(line.run())
        return self._lines[key]

    def cancel(self, request: Request) -> bool:
        """Take a request out of its queue; False if it is not there any more, because its turn has come."""
        numbers = request.caller, request.job, request.priority
        return any(line.queue.remove(*numbers) for line in (*self._lines.values(), *self._retired))

    def ahead_of(self, request: Request) -> tuple[int, Key] | None:
        """How many requests go before this one, and the lanes it waits for; None if it does not wait."""
        for key, line in self._lines.items():
            place = line.queue.ahead_of(request.caller, request.job, request.priority)
            if place is not None:
                return place, key
        return None

    def expected_in(self, request: Request) -> tuple[int, float] | None:
        """The place of a request in its queue, from 1, and the seconds until it is sent, as far as can be known.

        None if it does not wait for its turn.
        """
        if (found := self.ahead_of(request)) is None:
            return None
        place, key = found
        return place + 1, pace.seconds_until(place, key, self._session.lane_pool.open_lanes)

    def next_turn_of(self, caller: str) -> float:
        """Seconds until the next waiting request of `caller` is sent, as far as can be known; at least 1."""
        opened = self._session.lane_pool.open_lanes
        turns = [
            pace.seconds_until(place, key, opened)
            for key, line in self._lines.items()
            if (place := line.queue.ahead_of_first(caller)) is not None
        ]
        return max(1.0, min(turns, default=1.0))

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return sum(len(line.queue) for line in self._lines.values())

    def waiting_of(self, caller: str) -> int:
        """How many requests of `caller` wait for their turn."""
        return sum(line.queue.waiting_of(caller) for line in self._lines.values())

    def waiting_by_caller(self) -> dict[str, tuple[int, int]]:
        """By caller: how many requests wait for their turn, and the job of the one that was accepted first."""
        found: dict[str, tuple[int, int]] = {}
        for line in self._lines.values():
            for caller, (size, oldest) in line.queue.heads().items():
                others, first = found.get(caller, (0, oldest))
                found[caller] = others + size, min(first, oldest)
        return found

    def next_of_each(self, most: int) -> list[int]:
        """The jobs that go next: up to `most` of each caller and choice of lanes."""
        return [job for line in self._lines.values() for job in line.queue.first_of_each(most)]

    def last_turn_in(self) -> float | None:
        """Seconds until the last waiting request is sent, as far as can be known; None if none waits."""
        opened = self._session.lane_pool.open_lanes
        turns = [
            pace.seconds_until(len(line.queue) - 1, key, opened) for key, line in self._lines.items() if line.queue
        ]
        return max(turns, default=None)

    def under_way(self) -> list[int]:
        """The jobs that streams work on, or will next: they are in no queue any more."""
        lines = (*self._lines.values(), *self._retired)
        return [*self._resumed, *(job for line in lines for job in line.under_way)]

    def is_busy(self, job: int) -> bool:
        """True if this process works on a job, or is about to."""
        return job in self._resumed or self.journal.claims.holds(job)

    def check_routes(self, routes: Routes) -> None:
        """Raise `UsageError` if a request that waits, and has lanes now, would have none with `routes`."""
        waiting = [number for key, line in self._lines.items() if key for _, number, _ in line.queue.entries()]
        for page in _pages(waiting, PAGE):
            for record in self.journal.select(f"SELECT * FROM jobs WHERE id IN ({marks(page)})", *page):
                if self._route_of(record, routes) is None:
                    raise UsageError(
                        f"requests for {record.model} wait, and the new lanes cannot take them. Keep a lane for it "
                        "until they are made."
                    )

    async def reroute(self) -> None:
        """Queue what waits for the lanes that the session has now. What streams have already goes on as it was."""
        lines, self._lines = self._lines, {}
        self._retired = [line for line in (*self._retired, *lines.values()) if not line.over]
        for line in lines.values():
            line.retire()
        for line in lines.values():
            for page in _pages(line.queue.entries(), PAGE):
                query = f"SELECT * FROM jobs WHERE id IN ({marks(page)})"
                try:
                    found = self.journal.select(query, *(number for _, number, _ in page))
                    routes = {record.id: self._route_of(record) for record in found}
                except JournalError as error:
                    log.error("%s", error)
                    routes = {}
                for caller, number, priority in page:
                    if not line.queue.remove(caller, number, priority):
                        continue  # its caller has cancelled it meanwhile
                    if number in routes:
                        self._line_of(routes[number]).put(caller, number, priority)
                    else:
                        self._start(self._take_up(number, PAUSE))
                await asyncio.sleep(0)

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

    async def _run_resumed(self, records: list[JobRecord]) -> None:
        left = {record.id for record in records}
        try:
            async with self._session.stream_requests(records) as clips:
                async for clip in clips:
                    job = records[clip.index].id
                    left.discard(job)
                    self._resumed.discard(job)
                    self._over(job, clip)
        except Exception:
            log.exception("resuming requests was interrupted; it goes on in %g s", PAUSE)
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


class Line:
    """The requests that may go to the same lanes, and the stream that submits them.

    `over` is called with the number of each job that the stream is done with, and its clip; None if it gave none.
    """

    def __init__(
        self,
        session: Session,
        journal: Journal,
        weight_of: Callable[[str], float],
        over: Callable[[int, VideoClip | None], None],
    ) -> None:
        self.queue = FairQueue(weight_of)
        self._session = session
        self._journal = journal
        self._over = over
        self._waker = Waker()
        self._feed = _Feed(self._next)
        self._retired = False
        self.over = False
        """It has retired, and nothing that it took is under way any more."""

    @property
    def under_way(self) -> list[int]:
        """The jobs that its stream has and that have no clip yet."""
        return [*self._feed.given.values()]

    def put(self, caller: str, job: int, priority: int) -> None:
        """Queue a request."""
        self.queue.push(caller, job, priority)
        self._waker.ring()

    def retire(self) -> None:
        """Take nothing more out of the queue, and end with what was taken."""
        self._retired = True
        self._waker.ring()

    async def run(self) -> None:
        """Submit until cancelled or retired. If a stream ends by itself, go on with another one after a pause."""
        while not self._retired:
            await self._run_once()
            if not self._retired:
                await asyncio.sleep(PAUSE)
        self.over = True

    async def _run_once(self) -> None:
        feed = self._feed = _Feed(self._next)
        try:
            async with self._session.stream_requests(feed) as clips:
                async for clip in clips:
                    self._over(feed.given.pop(clip.index), clip)
        except Exception:
            log.exception("submitting requests was interrupted; it goes on in %g s", PAUSE)
        for job in feed.given.values():
            self._over(job, None)

    async def _next(self) -> JobRecord:
        """Wait for the request that goes next, and return its job. `StopAsyncIteration` if the line has retired."""
        while self._retired or (job := self.queue.pop()) is None:
            if self._retired:
                raise StopAsyncIteration
            await self._waker.wait()
        try:
            [record] = self._journal.select("SELECT * FROM jobs WHERE id = ?", job)
        except BaseException:
            self._over(job, None)
            raise
        return record


class _Feed:
    """What one stream reads: job after job. `given` are those without a clip yet, by their index in the stream."""

    def __init__(self, next_one: Callable[[], Awaitable[JobRecord]]) -> None:
        self.given: dict[int, int] = {}
        self._next = next_one
        self._numbers = count()

    def __aiter__(self) -> AsyncIterator[JobRecord]:
        return self

    async def __anext__(self) -> JobRecord:
        record = await self._next()
        self.given[next(self._numbers)] = record.id
        return record


def _pages(items: list[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while page := list(islice(rest, size)):
        yield page
