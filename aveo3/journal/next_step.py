"""What a run does with a job that an earlier run left: submit it, go on with it, or hand out its clip. Pure.

`JobMatcher` acts on these answers, and `aveo3 generate` announces them beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum, auto
from typing import Any, Protocol

from aveo3.journal.rows import JobRecord, recorded_prompt
from aveo3.lifecycle import ENDED, TO_SEND, UNDER_WAY, WITHOUT_FILE, State, as_found, is_emulated
from aveo3.models import VideoPrompt

ANSWER_LOST = "answer_lost"
"""The `error_kind` of a job whose submit was open when its run was killed."""


REQUEST_KEY = "request_key"
"""The name, in a job's place, of the idempotency key that its request to a server carries."""

NO_VIDEO = "no_video"
"""The `error_kind` of a job whose operation ended with neither video nor reason."""

NOT_SENDABLE = "not_sendable"
"""The `error_kind` of a job that was rejected here, before it was sent (again): its picture is missing, say."""


class NextStep(Enum):
    """What a run does with a job that it finds in the journal."""

    SUBMIT = auto()
    PICK_UP = auto()
    """Poll its operation, fetch its video, or search for the video where Google was told to put it. Sends no prompt."""
    HAND_OUT = auto()
    """Nothing: its clip is known, and comes back as it is."""


class LeftJob(Protocol):
    """What decides about the next step; a `Job` and a `JobRecord` both have it."""

    @property
    def state(self) -> State: ...
    @property
    def attempts(self) -> int: ...
    @property
    def operation(self) -> str | None: ...
    @property
    def output_uri(self) -> str | None: ...
    @property
    def uris(self) -> Sequence[str]: ...
    @property
    def place(self) -> Mapping[str, str | None]: ...
    @property
    def files(self) -> Sequence[Any]: ...
    @property
    def error_kind(self) -> str | None: ...


def next_step(job: LeftJob, service: str, *, made: bool) -> NextStep:
    """What a run at `service` does with `job`.

    `made` says that `depends_on_files(job, service)` is true, and that the files are on disk as they were saved.
    """
    if is_emulated(service) and job.state in WITHOUT_FILE:
        return NextStep.SUBMIT
    if made:
        return NextStep.HAND_OUT
    if job.state is State.SUCCEEDED:  # its files are gone, or were never fetched
        return NextStep.SUBMIT if is_emulated(service) else NextStep.PICK_UP
    # A job without attempts was rejected by the catalog alone, which may know better by now.
    not_by_google = job.state is State.REJECTED and (not job.attempts or job.error_kind == NOT_SENDABLE)
    if job.state in TO_SEND or not_by_google:
        return NextStep.SUBMIT
    can_be_found = can_be_polled_again(job) or can_be_asked_again(job) or job.output_uri
    if job.state in ENDED and not (job.state is State.UNCERTAIN and can_be_found):
        return NextStep.HAND_OUT
    return NextStep.PICK_UP


def depends_on_files(job: LeftJob, service: str) -> bool:
    """Whether the next step depends on the files of `job`: it was made once, and they may be on disk (again)."""
    once_made = bool(job.files) and job.state in WITHOUT_FILE and not is_emulated(service)
    return job.state is State.SUCCEEDED or once_made


def is_to_be_fetched(job: LeftJob, *, fetches: bool) -> bool:
    """Whether an earlier run left the video in its bucket, and this one fetches from there (`fetches`)."""
    return fetches and not job.files and bool(job.uris)


def can_be_polled_again(job: LeftJob) -> bool:
    """Whether one more poll of the operation, which is free, may find a video that an earlier run gave up."""
    return job.state is State.UNCERTAIN and job.error_kind in _POLLED_AGAIN and bool(job.operation)


def can_be_asked_again(job: LeftJob) -> bool:
    """Whether the request may be sent again without ordering twice: a server knows its key, if it came there."""
    return job.state is State.UNCERTAIN and job.error_kind == ANSWER_LOST and REQUEST_KEY in job.place


_POLLED_AGAIN = ("operation_gone", NO_VIDEO, "fetch")


def record_as_found(record: JobRecord) -> JobRecord:
    """A record as the next run finds it; see `as_found`."""
    state = as_found(record.state)
    return record if state is record.state else replace(record, state=state, error_kind=ANSWER_LOST)


def resumable(records: Iterable[JobRecord], service: str) -> list[JobRecord]:
    """Those of `records` that `resume` at `service` has something to do for, oldest submit first.

    Uncertain jobs are searched for where Google was told to put their video, and polled if their operation had no
    video or was unknown to Google, as the next run of their prompts does.
    """
    if is_emulated(service):
        return []
    left = [record for record in records if record.service == service and _can_be_resumed(record)]
    return sorted(left, key=lambda record: record.submitted_utc or record.queued_utc)


def left_with_emulator(records: Iterable[JobRecord]) -> list[VideoPrompt]:
    """The prompts to give an emulator again, so that `resume` ends there as it would at Google, where operations go on.

    Equal prompts get their jobs in order, so those that are made come along.
    """
    mock = [record for record in records if is_emulated(record.service)]
    left = {record.digest for record in mock if record.state in UNDER_WAY}
    # With the model of the job: that of the settings may be another one now.
    return [
        recorded_prompt({**record.prompt, "model": record.instead_of or record.model})
        for record in sorted(mock, key=lambda record: record.id)
        if record.digest in left
    ]


def _can_be_resumed(record: JobRecord) -> bool:
    if record.state in UNDER_WAY:
        return bool(record.operation or record.output_uri)
    return record.state is State.UNCERTAIN and (bool(record.output_uri) or can_be_polled_again(record))
