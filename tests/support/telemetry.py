"""OpenTelemetry in memory: what a program would export, for as long as a block runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Exported:
    """What was exported so far."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))

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


@contextmanager
def exporting() -> Iterator[Exported]:
    """Providers that keep everything in memory are those of this program inside the block."""
    exported = Exported()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "_TRACER_PROVIDER", exported.tracer_provider)
        yield exported
    exported.tracer_provider.shutdown()


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
