"""The door as a whole: opens the client's session, takes up what an earlier run left, listens; and stops in order."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from aveo3 import _threads
from aveo3.config.settings import JOURNAL, Settings
from aveo3.dispatch import lane_pool
from aveo3.errors import JournalError, UsageError
from aveo3.events.kinds import Event
from aveo3.journal.journal import Journal
from aveo3.journal.place import Place, SharedJournal
from aveo3.journal.rows import StateCount
from aveo3.journal.totals import Total, totals_of
from aveo3.lanes.lanes import Lanes
from aveo3.server.door import server_file
from aveo3.server.door.app import Door
from aveo3.server.door.callbacks import CallbackSender
from aveo3.server.door.callers import CallerFile, Callers
from aveo3.server.door.disk_room import DiskRoom
from aveo3.server.door.dispatcher import Dispatcher
from aveo3.server.door.duties import Duties, media_in_use
from aveo3.server.door.guard import Guard, is_loopback
from aveo3.server.door.intake import Intake
from aveo3.server.door.media_fetcher import MediaFetcher
from aveo3.server.door.media_store import MediaStore, SharedMediaStore
from aveo3.server.door.observer import Observer
from aveo3.server.door.operator_routes import OperatorRoutes
from aveo3.server.door.overview import server_part, tallies_beside, told_of, videos_of
from aveo3.server.door.queues import queues_of
from aveo3.server.door.reloading import reload_lanes
from aveo3.server.door.shared_dispatcher import SharedDispatcher
from aveo3.server.door.shared_intake import SharedIntake
from aveo3.server.door.video_store import VideoStore
from aveo3.server.farm.leading import Leading
from aveo3.session import Session

if TYPE_CHECKING:
    from aveo3.server.door.metrics import Metrics
    from aveo3.server.door.page_view import DoorView
    from aveo3.server.page.answers import Answers

log = logging.getLogger(__name__)

LEAVE_WITHIN = 7.0
"""Seconds that submits and downloads under way get when the server stops."""

SLOWEST_HEAD = 75.0
"""Seconds after which a connection closes that has sent no whole head since it began, or since its last answer."""

ANSWERS_WITHIN = 1.0
"""Seconds that answers under way get after that."""

_MEDIA = JOURNAL.with_name("media")


def place_of(settings: Settings) -> Place | None:
    """Where the journal of a server is; None for its usual place in the output directory."""
    if settings.database is not None:
        return SharedJournal(settings.database, settings.output_dir.absolute())
    return settings.journal_path


class DoorServer:
    """Takes requests at `host`:`port` while its block runs: `async with DoorServer(Settings()) as server`.

    Port 0 takes a free one. The settings are those of a run; but without a `quota_patience` of its own, a request waits
    for quota as long as it takes. Raises `UsageError` as `VeoClient` does, if the settings keep no journal, and if
    `host` can be reached from other machines; `OSError` if the port is in use. With `private_callbacks`, callbacks may
    go to addresses that are not on the Internet, and by http. With `fetch_media` it fetches media that requests name by
    `https://`, with `private_media` also from addresses that are not on the Internet. Equal requests of a caller
    without an idempotency key are one within `merge_equal` seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        host: str = "127.0.0.1",
        port: int = 8790,
        private_callbacks: bool = False,
        fetch_media: bool = False,
        private_media: bool = False,
        merge_equal: float | None = None,
        rng: random.Random | None = None,
        now_utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if settings.server is not None:
            raise UsageError(
                f"VEO3_SERVER={settings.server}: a server makes the clips itself, and asks no other. Unset it here."
            )
        if settings.database is None and settings.journal_path is None:
            raise UsageError("VEO3_JOURNAL=none: a server keeps its requests in the journal. Unset it.")
        self._callers = Callers(
            CallerFile(settings.output_dir, place_of(settings)), open_without_keys=is_loopback(host)
        )
        if not is_loopback(host) and not self._callers.names:
            raise UsageError(
                f"--host {host}: whoever reaches the server there could spend your money. Without keys it listens on "
                "this machine only: use 127.0.0.1, or give each caller a key first (aveo3 serve keys add NAME)."
            )
        if "quota_patience" not in settings.model_fields_set:
            settings = settings.model_copy(update={"quota_patience": None})
        self._host, self._port = host, port
        self._now_utc = now_utc
        self._since_utc = now_utc()
        self._reloading = asyncio.Lock()
        self._private_callbacks = private_callbacks
        self._fetcher = MediaFetcher(private=private_media) if fetch_media or private_media else None
        self._merge_equal = merge_equal
        self._rng = rng or random.Random()
        self._session = Session(
            settings,
            Lanes(settings),
            backend=None,
            connect=lane_pool.connect,
            rng=self._rng,
            now_utc=now_utc,
            on_event=lambda event: self._on_event(event),
            shares=True,
        )
        self._on_event: Callable[[Event], object] = lambda _: None
        self._tell_end: Callable[[int], None] = lambda _: None
        self._dispatcher: Dispatcher | None = None
        self._leading: Leading | None = None  # None: no other process can lead
        self._intake: Intake | None = None
        self._answers: Answers | None = None  # to pages in other processes, once there was one
        self._stack = AsyncExitStack()
        self._addresses: list[str] = []
        self._of_runs: list[StateCount] | None = None  # what is in the journal besides requests, once it was read

    @property
    def url(self) -> str:
        """The address that clients use as base URL."""
        return self._addresses[0]

    @property
    def session(self) -> Session:
        """What the server works with; open while it runs."""
        return self._session

    @property
    def callers(self) -> Callers:
        """Who may send requests."""
        return self._callers

    @property
    def led(self) -> tuple[str, ...]:
        """The names of the lanes that it leads in a database that several processes share."""
        return self._leading.led if self._leading is not None else ()

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return self._dispatcher.waiting if self._dispatcher is not None else 0

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
        kind = SharedMediaStore if journal.shared else MediaStore
        media = kind(self._session.settings.output_dir / _MEDIA, journal.relative)
        self._dispatcher = dispatcher = self._new_dispatcher(journal)
        token = secrets.token_urlsafe(32)
        settings = self._session.settings
        videos = VideoStore(
            journal, media, retention=settings.retention, limit=settings.disk_limit, now_utc=self._now_utc
        )
        disk = DiskRoom(
            settings.output_dir,
            journal,
            self._session.lane_pool,
            under_way=lambda: len(dispatcher.under_way()),
        )
        metrics = self._open_metrics(dispatcher, journal, videos, disk)
        observer = metrics if metrics is not None else Observer()
        intake = self._intake = (SharedIntake if journal.shared else Intake)(
            self._session,
            dispatcher,
            media,
            self._session.now_utc,
            observer,
            disk=disk,
            fetcher=self._fetcher,
            merge_equal=self._merge_equal,
            on_end=lambda job: self._tell_end(job),
        )
        if self._fetcher is not None:
            self._stack.push_async_callback(self._fetcher.close)
        if not journal.shared:
            for hashes in media_in_use(journal, self._session.service):
                media.use(hashes)
            await _threads.saving.run(media.sweep)
        door = Door(
            self._session,
            dispatcher,
            intake,
            caller_of=self._callers.of,
            guard=Guard(self._host, lambda: self._callers.has_keys),
            videos=videos,
            operators=OperatorRoutes(
                self._callers.of, metrics, lambda: self._status(intake, dispatcher, disk), self._page_answers, token
            ),
            observer=observer,
            private_callbacks=self._private_callbacks,
            now_utc=self._now_utc,
        )
        runner = web.AppRunner(
            door.app(),
            access_log=None,
            handle_signals=False,
            keepalive_timeout=SLOWEST_HEAD,
            shutdown_timeout=ANSWERS_WITHIN,
        )
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, self._host, self._port)
        await site.start()  # before anything is sent: the port may be in use
        self._stack.push_async_callback(self._close_page)
        if isinstance(media, SharedMediaStore) and isinstance(dispatcher, SharedDispatcher):
            await self._start_leading(journal, dispatcher, intake, disk, videos, media)
        else:
            await self._start_alone(journal, dispatcher, intake, disk, videos)
        intake.closed = None
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._addresses = [f"http://{host}:{address[1]}" for address in runner.addresses]
        here = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
        address = f"http://{here}:{runner.addresses[0][1]}"
        self._stack.enter_context(server_file.announced(self._session.settings.output_dir, address, token))

    def _new_dispatcher(self, journal: Journal) -> Dispatcher:
        weight_of = self._callers.weight_of

        def ended(job: int) -> None:
            assert self._intake is not None
            self._intake.ended(job)

        if journal.shared:
            tell = lambda job: self._tell_end(job)  # noqa: E731
            return SharedDispatcher(self._session, weight_of=weight_of, ended=ended, ended_elsewhere=tell)
        return Dispatcher(self._session, weight_of=weight_of, ended=ended)

    async def _start_alone(
        self, journal: Journal, dispatcher: Dispatcher, intake: Intake, disk: DiskRoom, videos: VideoStore
    ) -> None:
        """Send what waits, tell ends, remove what may not stay: no other process does."""
        callbacks = CallbackSender(
            journal,
            caller_named=self._callers.with_account,
            catalog=self._session.settings.model_catalog,
            private=self._private_callbacks,
            rng=self._rng,
            now_utc=self._now_utc,
        )
        self._tell_end = callbacks.ended
        self._stack.push_async_callback(callbacks.close)
        self._stack.push_async_callback(videos.close)
        self._stack.push_async_callback(self._leave, dispatcher.close, intake)
        await disk.start()  # before anything is sent
        self._stack.push_async_callback(disk.close)
        dispatcher.start(intake.count)
        callbacks.start(dispatcher.is_busy)
        videos.start()

    async def _start_leading(
        self,
        journal: Journal,
        dispatcher: SharedDispatcher,
        intake: Intake,
        disk: DiskRoom,
        videos: VideoStore,
        media: SharedMediaStore,
    ) -> None:
        """The same whenever this process leads; meanwhile it is a door for those who do."""
        duties = Duties(
            self._session,
            dispatcher,
            videos,
            media,
            caller_named=self._callers.with_account,
            private_callbacks=self._private_callbacks,
            rng=self._rng,
        )
        self._tell_end = duties.ended
        self._leading = leading = Leading(self._session, dispatcher, journal.lane_locks(), duties=duties.on_duty)
        self._stack.push_async_callback(self._leave, leading.close, intake)
        await disk.start()
        self._stack.push_async_callback(disk.close)
        leading.start()

    def _open_metrics(
        self, dispatcher: Dispatcher, journal: Journal, videos: VideoStore, disk: DiskRoom
    ) -> Metrics | None:
        """What counts for Prometheus; None if its package is not installed."""
        try:
            from aveo3.server.door.metrics import Metrics  # lazy: its package is an extra
        except ImportError as error:
            if (error.name or "").partition(".")[0] != "prometheus_client":
                raise
            return None
        metrics = Metrics(self._session.stats, lambda: queues_of(dispatcher, journal, self._now_utc()), videos, disk)
        self._on_event = metrics.on_event
        return metrics

    async def reload(self) -> None:
        """Read callers and lanes anew, and try lanes again that were closed for good.

        What cannot be used is logged, and the old ones stay.
        """
        assert self._dispatcher is not None
        async with self._reloading:
            names = self._callers.names
            log.info("callers: %d have a key", len(names))
            try:
                await reload_lanes(self._session, self._dispatcher)
            except (UsageError, JournalError) as error:
                log.error("the lanes stay as they were: %s", error)
            for lane in self._dispatcher.reopen():
                log.info("lane %s was closed for good, and is tried again", lane)

    async def _status(self, intake: Intake, dispatcher: Dispatcher, disk: DiskRoom) -> dict[str, Any]:
        """What `aveo3 serve status` shows."""
        known = server_part(
            url=self.url,
            pid=os.getpid(),
            since_utc=self._since_utc,
            not_ready=intake.not_ready,
            stats=self._session.stats(),
            settings=self._session.settings,
            disk=disk,
        )
        return {**known, **await self._figures(dispatcher)}

    async def _figures(self, dispatcher: Dispatcher) -> dict[str, Any]:
        """Callers, money and videos."""
        journal, now = dispatcher.journal, self._now_utc()
        queues = queues_of(dispatcher, journal, now)
        oldest: dict[tuple[str, ...], str] = {
            (self._session.service, caller): (now - timedelta(seconds=queue.oldest_seconds)).isoformat()
            for caller, queue in queues.items()
            if queue.waiting
        }
        told = await self._account(totals_of(journal), oldest)
        return {**told, "videos": videos_of(journal.stored_files.total())}

    async def _account(self, totals: Iterable[Total], oldest: Mapping[tuple[str, ...], str]) -> dict[str, Any]:
        """Callers and money. Reads no table, but the jobs that are no requests when it is called first."""
        if self._of_runs is None:
            assert self._session.journal is not None
            self._of_runs = await _threads.reading.run(tallies_beside, self._session.journal.path)
        return told_of(totals, self._of_runs, oldest, active=True)

    def page_view(self, *, quoted: Callable[[str], str] = str) -> DoorView:
        """What a live page shows of this server, which is open. `quoted` makes one argument of a shell of a text."""
        from aveo3.server.door.page_view import DoorView  # lazy: most servers have no page

        assert self._dispatcher is not None
        assert self._intake is not None
        return DoorView(
            self._session,
            self._dispatcher,
            self._intake,
            self._callers,
            url=self.url,
            since_utc=self._since_utc,
            money=lambda totals: self._account(totals, {}),
            now_utc=self._now_utc,
            quoted=quoted,
        )

    def _page_answers(self) -> Answers:
        """The answers to pages in other processes."""
        if self._answers is None:
            from aveo3.server.page.answers import SourceAnswers

            self._answers = SourceAnswers(self.page_view())
        return self._answers

    async def _close_page(self) -> None:
        if self._answers is not None:
            await self._answers.close()

    async def _leave(self, leave: Callable[[], Coroutine[Any, Any, None]], intake: Intake) -> None:
        """Take nothing new, and let what is under way learn its operation's name. Polls are answered meanwhile."""
        intake.closed = "the server is stopping"
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_WITHIN):
                await leave()
