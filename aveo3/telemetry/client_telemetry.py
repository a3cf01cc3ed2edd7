"""The telemetry of one client: spans of its jobs, and metrics."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace

from aveo3.events.kinds import Event
from aveo3.telemetry.measuring import Measuring
from aveo3.telemetry.meters import ClientMeters
from aveo3.telemetry.spans import JobSpans

if TYPE_CHECKING:
    from aveo3.dispatch.stats import Stats
    from aveo3.telemetry.switch import Providers

SCOPE = "aveo3"
"""The name of its tracer and of its meter."""


class ClientTelemetry:
    """Gets the events of one client, in its event loop. `stats` returns its totals; `providers` None: the program's."""

    def __init__(
        self,
        *,
        content: bool,
        now_utc: Callable[[], datetime],
        stats: Callable[[], Stats],
        providers: Providers | None = None,
    ) -> None:
        traces, meters = (None, None) if providers is None else providers
        ours = version("aveo3")
        self._now_utc = now_utc
        self._spans = JobSpans(trace.get_tracer(SCOPE, ours, traces), content=content)
        self._measuring = Measuring()
        self._meters = ClientMeters(metrics.get_meter(SCOPE, ours, meters), stats)

    def take(self, event: Event) -> None:
        """Note one event. Returns at once, unless the program's own span processor does not."""
        context = self._spans.take(event)
        for measured in self._measuring.of(event):
            self._meters.add(measured, context)

    def close(self) -> None:
        """The client closes: end what is open."""
        self._meters.close()
        self._spans.close(self._now_utc())
