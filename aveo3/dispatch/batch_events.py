"""Translates what happens to one batch, and to the money, into events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from math import inf
from pathlib import Path
from typing import Any

from aveo3.dispatch.budget import Budget
from aveo3.engine.job import Job
from aveo3.engine.job_events import JobEvents, lane_of
from aveo3.events.bus import EventBus
from aveo3.events.kinds import BudgetChanged, Ended, Planned, RunBegun, RunEnded, Waiting
from aveo3.models import ClipStatus, VideoClip, VideoPrompt


class BatchEvents(JobEvents):
    """Publishes the events of one batch: those of its jobs, its beginning and end, and changes of the budget."""

    def __init__(
        self,
        bus: EventBus,
        batch: int,
        now_utc: Callable[[], datetime],
        without_keys: Callable[[str], str],
        *,
        service: str,
        output_dir: Path,
    ) -> None:
        super().__init__(bus, batch, now_utc, without_keys)
        self._service = service
        self._output_dir = output_dir

    def begun(self, total: int | None) -> None:
        """The batch begins. `total` is the number of its prompts, if known."""
        if self._bus.listening:
            self._bus.publish(
                RunBegun(
                    at_utc=self._now_utc(),
                    batch=self._batch,
                    total=total,
                    service=self._service,
                    output_dir=self._output_dir,
                )
            )

    def over(self, clips: Mapping[ClipStatus, int], error: BaseException | None) -> None:
        """The batch has ended with these `clips`, and with the `error` that its reader gets."""
        if self._bus.listening:
            words = None if error is None else self._without_keys(f"{type(error).__name__}: {error}")
            counts = {status.value: number for status, number in clips.items()}
            self._bus.publish(RunEnded(at_utc=self._now_utc(), batch=self._batch, clips=counts, error=words))

    def money(self, budget: Budget) -> None:
        """Money was reserved or booked."""
        if self._bus.listening:
            self._bus.publish(
                BudgetChanged(
                    at_utc=self._now_utc(),
                    limit_usd=None if budget.limit == inf else budget.limit,
                    earlier_usd=round(budget.before, 4),
                    spent_usd=round(budget.spent, 4),
                    in_flight_usd=round(budget.in_flight, 4) + 0.0,
                )
            )

    def planned(self, job: Job) -> None:
        """Something is to be done for `job`: its moves are told from now on."""
        job.events = self
        if self._bus.listening:
            prompt = job.prompt
            self._publish(
                Planned,
                job,
                text=prompt.text,
                project_id=prompt.project_id,
                labels=prompt.labels,
                model=job.model,
                state=job.state.value,
                backend=_backend_of(job),
                parameters=_parameters_of(job.prompt),
                accepted_utc=job.accepted_utc,
                traceparent=job.traceparent,
            )

    def waiting(self, job: Job, waits_for: str, lane: str) -> None:
        """`job` is next in line, and `waits_for` keeps it: told once until that changes, or the job is sent."""
        if self._bus.listening and job.waits_for != waits_for:
            job.waits_for = waits_for
            self._publish(Waiting, job, waits_for=waits_for, lane=lane)

    def ended(self, job: Job, clip: VideoClip) -> None:
        """The clip of `job` is ready for the reader."""
        if self._bus.listening:
            self._publish(
                Ended,
                job,
                status=clip.status.value,
                cached=clip.cached,
                text=clip.prompt.text,
                model=clip.model,
                lane=lane_of(job) if clip.attempts else None,
                paths=clip.paths,
                cost_usd=clip.cost_usd,
                attempts=clip.attempts,
                error_kind=clip.error_kind,
                error_message=clip.error_message,
                submitted_utc=clip.submitted_utc,
                finished_utc=clip.finished_utc,
                polls=job.polls,
            )


_PARAMETERS = ("duration_seconds", "resolution", "aspect_ratio", "seed", "generate_audio", "task")


def _parameters_of(prompt: VideoPrompt) -> dict[str, Any]:
    """What `prompt` sets besides its text, its media and what is the user's own."""
    found = {name: value for name in _PARAMETERS if (value := getattr(prompt, name)) is not None}
    return found if prompt.number_of_videos == 1 else {**found, "number_of_videos": prompt.number_of_videos}


def _backend_of(job: Job) -> str | None:
    """What the first lane of `job` speaks to, or the one that it was sent to."""
    first = next(iter(job.route), None) if job.route is not None and not job.place else None
    return (job.place if first is None else first.lane.place).get("backend")
