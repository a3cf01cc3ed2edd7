"""What earlier runs have made of a prompt: looked up in the journal before anything is sent for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aveo3.engine.job import Job
from aveo3.files import saving
from aveo3.files.saving import SavedFile
from aveo3.journal.journal import Journal
from aveo3.journal.rows import JobRecord, prompt_record, recorded_prompt
from aveo3.lifecycle import WITHOUT_FILE, State, is_emulated
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
        if is_emulated(self._service) and job.state in WITHOUT_FILE:
            _begin_anew(job)
            return None
        once_made = job.state is State.SUCCEEDED or (job.files and job.state in WITHOUT_FILE)
        if once_made and (made := await self._made(job)) is not None:
            return made
        if job.state in (State.DEFERRED, State.CANCELLED, State.FAILED) or (
            job.state is State.REJECTED and not job.attempts  # by the catalog alone, which may know better by now
        ):
            job.reopen(State.PLANNED, **_NOTHING)
        elif (job.state is State.FETCHING and not job.uris) or (
            job.state is State.UNCERTAIN and job.error_kind in ("operation_gone", "fetch") and job.operation
        ):
            job.reopen(State.RUNNING)  # a look is free
        elif job.state in (State.FILTERED, State.REJECTED) or (job.state is State.UNCERTAIN and not job.output_uri):
            return job.clip(ClipStatus(job.state), cached=True)
        return None

    async def _made(self, job: Job) -> VideoClip | None:
        """A clip that was made and paid for: as it was, if its files are. They may have come back, too."""
        if await _all_intact(job.files) and not self._may_be_fetched_now(job):
            if job.state is not State.SUCCEEDED:
                if job.state is not State.FETCHING:
                    job.move(State.FETCHING)
                job.move(State.SUCCEEDED, error_kind=None, error_message=None)
            return job.clip(ClipStatus.SUCCEEDED, cached=True)
        if job.state is not State.SUCCEEDED:
            return None
        if is_emulated(self._service):
            _begin_anew(job)
        else:
            job.reopen(State.FETCHING if job.uris else State.RUNNING)
        return None

    def _may_be_fetched_now(self, job: Job) -> bool:
        return self._fetches and not job.files and bool(job.uris)


async def _all_intact(files: Iterable[SavedFile]) -> bool:
    for file in files:
        if not await saving.is_intact(file):
            return False
    return True


def _begin_anew(job: Job) -> None:
    """Whatever the emulator was making is gone with it, and nothing is owed."""
    if job.state in (State.SUCCEEDED, State.FETCHING):
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
