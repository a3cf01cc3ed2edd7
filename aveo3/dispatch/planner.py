"""Plans a job for each prompt: checks its fields against the catalog, computes its digest, and finds it in the journal.
Sends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from aveo3.dispatch.matching import JobMatcher
from aveo3.engine.job import Job
from aveo3.errors import JournalError
from aveo3.journal.rows import JobRecord
from aveo3.lanes.routing import Routes
from aveo3.lifecycle import State
from aveo3.models import VideoClip, VideoPrompt, as_prompt, explain

HELD_NAP = 1.0
"""Seconds until the planner checks again for a job that `resume` is finishing."""

Prompt = str | Mapping[str, Any] | VideoPrompt
Prompts = Iterable[Prompt] | AsyncIterable[Prompt]


class Planner:
    """Plans the jobs of one batch, in the order of its prompts.

    `numbers` are the positions of jobs that no journal keeps; None: their indices.
    """

    def __init__(
        self,
        routes: Routes,
        matcher: JobMatcher | None,
        now_utc: Callable[[], datetime],
        *,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self._routes = routes
        self._matcher = matcher
        self._now_utc = now_utc
        self._numbers = numbers
        self.begun: Job | None = None
        """The job that was matched last, until `hand_on`."""

    async def plan(self, source: Prompt | JobRecord, index: int) -> tuple[Job, VideoClip | None] | None:
        """The job of one prompt, and its clip if nothing is left to do for it. Reads local media in a thread.

        None for a journal's job that another batch works on. Raises `JournalError`: call `unsent` then.
        """
        if isinstance(source, JobRecord):
            assert self._matcher is not None
            self.begun = self._matcher.job_of(source, index)
            return None if self.begun is None else (self.begun, await self._matcher.resolve(self.begun))
        job, problems = await self._judge(source, index)
        clip = None
        if self._matcher is not None and job.digest:
            while not self._matcher.match(job):  # noqa: ASYNC110 - rare: not worth a waker in the journal
                await asyncio.sleep(HELD_NAP)
            self.begun = job
            clip = await self._matcher.resolve(job)
        elif self._numbers is not None:
            job.position = next(self._numbers)
        if clip is None and job.state is State.PLANNED and problems:
            clip = job.end(State.REJECTED, "bad_request", "; ".join(problems))
        return job, clip

    def hand_on(self) -> None:
        """Give up ownership of the job in `begun`."""
        self.begun = None

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
        except ValidationError:
            prompt = _unchecked(source)
        job = Job.planned(prompt, index, self._routes.model_of(prompt), self._now_utc())
        if error is not None:
            return job, job.end(State.DEFERRED, "journal", str(error))
        why = "the run was stopped before it reached this prompt"
        if self._matcher is not None:
            why += "; results of earlier runs are unchanged"
        return job, job.end(State.CANCELLED, "stopped", why)

    async def _judge(self, source: Prompt, index: int) -> tuple[Job, list[str]]:
        """The job of one prompt, and its problems: one sentence for each; empty if it can work."""
        now_utc = self._now_utc()
        try:
            prompt = as_prompt(source)
        except ValidationError as error:
            return Job.planned(_unchecked(source), index, self._routes.lanes.settings.model, now_utc), explain(error)
        home = self._matcher.home_of(prompt.previous) if self._matcher is not None and prompt.previous else None
        route, problems = self._routes.of(prompt, home)
        models = self._routes.models_of(prompt, route)
        known_by: tuple[str, ...] = ()
        hashes: tuple[str | None, ...] = ()
        try:
            if prompt.media:
                hashes = await asyncio.to_thread(prompt.media_hashes)
                problems += await asyncio.to_thread(prompt.mismatches)
            known_by = tuple(prompt.digest(model, hashes) for model in models)
        except OSError as error:
            problems.append(f"cannot read {error.filename}: {error.strerror}")
        except ValueError as error:  # not a path: it holds a null byte
            problems.append(f"cannot read its media: {error}")
        job = Job.planned(prompt, index, models[0], now_utc, route=route, known_by=known_by, media_hashes=hashes)
        return job, problems


def _unchecked(source: Prompt) -> VideoPrompt:
    """An invalid prompt, to show in its clip: only its text, unchecked."""
    text = source if isinstance(source, str) else str(source.get("text", "")) if isinstance(source, Mapping) else ""
    return VideoPrompt.model_construct(
        text=text.encode(errors="replace").decode()
    )  # half a surrogate pair cannot be written to a file
