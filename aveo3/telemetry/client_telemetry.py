"""The telemetry of one client: spans of its jobs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version

from opentelemetry import trace

from aveo3.events.kinds import Event
from aveo3.telemetry.spans import JobSpans


class ClientTelemetry:
    """Gets the events of one client, in its event loop."""

    def __init__(self, *, content: bool, now_utc: Callable[[], datetime]) -> None:
        self._now_utc = now_utc
        self._spans = JobSpans(trace.get_tracer("aveo3", version("aveo3")), content=content)

    def take(self, event: Event) -> None:
        """Note one event. Returns at once, unless the program's own span processor does not."""
        self._spans.take(event)

    def close(self) -> None:
        """The client closes: end what is open."""
        self._spans.close(self._now_utc())
