"""What events and totals come to in numbers. Knows neither OpenTelemetry nor Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from aveo3.events import kinds
from aveo3.lifecycle import PAID
from aveo3.telemetry import attributes as names
from aveo3.telemetry import instruments
from aveo3.telemetry.instruments import OTHER, Bounded, Instrument

if TYPE_CHECKING:
    from aveo3.dispatch.stats import Stats

BREAKER_STATES = ("closed", "open", "half_open")

_UNKNOWN = frozenset({"uncertain", "unfinished"})
"""Statuses of clips whose cost is not certain."""


class Measured(NamedTuple):
    """One value of one metric; `labels` are in the order of the instrument's. An empty label is none."""

    instrument: Instrument
    value: float
    labels: tuple[str, ...] = ()


@dataclass(slots=True)
class _Job:
    since: datetime
    model: str
    backend: str | None
    is_new: bool
    """No run has sent it yet."""
    was_billed: bool
    """An earlier run knew its cost."""


class Measuring:
    """Turns the events of one client into values of counters and histograms."""

    def __init__(self) -> None:
        self._jobs: dict[tuple[int, int], _Job] = {}
        self._bounded: dict[str, Bounded] = {}

    def of(self, event: kinds.Event) -> Iterable[Measured]:
        """The values that `event` adds."""
        match event:
            case kinds.Planned():
                self._jobs[event.batch, event.index] = _Job(
                    event.accepted_utc or event.at_utc,
                    event.model,
                    event.backend,
                    is_new=event.state == "planned",
                    was_billed=event.state in PAID,
                )
            case kinds.Submitted():
                return self._submitted(event)
            case kinds.Accepted():
                return (self._one(instruments.SUBMITS, event.lane),)
            case kinds.Refused():
                return (self._one(instruments.REFUSALS, event.lane, event.reason),)
            case kinds.Retrying():
                return (self._one(instruments.RETRIES, event.reason),)
            case kinds.Ended():
                return self._ended(event)
            case kinds.RunEnded():
                for key in [key for key in self._jobs if key[0] == event.batch]:
                    del self._jobs[key]
        return ()

    def _submitted(self, event: kinds.Submitted) -> Iterator[Measured]:
        if (job := self._jobs.get((event.batch, event.index))) is None:
            return
        job.backend = event.backend
        if job.is_new:
            job.is_new = False
            yield self._value(instruments.QUEUE_WAIT, _seconds(job.since, event.at_utc), event.lane)

    def _ended(self, event: kinds.Ended) -> Iterator[Measured]:
        job = self._jobs.pop((event.batch, event.index), None)
        if event.cached:
            return
        job = job or _Job(event.at_utc, event.model, None, is_new=False, was_billed=False)
        yield self._one(instruments.CLIPS, event.status)
        error = names.error_of(event.status, event.error_kind)
        labels = names.GENERATE, names.provider_of(job.backend), job.model, error or ""
        yield self._value(instruments.DURATION, _seconds(job.since, event.at_utc), *labels)
        if event.status == "succeeded" and event.submitted_utc is not None and event.finished_utc is not None:
            took = _seconds(event.submitted_utc, event.finished_utc)
            yield self._value(instruments.LATENCY, took, event.model)
        if event.cost_usd and event.status not in _UNKNOWN and not job.was_billed:
            yield Measured(instruments.SPENT, event.cost_usd)

    def _one(self, instrument: Instrument, *labels: str) -> Measured:
        return self._value(instrument, 1, *labels)

    def _value(self, instrument: Instrument, value: float, *labels: str) -> Measured:
        bounded = (
            self._bounded.setdefault(name, Bounded())(label) if label else label
            for name, label in zip(instrument.labels, labels, strict=True)
        )
        return Measured(instrument, value, tuple(bounded))


def standing(stats: Stats, bounded: Bounded) -> Iterator[Measured]:
    """The values of all gauges. A lane beyond those that `bounded` knows has none: a sum of quotas says nothing."""
    for lane, gate in stats.gates.items():  # never a bool: exporters do not take one for a number
        if (name := bounded(lane)) == OTHER:
            continue
        yield Measured(instruments.RUNNING, gate.running, (name,))
        yield Measured(instruments.RUNNING_LIMIT, gate.running_limit, (name,))
        yield Measured(instruments.QUOTA_USED, gate.quota_used, (name,))
        yield Measured(instruments.QUOTA_LIMIT, gate.quota_limit, (name,))
        yield Measured(instruments.QUOTA_PERIOD, gate.quota_period, (name,))
        yield Measured(instruments.OPENS_IN, gate.opens_in, (name,))
        yield Measured(instruments.CLOSED, float(gate.closed is not None), (name,))
        for state in BREAKER_STATES:
            yield Measured(instruments.BREAKER, float(gate.breaker == state), (name, state))
    yield Measured(instruments.IN_FLIGHT, stats.in_flight_usd)
    yield Measured(instruments.MAY_BE_PAID, stats.may_be_paid_usd)
    yield Measured(instruments.PAUSED, float(stats.paused))


def _seconds(begin: datetime, end: datetime) -> float:
    """Never negative, though the machine's clock may have been set back meanwhile."""
    return max(0.0, (end - begin).total_seconds())
