"""A span for each job, from its plan, or the acceptance of its request, to its end; what happens between are events.

What a prompt says is in a span only if that was asked for: so are messages, which may quote it, and names of files,
which are made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer

from aveo3.events import kinds
from aveo3.telemetry import attributes as names
from aveo3.telemetry.trace_context import outgoing

_STOPPED = frozenset({"stopped", "left_running"})
"""Kinds of ends that somebody asked for: no errors."""


@dataclass(slots=True)
class _Open:
    span: Span
    context: Context
    lane: str | None = None
    """Where it was sent last."""
    waits_at: str | None = None
    """The lane whose news concern it: it is the next in line there, or was refused there."""


class JobSpans:
    """The spans of one client's jobs that have not ended. `content`: prompts, messages and files are recorded."""

    def __init__(self, tracer: Tracer, *, content: bool) -> None:
        self._tracer = tracer
        self._content = content
        self._open: dict[tuple[int, int], _Open] = {}
        self._callers: dict[int, Context] = {}
        """By batch: the context of whoever began it."""
        self._paused: dict[str, kinds.LanePaused] = {}
        """By lane: why it sends nothing now."""

    def take(self, event: kinds.Event) -> Context | None:
        """Note `event`. Returns the context of its job's span, if it is that of a job."""
        match event:
            case kinds.JobEvent():
                return self._of_job(event)
            case kinds.LanePaused() | kinds.LaneOpened() | kinds.LaneClosed():
                self._of_lane(event)
            case kinds.RunBegun():
                self._callers[event.batch] = contexts.get_current()
            case kinds.RunEnded():
                self._callers.pop(event.batch, None)
                self._end_all(event.at_utc, event.batch)
        return None

    def close(self, at_utc: datetime) -> None:
        """End what is still open: no more events will come."""
        self._end_all(at_utc, None)
        self._callers.clear()

    # ---- a job -----------------------------------------------------------------------------------------------------

    def _of_job(self, event: kinds.JobEvent) -> Context | None:
        key = event.batch, event.index
        if isinstance(event, kinds.Ended):
            return self._end(self._open.pop(key, None), event)
        if isinstance(event, kinds.Planned):
            found = self._open[key] = self._begin(event)
            return found.context
        if (job := self._open.get(key)) is None:
            return None
        if isinstance(event, kinds.Submitted | kinds.Running):
            # Published in the task of this attempt: what it does from here on, such as HTTP, belongs to the span.
            contexts.attach(job.context)
            outgoing.set(_traceparent(job.span))
        if job.span.is_recording():
            self._tell(job, event)
        return job.context

    def _begin(self, event: kinds.Planned) -> _Open:
        told: dict[str, Any] = {
            names.OPERATION: names.GENERATE,
            names.PROVIDER: names.provider_of(event.backend),
            names.MODEL: event.model,
            names.OUTPUT_TYPE: names.VIDEO,
            "aveo3.batch": event.batch,
            "aveo3.index": event.index,
            **dict(names.request_attributes(event.parameters)),
            **_given(
                {"aveo3.job": event.job, "aveo3.prompt_id": event.prompt_id, "aveo3.project_id": event.project_id}
            ),
            **{f"aveo3.label.{name}": value for name, value in event.labels.items()},
        }
        if event.state != "planned":
            told["aveo3.resumed_from"] = event.state
        if self._content:
            told[names.INPUT] = names.input_messages(event.text)
        parent, links = self._callers.get(event.batch) or contexts.get_current(), _links(event.traceparent)
        if event.accepted_utc is not None:  # whoever asked got its answer at once, and this may be hours later
            parent = Context()
        since = event.accepted_utc or event.at_utc
        name, kind = f"{names.GENERATE} {event.model}", SpanKind.CLIENT
        span = self._tracer.start_span(name, parent, kind, told, links, start_time=_nanoseconds(since))
        if event.accepted_utc is not None:
            span.add_event("aveo3.planned", timestamp=_nanoseconds(event.at_utc))
        return _Open(span, trace.set_span_in_context(span, parent))

    def _tell(self, job: _Open, event: kinds.JobEvent) -> None:
        span = job.span
        told: dict[str, Any] = {}
        match event:
            case kinds.Waiting():
                job.waits_at = event.lane
                told = {"aveo3.waits_for": event.waits_for, "aveo3.lane": event.lane, **self._pause(event.lane)}
            case kinds.Submitted():
                job.lane, job.waits_at = event.lane, None
                span.set_attribute("aveo3.lane", event.lane)
                span.set_attribute(names.PROVIDER, names.provider_of(event.backend))
                told = {"aveo3.attempt": event.attempt, "aveo3.lane": event.lane, names.MODEL: event.model}
                told |= _given({"aveo3.cost_usd": event.cost_usd})
            case kinds.Accepted():
                span.set_attribute(names.RESPONSE_ID, event.operation)
            case kinds.Running():
                span.set_attributes({names.RESPONSE_ID: event.operation, "aveo3.lane": event.lane})
                told = {"aveo3.resumed": event.resumed}
            case kinds.Refused():
                job.waits_at = event.lane
                told = {"aveo3.lane": event.lane, **self._pause(event.lane)}
                told |= {"aveo3.kind": event.reason, **self._message(event.message)}
            case kinds.Retrying():
                job.waits_at = job.lane
                told = {"aveo3.wait": event.wait, "aveo3.retries": event.retries, **self._pause(job.lane)}
                told |= {"aveo3.kind": event.reason, **self._message(event.message)}
            case kinds.PollFailed():
                told = {"aveo3.lane": event.lane, "aveo3.refused": event.refused, **self._message(event.message)}
            case kinds.Saved():
                told = {"aveo3.videos": len(event.paths), "aveo3.bytes": event.bytes}
        span.add_event(f"aveo3.{event.kind}", told, _nanoseconds(event.at_utc))

    def _end(self, job: _Open | None, event: kinds.Ended) -> Context | None:
        if job is None:
            if event.cached:
                return None  # nothing was done for it
            planned = kinds.Planned(
                at_utc=event.at_utc,
                job=event.job,
                index=event.index,
                batch=event.batch,
                prompt_id=event.prompt_id,
                text=event.text,
                model=event.model,
            )
            job = self._begin(planned)
        span, error = job.span, names.error_of(event.status, event.error_kind)
        if span.is_recording():
            told = {
                "aveo3.status": event.status,
                "aveo3.attempts": event.attempts,
                names.RESPONSE_MODEL: event.model,
                "aveo3.polls": event.polls,
                "aveo3.videos": len(event.paths),
                **_given({"aveo3.cost_usd": event.cost_usd, names.ERROR: error}),
                **({names.FINISH: _FINISH[event.status]} if event.status in _FINISH else {}),
                **self._message(event.error_message),
            }
            if error is None and event.error_kind is not None:
                told["aveo3.kind"] = event.error_kind  # such as that some of several videos were filtered
            if self._content and event.paths:
                told[names.OUTPUT] = names.output_messages(event.paths)
            span.set_attributes(told)
            if error is not None and error not in _STOPPED:
                span.set_status(Status(StatusCode.ERROR, error))
        span.end(_nanoseconds(event.at_utc))
        return job.context

    def _message(self, message: str | None) -> dict[str, str]:
        return {"aveo3.message": message} if message and self._content else {}

    # ---- lanes and ends --------------------------------------------------------------------------------------------

    def _of_lane(self, event: kinds.LanePaused | kinds.LaneOpened | kinds.LaneClosed) -> None:
        """Tell the jobs that wait for this lane and are not far back in its queue."""
        if isinstance(event, kinds.LanePaused):
            self._paused[event.lane] = event
        else:
            self._paused.pop(event.lane, None)
        waiting = [job for job in self._open.values() if job.waits_at == event.lane and job.span.is_recording()]
        for job in waiting:
            told: dict[str, Any] = {"aveo3.lane": event.lane}
            match event:
                case kinds.LanePaused():
                    told |= self._pause(event.lane)
                case kinds.LaneOpened():
                    told["aveo3.breaker"] = event.breaker
                case kinds.LaneClosed():
                    told |= {"aveo3.kind": event.reason, **self._message(event.message)}
            job.span.add_event(f"aveo3.{event.kind}", told, _nanoseconds(event.at_utc))

    def _pause(self, lane: str | None) -> dict[str, Any]:
        """Why and until when `lane` sends nothing; empty if it is not paused."""
        if lane is None or (event := self._paused.get(lane)) is None:
            return {}
        return {
            "aveo3.breaker": event.breaker,
            "aveo3.until": event.until_utc.isoformat(),
            "aveo3.kind": event.reason,
            **self._message(event.message),
        }

    def _end_all(self, at_utc: datetime, batch: int | None) -> None:
        """End the spans of jobs that will have no end of their own: their batch broke off."""
        for key in [key for key in self._open if batch in (None, key[0])]:
            span = self._open.pop(key).span
            span.set_attribute("aveo3.status", "unfinished")
            span.end(_nanoseconds(at_utc))


_FINISH = {"succeeded": ("stop",), "filtered": ("content_filter",)}


def _links(traceparent: str | None) -> tuple[Link, ...]:
    if traceparent is None:
        return ()
    _, of_trace, of_span, flags = traceparent.split("-")
    remote = SpanContext(int(of_trace, 16), int(of_span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return (Link(remote),)


def _traceparent(span: Span) -> str | None:
    """The context of `span` as a header; None if it has none, because nothing is set up."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _nanoseconds(at_utc: datetime) -> int:
    return int(at_utc.timestamp() * 1_000_000) * 1_000
