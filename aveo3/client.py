"""`VeoClient`: the public face. Builds the lanes and hands prompts to the dispatcher; decides nothing itself."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

import aiohttp
from pydantic import SecretStr

from aveo3.config.settings import Settings, on_this_machine
from aveo3.dispatch.budget import Budget
from aveo3.dispatch.lane_pool import LanePool, connect
from aveo3.dispatch.matching import JobMatcher
from aveo3.dispatch.planner import Prompt
from aveo3.dispatch.prior_runs import PriorRuns
from aveo3.dispatch.stats import Stats, Tally
from aveo3.dispatch.stream import ClipStream, Prompts
from aveo3.engine.runner import Engine
from aveo3.errors import ClipError, UsageError
from aveo3.files import saving
from aveo3.journal.journal import Journal
from aveo3.journal.next_step import resumable
from aveo3.journal.rows import JobRecord
from aveo3.journal.wal_sync import make_directory
from aveo3.lanes.estimate import Estimate, estimate
from aveo3.lanes.lane_file import LaneSettings
from aveo3.lanes.lanes import Lanes, wire_of
from aveo3.lanes.routing import Routes
from aveo3.lifecycle import EMULATED, WITHOUT_FILE
from aveo3.models import VideoClip, as_prompt

if TYPE_CHECKING:
    from aveo3.backends.base import Backend

SOONEST, LATEST = 0.5, 2.0
"""Seconds that a clip takes in mock mode."""


class VeoClient:
    """Generates videos within a quota: `async with VeoClient() as veo: clips = await veo.generate_many(prompts)`.

    `settings` None reads the environment and `.env`. `lanes`, as `LaneSettings` or mappings of their fields, are
    several places that share the prompts, in place of those that the settings name. `backend` replaces the one that
    the settings choose, for tests and for services of your own. One client has one quota for each lane: share it
    rather than make several for the same project.
    """

    journal: Journal | None = None
    """Where every job is written down, from opening to closing; None if the settings want none."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        lanes: Sequence[LaneSettings | Mapping[str, Any]] | None = None,
        backend: Backend | None = None,
        rng: random.Random | None = None,
        now_utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if lanes is not None and not lanes:
            raise UsageError("lanes: give at least one, or leave them out for the place that the settings name")
        self.settings = settings if settings is not None else Settings()
        self._given_backend = backend
        self._rng = rng or random.Random()
        self._now_utc = now_utc
        self._stack = AsyncExitStack()
        self._lanes = Lanes(self.settings, lanes, custom=backend is not None)
        self._routes: Routes | None = None
        self._opened = False
        self._streams: WeakSet[ClipStream] = WeakSet()
        self._service = ""
        self._engine: Engine | None = None
        self._lane_pool = LanePool(
            self._lanes,
            self.settings.model_catalog,
            self._stack,
            given=backend,
            connect=self._connect,
            rng=self._rng,
            now_utc=now_utc,
        )
        self._budget = Budget(self.settings.budget)
        self._tally = Tally()
        self._prior_runs: PriorRuns | None = None
        self._lessons = 0  # refusals of which what they taught is noted

    async def __aenter__(self) -> Self:
        """Open the journal, find credentials, open connections, start the emulator in mock mode. Submits nothing.

        Raises `UsageError` if credentials are missing, a model is retired, the output directory cannot be written,
        or the client was opened before (it is opened once); `JournalError`, which is one, if another process works
        with the journal or it cannot be used.
        """
        if self._opened:
            raise UsageError("this client was opened before: make a new VeoClient for another `async with`")
        self._opened = True
        routes = self.routes
        if not self._lanes.listed:
            check_alive(self.settings)
            self._service = self.service  # which raises if there are no credentials at all
            try:
                self._lanes.of(self.settings.model)
            except UsageError as error:
                raise UsageError(f"VEO3_MODEL: {error}.") from None
        if self.settings.webhook is not None:
            self._webhook_settings()
        check_writable(self.settings.output_dir)
        try:
            if (path := self.settings.journal_path) is not None:
                self.journal = self._stack.enter_context(
                    Journal(path, now_utc=self._now_utc, without_secrets=self._without_keys)
                )
                saving.sweep(self.settings.output_dir)
            self._service = self.service
            if self.journal is not None and self._service != EMULATED:
                self._budget.before = self.journal.spent(self._service)
            if self._service == EMULATED:
                routes = await self._start_emulator()
            if self.journal is not None and self._service != EMULATED:
                self._prior_runs = PriorRuns(self.journal, self._service, self._now_utc())
                self._lane_pool.prior_runs = self._prior_runs
            for lane in self._lanes.listed or self._lanes.of(self.settings.model):
                await self._lane_pool.open_lane(lane, for_use=bool(self._lanes.listed))
            session = await self._stack.enter_async_context(aiohttp.ClientSession(trust_env=True))
        except BaseException:
            await self._stack.aclose()
            raise
        self._routes = routes
        median = (SOONEST + LATEST) / 2 if self._service == EMULATED else None
        self._engine = Engine(self.settings, session, rng=self._rng, now_utc=self._now_utc, median=median)
        if self._prior_runs is not None:
            self._engine.pollers.restore(self._prior_runs.latencies())
        if self.settings.webhook is not None:
            try:
                await self._listen(self.settings.webhook, self._engine, session)
            except BaseException:
                await self._stack.aclose()
                raise
        return self

    async def _listen(self, webhook: str, engine: Engine, session: aiohttp.ClientSession) -> None:
        """Have Google say what has ended."""
        from aveo3.backends.webhooks import Receiver  # for most, in vain

        receiver = Receiver(
            webhook,
            self.settings.webhook_listen,
            google=self._webhook_settings().base_url,
            session=session,
            wake=engine.pollers.wake,
            now_utc=self._now_utc,
        )
        await self._stack.enter_async_context(receiver)

    def _webhook_settings(self) -> Settings:
        """The settings of a lane that can say what has ended. Raises `UsageError` if there is none."""
        for lane in self._lanes.listed or self._lanes.of(self.settings.model):
            if wire_of(lane) == "gemini":
                return lane.settings
        raise UsageError(
            f"VEO3_WEBHOOK={self.settings.webhook}: only the Gemini API sends webhooks, and this is Vertex AI. Unset "
            "it, or use VEO3_BACKEND=gemini."
        )

    async def __aexit__(self, *_: object) -> None:
        engine, self._engine = self._engine, None
        assert engine is not None
        try:
            for stream in list(self._streams):  # their connections are about to close
                await stream.leave()
        finally:
            try:
                self._lane_pool.keep_lessons()
                if self._prior_runs is not None:
                    self._prior_runs.keep_latencies(engine.pollers.remember())
            finally:
                self._lane_pool.close_gates()
                await self._stack.aclose()

    async def generate(self, prompt: Prompt, *, fresh: bool = False) -> VideoClip:
        """Generate the video of one prompt. Raises `ClipError`, with the clip attached, if there is none."""
        [clip] = await self.generate_many([prompt], fresh=fresh)
        if not clip.succeeded:
            raise ClipError(clip)
        return clip

    async def generate_many(self, prompts: Prompts, *, fresh: bool = False) -> list[VideoClip]:
        """Generate every clip that can be had; the clips come in the order of `prompts`.

        What earlier runs with the same journal have made comes back as it is (`clip.cached`), what they left running
        is gone on with; `fresh` makes new clips of prompts that have theirs. Whatever befalls one prompt is its clip's
        status and never disturbs its neighbours. Cancelling stops new submits; operations that were running are named
        in the log and in `stats().may_be_paid`, and the next run picks them up. Raises `UsageError` if `prompts` is a
        single prompt, and whatever `prompts` itself raises.
        """
        done: dict[int, VideoClip] = {}
        async with self.stream(prompts, fresh=fresh) as clips:
            async for clip in clips:
                done[clip.index] = clip
        return [done[index] for index in sorted(done)]

    def stream(self, prompts: Prompts, *, fresh: bool = False) -> ClipStream:
        """The clips of `prompts` as they finish: `async with veo.stream(prompts) as clips: async for clip in clips`.

        `prompts` may be lazy, asynchronous or endless: what is read of it, and held in memory, follows what is in
        flight. If the reader is slow, so are new submits. `clips.stop()` ends it early and in order. `fresh` as in
        `generate_many`.
        """
        return self._stream(prompts, fresh=fresh)

    def resume(self) -> ClipStream:
        """The clips that earlier runs left running or not fetched, oldest first; use it as `stream`. Submits nothing.

        `stream` and `generate_many` do the same for the prompts they are given: this is for those nobody gives again.
        """
        left = self.journal.records(*WITHOUT_FILE) if self.journal is not None else ()
        return self._stream(resumable(left, self._service))

    def _stream(self, prompts: Prompts | list[JobRecord], *, fresh: bool = False) -> ClipStream:
        if self._engine is None:
            raise UsageError("open the client first: async with VeoClient() as veo: …")
        assert self._routes is not None
        stream = ClipStream(
            prompts,
            routes=self._routes,
            open_lane=self._lane_pool.open_lane,
            backend_at=self._lane_pool.backend_at,
            matcher=self._matcher(fresh=fresh),
            engine=self._engine,
            budget=self._budget,
            now_utc=self._now_utc,
            ended=self._count,
        )
        self._streams.add(stream)
        return stream

    def _matcher(self, *, fresh: bool) -> JobMatcher | None:
        fetches = self._given_backend is None and not self.settings.keep_remote
        if self.journal is None:
            return None
        return JobMatcher(self.journal, self._service, fresh=fresh, fetches=fetches)

    def stats(self) -> Stats:
        """A frozen snapshot of everything so far. Free; call it as often as you like."""
        opened = self._lane_pool.open_lanes
        gates = {lane.name: there.gate.stats() for lane, there in opened.items() if there.used}
        return self._tally.stats(gates, self._budget.spent)

    def _count(self, clip: VideoClip) -> VideoClip:
        """Take a clip that is about to be handed out into the statistics; no message of it may hold the key."""
        if clip.error_message and (words := self._without_keys(clip.error_message)) != clip.error_message:
            clip = clip.model_copy(update={"error_message": words})
        if (refused := self._lane_pool.refused) != self._lessons:
            self._lessons = refused
            self._lane_pool.keep_lessons()
        self._tally.count(clip)
        return clip

    def _without_keys(self, words: str) -> str:
        lanes = (lane.settings for lane in self._lanes.listed)
        known = (self.settings, *lanes, *self._lane_pool.settings_elsewhere)
        keys = {settings.api_key.get_secret_value() for settings in known if settings.api_key}
        for key in sorted(keys, key=len, reverse=True):  # one may begin as another does
            words = words.replace(key, "(the API key)")
        return words

    @property
    def service(self) -> str:
        """Who makes the clips: what an emulator on this machine made is never handed out as Google's, or back."""
        if self._given_backend is not None:
            return "custom"
        first = self._lanes.listed[0].settings if self._lanes.listed else self.settings
        if first.backend_name() == EMULATED:
            return EMULATED
        return "local" if on_this_machine(first.base_url) else "google"

    @property
    def routes(self) -> Routes:
        """Which lanes the prompts may go to. Raises `UsageError` if the fallback names a model that none has."""
        return self._routes or Routes(self._lanes)

    def estimate(self, prompts: Iterable[Prompt]) -> list[Estimate]:
        """What `prompts` will cost, and how long their quota will take, lane by lane. Sends and opens nothing.

        Raises `pydantic.ValidationError` if a prompt is none.
        """
        return estimate(map(as_prompt, prompts), self.routes)

    async def _connect(self, name: str, settings: Settings) -> Backend:
        return await connect(name, settings)

    async def _start_emulator(self) -> Routes:
        """Run the emulator in this process, with the quotas that the lanes expect of Google, and go there."""
        from aveo3.mock import Latency, MockOptions, MockServer
        from aveo3.mock.config.quota import Quota

        common = self.settings.rate(self.settings.model)
        rates = [lane.settings.rate(lane.model) for lane in self._lanes.listed]
        period = max((rate.period for rate in rates), default=common.period)
        quotas = [
            Quota(key=f"mock-{number}", rpm=int(rate.limit * period / rate.period)) for number, rate in enumerate(rates)
        ]
        latency = Latency(law="uniform", a=SOONEST, b=LATEST)
        options = MockOptions(rpm=common.limit, period=period, latency=latency, quotas=tuple(quotas))
        server = await self._stack.enter_async_context(MockServer(options))
        self.settings = _emulated(self.settings, "mock", server.url)
        listed = [
            replace(lane, settings=_emulated(lane.settings, f"mock-{number}", server.url))
            for number, lane in enumerate(self._lanes.listed)
        ]
        self._lanes = self._lane_pool.lanes = Lanes(self.settings, listed)
        return Routes(self._lanes)


def _emulated(settings: Settings, key: str, url: str) -> Settings:
    """The settings for an emulator in this process, in place of whatever credentials there are: those are nobody
    else's business."""
    who: dict[str, Any] = {"api_key": SecretStr(key), "project": None, "credentials_file": None}
    return settings.model_copy(update={**who, "base_url": url, "storage_url": url})


def check_alive(settings: Settings) -> None:
    """Raise `UsageError` naming the replacement if Google has shut the model of `settings` down."""
    if (gone := settings.model_catalog.retired.get(settings.model)) is not None:
        raise UsageError(f"VEO3_MODEL={settings.model} was retired by Google on {gone.on}: use {gone.replacement}.")


def check_writable(directory: Path) -> None:
    """A video that cannot be written is paid all the same: find out before the first one is asked for."""
    try:
        make_directory(directory)
    except OSError as error:
        why = "it is a file" if directory.is_file() else error.strerror
        raise UsageError(f"VEO3_OUTPUT_DIR={directory} cannot be made: {why}. Name another one.") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UsageError(f"VEO3_OUTPUT_DIR={directory} cannot be written to. Change its permissions or name another.")
