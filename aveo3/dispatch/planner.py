"""Plans a job for each prompt: checks its fields against the catalog, computes its digest, and finds it in the journal.
Sends nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from aveo3 import _threads
from aveo3.config.source_clip import costs_by_source
from aveo3.dispatch.found_clips import SOURCE
from aveo3.dispatch.matching import JobMatcher
from aveo3.dispatch.prompt_media import Hashes, MediaReading, read_media, recorded_hashes
from aveo3.engine.job import Job
from aveo3.errors import JournalError
from aveo3.journal.next_step import NOT_SENDABLE
from aveo3.journal.rows import JobRecord
from aveo3.json_values import text_of
from aveo3.lanes.routing import Routes
from aveo3.lifecycle import State
from aveo3.models import LONGEST_TEXT, VideoClip, VideoPrompt, as_prompt, explain

log = logging.getLogger(__name__)

HELD_NAP = 1.0
"""Seconds until the planner checks again for a job that `resume` is finishing."""

NO_MEDIA = MediaReading()

Prompt = str | Mapping[str, Any] | VideoPrompt
Prompts = Iterable[Prompt] | AsyncIterable[Prompt]
Source = Prompts | list[JobRecord] | AsyncIterable[JobRecord]
"""What a stream takes: prompts, or jobs of the journal."""


class Planner:
    """Plans the jobs of one batch, in the order of its prompts.

    `numbers` are the positions of jobs that no journal keeps; None: their indices. With `requests`, the jobs of the
    journal that it plans came as requests, and may be submitted; it returns the routes to use at that time.
    """

    def __init__(
        self,
        routes: Routes,
        matcher: JobMatcher | None,
        now_utc: Callable[[], datetime],
        *,
        numbers: Iterator[int] | None = None,
        requests: Callable[[], Routes] | None = None,
    ) -> None:
        self._requests = requests
        self._routes = routes
        self._matcher = matcher
        self._now_utc = now_utc
        self._numbers = numbers
        self.begun: Job | None = None
        """The job that was matched last, until `hand_on`."""

    def twin(self) -> Planner:
        """Another planner of the same batch, for another task."""
        return Planner(self._routes, self._matcher, self._now_utc, numbers=self._numbers, requests=self._requests)

    async def plan(
        self,
        source: Prompt | JobRecord,
        index: int,
        not_sent: str | None = None,
        wrong: str | None = None,
        *,
        cuts: bool = False,
    ) -> tuple[Job, VideoClip | None] | None:
        """The job of one prompt, and its clip if nothing is left to do for it. Reads local media in a thread.

        `not_sent` says why it must not be sent now, `wrong` why it never can be; a clip that an earlier run sent for it
        is handed out, or resumed, even so. `cuts` as in `read_media`.
        None for a journal's job that another batch works on. Raises `JournalError`: call `unsent` then.
        """
        if isinstance(source, JobRecord):
            assert self._matcher is not None
            if self._requests is not None:
                return await self._plan_request(source, index, self._matcher, self._requests())
            self.begun = self._matcher.job_of(source, index)
            return None if self.begun is None else (self.begun, await self._matcher.resolve(self.begun))
        try:
            job, problems = await self._judge(source, index, cuts=cuts)
        except JournalError:
            raise
        except Exception as error:  # the user's own object: it may raise anything, and costs its own clip at most
            if self.begun is not None and self.begun.index == index:
                self.begun.release()
                self.begun = None
            log.debug("prompt %d cannot be read", index, exc_info=True)
            job = Job.planned(_unchecked(source), index, self._routes.lanes.settings.model, self._now_utc())
            problems = [f"this prompt cannot be read: {type(error).__name__}: {text_of(error)}"]
        if wrong is not None:
            problems = [wrong]
        clip = None
        if self._matcher is not None and job.digest:
            if self.begun is not job:
                await self._match(self._matcher, job)
            clip = await self._matcher.resolve(job)
        elif self._numbers is not None:
            job.position = next(self._numbers)
        if clip is None and job.state is State.PLANNED and not_sent is not None:
            clip = job.end(State.DEFERRED, SOURCE, not_sent)
        elif clip is None and job.state is State.PLANNED and problems:
            # After an attempt, `bad_request` would be Google's word, and final.
            clip = job.end(State.REJECTED, NOT_SENDABLE if job.attempts else "bad_request", "; ".join(problems))
        return job, clip

    async def _plan_request(
        self, record: JobRecord, index: int, matcher: JobMatcher, routes: Routes
    ) -> tuple[Job, VideoClip | None] | None:
        self.begun = job = matcher.request_of(record, index)
        if job is None:
            return None
        prompt = job.prompt
        job.route, problems = routes.of(prompt, matcher.home_of(prompt.previous) if prompt.previous else None)
        job.media_hashes = recorded_hashes(record.prompt)
        models = routes.models_of(prompt, job.route)
        job.known_by = tuple(prompt.digest(model, job.media_hashes) for model in models)
        clip = await matcher.resolve(job)
        if clip is None and job.state is State.PLANNED and problems:
            clip = job.end(State.REJECTED, NOT_SENDABLE if job.attempts else "bad_request", "; ".join(problems))
        return job, clip

    async def _match(self, matcher: JobMatcher, job: Job, *, plans: bool = True) -> None:
        while not matcher.match(job, plans=plans):  # noqa: ASYNC110 - rare: not worth a waker in the journal
            await asyncio.sleep(HELD_NAP)
        self.begun = job if job.journal is not None else None

    def hand_on(self) -> None:
        """Give up ownership of the job in `begun`."""
        self.begun = None

    def end(self, *, all_made: bool) -> None:
        """End the batch; `all_made` says that each prompt has its video. Nothing goes wrong here that would hide it."""
        if self._matcher is not None:
            try:
                self._matcher.end(all_made=all_made)
            except JournalError as error:
                log.error("%s", error)

    def unsent(
        self, source: Prompt | JobRecord, index: int, error: JournalError | None = None
    ) -> tuple[Job, VideoClip] | None:
        """The clip of a prompt that is not sent: the run was stopped, or the journal cannot be written.

        None for a journal's job: it stays unchanged.
        """
        if isinstance(source, JobRecord):
            return None
        try:
            prompt = as_prompt(source)
        except Exception:
            prompt = _unchecked(source)
        job = Job.planned(prompt, index, self._routes.model_of(prompt), self._now_utc())
        if error is not None:
            return job, job.end(State.DEFERRED, "journal", str(error))
        why = "the run was stopped before it reached this prompt"
        if self._matcher is not None:
            why += "; results of earlier runs are unchanged"
        return job, job.end(State.CANCELLED, "stopped", why)

    async def _judge(self, source: Prompt, index: int, *, cuts: bool = False) -> tuple[Job, list[str]]:
        """The job of one prompt, and its problems: one sentence for each; empty if it can work."""
        now_utc = self._now_utc()
        try:
            prompt = as_prompt(source)
        except ValidationError as error:
            return Job.planned(_unchecked(source), index, self._routes.lanes.settings.model, now_utc), explain(error)
        home = self._matcher.home_of(prompt.previous) if self._matcher is not None and prompt.previous else None
        reading = await _threads.reading.run(read_media, prompt, cuts=cuts) if prompt.media else NO_MEDIA
        clip = reading.source
        if self._matcher is not None and prompt.previous and costs_by_source(prompt):
            clip = await self._matcher.earlier_clip(prompt.previous, self._routes.lanes.settings.model_catalog)
        route, problems = self._routes.of(prompt, home, clip)
        models = self._routes.models_of(prompt, route)

        def job_with(hashes: Hashes, *, known: bool = True) -> Job:
            known_by = tuple(prompt.digest(model, hashes) for model in models) if known else ()
            return Job.planned(prompt, index, models[0], now_utc, route=route, known_by=known_by, media_hashes=hashes)

        if not reading.unusable:
            return job_with(reading.hashes), problems
        problems += reading.problems
        if self._matcher is not None and not prompt.clips:  # what began from another take is another clip
            for hashes in self._matcher.recalled.hashes_of(prompt, reading):
                if await self._is_sent(self._matcher, job := job_with(hashes)):
                    return job, problems
        return job_with((), known=False), problems

    async def _is_sent(self, matcher: JobMatcher, job: Job) -> bool:
        """Whether an earlier run sent `job`, so that its clip needs its media no more. If so, the job is matched."""
        await self._match(matcher, job, plans=False)
        if job.journal is None:
            return False
        if await matcher.needs_no_submit(job):
            return True
        job.release()
        self.begun = None
        return False


def _unchecked(source: Prompt) -> VideoPrompt:
    """An invalid prompt, to show in its clip: only its text, unchecked."""
    try:
        text = source.get("text", "") if isinstance(source, Mapping) else getattr(source, "text", source)
    except Exception:
        text = ""
    return VideoPrompt.model_construct(text=text_of(text, LONGEST_TEXT) if isinstance(text, str) else "")
