"""Translates what happens to the jobs of one batch into events. The journal has each step before its event tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aveo3.events.bus import EventBus
from aveo3.events.kinds import (
    Accepted,
    Fetching,
    JobEvent,
    PollFailed,
    Refused,
    Retrying,
    Running,
    Saved,
    Submitted,
)
from aveo3.lifecycle import State

if TYPE_CHECKING:
    from aveo3.engine.job import Job


class JobEvents:
    """Publishes the events of the jobs of batch number `batch`. `without_keys` removes API keys from messages.

    With nobody listening, each method returns at once.
    """

    def __init__(
        self, bus: EventBus, batch: int, now_utc: Callable[[], datetime], without_keys: Callable[[str], str]
    ) -> None:
        self._bus = bus
        self._batch = batch
        self._now_utc = now_utc
        self._without_keys = without_keys

    @property
    def listening(self) -> bool:
        """True if somebody gets the events."""
        return self._bus.listening

    def moved(self, job: Job, old: State) -> None:
        """`job` has moved from `old` to its state, and the journal has that."""
        if not self._bus.listening:
            return
        record = job.record
        if record.state is State.RUNNING and old is State.SUBMITTING:
            self._publish(Accepted, job, lane=lane_of(job), operation=record.operation or "")
        elif record.state is State.FETCHING:
            self._publish(Fetching, job, operation=record.operation, cost_usd=record.cost_usd)
        elif record.state is State.SUCCEEDED and job.files:
            self._publish(
                Saved,
                job,
                paths=tuple(file.path for file in job.files),
                bytes=sum(file.size for file in job.files),
                cost_usd=record.cost_usd,
            )

    def submitted(self, job: Job) -> None:
        """The intent is on disk, and the request leaves now."""
        job.waits_for = None
        if self._bus.listening:
            self._publish(
                Submitted,
                job,
                lane=lane_of(job),
                model=job.model,
                attempt=job.attempts,
                cost_usd=job.cost_usd,
                backend=job.place.get("backend"),
            )

    def running(self, job: Job, *, resumed: bool) -> None:
        """The operation of `job` is polled from now on."""
        if self._bus.listening:
            self._publish(Running, job, lane=lane_of(job), operation=job.operation or "", resumed=resumed)

    def refused(self, job: Job) -> None:
        """The submit of `job` was refused, at once or late, and the job is planned again."""
        if self._bus.listening:
            self._publish(Refused, job, lane=lane_of(job), **self._why(job))

    def poll_failed(self, job: Job, message: str, *, refused: bool) -> None:
        """A poll of the operation of `job` failed, and is repeated."""
        if self._bus.listening:
            words = self._without_keys(message)
            self._publish(
                PollFailed, job, lane=lane_of(job), operation=job.operation or "", refused=refused, message=words
            )

    def retrying(self, job: Job, wait: float) -> None:
        """`job` waits `wait` seconds for another attempt."""
        if self._bus.listening:
            self._publish(Retrying, job, wait=wait, retries=job.retries, **self._why(job))

    def _why(self, job: Job) -> dict[str, str]:
        return {"reason": job.error_kind or "", "message": self._without_keys(job.error_message or "")}

    def _publish(self, kind: type[JobEvent], job: Job, **values: Any) -> None:
        self._bus.publish(
            kind(
                at_utc=self._now_utc(),
                job=job.name if job.journal is not None else None,
                index=job.index,
                batch=self._batch,
                prompt_id=job.prompt.id,
                **values,
            )
        )


def lane_of(job: Job) -> str:
    """The lane of the last submit; its model if an earlier run kept no name."""
    place: Mapping[str, str | None] = job.place
    return place.get("lane") or job.model


SILENT = JobEvents(EventBus(), 0, lambda: datetime.now(UTC), str)
"""Of a job that no batch works on: nobody listens."""
