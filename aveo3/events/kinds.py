"""The closed set of events that a run publishes. Frozen; instants in UTC, durations in seconds, money in US$.

`as_dict` is the form that leaves the process: JSON lines, logs, the live page. Later releases add events and fields;
they change or remove one only with a new `VERSION`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import PurePath
from typing import Any, ClassVar

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events."""

    kind: ClassVar[str]
    """Its name in JSON."""
    at_utc: datetime
    """When it happened."""

    def as_dict(self) -> dict[str, Any]:
        """The event as plain JSON values: `v`, `event`, then its fields. Instants in ISO 8601."""
        return {"v": VERSION, "event": self.kind} | {
            each.name: _plain(getattr(self, each.name)) for each in fields(self)
        }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return dict(value) if isinstance(value, Mapping) else value


# ---- a job -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent(Event):
    """Base of the events of one job."""

    job: str | None
    """Its ID, as in `clip.job`; None without a journal."""
    index: int
    """Place of its prompt in the batch, from 0: with `batch` it names the job even without a journal."""
    batch: int
    """Number of the batch in this client, from 1."""
    prompt_id: str | None = None
    """The `id` of its prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(JobEvent):
    """A prompt was read, and something is to be done for it."""

    kind = "planned"
    text: str
    project_id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    model: str
    """The model that it will be sent to; a lane or fallback may change it."""
    state: str = "planned"
    """`planned` for a prompt to send; else the state in which an earlier run left its job."""
    backend: str | None = None
    """What its first lane speaks to: `vertex`, `gemini`, `mock` or `server`; None for a backend of your own."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What the prompt sets of `duration_seconds`, `resolution`, `aspect_ratio`, `number_of_videos`, `seed`,
    `generate_audio` and `task`."""
    accepted_utc: datetime | None = None
    """When a server accepted it as a request; None for a prompt of this program."""
    traceparent: str | None = None
    """The W3C trace context that came with the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(JobEvent):
    """The job is next in line of its lane, and something keeps it from being sent."""

    kind = "waiting"
    waits_for: str
    """`quota`, `budget`; `person`: submits are paused, see `VeoClient.pause`; `disk`: a server has no room for more;
    `standby`: another process leads the lane, or the database is away."""
    lane: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted(JobEvent):
    """The intent is on disk, and the one request of this attempt leaves."""

    kind = "submitted"
    lane: str
    model: str
    attempt: int
    """From 1, over all runs; requests that could not leave do not count."""
    cost_usd: float | None
    """At list price; None if unknown."""
    backend: str | None = None
    """What its lane speaks to, as in `planned`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(JobEvent):
    """Google has named the operation. From here on money may be owed."""

    kind = "accepted"
    lane: str
    operation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(JobEvent):
    """Google said "not now". Nothing was created; the job keeps its retries and goes again."""

    kind = "refused"
    lane: str
    reason: str
    """The kind of refusal, as in `clip.error_kind`."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Running(JobEvent):
    """The operation is being polled: just accepted, or `resumed` from an earlier run."""

    kind = "running"
    lane: str
    operation: str
    resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PollFailed(JobEvent):
    """A poll had no answer, or was refused. It proves nothing, and is repeated."""

    kind = "poll_failed"
    lane: str
    operation: str
    refused: bool
    """There were too many: the lane's polls pause, and then come more slowly."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying(JobEvent):
    """An attempt had no result, and the job will be sent again after `wait` seconds."""

    kind = "retrying"
    reason: str
    """The cause in one word, as in `clip.error_kind`."""
    message: str
    wait: float
    """Seconds; the lane may make it longer."""
    retries: int
    """Retries used up in this run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching(JobEvent):
    """Its videos are made and paid at Google, and are being saved."""

    kind = "fetching"
    operation: str | None
    """None if it is not known: the answer was lost, and the videos were found in the bucket."""
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved(JobEvent):
    """Its videos are on disk."""

    kind = "saved"
    paths: tuple[PurePath, ...]
    bytes: int
    """Size of all together."""
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(JobEvent):
    """Its clip is ready for the reader. The last event of a job in a batch."""

    kind = "ended"
    status: str
    """A `ClipStatus`."""
    cached: bool
    """An earlier run made or ended it."""
    text: str
    model: str
    lane: str | None
    """None if it was never sent."""
    paths: tuple[PurePath, ...]
    cost_usd: float | None
    """What it cost, or may cost."""
    attempts: int
    """Submits, in all runs."""
    error_kind: str | None
    error_message: str | None
    submitted_utc: datetime | None
    finished_utc: datetime | None
    polls: int = 0
    """Polls in this run, failed ones included."""


# ---- a lane ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneEvent(Event):
    """Base of the events of one lane."""

    lane: str
    """Its name: a key of `stats().gates`. Without lanes of your own, its model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePaused(LaneEvent):
    """Refusals, failures or a used-up day keep the lane from sending.

    Published again if the pause grows by a second, or the breaker opens.
    """

    kind = "lane_paused"
    until_utc: datetime
    """The earliest next submit."""
    breaker: str
    """State of the circuit breaker: `closed`, `open` or `half_open`."""
    reason: str
    """The kind of the last refusal or failure, as in `clip.error_kind`."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneOpened(LaneEvent):
    """The lane sends again after a pause. Twice after an open breaker: for its probe, and when that is accepted."""

    kind = "lane_opened"
    breaker: str
    """`closed`, or `half_open` for a probe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneClosed(LaneEvent):
    """The lane sends nothing more in this run: a person is needed, or the client closes."""

    kind = "lane_closed"
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitLearnt(LaneEvent):
    """Refusals or accepted submits have taught another limit."""

    kind = "limit_learnt"
    limit: float
    """Requests in any `period` seconds."""
    period: float
    before: float
    """The limit until now."""


# ---- the client ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetChanged(Event):
    """Money was reserved or booked."""

    kind = "budget"
    limit_usd: float | None
    """None: no budget is set."""
    earlier_usd: float
    """Spent by earlier runs."""
    spent_usd: float
    """What clips of this client cost, as `stats().cost_usd`: those of uncertain outcome count in full."""
    in_flight_usd: float
    """What the clips in flight will cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegun(Event):
    """A batch has begun."""

    kind = "run_begun"
    batch: int
    total: int | None
    """Prompts in the batch; None if they are read one by one."""
    service: str
    """Who makes the clips: `google`, `local` (on this machine), `mock` or `custom`."""
    output_dir: PurePath


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Event):
    """A batch has ended: no event of its jobs follows."""

    kind = "run_ended"
    batch: int
    clips: Mapping[str, int]
    """Number of its clips by status."""
    error: str | None = None
    """The error that ended it early."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed(Event):
    """Only for one slow reader: that many older events were dropped before the next one."""

    kind = "missed"
    count: int


ORDER = """
(
    planned
    ( running poll_failed* ( refused | retrying ) )?
    (
        waiting* submitted ( accepted ( running poll_failed* )? )?
        ( refused | retrying )
    )*
    waiting*
    (
        submitted ( accepted ( running poll_failed* )? )?
        | running poll_failed*
    )?
    fetching? saved?
)?
ended
"""
"""The events of one job in one batch, as a regular expression whose letters are kinds. A prompt for which nothing is to
be done has only `ended`: an earlier run made its clip, or it can never work. A batch that ends with an error may leave
jobs without `ended`: `run_ended` has the error."""

KINDS: Mapping[str, type[Event]] = {
    each.kind: each
    for each in (
        Planned, Waiting, Submitted, Accepted, Refused, Running, PollFailed, Retrying, Fetching, Saved, Ended,
        LanePaused, LaneOpened, LaneClosed, LimitLearnt,
        BudgetChanged, RunBegun, RunEnded, Missed,
    )
}  # fmt: skip
"""Every event by its name in JSON."""
