"""Decides whether a client has telemetry, and connects it with the client's events."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from aveo3.errors import UsageError
from aveo3.events.bus import EventBus

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from aveo3.dispatch.stats import Stats
    from aveo3.telemetry.client_telemetry import ClientTelemetry

log = logging.getLogger(__name__)


def connect(
    bus: EventBus,
    *,
    wanted: bool | None,
    content: bool,
    now_utc: Callable[[], datetime],
    stats: Callable[[], Stats],
) -> ClientTelemetry | None:
    """The telemetry of the client whose events `bus` publishes; None if it is off. `stats` returns the client's totals.

    `wanted` None: on if the program has set up a provider of OpenTelemetry. Raises `UsageError` if it is wanted and not
    installed.
    """
    if wanted is False or (wanted is None and _ours is None and not is_set_up()):
        return None
    try:
        from aveo3.telemetry.client_telemetry import ClientTelemetry  # lazy: its package is an extra
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        raise UsageError(
            f"VEO3_OTEL=true: OpenTelemetry is not installed: {error}. pip install 'aveo3[otel]', or unset it."
        ) from None
    telemetry = ClientTelemetry(content=content, now_utc=now_utc, stats=stats, providers=_ours)
    bus.listen(telemetry.take)
    return telemetry


class Providers(NamedTuple):
    """Providers of traces and of metrics; None for those of the whole program."""

    traces: TracerProvider | None
    metrics: MeterProvider | None


_ours: Providers | None = None


@contextmanager
def using(traces: TracerProvider | None, metrics: MeterProvider | None) -> Iterator[None]:
    """Have clients that open in the block use these providers. Those of the whole program can be set only once."""
    global _ours
    before, _ours = _ours, Providers(traces, metrics)
    try:
        yield
    finally:
        _ours = before


def is_set_up() -> bool:
    """True if this program has a provider of traces or of metrics that is not the API's own, which does nothing.

    Imports nothing: a program that has set one up has imported it.
    """
    trace, metrics = sys.modules.get("opentelemetry.trace"), sys.modules.get("opentelemetry.metrics")
    try:
        return (trace is not None and not _is_idle(trace.get_tracer_provider())) or (
            metrics is not None and not _is_idle(metrics.get_meter_provider())
        )
    except Exception:  # a provider that a variable names, and that cannot be loaded
        log.debug("OpenTelemetry is not used", exc_info=True)
        return False


def _is_idle(provider: object) -> bool:
    return type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))
