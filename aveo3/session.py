"""The resources of an open client: journal, emulator, lanes, engine and webhooks, opened in this order."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import datetime
from functools import cached_property
from itertools import count
from math import inf
from typing import TYPE_CHECKING
from weakref import WeakSet

import aiohttp

from aveo3 import _threads, mock_mode
from aveo3.backends.http import connector
from aveo3.config.network import check_network
from aveo3.config.settings import Settings, check_alive, on_this_machine
from aveo3.dispatch.backlog import Order
from aveo3.dispatch.batch import GRACE, Batch
from aveo3.dispatch.batch_events import BatchEvents
from aveo3.dispatch.budget import Budget
from aveo3.dispatch.found_clips import FoundClips
from aveo3.dispatch.lane_pool import Connect, LanePool
from aveo3.dispatch.matching import JobMatcher
from aveo3.dispatch.planner import Planner, Prompts, Source
from aveo3.dispatch.prior_runs import PriorRuns
from aveo3.dispatch.stats import Stats, Tally
from aveo3.dispatch.stream import ClipStream
from aveo3.engine.runner import Engine
from aveo3.errors import UsageError
from aveo3.events.bus import EventBus, Listener
from aveo3.files import saving
from aveo3.files.directories import check_writable
from aveo3.journal.fresh import Fresh, check_fresh
from aveo3.journal.journal import Journal
from aveo3.journal.mixture import paid_elsewhere
from aveo3.journal.place import SharedJournal, journal_place
from aveo3.journal.requests import Extras
from aveo3.journal.rows import JobRecord
from aveo3.journal.shared_home import check_home
from aveo3.lanes.lanes import Lane, Lanes, wire_of
from aveo3.lanes.routing import Routes
from aveo3.lifecycle import EMULATED, SERVER, is_emulated
from aveo3.telemetry import switch

if TYPE_CHECKING:
    from aveo3.backends.base import Backend


log = logging.getLogger(__name__)


class Session:
    """Opens once and closes once. `budget` and `stats` can also be read before and after that.

    `backend` serves every lane; if it is None, `connect` creates one for each. Only with `shares` may the settings name
    a database: other processes work with its journal, too, and its clock counts.
    """

    def __init__(
        self,
        settings: Settings,
        lanes: Lanes,
        *,
        backend: Backend | None,
        connect: Connect,
        rng: random.Random,
        now_utc: Callable[[], datetime],
        on_event: Listener | None = None,
        shares: bool = False,
    ) -> None:
        self._clock = now_utc
        self._now_utc = now_utc = self.now_utc
        self._shares = shares
        self.settings = settings
        self.bus = EventBus(on_event, now_utc)
        self.journal: Journal | None = None
        self.engine: Engine | None = None
        """None unless the session is open."""
        self.budget = Budget(settings.budget)
        self._backend = backend
        self._rng = rng
        self._stack = AsyncExitStack()
        self.lane_pool = LanePool(
            lanes, self._stack, backend=backend, connect=connect, rng=rng, now_utc=now_utc, bus=self.bus
        )
        self._tally = Tally()
        self._routes: Routes | None = None
        self._batches: WeakSet[Batch] = WeakSet()  # as long as their tasks live
        self._begun = 0  # batches
        self._numbers: Iterator[int] | None = None
        self._opened = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    def now_utc(self) -> datetime:
        """The time by the clock that counts days and windows: that of the database, where there is one."""
        return self._clock()

    @cached_property
    def service(self) -> str:
        """Which service makes the clips: `google`, `local`, `mock` or `custom`. The journal keeps their clips apart.

        Raises `UsageError` if there are no credentials at all.
        """
        if self._backend is not None:
            return "custom"
        if self.settings.server is not None:
            return SERVER
        first = self._lanes.listed[0].settings if self._lanes.listed else self.settings
        if is_emulated(first.backend_name()):
            return EMULATED
        return "local" if on_this_machine(first.base_url) else "google"

    @property
    def routes(self) -> Routes:
        """The lanes that each prompt may go to. Raises `UsageError` if the fallback names a model that no lane has."""
        return self._routes or Routes(self._lanes)

    def stats(self) -> Stats:
        """A frozen snapshot of everything so far."""
        opened = self.lane_pool.open_lanes
        gates = {lane.name: in_use.gate.stats() for lane, in_use in opened.items() if in_use.used}
        return self._tally.stats(gates, self.budget, paused=self.lane_pool.held)

    @property
    def _lanes(self) -> Lanes:
        return self.lane_pool.lanes

    def _first_lanes(self) -> list[Lane]:
        """The lanes that open before any batch needs them."""
        return self._lanes.listed or self._lanes.of(self.settings.model)

    # ---- opening -----------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Check the settings, then open everything. If a step fails, close what is open already."""
        if self._opened:
            raise UsageError("this client was opened before: make a new VeoClient for another `async with`")
        self._opened = True
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        try:
            self._check()
            self._stack.enter_context(_threads.held())
            self._open_telemetry()
            self._open_journal()
            if is_emulated(self.service):
                self._use(await self._stack.enter_async_context(mock_mode.emulator(self.settings, self._lanes.listed)))
            for lane in self._first_lanes():
                await self.lane_pool.open_lane(lane, for_use=bool(self._lanes.listed))
            http = await self._stack.enter_async_context(aiohttp.ClientSession(connector=connector(), trust_env=True))
            median = mock_mode.MEDIAN if is_emulated(self.service) else None
            settings = self.settings
            if settings.server is not None:  # the server retries by itself
                settings = settings.model_copy(update={"max_retries": 0})
            engine = Engine(settings, http, rng=self._rng, now_utc=self._now_utc, median=median)
            if self.lane_pool.prior_runs is not None:
                engine.pollers.restore(self.lane_pool.prior_runs.latencies())
            if self.settings.webhook is not None:
                await self._listen(self.settings.webhook, engine, http)
        except BaseException:
            await self._stack.aclose()
            self.bus.close()
            raise
        self.engine = engine

    def _check(self) -> None:
        """Raise `UsageError` for every mistake that shows before anything is open."""
        self._routes = self.routes
        if not self._lanes.listed:
            check_alive(self.settings)
            _ = self.service  # raises if there are no credentials at all
            try:
                self._lanes.of(self.settings.model)
            except UsageError as error:
                raise UsageError(f"VEO3_MODEL: {error}.") from None
        self.check_prices(self._lanes)
        if self._backend is None:
            ours = self.service == SERVER and on_this_machine(self.settings.server)
            check_network(asks_proxies=self.service in ("google", SERVER) and not ours)
        if self.settings.webhook is not None:
            self._webhook_settings()
        check_writable(self.settings.output_dir)

    def check_prices(self, lanes: Lanes) -> None:
        """Raise `UsageError` if there is a budget and `lanes` have a model of which nobody knows what it costs."""
        models = [lane.model for lane in lanes.listed] or [self.settings.model]
        catalog = self.settings.model_catalog
        for model in (*models, *self.settings.fallback) if self.settings.budget is not None else ():
            if not catalog.has_price(model):
                raise UsageError(f"{self.budget.why_not(model)}.")

    def _open_journal(self) -> None:
        """Open the journal, and read what earlier runs spent and learnt."""
        without_keys = self.lane_pool.without_keys
        if (database := self.settings.database) is not None:
            if not self._shares:
                raise UsageError("VEO3_DATABASE: this command keeps its journal in the output directory: unset it.")
            shared = SharedJournal(database, self.settings.output_dir.absolute())
            self.journal = self._stack.enter_context(Journal(shared, without_secrets=without_keys))
            self._clock = self.journal.now_utc
            check_home(self.journal)
        elif (path := self.settings.journal_path) is not None:
            self.journal = self._stack.enter_context(Journal(path, now_utc=self._now_utc, without_secrets=without_keys))
        else:
            return
        place = self.journal.place
        if (why := paid_elsewhere(self.journal.tallies(), self.service, place)) is not None:
            raise UsageError(why)
        self.lane_pool.news.keep_in(self.journal, self.service)
        if not self.journal.shared:  # the processes of other machines, whose files these may be, cannot be seen here
            saving.sweep(self.settings.output_dir)
        if not is_emulated(self.service):
            self.budget.before = self.journal.spent(self.service)
            if self.settings.budget is not None and (clips := self.journal.unpriced(self.service)):
                raise UsageError(
                    f"{place} has {clips:,} clips of earlier runs whose price was unknown, so nobody can say what is "
                    f"left of the budget of US$ {self.settings.budget:g}: use another output directory, or leave the "
                    "budget out."
                )
            self.lane_pool.prior_runs = PriorRuns(self.journal, self.service, self._now_utc())

    def _open_telemetry(self) -> None:
        telemetry = switch.connect(
            self.bus,
            wanted=self.settings.otel,
            content=self.settings.otel_content,
            now_utc=self._now_utc,
            stats=self.stats,
        )
        if telemetry is not None:
            self._stack.callback(telemetry.close)

    def _use(self, lanes: Lanes) -> None:
        """Replace the lanes and the settings by those of `lanes`."""
        self.settings, self.lane_pool.lanes, self._routes = lanes.settings, lanes, Routes(lanes)

    def use_lanes(self, lanes: Lanes, routes: Routes) -> None:
        """Let batches that begin from now on use `lanes`, which are open. Those that run go on with their own."""
        self.lane_pool.replace(lanes)
        self._routes = routes

    async def _listen(self, webhook: str, engine: Engine, http: aiohttp.ClientSession) -> None:
        """Start the receiver of webhooks, which report ended operations."""
        from aveo3.backends.webhooks import Receiver  # lazy: most clients need no webhooks

        receiver = Receiver(
            webhook,
            self.settings.webhook_listen,
            google=self._webhook_settings().base_url,
            session=http,
            wake=engine.pollers.wake,
            now_utc=self._now_utc,
        )
        await self._stack.enter_async_context(receiver)

    def _webhook_settings(self) -> Settings:
        """The settings of a lane that sends webhooks. Raises `UsageError` if there is none."""
        for lane in self._first_lanes():
            if wire_of(lane) == "gemini":
                return lane.settings
        raise UsageError(
            f"VEO3_WEBHOOK={self.settings.webhook}: only the Gemini API sends webhooks, and this is Vertex AI. Unset "
            "it, or use VEO3_BACKEND=gemini."
        )

    # ---- paused by a person ------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Submit nothing until `go_on`."""
        self.check_loop()
        self.lane_pool.hold()

    def go_on(self) -> None:
        """Submit again."""
        self.check_loop()
        self.lane_pool.go_on()

    # ---- batches -----------------------------------------------------------------------------------------------

    def stream(
        self, prompts: Prompts | list[JobRecord], *, fresh: Fresh, resumes: bool = False, single: bool = False
    ) -> ClipStream:
        """The clips of one batch. Raises `UsageError` if the session is not open.

        The files of a `single` prompt are numbered on from those of the journal, and not from 1 as in a batch.
        """
        check_fresh(fresh)
        engine = self._open_engine()
        matcher, numbers = None, self.singles() if single else None
        if self.journal is not None:
            fetches = self._backend is None and not self.settings.keep_remote
            matcher = JobMatcher(self.journal, self.service, fresh=fresh, fetches=fetches, numbers=numbers)
        planner = Planner(self.routes, matcher, self._now_utc, numbers=numbers)
        return self._stream(prompts, engine, planner, matcher, resumes=resumes)

    def stream_requests(
        self,
        jobs: list[JobRecord] | AsyncIterable[JobRecord],
        order: Order | None = None,
        *,
        extras_of: Callable[[int], Extras] | None = None,
    ) -> ClipStream:
        """The clips of jobs that came as requests: those that wait are submitted, those under way are resumed.

        `order` decides which of them goes next at each lane; it gives `jobs` one by one as their turns come near. Each
        record must be as it stands in the journal. `extras_of` returns what a request says besides its
        prompt; None to read it from the journal. Raises `UsageError` if the session is not open, or keeps no journal.
        """
        engine = self._open_engine()
        if self.journal is None:
            raise UsageError("requests are kept in the journal, and VEO3_JOURNAL=none: unset it")
        matcher = JobMatcher(self.journal, self.service, extras_of=extras_of)
        planner = Planner(self.routes, matcher, self._now_utc, requests=self._routes_led)
        return self._stream(jobs, engine, planner, matcher, lookahead=None if order is None else inf, order=order)

    def _routes_led(self) -> Routes:
        return self.routes if self.lane_pool.led is None else self.routes.within(self.lane_pool.led)

    def _open_engine(self) -> Engine:
        if self.engine is None:
            raise UsageError("open the client first: async with VeoClient() as veo: …")
        self.check_loop()
        return self.engine

    def _stream(
        self,
        source: Source,
        engine: Engine,
        planner: Planner,
        matcher: JobMatcher | None,
        *,
        resumes: bool = False,
        lookahead: float | None = None,
        order: Order | None = None,
    ) -> ClipStream:
        self._begun += 1
        events = BatchEvents(
            self.bus,
            self._begun,
            self._now_utc,
            self.lane_pool.without_keys,
            service=self.service,
            output_dir=self.settings.output_dir,
        )
        grace = self.settings.request_timeout + GRACE if self.journal is not None and self.journal.shared else GRACE
        batch = Batch(self.lane_pool, self._tally, self._now_utc, events=events, resumes=resumes, grace=grace)
        stream = ClipStream(
            source,
            batch,
            planner=planner,
            lane_pool=self.lane_pool,
            engine=engine,
            budget=self.budget,
            found=FoundClips(matcher, self.settings.output_dir),
            lookahead=lookahead,
            order=order,
        )
        self._batches.add(batch)
        return stream

    def singles(self) -> Iterator[int]:
        """The positions of jobs that come one by one: on from those of the journal."""
        if self._numbers is None:
            self._numbers = count(0 if self.journal is None else self.journal.last_position() + 1)
        return self._numbers

    @contextmanager
    def review(self, *, writes: bool = False) -> Iterator[Journal]:
        """The journal of this session if it is open, else the one that the settings name, opened meanwhile.

        Raises `UsageError` if the settings keep none, `JournalError` if there is none yet, or it cannot be used.
        """
        if self.engine is None:
            without_keys = self.lane_pool.without_keys
            path = journal_place(self.settings)
            with Journal(path, writes=writes, now_utc=self._now_utc, without_secrets=without_keys) as journal:
                yield journal
            return
        self.check_loop()
        if self.journal is None:
            journal_place(self.settings)  # raises
        assert self.journal is not None
        yield self.journal

    def check_loop(self) -> None:
        """Raise `UsageError` if the caller is not in the event loop that the client was opened in."""
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:  # between two calls of `run_until_complete`
            here = threading.get_ident() == self._thread and self._loop is not None and not self._loop.is_closed()
        if self._opened and not here:
            raise UsageError(
                "this client belongs to another event loop. Use it where it was opened: from another thread, "
                "asyncio.run_coroutine_threadsafe(veo.generate(…), loop).result(); for each asyncio.run, open a client."
            )

    # ---- closing -----------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Leave the batches that still run, store what was learnt, and close everything in reverse order."""
        engine, self.engine = self.engine, None
        assert engine is not None
        try:
            for batch in list(self._batches):  # their connections close below
                await batch.leave()
                batch.tell_if_over(closes=True)
        finally:
            with _logged("what this run has learnt cannot be kept"):
                self.lane_pool.keep_lessons()
                if self.lane_pool.prior_runs is not None:
                    self.lane_pool.prior_runs.keep_latencies(engine.pollers.remember())
            with _logged("the gates cannot be closed"):
                self.lane_pool.close_gates()
            with _logged("the client cannot be closed in order"):
                await self._stack.aclose()  # closes each thing, whatever the others do
            self.bus.close()


@contextmanager
def _logged(what: str) -> Iterator[None]:
    """Log an error of closing: raised, it would hide the clips that were made."""
    try:
        yield
    except Exception as error:
        log.error("%s: %s", what, error)
