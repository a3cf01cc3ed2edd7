"""A process that makes the requests of others, without a door of its own: it leads lanes, or stands by for them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import Self

from aveo3.config.settings import JOURNAL, Settings
from aveo3.dispatch import lane_pool
from aveo3.errors import UsageError
from aveo3.lanes.lanes import Lanes
from aveo3.server.door.callers import CallerFile, Callers
from aveo3.server.door.disk_room import DiskRoom
from aveo3.server.door.duties import Duties
from aveo3.server.door.media_store import SharedMediaStore
from aveo3.server.door.shared_dispatcher import SharedDispatcher
from aveo3.server.door.video_store import VideoStore
from aveo3.server.farm.leading import Leading
from aveo3.session import Session

LEAVE_WITHIN = 7.0
"""Seconds that submits and downloads under way get when the worker stops."""


class FarmWorker:
    """Works while its block runs: `async with FarmWorker(Settings(database=…)) as worker`.

    `lanes`: the lanes to lead, by their names; None for all. Raises `UsageError` as `VeoClient` does, without a
    database, and for a lane that the settings do not have; `JournalError` if the database cannot be used. With
    `private_callbacks`, callbacks may go to addresses that are not on the Internet, and by http.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        lanes: Collection[str] | None = None,
        private_callbacks: bool = False,
        rng: random.Random | None = None,
        now_utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if "quota_patience" not in settings.model_fields_set:
            settings = settings.model_copy(update={"quota_patience": None})
        if settings.database is None:
            raise UsageError(
                "a worker makes the requests in a database that several processes share: name it with VEO3_DATABASE. "
                "On one machine, `aveo3 serve` needs none."
            )
        self._names = lanes
        self._private_callbacks = private_callbacks
        self._rng = rng = rng or random.Random()
        self._session = Session(
            settings,
            Lanes(settings),
            backend=None,
            connect=lane_pool.connect,
            rng=rng,
            now_utc=now_utc,
            shares=True,
        )
        self._stack = AsyncExitStack()
        self._leading: Leading | None = None

    @property
    def session(self) -> Session:
        """What the worker works with; open while it runs."""
        return self._session

    @property
    def led(self) -> tuple[str, ...]:
        """The names of the lanes that it leads now; empty while it stands by."""
        return self._leading.led if self._leading is not None else ()

    @property
    def since_utc(self) -> datetime | None:
        """When it began to lead; None while it stands by."""
        return self._leading.since_utc if self._leading is not None else None

    async def __aenter__(self) -> Self:
        await self._session.open()
        try:
            self._stack.push_async_callback(self._session.close)
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        journal = self._session.journal
        assert journal is not None
        settings = self._session.settings
        callers = Callers(CallerFile(settings.output_dir, journal.place), open_without_keys=True)
        media = SharedMediaStore(settings.output_dir / JOURNAL.with_name("media"), journal.relative)
        videos = VideoStore(
            journal, media, retention=settings.retention, limit=settings.disk_limit, now_utc=self._session.now_utc
        )
        duties: Duties | None = None

        def ended(job: int) -> None:
            if duties is not None:
                duties.ended(job)

        dispatcher = SharedDispatcher(self._session, weight_of=callers.weight_of, ended=ended, ended_elsewhere=ended)
        duties = Duties(
            self._session,
            dispatcher,
            videos,
            media,
            caller_named=callers.with_account,
            private_callbacks=self._private_callbacks,
            rng=self._rng,
        )
        disk = DiskRoom(
            settings.output_dir, journal, self._session.lane_pool, under_way=lambda: len(dispatcher.under_way())
        )
        self._leading = leading = Leading(
            self._session, dispatcher, journal.lane_locks(), names=self._names, duties=duties.on_duty
        )
        await disk.start()
        self._stack.push_async_callback(disk.close)
        self._stack.push_async_callback(self._leave, leading)
        leading.start()

    @staticmethod
    async def _leave(leading: Leading) -> None:
        """Send nothing more, and let what is under way learn its operation's name."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_WITHIN):
                await leading.close()
