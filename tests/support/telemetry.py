"""OpenTelemetry in memory: what a program would export, for as long as a block runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import _internal as metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import DataPointT, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once


class Exported:
    """What was exported so far."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self._reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self._reader])

    @property
    def spans(self) -> list[ReadableSpan]:
        """All spans, in the order of their ends."""
        return list(self._spans.get_finished_spans())

    @property
    def jobs(self) -> list[ReadableSpan]:
        """The spans of jobs, in the order of their prompts."""
        jobs = [span for span in self.spans if "aveo3.index" in told(span)]
        return sorted(jobs, key=lambda span: told(span)["aveo3.index"])

    @property
    def job(self) -> ReadableSpan:
        """The span of the only job."""
        [job] = self.jobs
        return job

    def read(self) -> dict[str, dict[tuple[str, ...], DataPointT]]:
        """What a reader gets now: the points of each metric, by the values of their attributes in the order of the
        names. The next one gets new exemplars only."""
        data = self._reader.get_metrics_data()
        if data is not None:
            encode_metrics(data)  # what memory takes an exporter may not
        return {
            metric.name: {
                tuple(str(value) for _, value in sorted((point.attributes or {}).items())): point
                for point in metric.data.data_points
            }
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """The values of a counter or gauge now, as in `read`."""
        return {labels: getattr(point, "value") for labels, point in self.read().get(name, {}).items()}  # noqa: B009


@contextmanager
def exporting() -> Iterator[Exported]:
    """Providers that keep everything in memory are those of this program inside the block."""
    exported = Exported()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "_TRACER_PROVIDER", exported.tracer_provider)
        patch.setattr(metrics, "_METER_PROVIDER", exported.meter_provider)
        yield exported
    exported.tracer_provider.shutdown()
    exported.meter_provider.shutdown()


def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Providers that a test sets up are gone after it."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(metrics, "_METER_PROVIDER", None)
    monkeypatch.setattr(metrics, "_METER_PROVIDER_SET_ONCE", Once())


def told(span: ReadableSpan) -> Mapping[str, Any]:
    """The attributes of a span."""
    return span.attributes or {}


def seconds(span: ReadableSpan) -> float:
    """How long it took."""
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def story(span: ReadableSpan) -> list[str]:
    """The names of its events, without `aveo3.`."""
    return [event.name.removeprefix("aveo3.") for event in span.events]


def event_of(span: ReadableSpan, kind: str) -> Mapping[str, Any]:
    """The attributes of its first event of this kind."""
    return next(event.attributes or {} for event in span.events if event.name == f"aveo3.{kind}")
