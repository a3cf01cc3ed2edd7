"""What earlier runs have made of a prompt: looked up in the journal before anything is sent for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aveo3.engine.job import Job
from aveo3.files import saving
from aveo3.files.saving import SavedFile
from aveo3.journal.journal import Journal
from aveo3.journal.next_step import NextStep, can_be_polled_again, depends_on_files, is_to_be_fetched, next_step
from aveo3.journal.rows import JobRecord, prompt_record, recorded_prompt
from aveo3.lifecycle import PAID, State
from aveo3.models import ClipStatus, VideoClip


class JobMatcher:
    """Ties each prompt of one batch to its job in the journal: the one that earlier batches left for it, or a new one.

    `service` keeps the clips of an emulator and Google's apart. `fresh` wants new clips of prompts that have theirs;
    `fetches` says that what an earlier run left in its bucket is to be fetched from there.
    """

    def __init__(self, journal: Journal, service: str, *, fresh: bool = False, fetches: bool = False) -> None:
        self._journal = journal
        self._service = service
        self._fresh = fresh
        self._fetches = fetches
        self._claims = journal.claims
        self._stream = self._claims.begin_stream()

    def match(self, job: Job) -> bool:
        """Make `job` the one that the journal knows for its prompt, or a new one. Raises `JournalError`.

        False, and nothing done, if the one it knows is being finished by `resume` in this very process: ask again.
        """
        entry = self._claims.claim(self._stream, self._service, job.known_by, fresh=self._fresh)
        if entry is None and self._claims.is_being_resumed(self._stream, self._service, job.known_by):
            return False
        if entry is None:
            entry = self._claims.plan(
                self._stream,
                self._service,
                job.digest,
                position=job.index,
                model=job.model,
                prompt=prompt_record(job.prompt, job.media_hashes),
            )
        job.take_up(entry, self._journal)
        return True

    def job_of(self, given: JobRecord, index: int) -> Job | None:
        """The job of an entry whose prompt nobody has given again; None if another batch is at work on it.

        Raises `JournalError`.
        """
        entry = self._claims.take(self._stream, given.id)
        if entry is None:
            return None
        job = Job(recorded_prompt(entry.prompt), index, entry)
        job.take_up(entry, self._journal)
        return job

    def home_of(self, operation: str) -> Mapping[str, str | None] | None:
        """Where the clip was made that is known as `operation`; None if the journal does not know it."""
        return self._journal.place_of(self._service, operation)

    async def resolve(self, job: Job) -> VideoClip | None:
        """The clip of `job` if nothing is left to do for it; else None, and `job.state` says what there is to do.

        planned: submit it. running, fetching: go on from there. uncertain: see whether its video has turned up.
        Once begun, it may be begun again. Raises `JournalError`.
        """
        made = depends_on_files(job, self._service) and await self._is_made(job)
        match next_step(job, self._service, made=made):
            case NextStep.SUBMIT:
                _plan_anew(job)
            case NextStep.PICK_UP:
                _reopen(job)
            case NextStep.HAND_OUT:
                if made:
                    _note_made(job)
                return job.clip(ClipStatus(job.state), cached=True)
        return None

    async def _is_made(self, job: Job) -> bool:
        """Whether its files are on disk as they were saved, and none is to be fetched."""
        return await _all_intact(job.files) and not is_to_be_fetched(job, fetches=self._fetches)


async def _all_intact(files: Iterable[SavedFile]) -> bool:
    for file in files:
        if not await saving.is_intact(file):
            return False
    return True


def _note_made(job: Job) -> None:
    """The files may have come back after a run that missed them."""
    if job.state is State.SUCCEEDED:
        return
    if job.state is not State.FETCHING:
        job.move(State.FETCHING)
    job.move(State.SUCCEEDED, error_kind=None, error_message=None)


def _reopen(job: Job) -> None:
    """Bring the job to where the run goes on with it."""
    if job.state is State.SUCCEEDED:
        job.reopen(State.FETCHING if job.uris else State.RUNNING)
    elif (job.state is State.FETCHING and not job.uris) or can_be_polled_again(job):
        job.reopen(State.RUNNING)


def _plan_anew(job: Job) -> None:
    """Nothing is owed for the job, or what was made of it is gone with the emulator."""
    if job.state is State.PLANNED:
        return
    if job.state in PAID:
        job.reopen(State.RUNNING)
    if job.state is State.RUNNING:
        job.move(State.PLANNED, **_NOTHING)
    else:
        job.reopen(State.PLANNED, **_NOTHING)


_NOTHING: dict[str, Any] = {
    **dict.fromkeys(("operation", "output_uri", "error_kind", "error_message", "submitted_utc", "finished_utc")),
    **dict.fromkeys(("uris", "files"), ()),
}
"""What a job has that is planned anew."""
