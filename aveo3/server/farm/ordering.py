"""Puts prompts into a journal that many processes share, as requests of a caller: each once, however often it is tried.

A request's idempotency key is made of the order's key and of the prompt itself, and its number among equal ones. So
what is there already is found again, also if the order was interrupted, or has become longer since.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b, sha256

from aveo3 import _threads
from aveo3.config.settings import JOURNAL, Settings
from aveo3.dispatch import lane_pool
from aveo3.errors import UsageError
from aveo3.journal.journal import Journal
from aveo3.journal.place import SharedJournal
from aveo3.journal.requests import Request
from aveo3.journal.shared_home import check_home
from aveo3.lanes.lanes import Lanes
from aveo3.lanes.routing import Route
from aveo3.models import VideoPrompt
from aveo3.server.door.callers import LOCAL, Caller, CallerFile
from aveo3.server.door.disk_room import DiskRoom
from aveo3.server.door.intake import Intake
from aveo3.server.door.media_store import SharedMediaStore
from aveo3.server.door.observer import Observer
from aveo3.server.door.veo_requests import Order
from aveo3.session import Session

AT_ONCE = 64
"""Requests that are written at the same time: one flush of the database takes all of them."""

LONGEST_KEY = 120
"""Characters of an order's key."""

PAGE = 10_000
"""Keys that are read at once."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """A prompt that is in the journal by now."""

    job: int
    is_new: bool


class Ordering:
    """Takes the prompts of one order of `caller`. Open it with `opened`."""

    def __init__(self, session: Session, journal: Journal, caller: Caller, key: str, priority: int) -> None:
        self.journal = journal
        self._session = session
        self._caller = caller
        self._key = key
        self._priority = priority
        self._there: dict[bytes, int] = {}
        self._seen: Counter[bytes] = Counter()
        settings = session.settings
        self._queue = _NoQueue()
        self._intake = Intake(
            session,
            self._queue,  # type: ignore[arg-type]
            SharedMediaStore(settings.output_dir / JOURNAL.with_name("media"), journal.relative),
            journal.now_utc,
            Observer(),
            disk=DiskRoom(settings.output_dir, journal, session.lane_pool, under_way=lambda: 0),
        )
        self._intake.closed = None

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, settings: Settings, *, caller: str | None, key: str, priority: int = 0
    ) -> AsyncIterator[Ordering]:
        """Open the journal of `settings`, and read what this order has there already.

        Raises `UsageError` for a caller that nobody knows, `JournalError` if the database cannot be used.
        """
        assert settings.database is not None
        if len(key) > LONGEST_KEY or not key.isprintable():
            raise UsageError(f"--key: it has up to {LONGEST_KEY} printable characters.")
        who = _caller(settings, caller)
        session = Session(
            settings,
            Lanes(settings),
            backend=None,
            connect=lane_pool.connect,
            rng=random.Random(),
            now_utc=lambda: datetime.now(UTC),
        )
        _ = session.service  # raises if nothing says who makes the clips
        place = SharedJournal(settings.database, settings.output_dir.absolute())
        with _threads.held(), Journal(place) as journal:
            await _threads.reading.run(check_home, journal)
            session.journal = journal
            ordering = cls(session, journal, who, key, priority)
            await _threads.reading.run(ordering._read)
            yield ordering

    def problems(self, prompt: VideoPrompt) -> list[str]:
        """Why no lane takes `prompt`: a sentence each; none if one does."""
        if any(medium.clip is not None for medium in prompt.media):
            return ["it begins from another clip (clip:…), which only `aveo3 generate` and `aveo3 film` can do"]
        route, problems = self._session.routes.of(prompt)
        return problems if route is None else []

    async def add(self, prompts: Iterable[VideoPrompt]) -> AsyncIterator[Ordered]:
        """Have all of `prompts` in the journal, in their order as far as they are new. Raises `Refused`.

        If it is stopped, what was given back is there; what was under way is there, or is taken the next time.
        """
        tasks: set[asyncio.Task[Ordered]] = set()
        coming, error = iter(prompts), None
        try:
            while True:
                while error is None and len(tasks) < AT_ONCE and (prompt := next(coming, None)) is not None:
                    tasks.add(asyncio.ensure_future(self._add(prompt)))
                if not tasks:
                    break
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if (failed := task.exception()) is None:
                        yield task.result()
                    else:
                        error = error or failed  # what is under way with it is still told of
            if error is not None:
                raise error
        finally:
            if tasks:
                await asyncio.wait(tasks)
                for task in tasks:
                    task.cancelled() or task.exception()

    async def _add(self, prompt: VideoPrompt) -> Ordered:
        settings = self._session.settings
        model = prompt.model or settings.model
        hashes = await _threads.reading.run(prompt.media_hashes) if prompt.media else prompt.media_hashes()
        digest = prompt.digest(model, hashes)
        self._seen[name := _short(digest)] += 1
        key = f"{self._key}/{digest}.{self._seen[name]}"
        if (job := self._there.get(_short(key))) is not None:
            return Ordered(job, is_new=False)
        order = Order(
            prompt.model_copy(update={"model": model}),
            is_interaction=settings.model_catalog.is_omni(model),
        )
        resource = "interactions" if order.is_interaction else f"models/{model}"
        request = await self._intake.accept(
            order,
            self._caller,
            resource=resource,
            body=sha256(f"{resource}\n{digest}".encode()).hexdigest(),
            key=key,
            priority=self._priority,
        )
        return Ordered(request.job, is_new=True)

    def _read(self) -> None:
        """Read the keys that the order has already, and how many requests of its caller wait."""
        [[self._queue.waiting]] = self.journal.read(_WAITING, self._caller.account)
        query = (
            "SELECT request_key, job FROM requests WHERE caller = ? AND request_key > ? AND request_key < ? "
            f"ORDER BY request_key LIMIT {PAGE}"
        )
        last, end = f"{self._key}/", f"{self._key}0"  # 0 comes behind /
        while rows := self.journal.read(query, self._caller.account, last, end):
            for last, job in rows:
                self._there[_short(last)] = job


class _NoQueue:
    """Stands for the dispatcher: other processes send what is ordered here."""

    def __init__(self) -> None:
        self.waiting = 0
        """Requests of the caller that wait, as far as is known here."""

    def add(self, request: Request, route: Route | None) -> None:
        """Count it. Those who send it hear of it from the database."""
        self.waiting += 1

    def cancel(self, request: Request) -> bool:
        """Nothing waits here."""
        return False

    def waiting_of(self, caller: str) -> int:
        """How many requests of the caller waited when the order began, and those that it added."""
        return self.waiting

    def next_turn_of(self, caller: str) -> float:
        """Not known here."""
        return 1.0


_WAITING = "SELECT count(*) FROM requests JOIN jobs ON jobs.id = job WHERE caller = ? AND state = 'planned'"


def _caller(settings: Settings, name: str | None) -> Caller:
    known = CallerFile(settings.output_dir).read()
    if not known and name in (None, LOCAL.name):
        return LOCAL
    if name is None:
        raise UsageError(f"--caller: say for whom: {', '.join(known)}.")
    if name not in known:
        there = ", ".join(known) or "none"
        raise UsageError(
            f"--caller {name}: nobody is called so; there are {there}. `aveo3 serve keys add {name}` makes one."
        )
    if known[name].operator:
        raise UsageError(f"--caller {name}: an operator orders nothing.")
    return known[name]


def _short(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()
