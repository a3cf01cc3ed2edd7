"""A client's way out: a gate and a backend for each lane, opened when it is first needed and shared by all batches,
and backends for what earlier runs sent from places that are none of its lanes."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from typing import TYPE_CHECKING

from aveo3.config.catalog import Catalog
from aveo3.config.settings import Settings
from aveo3.dispatch.prior_runs import PriorRuns
from aveo3.engine.open_lane import OpenLane
from aveo3.errors import UsageError
from aveo3.lanes.lanes import PLACE, Lane, Lanes, same_place, wire_of
from aveo3.quota.gate import QuotaGate

if TYPE_CHECKING:
    from aveo3.backends.base import Backend

log = logging.getLogger(__name__)


class LanePool:
    """Opens what `lanes` need, and closes it with `stack`. `given` is the one backend for all, if there is
    one; else `connect` makes one for the backend's name and its settings."""

    def __init__(
        self,
        lanes: Lanes,
        catalog: Catalog,
        stack: AsyncExitStack,
        *,
        given: Backend | None,
        connect: Callable[[str, Settings], Awaitable[Backend]],
        rng: random.Random,
        now_utc: Callable[[], datetime],
    ) -> None:
        self.lanes = lanes
        self.open_lanes: dict[Lane, OpenLane] = {}
        self.prior_runs: PriorRuns | None = None
        """What gates are told of earlier runs, and tell later ones; None if nothing is written down."""
        self._catalog = catalog
        self._stack = stack
        self._given = given
        self._connect = connect
        self._rng = rng
        self._now_utc = now_utc
        self._elsewhere: dict[tuple[str | None, ...], Backend] = {}
        self._opening = asyncio.Lock()
        self.settings_elsewhere: list[Settings] = []
        """Of places that are none of the lanes: no message may hold their keys either."""

    @property
    def refused(self) -> int:
        """Submits that were refused, on all lanes."""
        return sum(opened.gate.refused for opened in self.open_lanes.values())

    async def open_lane(self, lane: Lane, *, for_use: bool = True) -> OpenLane:
        """`lane` with its gate and connection. Raises `UsageError` without credentials."""
        async with self._opening:
            if lane not in self.open_lanes:
                if (doubt := self._catalog.doubt(lane.model)) is not None:
                    log.warning("%s", doubt)
                try:
                    backend = self._given or await self._open(wire_of(lane), lane.settings)
                except UsageError as error:
                    if not self.lanes.listed:
                        raise
                    raise UsageError(f"lane {lane.name}: {error}") from error
                remembered = self.prior_runs.of_lane(lane) if self.prior_runs is not None else None
                gate = QuotaGate(lane.settings, lane.model, rng=self._rng, now_utc=self._now_utc, remembered=remembered)
                self.open_lanes[lane] = OpenLane(lane, gate, backend)
            self.open_lanes[lane].used |= for_use
            return self.open_lanes[lane]

    async def backend_at(self, place: Mapping[str, str | None]) -> Backend:
        """The backend that reaches what was sent from `place`, be it by an earlier run with other settings."""
        if self._given is not None:
            return self._given
        for lane, opened in self.open_lanes.items():
            if not place or same_place(lane.place, place):
                return opened.backend
        key = tuple(place.get(name) for name in ("backend", "credentials", "base_url", *PLACE))
        async with self._opening:
            if key not in self._elsewhere:
                settings = self.lanes.settings_at(place)
                self.settings_elsewhere.append(settings)
                self._elsewhere[key] = await self._open(place.get("backend") or "vertex", settings)
        return self._elsewhere[key]

    async def _open(self, name: str, settings: Settings) -> Backend:
        backend = await self._connect(name, settings)
        self._stack.push_async_callback(backend.aclose)
        return backend

    def keep_lessons(self) -> None:
        """Note what refusals have taught, for later runs."""
        if self.prior_runs is not None:
            for lane, opened in self.open_lanes.items():
                self.prior_runs.keep_lane(lane, opened.gate.remember())

    def close_gates(self) -> None:
        """Let nobody through any more."""
        for opened in self.open_lanes.values():
            opened.gate.close()


async def connect(name: str, settings: Settings) -> Backend:
    """A backend that speaks to Google as `name` says. Raises `UsageError` without credentials."""
    # google.genai takes most of a second to import
    if name == "vertex":
        from aveo3.backends.vertex import VertexBackend as Kind
    elif name == "gemini":
        from aveo3.backends.gemini import GeminiBackend as Kind  # type: ignore[assignment]
    else:
        raise UsageError(f"This release has no backend {name!r}; the journal is that of a later one.")
    return await Kind.open(settings)
