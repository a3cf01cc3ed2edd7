"""Brings the videos of an operation that has ended from Google to the disk, and their job to its end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from aveo3.backends.base import Backend, PollError, Video
from aveo3.config.settings import Settings
from aveo3.engine.attempt import Attempt
from aveo3.engine.job import Job
from aveo3.engine.retry import repeating
from aveo3.errors import FetchError
from aveo3.files import download, saving
from aveo3.files.saving import SavedFile
from aveo3.lanes.routing import translate
from aveo3.lifecycle import State
from aveo3.models import VideoClip

FETCH_TRIES = 5

PARALLEL = 8
"""Downloads at once. More would share the same line, and more would be half done when it breaks."""

PARTLY_FILTERED, PARTLY_FOUND = "partly_filtered", "partly_found"
"""Why fewer videos are there than were asked for: others were held back, or had not turned up."""

STOPPED = "stopped", "made and paid, but stopped before it was on disk"
"""What the clip of a job says whose fetching was cancelled."""


class Delivery:
    """Fetches videos into the output directory."""

    def __init__(
        self,
        settings: Settings,
        session: aiohttp.ClientSession,
        *,
        rng: random.Random,
        now_utc: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._session = session
        self._now_utc = now_utc
        self._line = asyncio.Semaphore(PARALLEL)
        base = settings.poll_interval or 2.0
        again = repeating(FetchError, base=base, max_value=60.0, rng=rng, max_tries=FETCH_TRIES)
        self._download = again(self._download_once)

    async def deliver(
        self,
        attempt: Attempt,
        videos: Sequence[Video],
        *,
        held_back: str | None = None,
        cost_usd: float | None = None,
    ) -> VideoClip:
        """Note and fetch the `videos` that the operation of `attempt` has ended with.

        `held_back` says why others, which are free, are not among them. `cost_usd` is what Google says that they cost;
        None has it estimated.
        """
        job = attempt.job
        made, asked = len(videos), max(len(videos), job.prompt.number_of_videos)
        if cost_usd is None and (estimate := self._price(job)) is not None:
            cost_usd = round(estimate * made / asked, 4)
        self.note_made(job, videos, PARTLY_FILTERED if held_back else None, held_back, cost_usd=cost_usd)
        return await self.fetch(attempt, videos)

    def _price(self, job: Job) -> float | None:
        """The list price of every video of the prompt, as it was written for the model that got it."""
        catalog, sent = self._settings.model_catalog, job.prompt
        if (asked := job.record.instead_of) is not None:
            sent, _, _ = translate(job.prompt, asked, job.model, catalog)
        return catalog.cost_usd(sent, job.model)

    def note_made(
        self, job: Job, videos: Sequence[Video], lack: str | None, message: str | None, **changes: Any
    ) -> None:
        """Note, before any is fetched, that `videos` are made and paid; `lack` if fewer than were asked for."""
        job.move(
            State.FETCHING,
            uris=tuple(video.uri for video in videos if video.uri),
            finished_utc=self._now_utc(),
            **changes,
            error_kind=lack,
            error_message=message,
        )

    async def fetch(self, attempt: Attempt, videos: Sequence[Video]) -> VideoClip:
        """Bring the videos of a job that is `fetching` to disk. If that fails it stays so, for the next run."""
        job = attempt.job
        before, job.files = job.files, ()
        left = list(videos)
        try:
            while left:
                number = len(videos) - len(left) + 1 if len(videos) > 1 else None
                await self._fetch_one(attempt, left.pop(0), number)
        except FetchError as error:
            if error.gone:
                job.files = before
                return job.end(State.UNCERTAIN, "fetch", f"made and paid, but Google has it no more: {error}")
            return job.leave("disk" if error.disk else "fetch", str(error))
        finally:
            for video in left:
                if video.file is not None:
                    saving.drop(video.file)
        kind, message = job.error_kind, job.error_message
        if kind not in (PARTLY_FILTERED, PARTLY_FOUND):  # why an earlier fetch did not succeed
            kind = message = None
        return job.end(
            State.SUCCEEDED,
            kind,
            message,
            cost_usd=job.cost_usd,
            files=job.files,
            fetched_utc=self._now_utc() if job.files else None,
        )

    async def _fetch_one(self, attempt: Attempt, video: Video, number: int | None) -> None:
        job, record = attempt.job, attempt.job.record
        position = job.index if job.position is None else job.position
        name = saving.file_name(position, job.prompt.text, record.digest, number, ordinal=record.ordinal)
        target = self._settings.output_dir / name
        if video.file is not None:
            job.files += (await saving.keep(video.file, target),)
        elif video.data is not None:
            job.files += (await saving.save(video.data, target),)
        elif video.uri is not None:
            async with self._line:
                if (saved := await self._download(video.uri, target, attempt.backend)) is not None:
                    job.files += (saved,)

    async def _download_once(self, uri: str, target: Path, backend: Backend) -> SavedFile | None:
        """Download a video with a fresh token; None if it stays where it is."""
        try:
            place = await backend.locate(uri)
        except PollError as error:
            raise FetchError(str(error), final=error.final) from error
        if place is None:
            return None
        url, headers = place
        return await download.to_file(self._session, url, target, headers, silence=self._settings.request_timeout)
