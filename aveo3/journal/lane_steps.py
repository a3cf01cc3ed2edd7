"""The changes of lanes that the journal keeps, so that a report can draw breaker and limits of past runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aveo3.events.kinds import LaneClosed, LaneEvent, LaneOpened, LanePaused, LimitLearnt
from aveo3.journal.database import Row
from aveo3.journal.rows import storable, to_time
from aveo3.journal.writer import Statement


@dataclass(frozen=True, slots=True)
class LaneStep:
    """One change of a lane. What does not belong to its kind is None."""

    at_utc: datetime
    lane: str
    kind: str
    """`lane_paused`, `lane_opened`, `lane_closed` or `limit_learnt`: an event of `aveo3.events`."""
    until_utc: datetime | None = None
    """The end of a pause."""
    limit: float | None = None
    """Requests in any `period` seconds."""
    period: float | None = None
    before: float | None = None
    """The limit before."""
    reason: str | None = None
    message: str | None = None
    breaker: str | None = None
    service: str = ""
    """Who made the clips: `google`, `local`, `mock` or `custom`."""


def to_insert(service: str, event: LaneEvent) -> Statement:
    """The statement that keeps `event`."""
    paused = event if isinstance(event, LanePaused) else None
    learnt = event if isinstance(event, LimitLearnt) else None
    why = event if isinstance(event, LanePaused | LaneClosed) else None
    values = (
        service,
        event.lane,
        event.at_utc.isoformat(),
        event.kind,
        event.breaker if isinstance(event, LanePaused | LaneOpened) else None,
        paused and paused.until_utc.isoformat(),
        learnt and learnt.limit,
        learnt and learnt.period,
        learnt and learnt.before,
        why and why.reason,
        why and why.message,
    )
    return _INSERT, tuple(map(storable, values))


def from_row(row: Row) -> LaneStep:
    """The change in one row. Raises `ValueError` if it holds no instant."""
    return LaneStep(
        at_utc=datetime.fromisoformat(row["at_utc"]),
        lane=row["lane"],
        kind=row["kind"],
        until_utc=to_time(row["until_utc"]),
        limit=row["quota_limit"],
        period=row["quota_period"],
        before=row["quota_before"],
        reason=row["reason"],
        message=row["message"],
        breaker=row["breaker"],
        service=row["service"],
    )


_INSERT = (
    "INSERT INTO lane_events (service, lane, at_utc, kind, breaker, until_utc, quota_limit, quota_period, "
    "quota_before, reason, message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
