"""The open lanes of one client, shared by its batches. Each has a gate and a backend, opened when first needed.

It also holds backends for jobs of earlier runs, sent from places that are no lane of this client.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from aveo3.backends.base import is_queue
from aveo3.config.settings import Settings
from aveo3.dispatch.lane_news import LaneNews
from aveo3.dispatch.prior_runs import PriorRuns
from aveo3.engine.open_lane import OpenLane
from aveo3.errors import UsageError
from aveo3.events.bus import EventBus
from aveo3.lanes.lanes import PLACE, Lane, Lanes, same_place, wire_of
from aveo3.lifecycle import SERVER
from aveo3.quota.gate import QuotaGate
from aveo3.quota.server_gate import ServerGate

if TYPE_CHECKING:
    from aveo3.backends.base import Backend

log = logging.getLogger(__name__)

STANDBY = "standby"
"""Who holds the gates of lanes that this process does not lead."""

Connect = Callable[[str, Settings], Awaitable["Backend"]]
"""Creates a lane's backend from the name of its wire (`vertex`, `gemini`) and the lane's settings."""


class LanePool:
    """Opens `lanes` when they are needed; `stack` closes them.

    `backend` serves every lane; if it is None, `connect` creates one for each.
    """

    def __init__(
        self,
        lanes: Lanes,
        stack: AsyncExitStack,
        *,
        backend: Backend | None,
        connect: Connect,
        rng: random.Random,
        now_utc: Callable[[], datetime],
        bus: EventBus,
    ) -> None:
        self.lanes = lanes
        self.news = LaneNews(bus, self.without_keys)
        """Gets the events of the lanes."""
        self.open_lanes: dict[Lane, OpenLane] = {}
        self.prior_runs: PriorRuns | None = None
        """Limits learnt by earlier runs, and the store for those of this run; None if nothing is kept."""
        self.held_by: set[str] = set()
        """Who has paused all submits, `person` or `disk`: see `QuotaGate.hold`."""
        self.led: frozenset[Lane] | None = None
        """The lanes that this process leads; the others submit nothing. None: all, for no other process can."""
        self._stack = stack
        self._backend = backend
        self._connect = connect
        self._rng = rng
        self._now_utc = now_utc
        self._elsewhere: dict[tuple[str | None, ...], Backend] = {}
        self._settings_elsewhere: list[Settings] = []
        self._server: Backend | None = None
        self._opening = asyncio.Lock()
        self._refused = 0  # refusals at the last `keep_lessons`

    async def open_lane(self, lane: Lane, *, for_use: bool = True) -> OpenLane:
        """`lane` with its gate and backend. Raises `UsageError` without credentials.

        `for_use` is False for a lane that is opened before any batch needs it.
        """
        async with self._opening:
            if lane not in self.open_lanes:
                catalog = self.lanes.settings.model_catalog
                if self.lanes.custom and not catalog.knows(lane.model):
                    unknown = "model %s is not in the catalog of %s: its prompts are not checked, its price is unknown"
                    log.warning(unknown, lane.model, catalog.as_of)
                try:
                    backend = self._backend or await self._open(wire_of(lane), lane.settings)
                except UsageError as error:
                    if not self.lanes.listed:
                        raise
                    raise UsageError(f"lane {lane.name}: {error}") from error
                gate = self._gate_of(lane, backend)
                self._hold(lane, gate)
                self.open_lanes[lane] = OpenLane(lane, gate, backend)
            self.open_lanes[lane].used |= for_use
            return self.open_lanes[lane]

    def _hold(self, lane: Lane, gate: QuotaGate | ServerGate) -> None:
        """Have a new gate stand still as the others do."""
        for by in self.held_by:
            gate.hold(by)
        if self.led is not None and lane not in self.led:
            gate.hold(STANDBY)

    def lead(self, lanes: Collection[Lane], prior_runs: PriorRuns) -> None:
        """Lead `lanes`, which are open, too: their gates begin anew with what `prior_runs` has; backends stay open."""
        self.prior_runs = prior_runs
        self.led = frozenset(lanes) | (self.led or frozenset())
        for lane in lanes:
            old = self.open_lanes[lane]
            old.gate.hold(STANDBY)  # for good: only what is under way knows it still
            gate = self._gate_of(lane, old.backend)
            self._hold(lane, gate)
            self.open_lanes[lane] = replace(old, gate=gate, used=True, taken=0, problem=None, diagnosing=asyncio.Lock())

    def stand_by(self) -> None:
        """Submit nothing: this process leads no lane, or does not know whether it still does."""
        for opened in self.open_lanes.values():
            opened.gate.hold(STANDBY)

    def lead_on(self) -> None:
        """Go on after `stand_by`: nobody has led these lanes meanwhile."""
        for lane, opened in self.open_lanes.items():
            if self.led is None or lane in self.led:
                opened.gate.go_on(STANDBY)

    def leave(self) -> None:
        """Lead no lane any more."""
        self.led = frozenset()
        self.stand_by()

    def _gate_of(self, lane: Lane, backend: Backend) -> QuotaGate | ServerGate:
        if is_queue(backend):
            at_server = partial(backend.at_server, lane.model)
            return ServerGate(
                lane.settings, at_server=at_server, now_utc=self._now_utc, lane=lane.name, tell=self.news.tell
            )
        remembered = self.prior_runs.of_lane(lane) if self.prior_runs is not None else None
        if self.prior_runs is not None and (said := self.prior_runs.gone(lane.model)) is not None:
            log.warning("%s", said)
        return QuotaGate(
            lane.settings,
            lane.model,
            rng=self._rng,
            now_utc=self._now_utc,
            remembered=remembered,
            lane=lane.name,
            tell=self.news.tell,
        )

    def replace(self, lanes: Lanes) -> None:
        """Use `lanes` from now on. Those that are open stay open, for what was sent to them."""
        self._settings_elsewhere += [lane.settings for lane in self.lanes.listed if lane not in lanes.listed]
        self.lanes = lanes
        for lane in lanes.listed:
            self.open_lanes[lane].used = True

    async def backend_at(self, place: Mapping[str, str | None]) -> Backend:
        """The backend for operations submitted from `place`, even by an earlier run with other settings."""
        if self._backend is not None:
            return self._backend
        for lane, opened in self.open_lanes.items():
            if not place or same_place(lane.place, place):
                return opened.backend
        key = tuple(place.get(name) for name in ("backend", "credentials", "base_url", *PLACE))
        async with self._opening:
            if key not in self._elsewhere:
                settings = self.lanes.settings_at(place)
                self._settings_elsewhere.append(settings)
                self._elsewhere[key] = await self._open(place.get("backend") or "vertex", settings)
        return self._elsewhere[key]

    async def _open(self, name: str, settings: Settings) -> Backend:
        if name == SERVER and self._server is not None:  # one for all lanes: they share its stream of events
            return self._server
        backend = await self._connect(name, settings)
        self._stack.push_async_callback(backend.aclose)
        if name == SERVER:
            self._server = backend
        return backend

    @property
    def held(self) -> bool:
        """True while a person has paused all submits."""
        return "person" in self.held_by

    def hold(self, by: str = "person") -> None:
        """Let no lane submit until `go_on`, those that open later included."""
        self.held_by.add(by)
        for opened in self.open_lanes.values():
            opened.gate.hold(by)

    def go_on(self, by: str = "person") -> None:
        """Let the lanes submit again, unless somebody else holds them, too."""
        self.held_by.discard(by)
        for opened in self.open_lanes.values():
            opened.gate.go_on(by)

    def reopen(self) -> list[str]:
        """Open the lanes again that were closed for good: a person has mended why. Returns their names."""
        return [lane.name for lane, opened in self.open_lanes.items() if opened.gate.reopen()]

    def keep_lessons(self) -> None:
        """Keep the limits learnt from refusals for later runs."""
        if self.prior_runs is not None:
            for lane, opened in self.open_lanes.items():
                if isinstance(opened.gate, ServerGate):
                    continue
                self.prior_runs.keep_lane(lane, opened.gate.remember())
                stats = opened.gate.stats()
                closed = stats.closed and self.without_keys(stats.closed)
                self.prior_runs.keep_answer(lane.model, closed=closed, accepted=stats.accepted)

    def keep_new_lessons(self) -> None:
        """Call `keep_lessons` if a submit was refused since the last call."""
        refused = sum(opened.gate.refused for opened in self.open_lanes.values())
        if refused != self._refused:
            self._refused = refused
            self.keep_lessons()

    def without_keys(self, text: str) -> str:
        """`text` without the API keys of all places."""
        lanes = (lane.settings for lane in self.lanes.listed)
        places = (self.lanes.settings, *lanes, *self._settings_elsewhere)
        keys = {key.get_secret_value() for settings in places for key in settings.secrets}
        for key in sorted(keys, key=len, reverse=True):  # one key may be the beginning of another
            text = text.replace(key, "(the API key)")
        return text

    def close_gates(self) -> None:
        """Grant no more permits."""
        for opened in self.open_lanes.values():
            opened.gate.close(tells=opened.used)


async def connect(name: str, settings: Settings) -> Backend:
    """Open Google's backend `name`, `vertex` or `gemini`, or `server`. Raises `UsageError` without credentials."""
    # Lazy: google.genai takes most of a second to import.
    if name == SERVER:
        from aveo3.backends.server import ServerBackend

        return await ServerBackend.open(settings)
    if name == "vertex":
        from aveo3.backends.vertex import VertexBackend as Kind
    elif name == "gemini":
        from aveo3.backends.gemini import GeminiBackend as Kind  # type: ignore[assignment]
    else:
        raise UsageError(
            f"This release has no backend {name!r}: a later release wrote the journal. Install that release."
        )
    return await Kind.open(settings)
