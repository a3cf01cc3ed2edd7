"""The metrics in OpenTelemetry: counters and histograms follow events, gauges ask the open clients when a reader does.

A reader has a thread of its own. A client's totals belong to its event loop, so that thread asks the loop, and does not
wait long: an exporter must not hold up a client, nor a busy client the exporter.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING
from weakref import WeakSet

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, Observation

from aveo3.telemetry import instruments
from aveo3.telemetry.instruments import INSTRUMENTS, Bounded, Instrument
from aveo3.telemetry.measuring import Measured, standing

if TYPE_CHECKING:
    from aveo3.dispatch.stats import Stats

ASKED_FOR = 0.5
"""Most seconds that a reader's thread waits for a client's loop; then the values before count."""

FRESH_FOR = 0.1
"""Seconds for which an answer serves: a reader asks once for each gauge."""

_LARGEST = frozenset({instruments.BREAKER, instruments.CLOSED, instruments.OPENS_IN, instruments.PAUSED})
"""Gauges of which the largest of several clients counts, and not the sum."""


class ClientMeters:
    """The metrics of one client, from its opening to `close`. Made and closed in its event loop."""

    def __init__(self, meter: Meter, stats: Callable[[], Stats]) -> None:
        self._stats = stats
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._bounded = Bounded()
        self._last: tuple[Measured, ...] = ()
        self._asked_at = -FRESH_FOR
        self._adding: dict[Instrument, Counter | Histogram] = {}
        for each in INSTRUMENTS.values():
            if each.kind == "counter":
                self._adding[each] = meter.create_counter(each.name, each.unit, each.text)
            elif each.kind == "histogram":
                self._adding[each] = meter.create_histogram(
                    each.name, each.unit, each.text, explicit_bucket_boundaries_advisory=each.buckets
                )
            else:  # made once for each provider, whatever the number of clients
                meter.create_observable_gauge(each.name, [partial(_observed, each)], each.unit, each.text)
        _open.add(self)

    def close(self) -> None:
        """Have no gauges any more."""
        _open.discard(self)

    def add(self, measured: Measured, context: Context | None) -> None:
        """Note one value; `context` is that of its job's span, which becomes its exemplar."""
        instrument = self._adding[measured.instrument]
        told = _attributes(measured)
        if isinstance(instrument, Histogram):
            instrument.record(measured.value, told, context)
        else:
            instrument.add(measured.value, told, context)

    def gauges(self) -> tuple[Measured, ...]:
        """The values of all gauges now. Any thread may ask."""
        if threading.get_ident() == self._thread:
            self._last = tuple(standing(self._stats(), self._bounded))
        elif time.monotonic() - self._asked_at > FRESH_FOR:
            answer: Future[tuple[Measured, ...]] = Future()
            try:
                self._loop.call_soon_threadsafe(self._answer, answer)
                self._last = answer.result(ASKED_FOR)
            except (RuntimeError, TimeoutError):  # its loop is closed, or busy
                pass
            self._asked_at = time.monotonic()
        return self._last

    def _answer(self, answer: Future[tuple[Measured, ...]]) -> None:
        try:
            answer.set_result(tuple(standing(self._stats(), self._bounded)))
        except Exception as error:
            answer.set_exception(RuntimeError(str(error)))


_open: WeakSet[ClientMeters] = WeakSet()
"""The clients of this process that are open."""


def _observed(instrument: Instrument, _: CallbackOptions) -> Iterable[Observation]:
    """The values of one gauge: of several clients with the same lane, their sum."""
    found: dict[tuple[str, ...], float] = {}
    join = max if instrument in _LARGEST else _sum
    for client in list(_open):
        for measured in client.gauges():
            if measured.instrument is instrument and isfinite(measured.value):  # an infinite limit is none
                before = found.get(measured.labels)
                found[measured.labels] = measured.value if before is None else join(before, measured.value)
    return [Observation(value, _attributes(Measured(instrument, value, labels))) for labels, value in found.items()]


def _sum(one: float, other: float) -> float:
    return one + other


def _attributes(measured: Measured) -> dict[str, str]:
    return {name: label for name, label in zip(measured.instrument.labels, measured.labels, strict=True) if label}
