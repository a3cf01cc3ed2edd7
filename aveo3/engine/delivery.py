"""Saves the videos of an ended operation to disk, and ends their job."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from aveo3.backends import http
from aveo3.backends.base import Backend, PollError, RenewsLogin, Video
from aveo3.config import file_names
from aveo3.config.settings import Settings
from aveo3.config.source_clip import costs_by_source
from aveo3.engine.attempt import Attempt
from aveo3.engine.job import PARTLY, PARTLY_FILTERED, Job
from aveo3.engine.retry import repeating
from aveo3.errors import FetchError
from aveo3.files import download, saving
from aveo3.files.saving import SavedFile
from aveo3.lanes.routing import translate
from aveo3.lifecycle import State
from aveo3.models import VideoClip

log = logging.getLogger(__name__)

FETCH_TRIES = 5

PARALLEL = 8
"""Downloads at the same time. More would share the same line, and more would be incomplete when it breaks."""

STOPPED = "stopped", "made and paid, but the run stopped before it was on disk"
"""Error kind and message of a job whose download was cancelled."""


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
        usage: Mapping[str, Any] | None = None,
    ) -> VideoClip:
        """Write the `videos` of the ended operation of `attempt` to the journal, then fetch them.

        `held_back` says why a filter blocked others, which are free. `cost_usd` is the cost according to Google; None
        for an estimate. `usage` as in `Finished`.
        """
        job = attempt.job
        made, wanted = len(videos), max(len(videos), job.prompt.number_of_videos)
        if cost_usd is None and (estimate := self._price(job)) is not None:
            cost_usd = round(estimate * made / wanted, 4)
        self.note_made(
            job,
            videos,
            PARTLY_FILTERED if held_back else None,
            held_back,
            cost_usd=cost_usd,
            **job.noted_usage(usage or {}),
        )
        return await self.fetch(attempt, videos)

    def _price(self, job: Job) -> float | None:
        """The list price in US$ of all videos of the prompt, in the form sent to the job's model; None if unknown."""
        catalog, prompt = self._settings.model_catalog, job.prompt
        if costs_by_source(prompt) and job.cost_usd is not None:
            return job.cost_usd  # it went by the clip that it was made from
        if (original := job.record.instead_of) is not None:
            prompt, _, _ = translate(job.prompt, original, job.model, catalog)
        return catalog.cost_usd(prompt, job.model)

    def note_made(
        self, job: Job, videos: Sequence[Video], lack: str | None, message: str | None, **changes: Any
    ) -> None:
        """Record, before any download, that `videos` are made and paid. `lack` says why some are missing."""
        job.move(
            State.FETCHING,
            uris=tuple(video.uri for video in videos if video.uri),
            finished_utc=self._now_utc(),
            **changes,
            error_kind=lack,
            error_message=message,
        )

    async def fetch(self, attempt: Attempt, videos: Sequence[Video]) -> VideoClip:
        """Save the videos of a job that is `fetching`. If that fails, it stays `fetching` for the next run."""
        job = attempt.job
        before, job.files = job.files, ()
        remaining = list(videos)
        try:
            while remaining:
                if attempt.claim is not None:
                    await attempt.claim.confirm()
                number = len(videos) - len(remaining) + 1 if len(videos) > 1 else None
                await self._fetch_one(attempt, remaining.pop(0), number)
        except FetchError as error:
            if error.gone:
                job.files = before
                return job.end(State.UNCERTAIN, "fetch", f"made and paid, but Google no longer has it: {error}")
            return job.leave("disk" if error.disk else "fetch", str(error))
        finally:
            for video in remaining:
                if video.file is not None:
                    saving.drop(video.file)
        kind, message = job.error_kind, job.error_message
        if kind not in PARTLY:  # the reason of a failed earlier fetch is obsolete
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
        name = file_names.file_name(
            self._settings.name,
            job.prompt,
            position=job.index if job.position is None else job.position,
            job=record.name,
            model=record.model,
            lane=record.place.get("lane"),
            sent_utc=record.submitted_utc or record.queued_utc,
            number=number,
        )
        target = self._settings.output_dir / name
        ours = record.name in name  # else another clip of the same bytes may have that name
        if video.file is not None or video.data is not None:
            job.files += (await self._save(video, target, ours=ours),)
        elif video.uri is not None and job.storage_uri is None:
            async with self._line:
                if (saved := await self._download(video.uri, target, attempt.backend, ours)) is not None:
                    job.files += (saved,)

    async def _save(self, video: Video, target: Path, *, ours: bool) -> SavedFile:
        """Save a video that came with the answer."""
        try:
            if video.file is not None:
                return await saving.keep(video.file, target, ours=ours)
            return await saving.save(video.data or b"", target, ours=ours)
        except FetchError:
            raise
        except Exception as error:
            raise self._surprise(str(target), error) from error

    async def _download_once(self, uri: str, target: Path, backend: Backend, ours: bool) -> SavedFile | None:
        """Download a video with a fresh token; None if it stays where it is."""
        try:
            place = await backend.locate(uri)
            if place is None:
                return None
            try:
                return await self._fetch_from(*place, target, ours=ours)
            except FetchError as error:
                if not (error.unauthorized and isinstance(backend, RenewsLogin) and await backend.renew(place[1])):
                    raise
            place = await backend.locate(uri)
            return None if place is None else await self._fetch_from(*place, target, ours=ours)
        except FetchError:
            raise
        except PollError as error:
            raise FetchError(str(error), final=error.final) from error
        except Exception as error:  # a bug, here or in a library: the video is paid, so its download is repeated
            raise self._surprise(uri, error) from error

    def _surprise(self, what: str, error: Exception) -> FetchError:
        """The failed download or save that an exception nobody expected counts as."""
        words = http.without_key(f"{what}: {type(error).__name__}: {error}", self._settings.api_key)
        log.warning("fetching %s", words)
        log.debug("fetching %s", what, exc_info=error)
        return FetchError(words)

    async def _fetch_from(self, url: str, headers: dict[str, str], target: Path, *, ours: bool) -> SavedFile:
        silence = self._settings.request_timeout
        return await download.to_file(self._session, url, target, headers, silence=silence, ours=ours)
