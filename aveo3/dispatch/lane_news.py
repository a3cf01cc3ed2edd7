"""Passes on the events of lanes: to the journal, for reports of past runs, and to whoever listens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from aveo3.engine.job import shown
from aveo3.events.bus import EventBus
from aveo3.events.kinds import LaneClosed, LaneEvent, LanePaused
from aveo3.journal.journal import Journal

log = logging.getLogger(__name__)


class LaneNews:
    """Gets the events of all gates. `without_keys` removes API keys from what others wrote."""

    def __init__(self, bus: EventBus, without_keys: Callable[[str], str]) -> None:
        self._bus = bus
        self._without_keys = without_keys
        self._journal: Journal | None = None
        self._service = ""

    def keep_in(self, journal: Journal, service: str) -> None:
        """Keep what follows in `journal`, as news of `service`."""
        self._journal, self._service = journal, service

    def tell(self, event: LaneEvent) -> None:
        """Pass `event` on. Raises nothing: a gate must not fail at it."""
        if isinstance(event, LanePaused | LaneClosed):
            event = replace(event, message=shown(self._without_keys(event.message)))
        if self._journal is not None:
            try:
                self._journal.keep_lane_event(self._service, event)
            except Exception as error:  # it is for reports only
                log.debug("the journal did not take %s: %s", event.kind, error)
        if self._bus.listening:
            self._bus.publish(event)
