"""Sets up OpenTelemetry's SDK for a program of aveo3's own, as OTEL_* variables say. Only the command line does.

A program that uses aveo3 as a library sets up its own.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points, version
from typing import Any

from aveo3.errors import UsageError
from aveo3.telemetry import switch

LAST_EXPORT = 3.0
"""Seconds that a program waits at its end for what is still to be exported."""

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_INSTALL = "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"

Tell = Callable[[str], None]
"""Writes a warning for a person."""


@contextmanager
def exporting(wanted: bool | None, tell: Tell) -> Iterator[None]:
    """Have clients of this block export, if an address is set, or `wanted` is true; at its end, wait `LAST_EXPORT`.

    If the program has providers already, as under `opentelemetry-instrument`, they stay as they are. Raises
    `UsageError` if it is wanted and cannot be; nothing that goes wrong later.
    """
    signals = [] if wanted is False or switch.is_set_up() or _is_disabled() else _signals(wanted)
    if not signals:
        yield
        return
    try:
        providers = {signal: _provider(signal, exporters) for signal, exporters in signals}
    except Exception as error:  # somebody else's package, or a variable of its
        why = f"{type(error).__name__}: {error}" if not isinstance(error, (ImportError, _Unknown)) else str(error)
        if wanted:
            raise UsageError(f"VEO3_OTEL=true: nothing can be exported: {why}. {_INSTALL}, or unset it.") from None
        tell(f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and nothing is exported: {why}. {_INSTALL}, or VEO3_OTEL=false.")
        yield
        return
    failures = _Failures(tell)
    with switch.using(providers.get("traces"), providers.get("metrics")):
        try:
            yield
        finally:
            if _shut_down(list(providers.values())):
                failures.close()
            else:  # its threads may still log
                tell(f"the telemetry of the last seconds was not taken within {LAST_EXPORT:g} s, and is lost")


class _Unknown(Exception):
    """No package has an exporter of this name."""


def _is_disabled() -> bool:
    return os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"


def _signals(wanted: bool | None) -> list[tuple[str, list[str]]]:
    """`traces` and `metrics`, each with the names of its exporters, if it is to be exported."""
    found = []
    for signal in ("traces", "metrics"):
        own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"
        if not (wanted or os.environ.get(_ENDPOINT) or os.environ.get(own)):
            continue
        chosen = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER") or "otlp"
        exporters = [name.strip() for name in chosen.split(",") if name.strip() not in ("", "none")]
        if exporters:
            found.append((signal, exporters))
    return found


def _provider(signal: str, exporters: list[str]) -> Any:
    """A provider of the SDK, which reads its own variables, with these exporters."""
    made = [_load(signal, name)() for name in exporters]
    if signal == "traces":
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        traces = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        for exporter in made:
            traces.add_span_processor(BatchSpanProcessor(exporter))
        return traces
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

    readers = [each if isinstance(each, MetricReader) else PeriodicExportingMetricReader(each) for each in made]
    return MeterProvider(readers, resource=_resource(), shutdown_on_exit=False)


def _load(signal: str, name: str) -> Callable[[], Any]:
    """The class of an exporter, by the name that OTEL_TRACES_EXPORTER and its kin have for it."""
    if name == "otlp":
        chosen = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
        chosen = chosen or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
        if chosen not in _PROTOCOLS:
            raise _Unknown(f"OTEL_EXPORTER_OTLP_PROTOCOL={chosen} is neither {' nor '.join(_PROTOCOLS)}")
        name = _PROTOCOLS[chosen]
    found = entry_points(group=f"opentelemetry_{signal}_exporter", name=name)
    if not found:
        raise _Unknown(f"no package has an exporter of {signal} that is called {name}")
    loaded: Callable[[], Any] = next(iter(found)).load()
    return loaded


def _resource() -> Any:
    from opentelemetry.sdk.resources import Resource

    told = {"service.version": version("aveo3")}
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Resource.create(told if named else {"service.name": "aveo3", **told})


def _shut_down(providers: list[Any]) -> bool:
    """Export what waits, and stop. False if that takes too long: the threads end with the process."""
    threads = [threading.Thread(target=provider.shutdown, daemon=True) for provider in providers]
    for thread in threads:
        thread.start()
    deadline = threading.Event()  # joins share the time
    timer = threading.Timer(LAST_EXPORT, deadline.set)
    timer.daemon = True
    timer.start()
    for thread in threads:
        while thread.is_alive() and not deadline.is_set():
            thread.join(0.02)
    timer.cancel()
    return not any(thread.is_alive() for thread in threads)


class _Failures(logging.Handler):
    """Tells the first thing that OpenTelemetry logs, and keeps the rest of it off the screen, until `close`."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._told = False
        self._log = logging.getLogger("opentelemetry")
        self._propagated, self._log.propagate = self._log.propagate, False
        self._log.addHandler(self)

    def close(self) -> None:
        """Leave its log as it was."""
        self._log.removeHandler(self)
        self._log.propagate = self._propagated
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it if it is the first."""
        if not self._told:
            self._told = True
            self._tell(f"OpenTelemetry: {_plain(record.getMessage())}. The run goes on; more of it is not told.")


def _plain(message: str) -> str:
    """`message` without what may be a secret in an address, and not longer than a few lines."""
    message = re.sub(r"//[^/@\s]+@", "//", message)
    return re.sub(r"\?[^\s)'\"]+", "?…", message).rstrip(". \n")[:300]
