"""The open lanes of one client, shared by its batches: each has a gate and a backend, opened when first needed.

Also holds backends for what earlier runs sent from places that are no lane of this client.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from typing import TYPE_CHECKING

from aveo3.config.settings import Settings
from aveo3.dispatch.prior_runs import PriorRuns
from aveo3.engine.open_lane import OpenLane
from aveo3.errors import UsageError
from aveo3.lanes.lanes import PLACE, Lane, Lanes, same_place, wire_of
from aveo3.quota.gate import QuotaGate

if TYPE_CHECKING:
    from aveo3.backends.base import Backend

log = logging.getLogger(__name__)

Connect = Callable[[str, Settings], Awaitable["Backend"]]
"""Makes the backend of a lane from the name of its wire (`vertex`, `gemini`) and the lane's settings."""


class LanePool:
    """Opens `lanes` when they are needed; `stack` closes them.

    `backend` serves every lane, if it is given; else `connect` makes one for each.
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
    ) -> None:
        self.lanes = lanes
        self.open_lanes: dict[Lane, OpenLane] = {}
        self.prior_runs: PriorRuns | None = None
        """What gates learn from earlier runs and leave to later ones; None if nothing is written down."""
        self._stack = stack
        self._backend = backend
        self._connect = connect
        self._rng = rng
        self._now_utc = now_utc
        self._elsewhere: dict[tuple[str | None, ...], Backend] = {}
        self._settings_elsewhere: list[Settings] = []
        self._opening = asyncio.Lock()
        self._refused = 0  # refusals by the time that lessons were kept last

    async def open_lane(self, lane: Lane, *, for_use: bool = True) -> OpenLane:
        """`lane` with its gate and backend. Raises `UsageError` without credentials.

        `for_use` is False for a lane that is opened ahead of any batch.
        """
        async with self._opening:
            if lane not in self.open_lanes:
                if (doubt := self.lanes.settings.model_catalog.doubt(lane.model)) is not None:
                    log.warning("%s", doubt)
                try:
                    backend = self._backend or await self._open(wire_of(lane), lane.settings)
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
        """The backend that reaches what was sent from `place`, even by an earlier run with other settings."""
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
        backend = await self._connect(name, settings)
        self._stack.push_async_callback(backend.aclose)
        return backend

    def keep_lessons(self) -> None:
        """Write down what refusals have taught, for later runs."""
        if self.prior_runs is not None:
            for lane, opened in self.open_lanes.items():
                self.prior_runs.keep_lane(lane, opened.gate.remember())

    def keep_new_lessons(self) -> None:
        """The same, if a submit was refused since the last call."""
        refused = sum(opened.gate.refused for opened in self.open_lanes.values())
        if refused != self._refused:
            self._refused = refused
            self.keep_lessons()

    def without_keys(self, text: str) -> str:
        """`text` with the API keys of every place in it replaced."""
        lanes = (lane.settings for lane in self.lanes.listed)
        places = (self.lanes.settings, *lanes, *self._settings_elsewhere)
        keys = {settings.api_key.get_secret_value() for settings in places if settings.api_key}
        for key in sorted(keys, key=len, reverse=True):  # one may begin as another does
            text = text.replace(key, "(the API key)")
        return text

    def close_gates(self) -> None:
        """Grant no more permits."""
        for opened in self.open_lanes.values():
            opened.gate.close()


async def connect(name: str, settings: Settings) -> Backend:
    """Google's backend of that name: `vertex` or `gemini`. Raises `UsageError` without credentials."""
    # google.genai takes most of a second to import
    if name == "vertex":
        from aveo3.backends.vertex import VertexBackend as Kind
    elif name == "gemini":
        from aveo3.backends.gemini import GeminiBackend as Kind  # type: ignore[assignment]
    else:
        raise UsageError(f"This release has no backend {name!r}; the journal is that of a later one.")
    return await Kind.open(settings)
