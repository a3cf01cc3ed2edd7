"""Matches prompts to jobs of earlier runs in the journal, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from aveo3 import _threads
from aveo3.config.catalog import Catalog
from aveo3.config.source_clip import SourceClip
from aveo3.dispatch.earlier_clips import earlier_clip
from aveo3.dispatch.prompt_media import RecalledMedia
from aveo3.engine.job import PARTLY, Job
from aveo3.files import saving
from aveo3.files.saving import SavedFile
from aveo3.journal.fresh import Fresh
from aveo3.journal.journal import Journal
from aveo3.journal.next_step import (
    NextStep,
    can_be_polled_again,
    depends_on_files,
    is_to_be_fetched,
    next_step,
    record_as_found,
)
from aveo3.journal.requests import Extras
from aveo3.journal.rows import JobRecord, is_job_id, prompt_record, recorded_prompt
from aveo3.lifecycle import PAID, State
from aveo3.models import ClipStatus, VideoClip


class JobMatcher:
    """Matches each prompt of one batch to its job in the journal: one from an earlier batch, or a new one.

    `service` separates the clips of an emulator from Google's. With `fresh`, prompts that have a clip get a new one,
    and get that once: see `aveo3.journal.fresh`.
    With `fetches`, a video that an earlier run left in its bucket is fetched. `numbers` are the positions of new jobs;
    None: their indices. `extras_of` returns what a request says besides its prompt; None to read it from the journal.
    """

    def __init__(
        self,
        journal: Journal,
        service: str,
        *,
        fresh: Fresh = False,
        fetches: bool = False,
        numbers: Iterator[int] | None = None,
        extras_of: Callable[[int], Extras] | None = None,
    ) -> None:
        self._journal = journal
        self._service = service
        self._fetches = fetches
        self._numbers = numbers
        self._extras_of = extras_of
        self._claims = journal.claims
        self._stream = self._claims.begin_stream(fresh)

    def match(self, job: Job, *, plans: bool = True) -> bool:
        """Give `job` the journal's record for its prompt, or a new one if it `plans`. Raises `JournalError`.

        Returns False, and changes nothing, while `resume` finishes that job in this process: call it again later.
        """
        record = self._claims.claim(self._stream, self._service, job.known_by)
        if record is None and self._claims.is_being_resumed(self._stream, self._service, job.known_by):
            return False
        if record is None and not plans:
            return True
        if record is None:
            record = self._claims.plan(
                self._stream,
                self._service,
                job.digest,
                position=job.index if self._numbers is None else next(self._numbers),
                model=job.model,
                prompt=prompt_record(job.prompt, job.media_hashes),
            )
        job.take_up(record, self._journal)
        if self._numbers is not None:
            job.position = record.position
        return True

    @cached_property
    def recalled(self) -> RecalledMedia:
        """What the media of earlier jobs held. Reads all jobs with media: only for media that cannot be used now."""
        return RecalledMedia(self._journal.prompts_with_files(self._service))

    async def needs_no_submit(self, job: Job) -> bool:
        """True if the clip of a matched job is known, or Google has it. Changes nothing."""
        made = depends_on_files(job, self._service) and await self._is_made(job)
        return next_step(job, self._service, made=made) is not NextStep.SUBMIT

    def end(self, *, all_made: bool) -> None:
        """Nothing more is matched; `all_made` says that each prompt has its video. Raises `JournalError`."""
        self._claims.end_stream(self._stream, all_made=all_made)

    def job_of(self, source: JobRecord, index: int) -> Job | None:
        """The job of a record without a prompt in this batch; None if another batch works on it.

        Raises `JournalError`.
        """
        record = self._claims.take(self._stream, source.id)
        if record is None:
            return None
        return self._taken_up(record, index)

    def request_of(self, record: JobRecord, index: int) -> Job | None:
        """The job of a request, whose `record` was just read; None if this process works on it. It may be submitted."""
        if not self._claims.hold(record.id):
            return None
        job = self._taken_up(record, index)
        job.position = record.position
        return job

    def _taken_up(self, record: JobRecord, index: int) -> Job:
        job = Job(recorded_prompt(record.prompt, self._journal.home), index, record)
        job.take_up(record, self._journal)
        if self._extras_of is not None:
            job.storage_uri, job.traceparent = self._extras_of(record.id)
            job.accepted_utc = record.queued_utc
        elif (request := self._journal.requests.of_job(record.id)) is not None:
            job.storage_uri, job.traceparent = request.extras
            job.accepted_utc = record.queued_utc
        return job

    def clips_named(self, names: Iterable[str]) -> dict[str, JobRecord]:
        """The jobs that prompts call so: the newest whose prompt has this `id`, else the one with this ID."""
        wanted = dict.fromkeys(names)
        found = {str(record.prompt.get("id")): record for record in self._journal.newest_with(self._service, wanted)}
        for name in wanted:
            if name not in found and is_job_id(name):
                for record in self._journal.match(name):
                    if record.service == self._service:
                        found[name] = record
        return {name: record_as_found(record) for name, record in found.items()}

    def files_of(self, record: JobRecord) -> list[SavedFile]:
        """The videos of a record, where they were saved."""
        return [SavedFile(self._journal.locate(f), int(f["size"]), str(f["sha256"])) for f in record.files]

    @property
    def journal_path(self) -> Path:
        """The journal's file, for messages."""
        return self._journal.path

    def home_of(self, operation: str) -> Mapping[str, str | None] | None:
        """The place where `operation` ran; None if the journal does not have it."""
        return self._journal.place_of(self._service, operation)

    async def earlier_clip(self, operation: str, catalog: Catalog) -> SourceClip | None:
        """What the clip of `operation` is, for the cost of changing it; None if the journal does not know."""
        found = self._journal.of_operation(self._service, operation)
        return await _threads.reading.run(earlier_clip, found[0], self._journal, catalog) if found else None

    async def resolve(self, job: Job) -> VideoClip | None:
        """The clip of `job` if nothing is left to do for it; else None, and `job.state` names the next step.

        planned: submit it. running, fetching: resume it. uncertain: check whether its video is in the bucket. After a
        cancellation it may be called again. Raises `JournalError`.
        """
        made = depends_on_files(job, self._service) and await self._is_made(job)
        match next_step(job, self._service, made=made):
            case NextStep.SUBMIT:
                _plan_again(job)
            case NextStep.PICK_UP:
                _reopen(job)
            case NextStep.HAND_OUT:
                if made:
                    _note_made(job)
                return job.clip(ClipStatus(job.state), cached=True)
        return None

    async def _is_made(self, job: Job) -> bool:
        """True if its files are on disk, unchanged, and none must be fetched."""
        return await _all_intact(job.files) and not is_to_be_fetched(job, fetches=self._fetches)


async def _all_intact(files: Iterable[SavedFile]) -> bool:
    for file in files:
        if not await saving.is_intact(file):
            return False
    return True


def _note_made(job: Job) -> None:
    """Mark the job as succeeded: its files may be back after a run that missed them."""
    if job.state is State.SUCCEEDED:
        return
    if job.state is not State.FETCHING:
        job.move(State.FETCHING)
    obsolete = {} if job.error_kind in PARTLY else {"error_kind": None, "error_message": None}
    job.move(State.SUCCEEDED, **obsolete)


def _reopen(job: Job) -> None:
    """Move the job to the state from which this run resumes it."""
    if job.state is State.SUCCEEDED:
        job.reopen(State.FETCHING if job.uris else State.RUNNING)
    elif (job.state is State.FETCHING and not job.uris and not job.is_shared) or can_be_polled_again(job):
        job.reopen(State.RUNNING)  # in a shared journal another process may save the video at this moment


def _plan_again(job: Job) -> None:
    """Move the job back to planned: nothing is owed for it, or its clip is lost with the emulator."""
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
"""Cleared fields of a job that is planned again."""
