"""The lanes of a journal's jobs: their limits as learnt, else as set now, and what happened to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aveo3.dispatch.prior_runs import LIMITS
from aveo3.errors import AveoError
from aveo3.report.view import LaneRow, LaneStep

if TYPE_CHECKING:
    from aveo3.config.settings import Settings
    from aveo3.journal.journal import Journal
    from aveo3.journal.rows import JobRecord


def lane_rows(journal: Journal, records: Iterable[JobRecord], settings: Settings) -> list[LaneRow]:
    """One row for each lane that a job was sent to, in the order of their first jobs."""
    first: dict[str, JobRecord] = {}
    for record in records:
        if record.place:
            first.setdefault(record.place.get("lane") or record.model, record)
    kept = {service: journal.kept(service, LIMITS) for service in {record.service for record in first.values()}}
    return [_row(name, record, kept[record.service], settings) for name, record in first.items()]


def _row(name: str, record: JobRecord, kept: Mapping[str, Mapping[str, Any]], settings: Settings) -> LaneRow:
    limit, period = _learnt(record, kept)
    learnt = limit is not None
    if not learnt:
        with suppress(AveoError, ValueError, OSError):
            limit, period = _set(record, settings)
    return LaneRow(
        name=name,
        model=record.model,
        limit=limit,
        period=period,
        learnt=learnt,
        used=None,
        running=None,
        breaker=None,
        opens_utc=None,
        closed=None,
        reason=None,
        waits=None,
    )


def _set(record: JobRecord, settings: Settings) -> tuple[float, float]:
    """The limit that the settings of today give the lane."""
    from aveo3.lanes.lanes import Lanes

    own = settings if settings.lanes is None else Lanes(settings).at(record.place, record.model).settings
    rate = own.rate(record.model)
    return float(rate.limit), float(rate.period)


def _learnt(record: JobRecord, kept: Mapping[str, Mapping[str, Any]]) -> tuple[float | None, float | None]:
    """The limit of requests that runs here have learnt for the lane, with its period."""
    place = record.place
    parts = (record.model, *(place.get(name) for name in ("backend", "credentials", "project", "location")))
    with suppress(KeyError, TypeError, ValueError, IndexError):
        learnt = kept[" ".join(part for part in parts if part)]["learnt"]["requests"]
        return float(learnt["limit"]), float(learnt["under"][2])
    return None, None


def lane_steps(journal: Journal) -> list[LaneStep]:
    """What happened to the lanes, as far as the journal keeps it, oldest first."""
    return [
        LaneStep(
            at_utc=step.at_utc.isoformat(),
            lane=step.lane,
            kind=step.kind,
            until_utc=None if step.until_utc is None else step.until_utc.isoformat(),
            limit=step.limit,
            period=step.period,
            reason=step.reason,
        )
        for step in journal.lane_steps()
    ]
